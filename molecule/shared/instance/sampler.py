"""Looks for secrets in argument lists and temporary files, until it is stopped.

Usage: sampler.py SECRETS.json FINDINGS.jsonl FOLDER...

SECRETS.json maps names to values, or to the env file and the variable that will contain the value. A finding contains
the name of the secret, but never its value. To prove that it works, it writes the number of argument lists and files
checked so far, every half minute and at the end.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import sys
import time
import zipfile
from collections.abc import Iterator

INTERVAL = 0.03
LARGEST = 8 << 20
# Ansible sends a module as a zip file, in base64, inside a Python script.
_PAYLOAD = re.compile(rb"[A-Za-z0-9+/\n]{2000,}={0,2}")


def command_lines() -> Iterator[tuple[str, bytes]]:
    """Return PID and argument list of every process except this one, as `ps` shows them."""
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as stream:
                    yield pid, stream.read()
            except OSError:
                continue


def files(folders: list[str]) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Return every file below the folders, with values that change when the file changes."""
    for folder in folders:
        for parent, _names, names in os.walk(folder, onerror=lambda error: None):
            for name in names:
                path = os.path.join(parent, name)
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                yield path, (status.st_ino, status.st_size, status.st_mtime_ns)


def layers(content: bytes) -> Iterator[bytes]:
    """Return the content and, if it is packed, the unpacked content."""
    yield content
    for found in _PAYLOAD.finditer(content):
        try:
            with zipfile.ZipFile(io.BytesIO(base64.b64decode(found.group()))) as archive:
                for member in archive.namelist():
                    yield archive.read(member)
        except (ValueError, zipfile.BadZipFile):
            continue


class Sampler:
    """Checks each argument list and file once."""

    def __init__(self, secrets: dict[str, str | dict[str, str]], findings: str, folders: list[str]) -> None:
        self.secrets = {name: value.encode() for name, value in secrets.items() if isinstance(value, str)}
        self.awaited = {name: value for name, value in secrets.items() if isinstance(value, dict)}
        self.findings = findings
        self.folders = folders
        self.lines_seen: set[bytes] = set()
        self.files_seen: dict[str, tuple[int, int, int]] = {}

    def note(self, **what: object) -> None:
        with open(self.findings, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"time": round(time.time(), 3), **what}) + "\n")

    def names_in(self, content: bytes) -> list[str]:
        return sorted({name for layer in layers(content) for name, value in self.secrets.items() if value in layer})

    def learn(self) -> None:
        """Read secrets that are now in an env file, and search the earlier argument lists for them."""
        for name, place in self.awaited.items():
            try:
                with open(place["file"], "rb") as stream:
                    found = re.findall(rb"(?m)^" + place["variable"].encode() + rb"=(\S{20,})$", stream.read())
            except OSError:
                continue
            if found and self.secrets.get(name) != found[-1]:
                self.secrets[name] = found[-1]
                for line in self.lines_seen:
                    if found[-1] in line:
                        self.note(
                            found=name, where="argument list", program=line.split(b"\0")[0].decode(errors="replace")
                        )

    def look(self) -> None:
        self.learn()
        for pid, line in command_lines():
            if line not in self.lines_seen:
                self.lines_seen.add(line)
                for name in self.names_in(line):
                    program = line.split(b"\0")[0].decode(errors="replace")
                    self.note(found=name, where="argument list", pid=pid, program=program)
        for path, state in files(self.folders):
            if self.files_seen.get(path) != state:
                self.files_seen[path] = state
                try:
                    with open(path, "rb") as stream:
                        content = stream.read(LARGEST)
                except OSError:
                    continue
                for name in self.names_in(content):
                    self.note(found=name, where=path)

    def count(self) -> None:
        self.note(argument_lists=len(self.lines_seen), files=len(self.files_seen))


def main() -> None:
    secrets_file, findings, *folders = sys.argv[1:]
    with open(secrets_file, encoding="utf-8") as stream:
        sampler = Sampler(json.load(stream), findings, folders)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    last = 0.0
    try:
        while True:
            sampler.look()
            if time.monotonic() - last > 30:
                last = time.monotonic()
                sampler.count()
            time.sleep(INTERVAL)
    finally:
        sampler.count()


if __name__ == "__main__":
    main()
