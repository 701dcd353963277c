#!/usr/bin/env bash
# Once, after the first start: every write of data is synced, the bucket is there, and uploads that were never finished go
# after a day. Usage: after-start.sh MASTER FILER, for example after-start.sh 127.0.0.1:19333 127.0.0.1:18888
set -euo pipefail
master=${1:?usage: after-start.sh MASTER FILER} filer=${2:?usage: after-start.sh MASTER FILER}
weed shell -master="$master" -filer="$filer" <<'COMMANDS'
fs.configure -locationPrefix=/buckets/ -fsync -apply
s3.bucket.create -name columba
s3.clean.uploads -timeAgo=24h
fs.configure
COMMANDS
