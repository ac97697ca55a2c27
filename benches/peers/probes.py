#!/usr/bin/env python3
"""All probes of a network beside the loop that a user of PyTorch would write, in turn; prints a Markdown table.

    python3 benches/peers/probes.py [--models vgg16,resnet18] [--images 1000] [--threads N] [--rounds R] [--part P]

Each layer is reset from each of five sources, and every such network evaluated on the same random images. PyTorch's loop copies the
state dict, overwrites the layer's tensors, loads it, and evaluates in batches, without gradients: eager, and with channels last.
Only every P-th probe is run by PyTorch, and its time is multiplied: each takes as long as the next.
Ours: benches/probes.rs, which also runs such a loop of its own. The ratio is to the faster of the two PyTorch variants.
"""
import argparse
import copy
import json
import pathlib
import statistics
import subprocess
import time

import torch

import models

FOLDER = pathlib.Path(__file__).parent
DRAWS, BATCH, SHAPE = 5, 250, (3, 32, 32)

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--models", default="vgg16,resnet18")
options.add_argument("--images", type=int, default=1000)
options.add_argument("--threads", type=int, default=2)
options.add_argument("--rounds", type=int, default=3)
options.add_argument("--part", type=int, default=10)
options = options.parse_args()
torch.set_num_threads(options.threads)


def binary():
    command = ["cargo", "bench", "--quiet", "--locked", "--profile", "dev", "--bench", "probes", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = map(json.loads, lines)
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "probes")


def ours(name):
    """Seconds of our probes and of our own loop."""
    command = [BINARY, "--model", name, "--images", str(options.images), "--threads", str(options.threads)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    ways = {line.split(",")[1]: float(line.split(",")[-1]) for line in lines}
    return ways["shared"], ways["loop"]


def theirs(name, channels_last):
    """Seconds of PyTorch's loop."""
    network, layout = models.build(name).eval(), torch.channels_last if channels_last else torch.contiguous_format
    images = torch.rand(options.images, *SHAPE).to(memory_format=layout)
    labels = torch.randint(0, 10, (options.images,))
    network = network.to(memory_format=layout)
    host, draws = network.state_dict(), [models.build(name).state_dict() for _ in range(DRAWS)]
    prefixes = [f"{layer}." for layer, _ in network.layers]
    host = {key: value.clone() for key, value in host.items()}
    probes = [(prefix, draw) for prefix in prefixes for draw in draws]
    chosen = probes[:: options.part]
    start, errors = time.perf_counter(), []
    with torch.no_grad():
        for prefix, draw in chosen:
            state = copy.deepcopy(host)
            state.update({key: value for key, value in draw.items() if key.startswith(prefix)})
            network.load_state_dict(state)
            wrong = 0
            for at in range(0, options.images, BATCH):
                logits = network(images[at : at + BATCH])
                wrong += int((logits.argmax(1) != labels[at : at + BATCH]).sum())
            errors.append(wrong / options.images)
    return (time.perf_counter() - start) * len(probes) / len(chosen)


BINARY = binary()
print(f"| probes on {options.images} images, {options.threads} threads | ours, s | our loop, s | PyTorch, s | channels last, s | PyTorch / ours (least - most) | our loop / ours |")
print("| --- | --- | --- | --- | --- | --- | --- |")
for name in options.models.split(","):
    rounds = []
    for index in range(options.rounds):
        work = [lambda: ours(name), lambda: theirs(name, False), lambda: theirs(name, True)]
        order = range(3) if index % 2 == 0 else reversed(range(3))
        done = {place: work[place]() for place in order}
        rounds.append([*done[0], done[1], done[2]])
    medians = [statistics.median(column) for column in zip(*rounds)]
    ratios = [min(eager, last) / shared for shared, _, eager, last in rounds]
    ways = statistics.median(loop / shared for shared, loop, _, _ in rounds)
    cells = [name, *(f"{seconds:.1f}" for seconds in medians)]
    print(f"| {' | '.join(cells)} | **{statistics.median(ratios):.1f}** ({min(ratios):.1f} - {max(ratios):.1f}) | {ways:.1f} |", flush=True)
