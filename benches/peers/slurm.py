"""Overhead on a cluster: many trivial stages beside a bare `sbatch --array` of the same programs, in turn. `make bench-slurm`.

Both write one small file per task on the same cluster (tests/services/slurm-up.sh). Bare is timed until the last file is there, ours until
the run has published.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path


def bare(folder: Path, count: int) -> float:
    out = folder / "bare"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    script = folder / "bare.sh"
    script.write_text("#!/bin/sh\nexec sh -c 'echo $SLURM_ARRAY_TASK_ID > " + str(out) + "/$SLURM_ARRAY_TASK_ID.txt'\n")
    start = time.monotonic()
    subprocess.run(
        ["sbatch", "--parsable", f"--array=0-{count - 1}", "--mem=100M", f"--output={out}/%a.log", str(script)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    while sum(1 for name in os.listdir(out) if name.endswith(".txt")) < count:
        time.sleep(0.1)
    seconds = time.monotonic() - start
    while subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout:
        time.sleep(0.2)
    return seconds


def ours(binary: str, folder: Path, count: int) -> float:
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    (project / "pipelines").mkdir(parents=True)
    (project / "config/layerwise").mkdir(parents=True)
    (project / "datasets").mkdir()
    (project / "config/layerwise/slurm.yaml").write_text(f"memory: 100 MiB\nlocal_below: 0\nsubmitted: {count}\n")
    values = ", ".join(map(str, range(count)))
    (project / "pipelines/trivial.yaml").write_text(
        f"pipeline: trivial\nmatrix: {{ i: [{values}] }}\nstages:\n"
        "  one: { command: { run: 'echo $i > i.txt', outputs: [i.txt], env: { i: $i } } }\n"
    )
    environment = dict(os.environ, XDG_CONFIG_HOME=str(project / "config"))
    start = time.monotonic()
    subprocess.run(
        [binary, "run", "pipelines/trivial.yaml", "--executor", "slurm"],
        cwd=project,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - start


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--layerwise", required=True)
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--turns", type=int, default=3)
    given = arguments.parse_args()
    binary = str(Path(given.layerwise).resolve())
    pairs = []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(given.turns):
            runs = [("bare", lambda: bare(Path(name), given.count)), ("ours", lambda: ours(binary, Path(name), given.count))]
            if turn % 2:
                runs.reverse()
            seconds = {what: run() for what, run in runs}
            pairs.append((seconds["bare"], seconds["ours"]))
            print(f"turn {turn}: bare {seconds['bare']:.1f} s, layerwise {seconds['ours']:.1f} s, "
                  f"{seconds['ours'] / seconds['bare']:.2f} times", flush=True)
    ratios = sorted(ours / bare for bare, ours in pairs)
    print(f"median of {given.turns}: {ratios[len(ratios) // 2]:.2f} times as long, {given.count} tasks")


if __name__ == "__main__":
    main()
