#!/usr/bin/env bash
# What others validate archives with, for `make test-archive`: PyPI's bagit and roc-validator in an environment of their own.
#   eval "$(validators.sh)"     sets LAYERWISE_PYTHON and LAYERWISE_ROCRATE_CACHE
# roc-validator asks the web for the context of RO-Crate; it is laid in its cache here, out of the package rocrate. Where the packages
# cannot be had, it says why after "SKIPPED" and ends with 77.
set -euo pipefail
home=${VALIDATORS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/layerwise-validators}

# Below an `||`, bash goes on after what fails.
make_all() {
    rm -rf "$home" && python3 -m venv "$home/python" &&
        timeout 600 "$home/python/bin/pip" install -q bagit==1.9.0 roc-validator==0.13.0 rocrate==0.15.0 &&
        "$home/python/bin/python" - "$home/contexts" <<'PY' && touch "$home/ready"
import io, pathlib, sys
import requests, rocrate, urllib3
from requests_cache import CachedSession

class Package(requests.adapters.HTTPAdapter):
    def send(self, request, **_):
        context = (pathlib.Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_bytes()
        headers = {"Content-Type": "application/ld+json"}
        answer = urllib3.HTTPResponse(io.BytesIO(context), headers, 200, preload_content=False)
        return self.build_response(request, answer)

session = CachedSession(cache_name=sys.argv[1], expire_after=-1, backend="sqlite", allowable_codes=(200, 302, 404))
session.mount("https://", Package())
session.get("https://w3id.org/ro/crate/1.1/context", headers={"Accept": "application/ld+json, application/json, */*;q=0.1"})
PY
}

if [ ! -e "$home/ready" ]; then
    mkdir -p "${home%/*}"
    make_all >"$home.log" 2>&1 || { echo "SKIPPED: the validators cannot be had ($home.log)" >&2; exit 77; }
fi
echo "export LAYERWISE_PYTHON=$home/python/bin/python LAYERWISE_ROCRATE_CACHE=$home/contexts"
