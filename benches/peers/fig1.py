#!/usr/bin/env python3
"""Figure 1, all of it, beside the script that a user of PyTorch would write: runs both in turn, compares times, then numbers.

    python3 benches/peers/fig1.py [--rounds R] [--threads N] [--keep FOLDER]
    python3 benches/peers/fig1.py --compare OURS THEIRS

--rounds    how often each is run, each of them first in turn
--threads   of each of them
--keep      where the script's results of the last round are left
--compare   no timing: only the numbers of two folders, each of them of results/ or of the script

Ours: `layerwise run pipelines/fig1.yaml` with an empty store, which also makes distances, tables and figures. PyTorch's: fig1_pytorch.py.
Times are whole processes, start to end; of PyTorch's the seconds are taken off in which it draws our random numbers. Both begin with
the published files on the disk. PyTorch's threads wait for each other as OpenMP has it, or without spinning (OMP_WAIT_POLICY=PASSIVE;
much faster where other programs want the cores too, slower elsewhere), whichever trains five epochs faster in a trial before. The ratio is the median
(least - most) of those within each round: above 1 we are faster.
"""
import argparse
import csv
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAITING = [{}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}]
BINARY, SCRIPT = ROOT / "target/debug/layerwise", ROOT / "benches/peers/fig1_pytorch.py"

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--rounds", type=int, default=3)
options.add_argument("--threads", type=int, default=2)
options.add_argument("--keep", type=pathlib.Path)
options.add_argument("--compare", type=pathlib.Path, nargs=2, metavar=("OURS", "THEIRS"))
options = options.parse_args()


def timed(command, folder, **environment):
    """Seconds of a process, and the last line that it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), **environment}
    start = time.perf_counter()
    lines = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return time.perf_counter() - start, lines[-1]


def ours(folder):
    """Seconds, in a project of its own without a store."""
    for name in ("pipelines", "datasets"):
        shutil.copytree(ROOT / name, folder / name)
    return timed([BINARY, "run", "pipelines/fig1.yaml", "--threads", str(options.threads)], folder)[0]


def theirs(folder, waiting, epochs=100):
    """Seconds without those of the streams, and seconds of each part."""
    command = [sys.executable, SCRIPT, folder, "--threads", str(options.threads), "--epochs", str(epochs)]
    seconds, last = timed(command, ROOT, **waiting)
    parts = json.loads(last)
    print("PyTorch:", ", ".join(f"{name} {part:.1f} s" for name, part in parts.items()), file=sys.stderr)
    return seconds - parts["streams"], parts


def fresh():
    return pathlib.Path(tempfile.mkdtemp(dir=TEMPORARY))


def measure():
    """Prints the times; returns the results of the last round: a folder each."""
    rounds, waiting = [], min(WAITING, key=lambda waiting: theirs(fresh(), waiting, epochs=5)[1]["train"])
    print(f"PyTorch's threads wait {'without spinning' if waiting else 'as is usual'}", file=sys.stderr)
    for index in range(options.rounds):
        folders = [fresh(), fresh()]
        work = [lambda: ours(folders[0]), lambda: theirs(folders[1], waiting)[0]]
        seconds = {place: work[place]() for place in ((0, 1) if index % 2 == 0 else (1, 0))}
        rounds.append((seconds[0], seconds[1]))
        print(f"round {index + 1} of {options.rounds}: ours {rounds[-1][0]:.1f} s, PyTorch {rounds[-1][1]:.1f} s", file=sys.stderr)
    ratios = [script / run for run, script in rounds]
    run, script = (statistics.median(column) for column in zip(*rounds))
    print("| all of Figure 1 | threads | ours, s | PyTorch, s | ratio (least - most) |\n| --- | --- | --- | --- | --- |")
    print(f"| train and probe | {options.threads} | {run:.1f} | {script:.1f} | **{statistics.median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f}) |\n")
    return folders[0] / "results/fig1", folders[1]


def table(folder, name, *columns):
    """Columns → value."""
    with (folder / name).open() as file:
        return {tuple(row[column] for column in columns): float(row["value"]) for row in csv.DictReader(file)}


def kind(cell, error):
    layer, source, epoch = cell[:3]
    if layer == "fullmodel" and (source == "rerand" or epoch == "0"):
        return "never trained: fresh draws and θ⁰"
    return "trained, error to .05" if error <= 0.05 else "trained, error above .05"


def compare_probes(left, right):
    """How far each cell of the two tables is apart, by kind of cell."""
    pair = [table(folder, "probes.csv", "layer", "source", "epoch", "draw", "split", "metric") for folder in (left, right)]
    assert pair[0].keys() == pair[1].keys(), "both have the same cells"
    errors = {cell: [side[cell] for side in pair] for cell in pair[0] if cell[-1] == "error"}
    losses = {cell: [side[*cell[:-1], "loss"] for side in pair] for cell in errors}
    groups = {}
    for cell, (error, _) in errors.items():
        groups.setdefault(kind(cell, error), []).append(cell)
    groups["all"] = list(errors)
    print("| cells (layer, source, draw, split) | how many | error, percentage points: mean, largest difference | loss, relative: mean, largest |\n| --- | --- | --- | --- |")
    for name in sorted(groups, key=lambda name: (name == "all", name)):
        error = [100 * abs(a - b) for a, b in (errors[cell] for cell in groups[name])]
        loss = [abs(a - b) / a for a, b in (losses[cell] for cell in groups[name])]
        print(f"| {name} | {len(error)} | {statistics.mean(error):.3f}, {max(error):.3f} | {statistics.mean(loss):.1e}, {max(loss):.1e} |")
    print("\nFigure 1a, test error in percent, left / right (of fresh draws the mean):\n")
    sources = list(dict.fromkeys((source, epoch) for _, source, epoch, *_ in errors))
    print(f"| layer | {' | '.join(epoch or source for source, epoch in sources)} |\n| --- |{' --- |' * len(sources)}")
    for layer in dict.fromkeys(cell[0] for cell in errors):
        cells = [[pair for cell, pair in errors.items() if cell[:3] == (layer, *source) and cell[4] == "test"] for source in sources]
        means = [[100 * statistics.mean(column) for column in zip(*pairs)] for pairs in cells]
        print(f"| {layer} | {' | '.join(f'{a:.2f} / {b:.2f}' for a, b in means)} |")


def compare_training(left, right):
    """The learning curves: both at some epochs, and how far apart."""
    pair = [table(folder, "training.csv", "epoch", "split", "metric") for folder in (left, right)]
    curves = [("train", "loss"), ("test", "loss"), ("test", "error")]
    print(f"\n| epoch | {' | '.join(f'{split} {metric}, left / right' for split, metric in curves)} |\n| --- | --- | --- | --- |")
    for epoch in ("0", "1", "2", "3", "8", "40", "90", "100"):
        cells = [" / ".join(f"{side[epoch, *curve]:.6f}" for side in pair) for curve in curves]
        print(f"| {epoch} | {' | '.join(cells)} |")


def checkpoints(folder):
    """Epoch → tensors. Ours are in the store, under the digests of the lock."""
    from safetensors.numpy import load_file

    files = {path.name: path for path in folder.glob("checkpoint-*.safetensors")}
    lock = folder / "lock.json"
    if lock.exists():
        outputs = json.loads(lock.read_text())["stages"]["saved[seed=0]"]["outputs"]
        objects = folder.parent / "store/v1/objects"
        files = {name: objects / digest[:2] / digest[2:] for name, digest in outputs.items() if name.startswith("checkpoint-")}
    return {int(name[11:15]): load_file(path) for name, path in sorted(files.items()) if path.exists()}


def compare_checkpoints(left, right):
    """How far the parameters are apart, in terms of how far they moved."""
    import numpy

    pair = [checkpoints(folder) for folder in (left, right)]
    shared = sorted(pair[0].keys() & pair[1].keys())
    if 0 not in shared:
        return print("\nThe checkpoints are not there to compare.")
    flat = [{epoch: numpy.concatenate([side[epoch][name].ravel() for name in sorted(side[epoch])]) for epoch in shared} for side in pair]
    same = all((flat[0][0] == flat[1][0]).tolist())
    print(f"\nθ⁰: {'the same bits' if same else 'NOT the same bits'}, {flat[0][0].size} numbers. |left - right| / |left - θ⁰| of the parameters:\n")
    print("| epoch | distance |\n| --- | --- |")
    for epoch in shared[1:]:
        a, b, start = (array.astype(numpy.float64) for array in (flat[0][epoch], flat[1][epoch], flat[0][0]))
        print(f"| {epoch} | {numpy.linalg.norm(a - b) / numpy.linalg.norm(a - start):.1e} |")


with tempfile.TemporaryDirectory(prefix="layerwise-fig1-") as TEMPORARY:
    left, right = options.compare or measure()
    compare_probes(left, right)
    compare_training(left, right)
    compare_checkpoints(left, right)
    if not options.compare:
        same = (left / "probes.csv").read_bytes() == (ROOT / "results/fig1/probes.csv").read_bytes()
        print(f"\nOur probes.csv of the last round {'is' if same else 'is not'} that of results/fig1, byte for byte.")
    if options.keep and not options.compare:
        shutil.copytree(right, options.keep, dirs_exist_ok=True)
