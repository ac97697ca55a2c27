#!/usr/bin/env python3
"""Runs the training bench and its PyTorch twin alternately, and prints medians over the rounds and of the paired ratios.

    python3 benches/peers/compare.py [--threads N] [--seconds S] [--rounds R]
"""
import argparse
import pathlib
import statistics
import subprocess
import sys

options = argparse.ArgumentParser()
options.add_argument("--threads", type=int, default=2)
options.add_argument("--seconds", type=float, default=2)
options.add_argument("--rounds", type=int, default=5)
options = options.parse_args()

folder = pathlib.Path(__file__).parent
measure = ["--threads", str(options.threads), "--seconds", str(options.seconds)]
commands = {
    "layerwise": ["cargo", "bench", "--quiet", "--profile", "dev", "--bench", "train", "--", *measure],
    "pytorch": [sys.executable, str(folder / "train_pytorch.py"), *measure],
}


def run(command):
    lines = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    rows = [line.split(",") for line in lines if line.startswith("fcn")]
    return {(model, phase): float(milliseconds) for model, phase, _, milliseconds, _ in rows}


rounds = []
for index in range(options.rounds):
    order = sorted(commands, reverse=index % 2 == 1)  # neither is always the first
    rounds.append({name: run(commands[name]) for name in order})
    print(f"round {index + 1} of {options.rounds}", file=sys.stderr)

print("model,phase,threads,layerwise ms,pytorch ms,pytorch/layerwise: median,least,most")
for key in rounds[0]["layerwise"]:
    ours, theirs = ([row[name][key] for row in rounds] for name in ("layerwise", "pytorch"))
    ratios = [b / a for a, b in zip(ours, theirs)]
    print(
        f"{key[0]},{key[1]},{options.threads},{statistics.median(ours):.3f},{statistics.median(theirs):.3f},"
        f"{statistics.median(ratios):.2f},{min(ratios):.2f},{max(ratios):.2f}"
    )
