"""Recomputes the re-initialization probes of an FCN pipeline in PyTorch, from our checkpoints and the published data.

usage: check_probes.py [RESULTS/PIPELINE] [STORE]        needs torch, numpy, safetensors
Reads lock.json (where the checkpoints are), copies the state dict for every probe, overwrites the layers, evaluates. Compares with
probes.csv: errors must be equal but for ties in the last bit (at most one example in 10,000), losses within 1e-5.
"""
import csv, gzip, json, pathlib, sys
import numpy, torch
from safetensors.torch import load_file

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "results/fig1")
store = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else folder.parent / "store") / "v1"
lock = json.loads((folder / "lock.json").read_text())
mnist = pathlib.Path(__file__).parents[2] / "datasets/mnist"


def split(name):
    images = numpy.frombuffer(gzip.open(mnist / f"{name}-images-idx3-ubyte.gz").read(), numpy.uint8, offset=16).reshape(-1, 784)
    labels = numpy.frombuffer(gzip.open(mnist / f"{name}-labels-idx1-ubyte.gz").read(), numpy.uint8, offset=8)
    return images.astype(numpy.float64) / 255, torch.from_numpy(labels.astype(numpy.int64))


train, test = split("train"), split("t10k")
mean, std = train[0].mean(), train[0].std()
data = {name: (torch.from_numpy(((images - mean) / std).astype(numpy.float32)), labels)
        for name, (images, labels) in [("train", train), ("test", test)]}


def checkpoints(seed):
    outputs = lock["stages"][f"saved[seed={seed}]"]["outputs"]
    path = lambda digest: store / "objects" / digest[:2] / digest[2:]
    return {int(name[11:15]): load_file(path(digest)) for name, digest in outputs.items() if name.startswith("checkpoint-")}


def logits(state, x):
    depth = len({name.split(".")[0] for name in state})
    for i in range(1, depth + 1):
        x = torch.nn.functional.linear(x, state[f"layer{i}.weight"], state[f"layer{i}.bias"])
        x = torch.relu(x) if i < depth else x
    return x


runs, cells, worst = {}, {}, {"error": 0.0, "loss": 0.0}
for row in csv.DictReader((folder / "probes.csv").open()):
    if row["source"] != "reinit":
        continue
    saved = runs.setdefault(row["seed"], None) or runs.update({row["seed"]: checkpoints(row["seed"])}) or runs[row["seed"]]
    cell = (row["seed"], row["layer"], row["epoch"], row["split"])
    if cell not in cells:
        state = dict(saved[max(saved)])
        reset = {name.split(".")[0] for name in state} if row["layer"] == "fullmodel" else set(row["layer"].split("+"))
        state.update({name: value for name, value in saved[int(row["epoch"])].items() if name.split(".")[0] in reset})
        x, y = data[row["split"]]
        with torch.no_grad():
            z = torch.cat([logits(state, part) for part in x.split(10000)])
        cells[cell] = {"error": (z.argmax(1) != y).double().mean().item(),
                       "loss": torch.nn.functional.cross_entropy(z.double(), y).item()}
    ours, theirs = float(row["value"]), cells[cell][row["metric"]]
    difference = abs(ours - theirs) / (1 if row["metric"] == "error" else max(abs(theirs), 1e-3))
    worst[row["metric"]] = max(worst[row["metric"]], difference)
print(f"{len(cells)} probes of {folder}: largest difference of an error {worst['error']:.1e}, of a loss (relative) {worst['loss']:.1e}")
sys.exit(0 if worst["error"] <= 1e-4 and worst["loss"] <= 1e-5 else 1)
