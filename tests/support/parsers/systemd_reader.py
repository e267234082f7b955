"""Reads dotenv files with the systemd that runs here: each as the EnvironmentFile= of a transient unit.

Each line on stdin is a JSON list of paths; for each path a line of JSON goes to stdout. Needs nothing but Python, as it
runs in the container.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# What systemd gives every service.
OWN = {"LANG", "PATH", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "HOME", "LOGNAME", "USER", "SHELL"}


def read(path):
    """Return the answer for one file."""
    command = ["systemd-run", "--wait", "--pipe", "--quiet", "--collect", "-p", f"EnvironmentFile={path}"]
    done = subprocess.run([*command, "/usr/bin/env", "-0"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        return {"error": f"exit code {done.returncode}: {done.stderr.decode(errors='replace')}"}
    pairs = (item.split(b"=", 1) for item in done.stdout.split(b"\0") if item)
    values = {name.decode(errors="replace"): value.decode(errors="surrogateescape") for name, value in pairs}
    return {"values": {name: value for name, value in values.items() if name not in OWN}}


def main():
    """Answer until stdin ends; several files at once, in their order."""
    with ThreadPoolExecutor(4) as pool:
        for line in sys.stdin:
            for answer in pool.map(read, json.loads(line)):
                print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
