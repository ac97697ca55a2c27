#!/usr/bin/env python3
"""The work of benches/train.rs in PyTorch eager, and the same lines: model,phase,threads,median ms per batch,images per second.

    pip install torch   (the CPU build)
    python3 benches/peers/train_pytorch.py [--models fcn3x256,vgg11] [--phases train,eval] [--threads N] [--seconds S] [--channels-last]
"""
import argparse
import time

import torch
from torch.nn import functional

import models

BATCH, CHUNK = 128, 500

options = argparse.ArgumentParser()
options.add_argument("--models", default="fcn3x256,fcn5x512")
options.add_argument("--phases", default="train,eval")
options.add_argument("--threads", type=int, default=2)
options.add_argument("--seconds", type=float, default=3)
options.add_argument("--channels-last", action="store_true")
options = options.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)


def median(call):
    """Of the times of a call, measured for so many seconds, and three times at least."""
    warming, calls, times = time.perf_counter(), 0, []
    while calls < 20 and (time.perf_counter() - warming < 0.5 or calls == 0):
        call()
        calls += 1
    start = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < options.seconds:
        before = time.perf_counter()
        call()
        times.append((time.perf_counter() - before) * 1e3)
    return sorted(times)[len(times) // 2]


def train(network, rows, labels):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    network.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(rows), labels).backward()
        optimizer.step()

    return median(step)


def evaluate(network, rows, labels):
    network.eval()
    batches = 16 if rows.dim() == 2 else -(-options.threads * CHUNK // BATCH)

    @torch.no_grad()
    def score():
        for _ in range(batches):
            logits = network(rows)
            (logits.argmax(1) != labels).sum().item()
            functional.cross_entropy(logits, labels, reduction="sum").item()

    return median(score) / batches


for name in options.models.split(","):
    network, rows = models.build(name), torch.randn(BATCH, *models.shape(name))
    if options.channels_last and rows.dim() == 4:
        network, rows = (each.to(memory_format=torch.channels_last) for each in (network, rows))
    labels = torch.randint(0, models.CLASSES, (BATCH,))
    for phase in options.phases.split(","):
        milliseconds = (train if phase == "train" else evaluate)(network, rows, labels)
        print(f"{name},{phase},{options.threads},{milliseconds:.4f},{BATCH / milliseconds * 1e3:.0f}", flush=True)
