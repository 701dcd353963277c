#!/usr/bin/env bash
# SeaweedFS on one machine: all of it in one process, on loopback. Keys come from the environment (systemd:
# EnvironmentFile), AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Other machines reach it through TLS only: see README.md.
set -euo pipefail
: "${AWS_ACCESS_KEY_ID:?}" "${AWS_SECRET_ACCESS_KEY:?}"
data=${1:?usage: one-machine.sh DATA_DIRECTORY}
mkdir -p "$data" "$data-log"
exec weed -logdir="$data-log" mini -dir="$data" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.port=19333 -volume.port=18080 -filer.port=18888 -s3.port=18333 -admin.port=23646 \
    -s3.port.iceberg=0 -s3.port.lance=0 -webdav=false -admin.ui=false -master.telemetry=false -bucket=columba
