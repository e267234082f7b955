"""Reads dotenv files with the running systemd: each is the EnvironmentFile= of a transient unit.

Each line of stdin is a JSON list of paths. For each path, it writes a line of JSON to stdout. It runs in the container
and needs only Python.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# What systemd gives every service.
OWN = {"LANG", "PATH", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "HOME", "LOGNAME", "USER", "SHELL"}


def read(path):
    """Return the result for one file."""
    command = ["systemd-run", "--wait", "--pipe", "--quiet", "--collect", "-p", f"EnvironmentFile={path}"]
    done = subprocess.run([*command, "/usr/bin/env", "-0"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        return {"error": f"exit code {done.returncode}: {done.stderr.decode(errors='replace')}"}
    pairs = (item.split(b"=", 1) for item in done.stdout.split(b"\0") if item)
    values = {name.decode(errors="replace"): value.decode(errors="surrogateescape") for name, value in pairs}
    return {"values": {name: value for name, value in values.items() if name not in OWN}}


def main():
    """Answer until stdin ends. Several files are read at once, and answered in their order."""
    with ThreadPoolExecutor(4) as pool:
        for line in sys.stdin:
            for answer in pool.map(read, json.loads(line)):
                print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
