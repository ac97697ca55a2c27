#!/usr/bin/env python3
"""Writes models.safetensors: what PyTorch computes for networks on images, as a reference for tests/it/models.rs.

    pip install torch==2.15 numpy safetensors packaging   (the CPU build)
    python3 tests/it/data/make_models.py [NAME...]     (the others stay as they are)

Initial values, examples and labels are given by formulas that are exact in float32. PyTorch computes in float64, so that what differs is
our rounding alone; printed is how far its own float32 is from that. Of each tensor the file holds a row of 18 numbers: the sum, the
norm, and 16 values at equal distances.
"""
import pathlib
import sys

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

STEPS, CLASSES = 50, 10
SGD = {"momentum": 0.9, "weight_decay": 1e-3}
VGG = {11: (1, 1, 2, 2, 2)}
RESNET = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
# Name: examples, size of their maps, learning rate, what is added to the biases of norms. Behind batch norms of few examples a ReLU or
# a maximum that rounding tips over is soon seen everywhere: the rates are those at which PyTorch's own float32 still agrees with itself,
# and of 49 norms most numbers are kept away from zero.
MODELS = {
    "vgg11": (8, 32, 5e-5, 0),
    "resnet18": (8, 8, 0.0005, 0),
    "resnet18-bn": (8, 12, 1e-5, 1),
    "resnet50-bn": (16, 16, 1e-4, 2),
    "vit3x96": (8, 16, 5e-3, 0),
    "vgg11-bn": (8, 32, 5e-5, 0),
    "mixer3x48": (8, 16, 5e-3, 0),
    "resnet-42": (8, 16, 5e-5, 0),
    "resnet-44x16-bn": (8, 16, 1e-5, 1),
}


def scramble(tensor, count):
    """32 bits for each value of a tensor, by its number: multiplicative hashing, twice so that neighbours have nothing in common."""
    bits = (numpy.arange(count, dtype=numpy.uint64) + (tensor << 24)) & 0xFFFFFFFF
    for factor in (2654435761, 2246822519):
        bits = (bits * factor) & 0xFFFFFFFF
        bits ^= bits >> 15
    return bits


def uniform(tensor, shape):
    """In [-1, 1), multiples of 2^-23."""
    bits = scramble(tensor, int(numpy.prod(shape))) >> 8
    return ((bits.astype(numpy.float64) / 2**23 - 1).astype(numpy.float32)).reshape(shape)


def initial(number, name, shape, shift):
    values = uniform(number, shape)
    if len(shape) > 1:
        return values * numpy.float32(numpy.sqrt(3 / numpy.prod(shape[1:])))
    near_one = ("norm" in name and name.endswith("weight")) or name.endswith("running_var")
    middle = shift if "norm" in name and name.endswith("bias") else near_one
    return values * numpy.float32(0.125) + numpy.float32(middle)


class Tensors:
    """Makes the tensors as the first pass asks for them, and so in the order in which they are used."""

    def __init__(self, dtype, shift):
        self.dtype, self.shift, self.all = dtype, shift, {}

    def get(self, name, *shape):
        if name not in self.all:
            tensor = torch.from_numpy(initial(len(self.all), name, shape, self.shift)).to(self.dtype)
            self.all[name] = tensor.requires_grad_("running" not in name)
        return self.all[name]

    def convolve(self, name, maps, channels, size, stride=1, bias=False):
        weight = self.get(f"{name}.weight", channels, maps.shape[1], size, size)
        bias = self.get(f"{name}.bias", channels) if bias else None
        return functional.conv2d(maps, weight, bias, stride, size // 2)

    def dense(self, name, rows, outputs):
        weight = self.get(f"{name}.weight", outputs, rows.shape[-1])
        return functional.linear(rows, weight, self.get(f"{name}.bias", outputs))

    def activate(self, name, maps, bn):
        if bn:
            names = ("weight", "bias", "running_mean", "running_var")
            gamma, beta, mean, variance = (self.get(f"{name}.{which}", maps.shape[1]) for which in names)
            maps = functional.batch_norm(maps, mean, variance, gamma, beta, training=True)
        return torch.relu(maps)

    def norm(self, name, tokens):
        gamma, beta = (self.get(f"{name}.{which}", tokens.shape[-1]) for which in ("weight", "bias"))
        return functional.layer_norm(tokens, gamma.shape, gamma, beta, eps=1e-6)


def vgg(tensors, maps, depth, bn, head=64):
    for stage, (count, channels) in enumerate(zip(VGG[depth], (64, 128, 256, 512, 512)), 1):
        for block in range(1, count + 1):
            name = f"stage{stage}.block{block}"
            maps = tensors.convolve(f"{name}.conv" if bn else name, maps, channels, 3, bias=True)
            maps = tensors.activate(f"{name}.norm", maps, bn)
        maps = functional.max_pool2d(maps, 2)
    rows = maps.flatten(1)
    for name in ("fc1", "fc2"):
        rows = torch.relu(tensors.dense(name, rows, head))
    return tensors.dense("final_linear", rows, CLASSES)


def resnet(tensors, maps, depth, bn):
    maps = tensors.convolve("stage0", maps, 64, 3)
    for stage, (count, channels) in enumerate(zip(RESNET[depth], (64, 128, 256, 512)), 1):
        for block in range(1, count + 1):
            name, stride = f"stage{stage}.resblk{block}", 2 if block == 1 and stage > 1 else 1
            plan = [(channels, 3, stride), (channels, 3, 1)]
            if depth >= 50:
                plan = [(channels, 1, 1), (channels, 3, stride), (4 * channels, 1, 1)]
            body = activation = tensors.activate(f"{name}.norm1", maps, bn)
            for index, convolution in enumerate(plan, 1):
                body = tensors.activate(f"{name}.norm{index}", body, bn) if index > 1 else body
                body = tensors.convolve(f"{name}.conv{index}", body, *convolution)
            if maps.shape != body.shape:
                maps = tensors.convolve(f"{name}.skip", activation, plan[-1][0], 1, stride)
            maps = body + maps
    maps = tensors.activate("final_linear.norm", maps, bn)
    return tensors.dense("final_linear", maps.mean((2, 3)), CLASSES)


def identity_resnet(tensors, maps, blocks, stages, width, bn):
    maps = tensors.convolve("stage0", maps, width, 3)
    for stage in range(1, stages + 1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}.resblk{block}"
            body = tensors.convolve(f"{name}.conv1", tensors.activate(f"{name}.norm1", maps, bn), maps.shape[1], 3)
            maps = maps + tensors.convolve(f"{name}.conv2", tensors.activate(f"{name}.norm2", body, bn), maps.shape[1], 3)
        if stage < stages:
            maps = tensors.convolve(f"down{stage}", maps, 2 * maps.shape[1], 3, 2)
    maps = tensors.activate("final_linear.norm", maps, bn)
    return tensors.dense("final_linear", maps.mean((2, 3)), CLASSES)


def vit(tensors, maps, depth, width, heads=3, patch=4, mlp=2):
    weight = tensors.get("patch_embed.proj.weight", width, maps.shape[1], patch, patch)
    maps = functional.conv2d(maps, weight, tensors.get("patch_embed.proj.bias", width), patch)
    tokens = torch.cat([tensors.get("patch_embed.cls_token", 1, 1, width).expand(len(maps), -1, -1), maps.flatten(2).mT], 1)
    tokens = tokens + tensors.get("patch_embed.pos_embed", 1, tokens.shape[1], width)
    for index in range(depth):
        name = f"blocks.{index}"
        rows = tensors.dense(f"{name}.attn.qkv", tensors.norm(f"{name}.norm1", tokens), 3 * width)
        rows = rows.unflatten(2, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
        rows = functional.scaled_dot_product_attention(*rows).transpose(1, 2).flatten(2)
        tokens = tokens + tensors.dense(f"{name}.attn.proj", rows, width)
        rows = tensors.dense(f"{name}.mlp.fc1", tensors.norm(f"{name}.norm2", tokens), mlp * width)
        tokens = tokens + tensors.dense(f"{name}.mlp.fc2", functional.gelu(rows), width)
    return tensors.dense("head", tensors.norm("head.norm", tokens[:, 0]), CLASSES)


def mixer(tensors, maps, depth, width, across_tokens=40, across_channels=100, patch=4):
    weight = tensors.get("stem.proj.weight", width, maps.shape[1], patch, patch)
    tokens = functional.conv2d(maps, weight, tensors.get("stem.proj.bias", width), patch).flatten(2).mT

    def hidden(name, rows, inner):
        return tensors.dense(f"{name}.fc2", functional.gelu(tensors.dense(f"{name}.fc1", rows, inner)), rows.shape[-1])

    for index in range(depth):
        name = f"blocks.{index}"
        tokens = tokens + hidden(f"{name}.mlp_tokens", tensors.norm(f"{name}.norm1", tokens).mT, across_tokens).mT
        tokens = tokens + hidden(f"{name}.mlp_channels", tensors.norm(f"{name}.norm2", tokens), across_channels)
    return tensors.dense("head", tensors.norm("head.norm", tokens).mean(1), CLASSES)


def forward(name, tensors, maps):
    if name.startswith("resnet-"):
        size, _, bn = name[7:].partition("-")
        digits, _, width = size.partition("x")
        return identity_resnet(tensors, maps, int(digits[0]), int(digits[1]), int(width or 64), bn == "bn")
    family, _, bn = name.partition("-")
    if family.startswith("vit"):
        return vit(tensors, maps, *map(int, family[3:].split("x")))
    if family.startswith("mixer"):
        return mixer(tensors, maps, *map(int, family[5:].split("x")))
    if family.startswith("vgg"):
        return vgg(tensors, maps, int(family[3:]), bn == "bn")
    return resnet(tensors, maps, int(family[6:]), bn == "bn")


def digest(values):
    """The sum, the norm, 16 values at equal distances."""
    values = values.detach().double().flatten()
    strided = values[[index * len(values) // 16 for index in range(16)]]
    return torch.cat([values.sum().reshape(1), values.norm().reshape(1), strided])


def train(name, dtype):
    examples, size, rate, shift = MODELS[name]
    inputs = torch.from_numpy(uniform(255, (examples, 3, size, size))).to(dtype)
    labels = torch.arange(examples) % CLASSES
    tensors, losses, kept, optimizer = Tensors(dtype, shift), [], {}, None
    for step in range(STEPS):
        logits = forward(name, tensors, inputs)
        loss = functional.cross_entropy(logits, labels)
        losses.append(loss.detach())
        trained = [tensor for tensor in tensors.all.values() if tensor.requires_grad]
        optimizer = optimizer or torch.optim.SGD(trained, lr=rate, **SGD)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            kept["logits"] = logits.detach()
            kept["gradients"] = torch.stack([digest(tensor.grad) for tensor in trained])
        optimizer.step()
    kept["losses"] = torch.stack(losses)
    kept["after50"] = torch.stack([digest(tensor) for tensor in tensors.all.values()])
    return {what: tensor.double() for what, tensor in kept.items()}


def distance(kept, others):
    """Of logits and losses, and of the strided values of the worst tensor, relative to the largest among them."""
    far = {}
    for what, theirs in kept.items():
        rows = theirs.reshape(-1, 18)[:, 2:] if theirs.shape[-1] == 18 else theirs.reshape(1, -1)
        other = others[what].reshape(-1, 18)[:, 2:] if theirs.shape[-1] == 18 else others[what].reshape(1, -1)
        far[what] = f"{((rows - other).abs().amax(1) / rows.abs().amax(1).clamp(min=1e-30)).max():.1e}"
    return far


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("models.safetensors")
    written = load_file(path) if path.exists() else {}
    for name in sys.argv[1:] or MODELS:
        kept = train(name, torch.float64)
        written |= {f"{name}.{what}": tensor.float().contiguous() for what, tensor in kept.items()}
        save_file(written, path, metadata={"torch": torch.__version__})
        losses = [round(float(loss), 4) for loss in kept["losses"][::7]]
        print(name, losses, "float32:", distance(kept, train(name, torch.float32)), flush=True)
