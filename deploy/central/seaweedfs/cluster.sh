#!/usr/bin/env bash
# SeaweedFS on three machines: run this on each, with its own address first. Every port but S3's (8333) belongs into a
# network that only these three are in. Two copies of everything (replication 001); any one machine may be lost.
#
#   cluster.sh 10.9.0.1 10.9.0.1,10.9.0.2,10.9.0.3 /srv/seaweedfs /etc/columba/s3.json /etc/columba/s3.crt /etc/columba/s3.key
set -euo pipefail
[ $# -eq 6 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
me=$1 machines=$2 data=$3 identities=$4 certificate=$5 key=$6
peers=$(sed 's/,/:9333,/g; s/$/:9333/' <<<"$machines")
mkdir -p "$data/master" "$data/volumes" "$data/filer" "$data/log"
log=(-logdir="$data/log")

weed "${log[@]}" master -ip="$me" -ip.bind="$me" -port=9333 -mdir="$data/master" -peers="$peers" \
    -defaultReplication=001 -electionTimeout=1s -telemetry=false &
weed "${log[@]}" volume -ip="$me" -ip.bind="$me" -port=8080 -dir="$data/volumes" -max=0 -master="$peers" \
    -volume.allowUntrustedRemoteEndpoints=false &
weed "${log[@]}" filer -ip="$me" -ip.bind="$me" -port=8888 -master="$peers" -defaultStoreDir="$data/filer" &
# The only port for others.
weed "${log[@]}" s3 -ip.bind=0.0.0.0 -port=8333 -filer="$me:8888" -config="$identities" \
    -cert.file="$certificate" -key.file="$key" -port.iceberg=0 -port.lance=0 &
# One that ends takes the others with it: the supervisor starts them together again.
wait -n
kill $(jobs -p) 2>/dev/null || true
wait
exit 1
