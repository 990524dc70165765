#!/usr/bin/env python3
"""peers.py -- time of one Adam step, and peak memory, of the same nets in Nin, PyTorch and JAX.

Nets (after Kim, Orhan, Yoon and Pitkow 2022): layer norm, dropout and cross entropy.
  two      784 -> 3 x (dense 128, 64 two-argument neurons, each the shared net 2 -> 64 -> 64 -> 1, learned too) -> 10
  grid     the same; in Nin the shared net is read from a grid of 64 x 64, while peers compute it
  relu     784 -> 3 x (dense 118, relu) -> 10
  cnn      3 x 32 x 32 -> 3 x (conv 3 x 3, two-argument neurons, max pooling) -> dense -> 10; 60, 120, 120, 120 neurons
  cnngrid  the same; in Nin the shared net is read from a grid of 64 x 64, while peers compute it
  cnnrelu  the same with relu, widened to as many parameters: 85, 170, 170, 170
Usage: peers.py [--nin build/nin] [--net NET ...] [--threads N] [--steps N] [--batch N] [--limit SECONDS]
                [--debian PYTHON] [name ...]
names: nin eager compiled jax debian; a batch is 200 unless said.  eager, compiled and jax are those that python3 finds;
debian is the PyTorch of Debian's python3-torch, eager, by Debian's own python3 and numpy, with the kernels of OpenBLAS
for this instruction set named (by itself 0.3.21 does not know newer CPUs).  A peer that takes longer than the limit
(compiling included) is given up.
Nin's time is the difference of two runs of different length, so that reading and compiling do not count; an epoch is 20
batches (MNIST has 300), of cnn 2; what comes at its end counts.  Peers are warmed up before, and see one batch again
and again.  Peers run as they are installed; whatever cannot be imported is left out.  Not part of `make test`.
"""
import argparse, os, signal, subprocess, sys, tempfile, threading, time

DEBIAN = "/usr/lib/python3/dist-packages"
NETS = ("two", "grid", "relu", "cnn", "cnngrid", "cnnrelu")
CNN = {"two": (60, 120, 120, 120), "relu": (85, 170, 170, 170)}        # neurons
PROGRAM = """
made = blobs(points: %(points)d, classes: 10, features: %(features)d, seed: 1)
net mlp[act: cells, h: int](x: f32[784]) -> f32[10] {
  for layer in 1..3 {
    x = dropout[0.5](apply(act, layernorm[affine: false](dense[features(act, h)](x))))
  }
  dense[10](x)
}
net cnn[act: cells, maps: list[int]](x: f32[3072]) -> f32[10] {
  x = reshape(x, [3, 32, 32])
  for layer in 1..3 {
    z = layernorm[affine: false](conv[features(act, maps[layer]), kernel: 3](x))
    x = dropout[0.5](maxpool[2](apply(act, z)))
  }
  x = apply(act, layernorm[affine: false](dense[features(act, maps[4])](flatten(x))))
  dense[10](dropout[0.5](x))
}
chosen = %(net)s
experiment steps {
  run = train(chosen, on: made, with: session(learn: all, cells: %(cells)s, loss: cross_entropy, batch: %(batch)d,
                                              optimizer: adam[lr: 1e-3], epochs: %(epochs)d), seed: 1,
              threads: %(threads)d)
  record(loss: run.train_loss)
}
"""


def child(args, env=None, limit=None):
    """Processor seconds, wall seconds, peak MB and output of a process; None if it was not done within the limit."""
    start, late = time.time(), []
    process = subprocess.Popen(args, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def give_up():
        late.append(True)
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit or 1e6, give_up)
    timer.daemon = True
    timer.start()
    said = process.stdout.read().decode()
    timer.cancel()
    _, status, used = os.wait4(process.pid, 0)
    if late:
        return None
    if status:
        sys.exit("%s failed:\n%s" % (args[0], said))
    return used.ru_utime + used.ru_stime, time.time() - start, used.ru_maxrss / 1024, said


def is_cnn(net):
    return net.startswith("cnn")


def cell_of(net):
    return "relu" if net.endswith("relu") else "two"


def nin_net(net):
    if is_cnn(net):
        return "cnn[%s, %s]" % ("relu" if cell_of(net) == "relu" else "inner[2]", list(CNN[cell_of(net)]))
    return "mlp[relu, 118]" if net == "relu" else "mlp[inner[2], 64]"


def measure_nin(options, net):
    """The difference of two runs of different length: reading, compiling and the last evaluation do not count."""
    cpu, wall, peak, epoch = {}, {}, 0, 2 if is_cnn(net) else 20
    short, long = 1, 1 + max(1, options.steps // epoch)
    with tempfile.TemporaryDirectory() as folder:
        for epochs in (short, long, short, long):
            path = os.path.join(folder, "steps.nin")
            with open(path, "w") as f:
                f.write(PROGRAM % {"points": epoch * options.batch, "features": 3072 if is_cnn(net) else 784,
                                   "net": nin_net(net), "batch": options.batch, "epochs": epochs,
                                   "cells": "grid[64]" if net.endswith("grid") else "exact",
                                   "threads": options.threads})
            out = tempfile.mkdtemp(dir=folder)
            c, w, mb, _ = child([options.nin, "run", path, "--out", out, "--quiet", "--checkpoint", "1000",
                                 "--threads", str(options.threads)])
            cpu[epochs] = min(c, cpu.get(epochs, c))
            wall[epochs] = min(w, wall.get(epochs, w))
            peak = max(peak, mb)
    steps = (long - short) * epoch
    return (cpu[long] - cpu[short]) / steps, (wall[long] - wall[short]) / steps, peak


def torch_net(net):
    import torch
    from torch import nn
    relu = cell_of(net) == "relu"

    class Cells(nn.Module):
        """Neurons: relu, or one shared net of two neighbouring features."""
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

        def forward(self, z):
            if relu:
                return torch.relu(z)
            pairs = z.unflatten(1, (-1, 2)).movedim(2, -1)
            return self.inner(pairs).squeeze(-1)

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            wide, units = (118, 118) if relu else (128, 64)
            self.cells = Cells()
            self.dense = nn.ModuleList(nn.Linear(n, wide) for n in (784, units, units))
            self.last = nn.Linear(units, 10)

        def forward(self, x):
            for dense in self.dense:
                z = dense(x)
                x = nn.functional.dropout(self.cells(nn.functional.layer_norm(z, z.shape[1:])), 0.5, self.training)
            return self.last(x)

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            units, each = CNN[cell_of(net)], 1 if relu else 2
            self.cells = Cells()
            self.conv = nn.ModuleList(nn.Conv2d(n, each * m, 3) for n, m in zip((3,) + units, units[:3]))
            self.dense = nn.Linear(4 * units[2], each * units[3])
            self.last = nn.Linear(units[3], 10)

        def forward(self, x):
            for conv in self.conv:
                z = conv(x)
                y = nn.functional.max_pool2d(self.cells(nn.functional.layer_norm(z, z.shape[1:])), 2)
                x = nn.functional.dropout(y, 0.5, self.training)
            z = self.dense(x.flatten(1))
            y = self.cells(nn.functional.layer_norm(z, z.shape[1:]))
            return self.last(nn.functional.dropout(y, 0.5, self.training))

    return Cnn() if is_cnn(net) else Mlp()


def step_torch(options, net, compiled):
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = torch_net(net)
    forward = torch.compile(model) if compiled else model
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.randn(*((options.batch,) + ((3, 32, 32) if is_cnn(net) else (784,))))
    y = torch.randint(0, 10, (options.batch,))

    def step():
        adam.zero_grad()
        torch.nn.functional.cross_entropy(forward(x), y).backward()
        adam.step()

    return step


def jax_shapes(net):
    """Of the weights, input features second to last, or of convolutions first: outer layers, then the inner net's."""
    relu, units = cell_of(net) == "relu", CNN[cell_of(net)]
    inner = [] if relu else [(2, 64), (64, 64), (64, 1)]
    if not is_cnn(net):
        wide, unit = (118, 118) if relu else (128, 64)
        return [(784, wide), (unit, wide), (unit, wide), (unit, 10)] + inner
    each = 1 if relu else 2
    convs = [(each * m, n, 3, 3) for n, m in zip((3,) + units, units[:3])]
    return convs + [(4 * units[2], each * units[3]), (units[3], 10)] + inner


def step_jax(options, net):
    import jax
    import jax.numpy as jnp
    shapes, relu = jax_shapes(net), cell_of(net) == "relu"
    outer = len(shapes) - (0 if relu else 3)
    keys = jax.random.split(jax.random.PRNGKey(1), len(shapes))
    parameters = []
    for k, s in zip(keys, shapes):
        n = s[0] if len(s) == 2 else s[1] * s[2] * s[3]
        parameters.append((jax.random.uniform(k, s, minval=-1, maxval=1) / n ** 0.5,
                           jnp.zeros(s[1] if len(s) == 2 else (s[0], 1, 1))))

    def norm(z):
        axes = tuple(range(1, z.ndim))
        return (z - z.mean(axes, keepdims=True)) / jnp.sqrt(z.var(axes, keepdims=True) + 1e-5)

    def cells(p, z):
        if relu:
            return jax.nn.relu(z)
        h = jnp.moveaxis(z.reshape((z.shape[0], -1, 2) + z.shape[2:]), 2, -1)
        h = jax.nn.relu(h @ p[outer][0] + p[outer][1])
        return (jax.nn.relu(h @ p[outer + 1][0] + p[outer + 1][1]) @ p[outer + 2][0] + p[outer + 2][1]).squeeze(-1)

    def dropout(key, x):
        return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x * 2, 0)

    def loss(p, key, x, y):
        drops = jax.random.split(key, 4)
        for layer in range(3):
            if is_cnn(net):
                z = jax.lax.conv_general_dilated(x, p[layer][0], (1, 1), "VALID") + p[layer][1]
                z = jax.lax.reduce_window(cells(p, norm(z)), -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            else:
                z = cells(p, norm(x @ p[layer][0] + p[layer][1]))
            x = dropout(drops[layer], z)
        if is_cnn(net):
            x = x.reshape(x.shape[0], -1)
            x = dropout(drops[3], cells(p, norm(x @ p[3][0] + p[3][1])))
        logits = jax.nn.log_softmax(x @ p[outer - 1][0] + p[outer - 1][1])
        return -logits[jnp.arange(options.batch), y].mean()

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
    x = jax.random.normal(keys[0], (options.batch,) + ((3, 32, 32) if is_cnn(net) else (784,)))
    y = jax.random.randint(keys[0], (options.batch,), 0, 10)
    state = [(parameters, zeros, zeros, 0.0, jax.random.PRNGKey(2))]

    def step():
        state[0] = update(state[0], x, y)
        jax.block_until_ready(state[0])

    return step


def measure_peer(options, net, name):
    """In this process, on as many cores as threads: the best of up to five rounds, after two that do not count."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])
    step = step_jax(options, net) if name == "jax" else step_torch(options, net, name == "compiled")
    for _ in range(2):
        step()
    cpu = wall = 1e9
    rounds = min(5, options.steps)
    for _ in range(rounds):
        c, w = time.process_time(), time.time()
        for _ in range(options.steps // rounds):
            step()
        cpu = min(cpu, (time.process_time() - c) / (options.steps // rounds))
        wall = min(wall, (time.time() - w) / (options.steps // rounds))
    print("%g %g" % (cpu, wall))


def interpreter(options, name):
    """The python of a peer, and what it needs in its environment."""
    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    env = dict(os.environ, OMP_NUM_THREADS=str(options.threads), XLA_FLAGS=one if options.threads == 1 else "")
    if name != "debian":
        return sys.executable, env
    with open("/proc/cpuinfo") as f:
        flags = f.read().split()
    core = "SKYLAKEX" if "avx512f" in flags else "HASWELL" if "avx2" in flags else ""
    return options.debian, dict(env, PYTHONPATH=DEBIAN, PYTHONNOUSERSITE="1", OPENBLAS_CORETYPE=core)


def version(options, name):
    """Asked in a process of its own: a child's peak memory begins with that of its parent, which must stay small."""
    module = "jax" if name == "jax" else "torch"
    python, env = interpreter(options, name)
    ask = "import %s; print(%s.__version__, %s.__file__)" % (module, module, module)
    try:
        asked = subprocess.run([python, "-c", ask], capture_output=True, env=env)
    except OSError:
        return None
    if asked.returncode:
        return None
    number, where = asked.stdout.decode().split()[-2:]
    if name == "debian" and not where.startswith(DEBIAN):
        return None
    return module + " " + number


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--nin", default="build/nin")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--net", action="append", choices=NETS)
    parser.add_argument("--limit", type=float, default=240)
    parser.add_argument("--debian", default="/usr/bin/python3")
    parser.add_argument("--inside", nargs=2)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.inside:
        return measure_peer(options, *options.inside)
    names = options.names or ["nin", "eager", "compiled", "jax", "debian"]
    print("%d thread%s, load %.1f" % (options.threads, "" if options.threads == 1 else "s", os.getloadavg()[0]))
    for net in options.net or NETS:
        mine = None
        for name in names:
            what = "nin" if name == "nin" else version(options, name)
            if not what:
                print("%-8s %-9s not installed" % (net, name))
                continue
            if name == "nin":
                cpu, wall, peak = mine = measure_nin(options, net)
            else:
                python, env = interpreter(options, name)
                done = child([python, __file__, "--threads", str(options.threads), "--steps", str(options.steps),
                              "--batch", str(options.batch), "--inside", net, name], env, options.limit)
                if not done:
                    print("%-8s %-9s %-18s not done in %g s" % (net, name, what, options.limit), flush=True)
                    continue
                _, _, peak, said = done
                cpu, wall = map(float, said.split()[-2:])
            ratio = ""
            if mine and name != "nin":
                ratio = "  Nin's times %.1f, by the clock %.1f, memory %.1f" % (
                    cpu / mine[0], wall / mine[1], peak / mine[2])
            print("%-8s %-9s %-18s %8.2f ms of processor, %8.2f ms by the clock, peak %5.0f MB%s"
                  % (net, name, what, cpu * 1e3, wall * 1e3, peak, ratio), flush=True)


if __name__ == "__main__":
    main()
