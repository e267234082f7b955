#!/usr/bin/env bash
# Runs a store until it is interrupted, and says how to reach it.
# Usage: store.sh minio|rgw|moto|seaweedfs|versitygw|aws
set -euo pipefail

kind=${1:?usage: store.sh minio|rgw|moto|seaweedfs|versitygw|aws}
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$root/.cache/store-$kind
python=$root/.cache/venv/bin/python

"${PYTHON:-python3}" "$root/tests/support/environments.py" venv
trap '"$python" "$root/tests/support/stores" stop --dir "$folder"' EXIT
trap 'exit 130' INT TERM
"$python" "$root/tests/support/stores" start "$kind" --dir "$folder"
echo "Interrupt (ctrl-c) to end it and remove its data."
sleep infinity &
wait $!
