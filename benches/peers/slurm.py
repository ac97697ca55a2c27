"""Overhead on a cluster: many trivial stages beside a bare `sbatch --array` of the same programs, in turn. `make bench-slurm`.

All write one small file per task on the same cluster (tests/services/slurm-up.sh). Bare is timed until the last file is there, ours until
the run has published, Snakemake (with its Slurm plugin) until it ends. Snakemake's jobs take seconds each, so it has a count
of its own; the others are then timed at that too.

    pip install snakemake snakemake-executor-plugin-slurm
    python3 benches/peers/slurm.py --layerwise target/debug/layerwise --snakemake $(command -v snakemake)
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


SNAKEFILE = """
rule all:
    input: expand("out/{{i}}.txt", i=range({count}))
rule one:
    output: "out/{{i}}.txt"
    resources: mem_mb=400, runtime=10  # of less its two Pythons run out
    shell: "echo {{wildcards.i}} > {{output}}"
"""
# Its jobs look for the cluster's configuration here: the plugin clears SLURM_CONF.
CONFIGURATION = Path("/etc/slurm/slurm.conf")


def snakemake(program: str, folder: Path, count: int) -> float:
    project = folder / "snakemake"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir()
    (project / "Snakefile").write_text(SNAKEFILE.format(count=count))
    is_ours = not CONFIGURATION.exists()
    if is_ours:
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.symlink_to(os.environ["SLURM_CONF"])
    # What makes it quick: a first look at once, by squeue. (As arrays it is slower still, and of 100 tasks the jobs lost their command.)
    options = "--executor slurm --slurm-no-account --slurm-status-command squeue"
    options += f" --slurm-init-seconds-before-status-checks 2 --seconds-between-status-checks 2 --jobs {count} --latency-wait 30"
    path = f"{Path(program).parent}:{os.environ['PATH']}"
    start = time.monotonic()
    try:
        done = subprocess.run(
            [program, *options.split()], cwd=project, env=dict(os.environ, PATH=path), capture_output=True, text=True
        )
    finally:
        if is_ours:
            CONFIGURATION.unlink()
    seconds = time.monotonic() - start
    if done.returncode != 0 or len(os.listdir(project / "out")) != count:
        raise SystemExit(f"snakemake failed:\n{done.stderr[-3000:]}")
    return seconds


def compare(runs: list, turns: int, count: int) -> None:
    """All in turn, every other turn in the other order; the first one is the measure."""
    first = runs[0][0]
    ratios = {name: [] for name, _ in runs[1:]}
    for turn in range(turns):
        order = runs if turn % 2 == 0 else runs[::-1]
        seconds = {name: run(count) for name, run in order}
        print(f"turn {turn}, {count} tasks: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name, _ in runs), flush=True)
        for name, found in ratios.items():
            found.append(seconds[name] / seconds[first])
    for name, found in ratios.items():
        found.sort()
        print(f"{name}: {found[len(found) // 2]:.2f} ({found[0]:.2f}-{found[-1]:.2f}) x {first}, {count} tasks, {turns} turns")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--layerwise", required=True)
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--snakemake", help="the program, with its Slurm plugin beside it")
    arguments.add_argument("--snakemake-count", type=int, default=20)
    given = arguments.parse_args()
    binary = str(Path(given.layerwise).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [
            ("bare", lambda count: bare(folder, count)),
            ("layerwise", lambda count: ours(binary, folder, count)),
        ]
        compare(runs, given.turns, given.count)
        if given.snakemake:
            runs.append(("snakemake", lambda count: snakemake(given.snakemake, folder, count)))
            compare(runs, 2, given.snakemake_count)


if __name__ == "__main__":
    main()
