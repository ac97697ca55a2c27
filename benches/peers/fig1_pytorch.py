#!/usr/bin/env python3
"""Figure 1 as a script of PyTorch: trains FCN 3x256 on MNIST, then resets each layer to each source and evaluates. For pipelines/fig1.yaml.

    pip install torch numpy safetensors blake3   (the CPU build of torch)
    python3 benches/peers/fig1_pytorch.py FOLDER [--threads N] [--epochs E]

Writes training.csv, probes.csv (the columns are ours) and the checkpoints to FOLDER. Plain eager: tensors in memory, batches taken by
index, evaluation in big batches (of 500 to 60,000, 2,000 were the fastest). Initial values, fresh draws and the order of examples are
those of our streams (streams.py); they are drawn before anything else, and the seconds that this takes are printed apart, because a
script of one's own would call torch.randperm.
"""
import argparse
import collections
import csv
import gzip
import json
import pathlib
import time

started = time.perf_counter()

import numpy
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

import streams

SEED, BATCH, AT_ONCE, DRAWS = 0, 128, 2000, 3
SAVED = [0, 1, 2, 3, 8, 40, 90, 100]
MNIST = pathlib.Path(__file__).parents[2] / "datasets/mnist"

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("folder", type=pathlib.Path)
options.add_argument("--threads", type=int, default=2)
options.add_argument("--epochs", type=int, default=100)
options = options.parse_args()
torch.set_num_threads(options.threads)
options.folder.mkdir(parents=True, exist_ok=True)


def build():
    names = ["layer1", "relu1", "layer2", "relu2", "layer3", "relu3", "layer4"]
    links = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(collections.OrderedDict(zip(names, links)))


def draw(network, labels):
    """Values for every tensor: uniform in ±1/√inputs, which is also PyTorch's default."""
    bounds = {f"{name}.{kind}": link.in_features**-0.5 for name, link in network.named_children() if isinstance(link, nn.Linear) for kind in ("weight", "bias")}
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return {name: torch.from_numpy(streams.uniform(SEED, [*labels, name], shape, bounds[name])) for name, shape in shapes.items()}


def load():
    """Images, standardised by the mean and standard deviation of the training split, and labels."""

    def read(name, header):
        return numpy.frombuffer(gzip.decompress((MNIST / name).read_bytes()), numpy.uint8, offset=header)

    names = {"train": "train", "test": "t10k"}
    images = {split: read(f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 784) for split, name in names.items()}
    pixels = images["train"] / 255
    mean, std = pixels.mean(), pixels.std()
    table = ((numpy.arange(256) / 255 - mean) / std).astype(numpy.float32)
    labels = {split: read(f"{name}-labels-idx1-ubyte.gz", 8).astype(numpy.int64) for split, name in names.items()}
    return {split: (torch.from_numpy(table[images[split]]), torch.from_numpy(labels[split])) for split in names}


@torch.no_grad()
def evaluate(network, images, labels):
    """Error and mean loss."""
    wrong, loss = 0, 0.0
    for rows, classes in zip(images.split(AT_ONCE), labels.split(AT_ONCE)):
        logits = network(rows)
        wrong += (logits.argmax(1) != classes).sum().item()
        loss += functional.cross_entropy(logits, classes, reduction="sum").item()
    return wrong / len(labels), loss / len(labels)


def train(network, data, orders):
    """Checkpoints by epoch, and the learning curves: of the training split, as its examples were seen in training."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60, 90], gamma=0.2)
    images, labels = data["train"]
    checkpoints, curves = {}, []

    def record(epoch, test, seen):
        curves.extend([epoch, split, metric, value] for split, pair in (("test", test), ("train", seen)) for metric, value in zip(("error", "loss"), pair))
        if epoch in SAVED:
            checkpoints[epoch] = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            save_file(checkpoints[epoch], options.folder / f"checkpoint-{epoch:04}.safetensors")

    record(0, evaluate(network, *data["test"]), evaluate(network, images, labels))
    for epoch, order in enumerate(orders, start=1):
        wrong, loss = 0, 0.0
        for indices in order.split(BATCH):
            rows, classes = images[indices], labels[indices]
            optimizer.zero_grad()
            logits = network(rows)
            batch_loss = functional.cross_entropy(logits, classes)
            batch_loss.backward()
            optimizer.step()
            wrong += (logits.argmax(1) != classes).sum().item()
            loss += batch_loss.item() * len(indices)
        schedule.step()
        record(epoch, evaluate(network, *data["test"]), (wrong / len(labels), loss / len(labels)))
    return checkpoints, curves


def probe(network, data, checkpoints, draws):
    """A row per layer, source, split and metric."""
    final = checkpoints[max(checkpoints)]
    sources = [(("rerand", "", index), values) for index, values in enumerate(draws)]
    sources += [(("reinit", epoch, ""), values) for epoch, values in checkpoints.items()]
    rows = []
    for layer in ["layer1", "layer2", "layer3", "layer4", "fullmodel"]:
        for source, values in sources:
            state = dict(final)
            state.update({name: value for name, value in values.items() if layer in ("fullmodel", name.split(".")[0])})
            network.load_state_dict(state)
            for split, examples in data.items():
                rows += [[SEED, "fcn3x256", layer, *source, split, metric, value] for metric, value in zip(("error", "loss"), evaluate(network, *examples))]
    return rows


def write(name, header, rows):
    with (options.folder / name).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


seconds = {}


def lap(name):
    """The seconds since the last."""
    global started
    now = time.perf_counter()
    seconds[name], started = now - started, now


lap("imports")
network = build()
initial, draws = draw(network, ["init"]), [draw(network, ["rerand", str(index)]) for index in range(DRAWS)]
orders = [torch.from_numpy(streams.permutation(SEED, ["shuffle", str(epoch)], 60_000)) for epoch in range(1, options.epochs + 1)]
lap("streams")
data = load()
lap("data")
network.load_state_dict(initial)
checkpoints, curves = train(network, data, orders)
lap("train")
rows = probe(network, data, checkpoints, draws)
lap("probe")
write("training.csv", "seed,epoch,split,metric,value", [[SEED, *row] for row in curves])
write("probes.csv", "seed,model,layer,source,epoch,draw,split,metric,value", rows)
print(json.dumps(seconds))
