#!/usr/bin/env python3
"""Writes import.safetensors: what torchvision's and timm's networks compute, as a reference for tests/it/libraries.rs.

    pip install torch==2.15 torchvision timm numpy safetensors packaging   (the CPU builds)
    python3 tests/it/data/make_import.py

Weights, examples and labels are given by formulas that are exact in float32, the weights by the rank of their names; the libraries compute
in float64. Of each network the file holds the shape of every tensor under the library's own name, the logits in evaluation, and (where
norms leave something to compare) the logits and the gradients of a training step: of each tensor the sum, the norm, and 16 values at
equal distances. Printed is how far PyTorch's own float32 is from that.
"""
import pathlib

import torch
import torchvision
from make_models import CLASSES, digest, initial, uniform
from safetensors.torch import save_file
from timm.models.mlp_mixer import MlpMixer
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models.vgg import VGG, make_layers


def resnet_cifar():
    """The usual change for small images: a stem that keeps the map."""
    model = torchvision.models.resnet18(num_classes=CLASSES)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return model


def vgg(bn):
    """VGG11 with an eighth of the channels and a narrow head."""
    model = VGG(make_layers([8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"], bn), CLASSES, dropout=0)
    model.classifier[0], model.classifier[3] = nn.Linear(64 * 7 * 7, 24), nn.Linear(24, 24)
    model.classifier[6] = nn.Linear(24, CLASSES)
    return model


def vit():
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=CLASSES)


def mixer():
    return MlpMixer(img_size=32, patch_size=8, embed_dim=48, num_blocks=2, mlp_ratio=(0.5, 4), num_classes=CLASSES)


# Name: network, shape of the batch, what is added to the biases of norms in the training step (as in make_models.py); None: no step.
MODELS = {
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=CLASSES), (8, 3, 64, 72), 2),
    "resnet18-cifar": (resnet_cifar, (8, 3, 16, 16), 2),
    "resnet50": (lambda: torchvision.models.resnet50(num_classes=CLASSES), (16, 3, 32, 32), 0.6),
    "vgg11": (lambda: vgg(False), (2, 3, 224, 224), 0),
    "vgg11-bn": (lambda: vgg(True), (2, 3, 224, 224), None),
    "vit": (vit, (8, 3, 32, 32), 0),
    "mixer": (mixer, (8, 3, 32, 32), None),
}


def fill(model, shift):
    """Tensors by formula, each from the rank of its name."""
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.ndim > 0}
    for number, name in enumerate(sorted(state)):
        of_norm = state.get(name.rpartition(".")[0] + ".weight", torch.ones(1, 1)).ndim == 1
        known = f"norm.{name}" if of_norm else name
        state[name] = torch.from_numpy(initial(number, known, tuple(state[name].shape), shift))
    model.load_state_dict(state, strict=False)


def compute(make, shape, shift, dtype):
    torch.manual_seed(0)
    model, kept = make(), {}
    inputs, labels = torch.from_numpy(uniform(255, shape)).to(dtype), torch.arange(shape[0]) % CLASSES
    fill(model, 0)
    with torch.no_grad():
        kept["logits"] = model.to(dtype).eval()(inputs)
    if shift is not None:
        fill(model, shift)
        logits = model.to(dtype).train()(inputs)
        nn.functional.cross_entropy(logits, labels).backward()
        kept["step/logits"] = logits.detach()
        kept |= {f"step/{name}": digest(tensor.grad) for name, tensor in model.named_parameters()}
    shapes = {f"shape/{name}": torch.tensor(tensor.shape) for name, tensor in model.state_dict().items()}
    return {what: tensor.double() for what, tensor in kept.items()}, shapes


def far(ours, theirs):
    ours, theirs = (values[2:] if len(values) == 18 else values for values in (ours, theirs))
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30))


if __name__ == "__main__":
    written = {}
    for name, (make, shape, shift) in MODELS.items():
        kept, shapes = compute(make, shape, shift, torch.float64)
        single, _ = compute(make, shape, shift, torch.float32)
        written |= {f"{name}/{what}": tensor.float().contiguous() for what, tensor in (kept | shapes).items()}
        worst = sorted(((far(single[what], kept[what]), what) for what in kept), reverse=True)[:3]
        print(name, "float32:", f"logits {far(single['logits'], kept['logits']):.1e}", worst, flush=True)
    path = pathlib.Path(__file__).with_name("import.safetensors")
    save_file(written, path, metadata={"torch": torch.__version__, "torchvision": torchvision.__version__})
    print(path.stat().st_size, "bytes")
