#!/usr/bin/env python3
"""Writes pytorch.safetensors: what PyTorch computes for an FCN 3x32 on one batch of 128, as a reference for tests/it/numerics.rs.

    pip install torch==2.15 numpy safetensors packaging   (the CPU build; any version gives the same to 1e-5)
    python3 tests/it/data/make_pytorch.py

The inputs are given by a formula that is exact in float32, the initial parameters are in the file.
"""
import pathlib

import numpy
import torch
from safetensors.torch import save_file

ROWS, FEATURES, WIDTH, CLASSES = 128, 784, 32, 10
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}


def scramble(count):
    """32 bits for each of 0..count: multiplicative hashing."""
    return (numpy.arange(count, dtype=numpy.uint64) * 2654435761) & 0xFFFFFFFF


torch.manual_seed(0)
torch.set_num_threads(1)
pixels = (scramble(ROWS * FEATURES) >> 24).astype(numpy.float32)
inputs = torch.from_numpy(pixels / 128 - 1).reshape(ROWS, FEATURES)
labels = torch.from_numpy(((scramble(ROWS) >> 16) % CLASSES).astype(numpy.int64))

sizes = [FEATURES, WIDTH, WIDTH, WIDTH, CLASSES]
network = torch.nn.ModuleDict({f"layer{i + 1}": torch.nn.Linear(sizes[i], sizes[i + 1]) for i in range(4)})
optimizer = torch.optim.SGD(network.parameters(), **SGD)


def forward(rows):
    for name in ("layer1", "layer2", "layer3"):
        rows = torch.relu(network[name](rows))
    return network["layer4"](rows)


tensors = {}


def keep(prefix, of=lambda parameter: parameter):
    tensors.update({f"{prefix}.{name}": of(p).detach().clone() for name, p in network.named_parameters()})


keep("initial")
for step in range(50):
    logits = forward(inputs)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    if step == 0:
        tensors.update(logits=logits.detach(), loss=loss.detach().reshape(1))
        keep("gradient", lambda parameter: parameter.grad)
    optimizer.step()
    if step == 0:
        keep("after1")
keep("after50")
tensors["final_loss"] = torch.nn.functional.cross_entropy(forward(inputs), labels).detach().reshape(1)
save_file(tensors, pathlib.Path(__file__).with_name("pytorch.safetensors"), metadata={"torch": torch.__version__})
print({name: float(tensors[name]) for name in ("loss", "final_loss")})
