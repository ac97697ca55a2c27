#!/usr/bin/env python3
"""The work of benches/train.rs in PyTorch eager, and the same lines: model,phase,threads,median ms per batch,images per second.

    pip install torch   (the CPU build)
    python3 benches/peers/train_pytorch.py [--threads N] [--seconds S]
"""
import argparse
import time

import torch

BATCH, FEATURES, CLASSES, BATCHES = 128, 784, 10, 16

options = argparse.ArgumentParser()
options.add_argument("--threads", type=int, default=2)
options.add_argument("--seconds", type=float, default=3)
options = options.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)


def fcn(depth, width):
    sizes = [FEATURES] + [width] * depth
    layers = []
    for i in range(depth):
        layers += [torch.nn.Linear(sizes[i], sizes[i + 1]), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, CLASSES))


def median(call):
    for _ in range(20):
        call()
    start, times = time.perf_counter(), []
    while time.perf_counter() - start < options.seconds:
        before = time.perf_counter()
        call()
        times.append((time.perf_counter() - before) * 1e3)
    return sorted(times)[len(times) // 2]


def measure(depth, width):
    network = fcn(depth, width)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    rows = torch.randn(BATCH, FEATURES)
    labels = torch.randint(0, CLASSES, (BATCH,))

    def train():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(network(rows), labels).backward()
        optimizer.step()

    @torch.no_grad()
    def evaluate():
        for _ in range(BATCHES):
            logits = network(rows)
            (logits.argmax(1) != labels).sum().item()
            torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()

    return [("train", median(train)), ("eval", median(evaluate) / BATCHES)]


for depth, width in [(3, 256), (5, 512)]:
    for phase, milliseconds in measure(depth, width):
        print(f"fcn{depth}x{width},{phase},{options.threads},{milliseconds:.4f},{BATCH / milliseconds * 1e3:.0f}", flush=True)
