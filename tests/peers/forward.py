#!/usr/bin/env python3
"""The forward pass of forward.nin in numpy, from the weights that a run left: agreement with the recorded logits.

    nin run tests/peers/forward.nin --out OUT && python3 tests/peers/forward.py OUT MNIST_FOLDER

Needs numpy only.  Exit code 1 if a logit of the first 200 test images differs by more than 1e-5.  Not part of make test."""
import gzip
import json
import pathlib
import struct
import sys

import numpy as np


def weights(path):
    bytes_ = path.read_bytes()
    (length,) = struct.unpack("<Q", bytes_[:8])
    head = json.loads(bytes_[8 : 8 + length])
    head.pop("__metadata__", None)
    types = {"F32": np.float32, "F64": np.float64, "I32": np.int32}
    body = bytes_[8 + length :]
    return {
        name: np.frombuffer(body[t["data_offsets"][0] : t["data_offsets"][1]], types[t["dtype"]]).reshape(t["shape"])
        for name, t in head.items()
    }


def images(folder, count):
    for path in pathlib.Path(folder).rglob("t10k-images*"):
        raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        return np.frombuffer(raw, np.uint8, count * 784, 16).reshape(count, 784).astype(np.float32) / np.float32(255)
    sys.exit("no t10k-images in " + folder)


def main(out, folder):
    at = pathlib.Path(out) / "forward" / "e"
    w = weights(at / "1.safetensors")
    logits = np.array(json.loads((at / "records.jsonl").read_text().splitlines()[0])["logits"])
    x = (images(folder, len(logits)) - np.float32(0.5)) / np.float32(0.5)
    h = x @ w["dense[1].w"].T + w["dense[1].b"]
    pairs = h.reshape(len(x), -1, 2)
    inner = np.tanh(pairs @ w["bend.dense[1].w"].T + w["bend.dense[1].b"])
    z = (inner @ w["bend.dense[2].w"].T + w["bend.dense[2].b"])[..., 0]
    z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + np.float32(1e-5))
    y = z @ w["dense[2].w"].T + w["dense[2].b"]
    difference = float(np.abs(y - logits).max())
    print(f"{y.size} logits, largest {np.abs(logits).max():.3f}; largest difference {difference:.3g}")
    return difference > 1e-5


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
