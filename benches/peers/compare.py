#!/usr/bin/env python3
"""Runs the training bench and its PyTorch twins in turn, and prints Markdown tables: speed, then the memory of a training.

    python3 benches/peers/compare.py [--models fcn3x256,vgg11,resnet18-bn] [--threads N] [--seconds S] [--rounds R] [--memory vgg16]

--models    which networks, separated by commas (names: benches/peers/models.py)
--threads   of each of them
--seconds   for how long each phase is repeated in a round (three times at least)
--rounds    how often each is run, in a process of its own each time, each of them first in turn
--memory    of which networks the peak memory of a training process is measured; '' for none

Ours, PyTorch eager, and PyTorch eager with channels last (for networks of images). Times are medians over the rounds; the ratio is that
to the faster of the two PyTorch variants, the median (least - most) of the ratios within each round: above 1 we are faster.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--models", default="fcn3x256,fcn5x512,vgg11,vgg16,resnet18-bn,resnet50-bn")
options.add_argument("--threads", type=int, default=2)
options.add_argument("--seconds", type=float, default=2)
options.add_argument("--rounds", type=int, default=5)
options.add_argument("--memory", default="vgg16,resnet50-bn")
options = options.parse_args()


def binary():
    """Builds the bench; it is run without cargo, whose memory would be counted."""
    command = ["cargo", "bench", "--quiet", "--locked", "--profile", "dev", "--bench", "train", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [message for message in map(json.loads, lines) if message.get("executable")]
    return next(message["executable"] for message in built if message["target"]["name"] == "train")


PYTORCH = [sys.executable, str(FOLDER / "train_pytorch.py")]
COMMANDS = {"layerwise": [binary()], "PyTorch": PYTORCH, "channels last": [*PYTORCH, "--channels-last"]}


def peers(model):
    return [peer for peer in COMMANDS if peer != "channels last" or not model.startswith("fcn")]


def run(peer, model, seconds, phases="train,eval"):
    """Milliseconds of each phase, and the process's peak memory in MiB."""
    arguments = ["--models", model, "--phases", phases, "--threads", str(options.threads), "--seconds", str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    process = subprocess.Popen([*COMMANDS[peer], *arguments], env=environment, stdout=subprocess.PIPE, text=True)
    lines = process.stdout.read().split()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{peer} failed on {model}")
    rows = [line.split(",") for line in lines if line.startswith(f"{model},")]
    return {phase: float(milliseconds) for _, phase, _, milliseconds, _ in rows}, usage.ru_maxrss / 1024


def measure(model):
    """Of each round: peer → phase → milliseconds."""
    rounds = []
    for index in range(options.rounds):
        names = peers(model)
        first = index % len(names)
        rounds.append({peer: run(peer, model, options.seconds)[0] for peer in names[first:] + names[:first]})
        print(f"{model}: round {index + 1} of {options.rounds}", file=sys.stderr)
    return rounds


def cell(milliseconds):
    return f"{milliseconds:.3f} ({128e3 / milliseconds:,.0f})" if milliseconds < 10 else f"{milliseconds:.1f} ({128e3 / milliseconds:,.0f})"


def row(model, phase, rounds):
    medians = {peer: statistics.median(times[peer][phase] for times in rounds) for peer in peers(model)}
    best = min((peer for peer in medians if peer != "layerwise"), key=medians.get)
    ratios = [times[best][phase] / times["layerwise"][phase] for times in rounds]
    cells = [cell(medians[peer]) if peer in medians else "-" for peer in COMMANDS]
    ratio = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f})"
    return f"| {model} {phase} | {options.threads} | {' | '.join(cells)} | {ratio} |"


print("| model, work | threads | ours, ms a batch of 128 (images/s) | PyTorch | PyTorch, channels last | ratio to the better |")
print("| --- | --- | --- | --- | --- | --- |")
for model in filter(None, options.models.split(",")):
    rounds = measure(model)
    for phase in ("train", "eval"):
        print(row(model, phase, rounds), flush=True)

if options.memory:
    print("\n| training of, batch 128 | ours, peak MiB | PyTorch | PyTorch, channels last |")
    print("| --- | --- | --- | --- |")
    for model in options.memory.split(","):
        cells = [f"{run(peer, model, 0, 'train')[1]:,.0f}" if peer in peers(model) else "-" for peer in COMMANDS]
        print(f"| {model} | {' | '.join(cells)} |", flush=True)
