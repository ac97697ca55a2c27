#!/usr/bin/env python3
"""Writes attacks.safetensors: gradients at the input and attacked images of PyTorch, as a reference for tests/it/attacks.rs.

    pip install torch==2.15 numpy safetensors packaging   (the CPU build)
    python3 tests/it/data/make_attacks.py

Weights and images are the formulas of make_models.py; norms are in evaluation. In `swapped`, every second example goes through other
weights of one block. All is in float64. Pixels are in units of a byte. PGD starts where rounding tips no ReLU over on its way: one ReLU
that is tipped turns the signs of some small gradients, and soon those of many.
"""
import pathlib

import torch
from make_models import CLASSES, Tensors, identity_resnet, initial, uniform
from safetensors.torch import save_file
from torch.nn import functional

EXAMPLES, SIZE = 4, 16
MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.2, 0.3)
RADIUS, STEPS, STEP_SIZE = 8, 5, 2
# Name: whether there are batch norms, what is added to their biases.
MODELS = {"resnet-42x8": (False, 0), "resnet-42x8-bn": (True, 0)}
BLOCK, FIRST = "stage2.resblk3.", 100


class Evaluated(Tensors):
    """The same tensors, but for those of a block from another formula; norms use their running means."""

    def __init__(self, shift, is_swapped=False):
        super().__init__(torch.float64, shift)
        self.is_swapped = is_swapped

    def get(self, name, *shape):
        if self.is_swapped and name.startswith(BLOCK) and name not in self.all:
            self.all[name] = torch.from_numpy(initial(len(self.all) + FIRST, name, shape, self.shift)).double()
        return super().get(name, *shape)

    def activate(self, name, maps, bn):
        if bn:
            names = ("weight", "bias", "running_mean", "running_var")
            gamma, beta, mean, variance = (self.get(f"{name}.{which}", maps.shape[1]) for which in names)
            maps = functional.batch_norm(maps, mean, variance, gamma, beta, training=False)
        return torch.relu(maps)


def logits(rows, bn, shift, swapped):
    of = [identity_resnet(Evaluated(shift, is_swapped), rows, 4, 2, 8, bn) for is_swapped in (False, True)]
    return torch.stack([of[swapped and example % 2][example] for example in range(EXAMPLES)])


def attack(bn, shift, swapped):
    images = torch.from_numpy(((uniform(255, (EXAMPLES, 3, SIZE, SIZE)) + 1) * 128) // 1).double()
    labels = torch.arange(EXAMPLES) % CLASSES

    def standardised(images):
        return (images / 255 - torch.tensor(MEAN).double()[:, None, None]) / torch.tensor(STD).double()[:, None, None]

    def gradient(images):
        rows = standardised(images).requires_grad_()
        loss = functional.cross_entropy(logits(rows, bn, shift, swapped), labels, reduction="sum")
        return torch.autograd.grad(loss, rows)[0]

    kept = {"gradient": gradient(images)}
    kept["fgsm"] = (images + RADIUS * kept["gradient"].sign()).clamp(0, 255)
    start = torch.from_numpy(uniform(251, images.shape)).double() * RADIUS
    moved = (images + start).clamp(0, 255)
    for _ in range(STEPS):
        moved = moved + STEP_SIZE * gradient(moved).sign()
        moved = (images + (moved - images).clamp(-RADIUS, RADIUS)).clamp(0, 255)
    kept["pgd"] = moved
    for name in ("fgsm", "pgd"):
        kept[f"{name}.logits"] = logits(standardised(kept[name]), bn, shift, swapped).detach()
    clean = logits(standardised(images), bn, shift, swapped).detach()
    print([float(functional.cross_entropy(x, labels)) for x in (clean, kept["fgsm.logits"], kept["pgd.logits"])])
    return kept


if __name__ == "__main__":
    written = {}
    for name, (bn, shift) in MODELS.items():
        for what, swapped in (("plain", False), ("swapped", True)):
            kept = attack(bn, shift, swapped)
            written |= {f"{name}.{what}.{key}": tensor.float().contiguous() for key, tensor in kept.items()}
    save_file(written, pathlib.Path(__file__).with_name("attacks.safetensors"), metadata={"torch": torch.__version__})
