#!/usr/bin/env python3
"""peers.py -- processor time of one Adam step, and peak memory, of the same nets in Nin, PyTorch and JAX.

Nets (after Kim, Orhan, Yoon and Pitkow 2022): 784 -> 3 layers -> 10, layer norm and dropout, batch 200, cross entropy.
  two    dense 128, 64 two-argument neurons, each the shared net 2 -> 64 -> 64 -> 1, learned too
  relu   dense 118, relu
Usage: peers.py [--nin build/nin] [--threads N] [--steps N] [name ...]        names: nin eager compiled jax
Nin's time is the difference of two runs of different length, so that reading and compiling do not count; peers are
warmed up before.  Peers run as they are installed; whatever cannot be imported is left out.  Not part of `make test`.
"""
import argparse, os, resource, subprocess, sys, tempfile, time

BATCH, POINTS = 200, 2000
PROGRAM = """
made = blobs(points: %d, classes: 10, features: 784, seed: 1)
net mlp[act: cells, h: int](x: f32[784]) -> f32[10] {
  for layer in 1..3 {
    x = dropout[0.5](apply(act, layernorm[affine: false](dense[features(act, h)](x))))
  }
  dense[10](x)
}
two = mlp[inner[2], 64]
control = mlp[relu, 118]
experiment steps {
  run = train(%s, on: made, with: session(learn: all, loss: cross_entropy, optimizer: adam[lr: 1e-3], batch: %d,
                                          epochs: %d), seed: 1, threads: %d)
  record(loss: run.train_loss)
}
"""


def child(args, env=None):
    """Processor seconds, wall seconds and peak MB of a process."""
    start = time.time()
    process = subprocess.Popen(args, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit("%s failed:\n%s" % (args[0], said))
    return used.ru_utime + used.ru_stime, time.time() - start, used.ru_maxrss / 1024, said


def measure_nin(options, net):
    name = {"two": "two", "relu": "control"}[net]
    short, long = 1, 1 + max(1, options.steps * BATCH // POINTS)
    cpu, wall, peak = {}, {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for epochs in (short, long, short, long):
            path = os.path.join(folder, "steps.nin")
            with open(path, "w") as f:
                f.write(PROGRAM % (POINTS, name, BATCH, epochs, options.threads))
            out = tempfile.mkdtemp(dir=folder)
            c, w, mb, _ = child([options.nin, "run", path, "--out", out, "--quiet", "--checkpoint", "1000",
                                 "--threads", str(options.threads)])
            cpu[epochs] = min(c, cpu.get(epochs, c))
            wall[epochs] = min(w, wall.get(epochs, w))
            peak = max(peak, mb)
    steps = (long - short) * (POINTS // BATCH)
    return (cpu[long] - cpu[short]) / steps, (wall[long] - wall[short]) / steps, peak


def torch_net(net):
    import torch
    from torch import nn

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            wide, units = (128, 64) if net == "two" else (118, 118)
            self.wide = wide
            self.dense = nn.ModuleList(nn.Linear(n, wide) for n in (784, units, units))
            self.last = nn.Linear(units, 10)
            self.inner = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

        def forward(self, x):
            for dense in self.dense:
                z = nn.functional.layer_norm(dense(x), (self.wide,))
                y = self.inner(z.view(-1, self.wide // 2, 2)).squeeze(-1) if net == "two" else torch.relu(z)
                x = nn.functional.dropout(y, 0.5, self.training)
            return self.last(x)

    return Mlp()


def step_torch(options, net, compiled):
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = torch_net(net)
    forward = torch.compile(model) if compiled else model
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))

    def step():
        adam.zero_grad()
        torch.nn.functional.cross_entropy(forward(x), y).backward()
        adam.step()

    return step


def step_jax(options, net):
    import jax
    import jax.numpy as jnp
    wide, units = (128, 64) if net == "two" else (118, 118)
    sizes = [(784, wide), (units, wide), (units, wide), (units, 10)]
    sizes += [(2, 64), (64, 64), (64, 1)] if net == "two" else []
    keys = jax.random.split(jax.random.PRNGKey(1), len(sizes))
    parameters = [(jax.random.uniform(k, s, minval=-1, maxval=1) / s[0] ** 0.5, jnp.zeros(s[1]))
                  for k, s in zip(keys, sizes)]

    def loss(p, key, x, y):
        for layer in range(3):
            z = x @ p[layer][0] + p[layer][1]
            z = (z - z.mean(1, keepdims=True)) / jnp.sqrt(z.var(1, keepdims=True) + 1e-5)
            if net == "two":
                h = z.reshape(BATCH, wide // 2, 2)
                h = jax.nn.relu(h @ p[4][0] + p[4][1])
                z = (jax.nn.relu(h @ p[5][0] + p[5][1]) @ p[6][0] + p[6][1]).squeeze(-1)
            else:
                z = jax.nn.relu(z)
            key, used = jax.random.split(key)
            x = jnp.where(jax.random.bernoulli(used, 0.5, z.shape), z * 2, 0)
        logits = jax.nn.log_softmax(x @ p[3][0] + p[3][1])
        return -logits[jnp.arange(BATCH), y].mean()

    @jax.jit
    def update(state, x, y):
        p, m, v, t, key = state
        key, used = jax.random.split(key)
        g = jax.grad(loss)(p, used, x, y)
        t = t + 1
        tree = jax.tree_util.tree_map
        m = tree(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = tree(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        p = tree(lambda a, b, c: a - 1e-3 * (b / (1 - 0.9 ** t)) / (jnp.sqrt(c / (1 - 0.999 ** t)) + 1e-8), p, m, v)
        return p, m, v, t, key

    zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
    x = jax.random.normal(keys[0], (BATCH, 784))
    y = jax.random.randint(keys[0], (BATCH,), 0, 10)
    state = [(parameters, zeros, zeros, 0.0, jax.random.PRNGKey(2))]

    def step():
        state[0] = update(state[0], x, y)
        jax.block_until_ready(state[0])

    return step


def measure_peer(options, net, name):
    """In this process: the best of several rounds."""
    step = step_jax(options, net) if name == "jax" else step_torch(options, net, name == "compiled")
    for _ in range(5):
        step()
    cpu = wall = 1e9
    for _ in range(5):
        c, w = time.process_time(), time.time()
        for _ in range(max(1, options.steps // 5)):
            step()
        cpu = min(cpu, (time.process_time() - c) / max(1, options.steps // 5))
        wall = min(wall, (time.time() - w) / max(1, options.steps // 5))
    print("%g %g" % (cpu, wall))


def version(name):
    module = "jax" if name == "jax" else "torch"
    try:
        return module + " " + __import__(module).__version__
    except Exception:
        return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--nin", default="build/nin")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--inside", nargs=2)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.inside:
        return measure_peer(options, *options.inside)
    names = options.names or ["nin", "eager", "compiled", "jax"]
    print("%d thread%s, load %.1f" % (options.threads, "" if options.threads == 1 else "s", os.getloadavg()[0]))
    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    env = dict(os.environ, OMP_NUM_THREADS=str(options.threads), XLA_FLAGS=one if options.threads == 1 else "")
    for net in ("two", "relu"):
        base = None
        for name in names:
            what = "nin" if name == "nin" else version(name)
            if not what:
                print("%-5s %-9s not installed" % (net, name))
                continue
            if name == "nin":
                cpu, wall, peak = measure_nin(options, net)
                base = cpu
            else:
                _, _, peak, said = child([sys.executable, __file__, "--threads", str(options.threads), "--steps",
                                          str(options.steps), "--inside", net, name], env)
                cpu, wall = map(float, said.split()[-2:])
            ratio = "  %5.1f x nin" % (cpu / base) if base and name != "nin" else ""
            print("%-5s %-9s %-14s %8.2f ms of processor, %8.2f ms by the clock, peak %5.0f MB%s"
                  % (net, name, what, cpu * 1e3, wall * 1e3, peak, ratio), flush=True)


if __name__ == "__main__":
    main()
