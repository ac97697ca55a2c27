#!/usr/bin/env bash
# Kills runs of a pipeline at random moments and starts them again, then compares the result with that of an undisturbed run:
# `make torture`. Arguments: the binary, the number of kills [200], the seed [1].
#
# The pipeline is quick.yaml with more epochs, so that a run takes about a second, and a stage that runs a program, if there is such
# a kind. Every other kill hits a child process of the run instead, if there is one at that moment.
set -euo pipefail

binary=$(realpath "$1")
kills=${2:-200}
RANDOM=${3:-1}
project=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

new_project() { # a project folder of its own, with the pipeline and the data
    mkdir -p "$folder/$1/pipelines"
    ln -s "$project/datasets" "$folder/$1/datasets"
    sed 's/epochs: 3,/epochs: 12,/' "$project/pipelines/quick.yaml" >"$folder/$1/pipelines/quick.yaml"
    cp "$folder/$1/pipelines/quick.yaml" "$folder/$1/pipelines/slow.yaml"
    echo '  slow: { command: { run: [sh, -c, "for i in 1 2 3 4 5 6 7 8; do sleep 0.1; echo $i; done > out.txt"], outputs: [out.txt] } }' \
        >>"$folder/$1/pipelines/slow.yaml"
    if "$binary" plan "$folder/$1/pipelines/slow.yaml" >/dev/null 2>&1; then
        cp "$folder/$1/pipelines/slow.yaml" "$folder/$1/pipelines/quick.yaml"
    fi
}

run() { "$binary" run pipelines/quick.yaml >/dev/null 2>&1; }

new_project undisturbed
cd "$folder/undisturbed"
start=$(date +%s%N)
run
span=$((($(date +%s%N) - start) / 1000000))

new_project tortured
cd "$folder/tortured"
hits=0 children=0 rounds=0 runs=1
while [ "$((hits + children))" -lt "$kills" ]; do
    rounds=$((rounds + 1))
    if [ "$rounds" -gt "$((kills * 10))" ]; then echo "only $hits kills hit in $rounds runs" >&2; exit 1; fi
    "$binary" run pipelines/quick.yaml >/dev/null 2>&1 & pid=$!
    sleep "$(printf '0.%03d' $((RANDOM % (span < 999 ? span : 999))))"
    child=$(pgrep -P "$pid" | head -1 || true)
    victim=$pid
    if [ "$((rounds % 2))" -eq 0 ] && [ -n "$child" ]; then victim=$child; fi
    if kill -KILL "$victim" 2>/dev/null; then
        if [ "$victim" = "$pid" ]; then hits=$((hits + 1)); else children=$((children + 1)); fi
    fi
    if { wait "$pid"; } 2>/dev/null; then
        # It got through: from the beginning again, for there is nothing left to disturb.
        runs=$((runs + 1))
        cmp "$folder/undisturbed/results/quick/lock.json" results/quick/lock.json
        "$binary" verify >/dev/null
        rm -rf results
    fi
done
run
cmp "$folder/undisturbed/results/quick/lock.json" results/quick/lock.json
"$binary" verify --rerun pipelines/quick.yaml fit
"$binary" verify
echo "$hits kills hit a run and $children a child of one (a run takes $span ms undisturbed); $runs runs got through, each with the lock of an undisturbed one"
