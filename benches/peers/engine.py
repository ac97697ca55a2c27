#!/usr/bin/env python3
"""Times the engine beside other pipeline tools on one and the same graph of trivial stages, and prints Markdown tables.

    python3 benches/peers/engine.py [--layerwise BINARY] [--what noop,edit] [--tools ninja,make] [--rounds 5] [--stages 1000]

first         every stage, in a fresh folder
noop          the same command again
edit          one parameter in the middle is changed: five stages are stale
noop-matrix   noop with ten times the stages, for layerwise written as a matrix, and the peak memory
growth        layerwise's noop with 1, 10 and 100 times the stages, and the peak memory
hash          digests of a file of 2 GiB and of 50,000 of 4 KiB, in the page cache: b3sum; `layerwise status`, and again

The tools take turns in each round; a ratio is the median of those within each. `sh` is the bare work: the commands of the
stale stages, by no engine. After each run the stages that it ran are counted and, but for layerwise, the results read; a
wrong one ends the bench. All use two jobs but dvc, which has one, and a smaller graph (--dvc-stages), as it is slow. What
is not on PATH is skipped. Peak memory needs GNU time: Python is told no less for a child than its own.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Callable, NamedTuple

LAYERS, JOBS = 10, 2


class Stage(NamedTuple):
    """Copies its input and appends a line, the parameter."""

    name: str
    above: str  # or "" in the first layer
    input: str
    output: str
    parameter: int

    def command(self, parameter=None):
        return f"cat {self.input} > {self.output} && echo {parameter or self.parameter} >> {self.output}"


class Graph:
    """Columns of ten stages, and their text in the language of each tool: file name → text."""

    def __init__(self, size, edited=1):
        """All parameters are 1, but that of the stage in the middle of an edited graph."""
        middle, self.columns = (LAYERS // 2, size // LAYERS // 2), []
        for column in range(size // LAYERS):
            name = lambda layer: f"s{layer}_{column:05d}" if layer >= 0 else ""
            file = lambda layer: f"out/{layer}/{column}.txt" if layer >= 0 else f"src/{column}.txt"
            value = lambda layer: edited if (layer, column) == middle else 1
            self.columns.append([Stage(name(i), name(i - 1), file(i - 1), file(i), value(i)) for i in range(LAYERS)])
        self.stages = [stage for column in self.columns for stage in column]
        self.stale = self.columns if edited == 1 else [self.columns[middle[1]][middle[0] :]]
        self.sources = {column[0].input: f"source {i}\n" for i, column in enumerate(self.columns)}
        self.parameters = "".join(f"{stage.name}: {stage.parameter}\n" for stage in self.stages)

    def results(self):
        """What the last layer must hold."""
        return {c[-1].output: self.sources[c[0].input] + "".join(f"{s.parameter}\n" for s in c) for c in self.columns}

    def layerwise(self):
        text = "pipeline: bench\nstages:\n"
        for s in self.stages:
            above = (f"needs: {{ x: {s.above} }}, ", "$x/out.txt", "")
            needs, source, files = above if s.above else ("", s.input, f"files: [{s.input}], ")
            run = f"cat {source} > out.txt && echo {s.parameter} >> out.txt"
            text += f'  {s.name}: {{ {needs}command: {{ run: "{run}", {files}outputs: [out.txt] }} }}\n'
        return {"bench.yaml": text}

    def layerwise_matrix(self):
        text = f"pipeline: bench\nmatrix: {{ c: {list(range(len(self.columns)))} }}\nstages:\n"
        text += '  l0: { command: { run: "echo $C > out.txt", env: { C: $c }, outputs: [out.txt] } }\n'
        command = 'command: { run: "cat $x/out.txt > out.txt && echo 1 >> out.txt", outputs: [out.txt] }'
        text += "".join(f"  l{i}: {{ needs: {{ x: l{i - 1} }}, {command} }}\n" for i in range(1, LAYERS))
        return {"bench.yaml": text}

    def ninja(self):
        steps = "".join(f"build {s.output}: step {s.input}\n  parameter = {s.parameter}\n" for s in self.stages)
        return {"build.ninja": f"rule step\n  command = cat $in > $out && echo $parameter >> $out\n{steps}"}

    def make(self):
        """A parameter is a file, so that make sees it change."""
        text = f"all: {' '.join(self.results())}\n"
        text += "".join(f"{s.output}: {s.input} p/{s.name}\n\t@cat $^ > $@\n" for s in self.stages)
        return {"Makefile": text} | {f"p/{s.name}": f"{s.parameter}\n" for s in self.stages}

    def tup(self):
        return {"Tupfile": "".join(f": {s.input} |> {s.command()} |> {s.output}\n" for s in self.stages)}

    def snakemake(self):
        rules = f"""configfile: "parameters.yaml"
rule all:
    input: expand("out/{LAYERS - 1}/{{c}}.txt", c=range({len(self.columns)}))
rule step:
    input: lambda w: f"out/{{int(w.l) - 1}}/{{w.c}}.txt" if int(w.l) else f"src/{{w.c}}.txt"
    output: "out/{{l}}/{{c}}.txt"
    params: p=lambda w: config[f"s{{w.l}}_{{int(w.c):05d}}"]
    shell: "cat {{input}} > {{output}} && echo {{params.p}} >> {{output}}"
"""
        return {"Snakefile": rules, "parameters.yaml": self.parameters}

    def dvc(self):
        text = "stages:\n"
        for s in self.stages:
            lists = f"deps: [{s.input}], params: [{s.name}], outs: [{s.output}]"
            text += f"  {s.name}: {{ cmd: '{s.command(f'${{{s.name}}}')}', {lists} }}\n"
        settings = "[core]\nno_scm = true\nanalytics = false\ncheck_update = false\n"
        return {"dvc.yaml": text, "params.yaml": self.parameters, ".dvc/config": settings}

    def script(self):
        columns = ["; ".join(f'sh -c "{s.command()}"' for s in column) for column in self.stale]
        return {"columns": "\n".join(columns), "run.sh": rf"xargs -a columns -d '\n' -P {JOBS} -n 1 sh -c"}


class Tool(NamedTuple):
    """How a graph is written for a tool, and run."""

    name: str
    files: Callable[[Graph], dict]
    command: list

    def write(self, folder, graph):
        """Writes what has changed; the rest keeps its time."""
        for name, text in (graph.sources | self.files(graph)).items():
            path = folder / name
            if not path.exists() or path.read_text() != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    def start(self, folder, graph):
        """Makes a folder that was not there: ext4 gives out no inode of a removed file for seconds, and searches past it."""
        for name in ["datasets", *(f"out/{layer}" for layer in range(LAYERS))]:
            (folder / name).mkdir(parents=True)
        self.write(folder, graph)
        if self.name == "tup":
            timed(["tup", "init"], folder)

    def run(self, folder, graph, stale):
        """The seconds of a run, which must be of as many stages."""
        paths = [folder / stage.output for stage in graph.stages]
        written = lambda: [path.exists() and path.stat().st_mtime_ns for path in paths]
        before = written()
        seconds, right = timed(self.command, folder), True
        ran = sum(a != b for a, b in zip(before, written()))
        if self.name == "layerwise":
            ran = int(re.search(r"(\d+) of \d+ stages to run", (folder / "log").read_text())[1])
        elif stale:
            right = all((folder / name).read_text() == text for name, text in graph.results().items())
        if ran != stale or not right:
            sys.exit(f"{self.name} ran {ran} stages in the place of {stale}; results right: {right}")
        return seconds


SH = Tool("sh", Graph.script, ["sh", "run.sh"])
PEERS = [
    Tool("ninja", Graph.ninja, ["ninja", f"-j{JOBS}"]),
    Tool("n2", Graph.ninja, ["n2", f"-j{JOBS}"]),
    Tool("make", Graph.make, ["make", "-r", f"-j{JOBS}"]),  # -r: no search for built-in rules, which is most of its time
    Tool("tup", Graph.tup, ["tup", f"-j{JOBS}"]),
    Tool("snakemake", Graph.snakemake, ["snakemake", f"-c{JOBS}"]),
    Tool("dvc", Graph.dvc, ["dvc", "repro"]),
]


def timed(command, folder):
    """The seconds of a command that must succeed; what it says is in `log`."""
    with open(folder / "log", "w") as log:
        start = time.perf_counter()
        status = subprocess.run(command, cwd=folder, env=os.environ | {"MAKEFLAGS": ""}, stdout=log, stderr=log).returncode
        seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} ended with {status}:\n{(folder / 'log').read_text()[-2000:]}")
    return seconds


def peak(command, folder):
    """The peak memory in MiB of one more run, if it can be told."""
    if shutil.which("time"):
        timed(["time", "-f", "%M", *command], folder)
        return f"{int((folder / 'log').read_text().split()[-1]) / 1024:.0f}"


def measure(tools, phases, size, rounds, place):
    """Phase → tool → the seconds of each round."""
    times = {phase: {tool.name: [] for tool in tools} for phase in ["first", *phases]}
    for index in range(rounds):
        for tool in tools[::-1] if index % 2 else tools:  # none is always the first
            print(f"round {index + 1} of {rounds}: {', '.join(phases)}, {size} stages, {tool.name}", file=sys.stderr)
            turn = index if "first" in phases else 0
            folder, graph, edited = place / f"{tool.name}-{size}-{turn}", Graph(size), Graph(size, index + 2)
            if index == turn:
                tool.start(folder, graph)
                times["first"][tool.name].append(tool.run(folder, graph, len(graph.stages)))
            if "noop" in phases and tool is not SH:
                times["noop"][tool.name].append(tool.run(folder, graph, 0))
            if "edit" in phases:
                time.sleep(1.1)  # tup sees times in whole seconds
                tool.write(folder, edited)
                times["edit"][tool.name].append(tool.run(folder, edited, LAYERS // 2))
    return {phase: times[phase] for phase in phases}


def table(title, times, more=None):
    """Prints a row for each that was timed; `more` is further columns, title → name → text."""
    times, more = {name: its for name, its in times.items() if its}, dict(more or {})
    if ours := times.get("layerwise"):
        more["layerwise / it"] = {name: f"{median(a / b for a, b in zip(ours, its)):.3g}" for name, its in times.items()}
    rows = [[title, "median s", "least - most", *more], ["---"] * (3 + len(more))]
    for name, its in times.items():
        row = [name, f"{median(its):.4f}", f"{min(its):.4f} - {max(its):.4f}"]
        rows.append(row + [column.get(name) or "-" for column in more.values()])
    print("", *(f"| {' | '.join(row)} |" for row in rows), sep="\n", flush=True)


def plain(tools, phases, size, rounds, place):
    """The tables of first, noop and edit."""
    for phase, times in measure([SH, *tools], phases, size, rounds, place).items():
        beyond = lambda its: f"{median(a - b for a, b in zip(its, times['sh'])):.4f}"
        more = {"beyond the work, s": {name: beyond(its) for name, its in times.items()}} if phase == "edit" else {}
        table(f"{phase}, {size} stages", times, more)


def matrix(tools, size, rounds, place):
    """What `table` needs for the no-op of a matrix."""
    tools = [tool._replace(files=Graph.layerwise_matrix) if tool.name == "layerwise" else tool for tool in tools]
    times = measure(tools, ["noop"], size, rounds, place)["noop"]
    return times, {"peak MiB": {tool.name: peak(tool.command, place / f"{tool.name}-{size}-0") for tool in tools}}


def hashes(ours, rounds, place):
    """The tables of hash."""
    for name in ["datasets", *(f"tree/{i}" for i in range(250))]:
        (place / name).mkdir(parents=True)
    timed(["sh", "-c", "head -c 2G /dev/urandom > big.bin"], place)
    for i in range(50_000):
        (place / f"tree/{i % 250}/{i}.bin").write_bytes(os.urandom(4096))
    os.sync()  # or the first round would share the disk with it
    print(f"- {version('b3sum') or 'b3sum: skipped, there is none'}")
    for name, title in [("big.bin", "one file of 2 GiB"), ("tree", "50,000 files of 4 KiB")]:
        stages = f"{{ s: {{ command: {{ run: echo > out.txt, files: [{name}], outputs: [out.txt] }} }} }}"
        (place / "bench.yaml").write_text(f"pipeline: bench\nstages: {stages}\n")
        times = {"layerwise": [], "layerwise, again": [], "b3sum": []}
        for index in range(rounds):
            print(f"round {index + 1} of {rounds}: hash, {title}", file=sys.stderr)
            if shutil.which("b3sum"):
                times["b3sum"].append(timed(["sh", "-c", f"find {name} -type f -print0 | xargs -0 b3sum"], place))
            shutil.rmtree(place / "results/store", ignore_errors=True)
            for row in ["layerwise", "layerwise, again"] if ours else []:
                times[row].append(timed([ours[0].command[0], "status", "bench.yaml"], place))
        table(f"hash: {title}", times)


def version(program):
    """What a program says that it is; nothing if it is not there."""
    if shutil.which(program):
        said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip() or "?"
        return f"{pathlib.Path(program).name}: {said.splitlines()[0]}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"layerwise": "target/release/layerwise", "what": "first,noop,edit,noop-matrix,growth,hash", "rounds": 5}
    defaults |= {"tools": ",".join(tool.name for tool in PEERS), "stages": 1000, "dvc-stages": 100}
    for name, default in defaults.items():
        options.add_argument(f"--{name}", type=type(default), default=default)
    options = options.parse_args()
    what, size, rounds = options.what.split(","), options.stages, options.rounds
    program, tools = os.path.abspath(options.layerwise), {}
    layerwise = Tool("layerwise", Graph.layerwise, [program, "run", "bench.yaml", "--jobs", f"{JOBS}"])
    for tool in [layerwise, *(peer for peer in PEERS if peer.name in options.tools.split(","))]:
        if said := version(tool.command[0]):
            tools[tool.name] = tool
        print(f"- {said or f'{tool.name}: skipped, there is no {tool.command[0]}'}", flush=True)
    some = lambda *names: [tools[name] for name in names if name in tools]
    phases = [phase for phase in ("first", "noop", "edit") if phase in what]
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        if phases:
            plain([tool for name, tool in tools.items() if name != "dvc"], phases, size, rounds, place)
            if "dvc" in tools:
                plain(some("layerwise", "dvc"), phases, options.dvc_stages, rounds, place)
        if "noop-matrix" in what:
            columns = matrix(some("layerwise", "ninja", "n2", "make"), size * 10, rounds, place / "matrix")
            table(f"noop, {size * 10} stages, a matrix in layerwise", *columns)
        if "growth" in what and "layerwise" in tools:
            seconds, peaks = {}, {}
            for n in (size, size * 10, size * 100):
                times, more = matrix(some("layerwise"), n, rounds, place / "growth")
                seconds[f"{n} stages"], peaks[f"{n} stages"] = times["layerwise"], more["peak MiB"]["layerwise"]
            table("growth: noop of a matrix", seconds, {"peak MiB": peaks})
        if "hash" in what:
            hashes(some("layerwise"), rounds, place / "hash")


main()
