#!/usr/bin/env python3
"""The networks of src/nn/zoo in PyTorch, tensor for tensor: names, shapes and order (`tensors`) are those of our checkpoints.

    pip install torch   (the CPU build)
    python3 benches/peers/models.py [NAME...]     prints name, layers, number of trained parameters

Written from the tables of the papers and PyTorch's own modules, so that it can judge ours; `num_batches_tracked` has no twin there.
Names: fcn3x256, fcn5x512 (784 inputs); vgg11, 13, 16, 19; resnet18, 34, 50, 101, 152, each with or without "-bn"; vit6x192 and the like
(3×32×32 inputs).
"""
import re
import sys

import torch
from torch import nn

CLASSES = 10
FCN_INPUTS = 28 * 28
VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
RESNET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
NAMES = ["fcn3x256", "fcn5x512", "vit6x192", "vit6x256", *(f"vgg{depth}" for depth in VGG)]
NAMES += [f"resnet{depth}{bn}" for depth in RESNET for bn in ("", "-bn")]


class Network(nn.Module):
    """Layers one after the other. A layer's name may hold a dot, which a module's may not: stages hold blocks."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        for name, layer in layers:
            *stage, name = name.split(".")
            if stage and not hasattr(self, stage[0]):
                self.add_module(stage[0], nn.Module())
            (getattr(self, stage[0]) if stage else self).add_module(name, layer)

    def forward(self, rows):
        for _, layer in self.layers:
            rows = layer(rows)
        return rows


class Relu(nn.Linear):
    """A dense layer with a ReLU."""

    def forward(self, rows):
        return nn.functional.relu(super().forward(rows), inplace=True)


class Flat(Relu):
    """One that takes maps."""

    def forward(self, rows):
        return super().forward(rows.flatten(1))


def fcn(depth, width):
    sizes = [FCN_INPUTS] + [width] * depth
    layers = [(f"layer{i + 1}", Relu(sizes[i], sizes[i + 1])) for i in range(depth)]
    return Network([*layers, (f"layer{depth + 1}", nn.Linear(width, CLASSES))])


class Convolution(nn.Conv2d):
    """VGG's: 3×3 with a ReLU, and at the end of a stage the largest of each 2×2 window."""

    def __init__(self, inputs, channels, is_last):
        super().__init__(inputs, channels, 3, padding=1)
        self.is_last = is_last

    def forward(self, maps):
        maps = nn.functional.relu(super().forward(maps), inplace=True)
        return nn.functional.max_pool2d(maps, 2) if self.is_last else maps


def vgg(depth, head=4096):
    layers, inputs = [], 3
    for stage, (count, channels) in enumerate(zip(VGG[depth], (64, 128, 256, 512, 512)), 1):
        for block in range(1, count + 1):
            layers.append((f"stage{stage}.block{block}", Convolution(inputs, channels, block == count)))
            inputs = channels
    layers += [("fc1", Flat(inputs, head)), ("fc2", Relu(head, head)), ("final_linear", nn.Linear(head, CLASSES))]
    return Network(layers)


class Block(nn.Module):
    """Pre-activation: a = relu(norm1(x)), then body(a) + (x or skip(a))."""

    def __init__(self, inputs, channels, stride, bottleneck, bn):
        super().__init__()
        norm = nn.BatchNorm2d if bn else nn.Identity
        plan = [(3, channels, stride), (3, channels, 1)]
        if bottleneck:
            plan = [(1, channels, 1), (3, channels, stride), (1, 4 * channels, 1)]
        self.norm1 = norm(inputs)
        outputs = inputs
        for index, (size, wanted, step) in enumerate(plan, 1):
            if index > 1:
                self.add_module(f"norm{index}", norm(outputs))
            convolution = nn.Conv2d(outputs, wanted, size, step, padding=size // 2, bias=False)
            self.add_module(f"conv{index}", convolution)
            outputs = wanted
        self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None
        self.depth, self.outputs = len(plan), outputs

    def forward(self, maps):
        activation = nn.functional.relu(self.norm1(maps))
        body = self.conv1(activation)
        for index in range(2, self.depth + 1):
            body = nn.functional.relu(getattr(self, f"norm{index}")(body), inplace=True)
            body = getattr(self, f"conv{index}")(body)
        return body + (self.skip(activation) if self.skip else maps)


class Head(nn.Linear):
    """The last norm, a ReLU, the mean of each map, a dense layer."""

    def __init__(self, inputs, bn):
        super().__init__(inputs, CLASSES)
        self.norm = nn.BatchNorm2d(inputs) if bn else nn.Identity()

    def forward(self, maps):
        return super().forward(nn.functional.relu(self.norm(maps)).mean((2, 3)))


def resnet(depth, bn=False):
    layers, inputs = [("stage0", nn.Conv2d(3, 64, 3, padding=1, bias=False))], 64
    for stage, (count, channels) in enumerate(zip(RESNET[depth], (64, 128, 256, 512)), 1):
        for index in range(1, count + 1):
            stride = 2 if index == 1 and stage > 1 else 1
            block = Block(inputs, channels, stride, depth >= 50, bn)
            layers.append((f"stage{stage}.resblk{index}", block))
            inputs = block.outputs
    return Network([*layers, ("final_linear", Head(inputs, bn))])


class PatchEmbedding(nn.Module):
    """A class token and a convolution that sees each patch once, and what tells positions apart."""

    def __init__(self, width, patch, size):
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 1e-6)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (size // patch) ** 2, width) * 0.02)
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images):
        patches = self.proj(images).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.pos_embed


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, tokens):
        examples, count, width = tokens.shape
        heads = self.qkv(tokens).reshape(examples, count, 3, self.heads, width // self.heads)
        attended = nn.functional.scaled_dot_product_attention(*heads.permute(2, 0, 3, 1, 4))
        return self.proj(attended.transpose(1, 2).reshape(examples, count, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens):
        return self.fc2(nn.functional.gelu(self.fc1(tokens)))


class TransformerBlock(nn.Module):
    """Pre-norm: x + attn(norm1(x)), then x + mlp(norm2(x))."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=1e-6), Mlp(width, hidden)

    def forward(self, tokens):
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class ClassHead(nn.Linear):
    """The last norm and a dense layer, of the class token."""

    def __init__(self, width):
        super().__init__(width, CLASSES)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens):
        return super().forward(self.norm(tokens[:, 0]))


def vit(depth, width, heads, patch=4, mlp=4, size=32):
    layers = [(f"blocks.{index}", TransformerBlock(width, heads, mlp * width)) for index in range(depth)]
    return Network([("patch_embed", PatchEmbedding(width, patch, size)), *layers, ("head", ClassHead(width))])


def build(name):
    """A network with PyTorch's default initial values."""
    if match := re.fullmatch(r"fcn(\d+)x(\d+)", name):
        return fcn(*map(int, match.groups()))
    if match := re.fullmatch(r"vgg(\d+)", name):
        return vgg(int(match[1]))
    if match := re.fullmatch(r"resnet(\d+)(-bn)?", name):
        return resnet(int(match[1]), match[2] is not None)
    if match := re.fullmatch(r"vit(\d+)x(\d+)", name):
        return vit(int(match[1]), int(match[2]), int(match[2]) // 64)
    raise SystemExit(f"there is no network '{name}': give one of {', '.join(NAMES)}")


def shape(name):
    """Of an example."""
    return (FCN_INPUTS,) if name.startswith("fcn") else (3, 32, 32)


def tensors(network):
    """Names and tensors in our order: that in which they are used, a block's skip last. PyTorch would have the head's norm last of all,
    and what is added to the patches first."""
    state = network.state_dict()
    last = ("final_linear.weight", "final_linear.bias", "head.weight", "head.bias")
    order = sorted(state, key=lambda name: name in last)
    order.sort(key=lambda name: not name.startswith("patch_embed.proj"))
    return {name: state[name] for name in order if not name.endswith("num_batches_tracked")}


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        network = build(name)
        print(name, len(network.layers), sum(parameter.numel() for parameter in network.parameters()))
