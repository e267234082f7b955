#!/bin/sh
# Migrates a sample Mastodon server to an embedded store and shows the result. Options: run.sh --help
set -eu

support=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
root=$(CDPATH='' cd -- "$support/../.." && pwd)
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null 2>&1; then
    echo "demo: $python is not installed. On Debian: apt-get install python3 python3-venv" >&2
    exit 1
fi

PYTHONPATH=$support
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE
DEMO_STARTED=$(date +%s)
export DEMO_STARTED

"$python" -m demo.prepare
exec "$root/.cache/demo/bin/python" -m demo "$@"
