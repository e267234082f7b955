"""The real readers of dotenv files. Each is a process that reads one file after another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[2] / ".cache" / "parsers"
IMAGE = os.environ.get("MASTODON_S3_SYSTEMD_IMAGE", "localhost/mastodon-s3-parsers:bookworm")


class ReaderError(Exception):
    """A reader did not start, or it ended. The text names it."""


class ReferenceReader:
    """A process that reads one path per line, and writes a line of JSON for each."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, paths: list[Path]) -> list[dict[str, str] | None]:
        """Return the variables of each file, or None for a file that the reader refuses."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(self._question(paths) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ReaderError(f"{self.name} has ended, see its message above") from error
        return [self._answer(self._process.stdout.readline()) for _path in paths]

    def close(self) -> None:
        """Stop the process."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(timeout=30)

    def _answer(self, line: str) -> dict[str, str] | None:
        if not line:
            raise ReaderError(f"{self.name} gave no answer, see its message above")
        answer: dict[str, Any] = json.loads(line)
        return None if "error" in answer else answer.get("values", {})

    def _question(self, paths: list[Path]) -> str:
        return "\n".join(map(str, paths))


class SystemdReader(ReferenceReader):
    """A container with systemd, and a process in it that starts a transient unit for each file."""

    def __init__(self, folder: Path) -> None:
        # Where it is installed runc is taken: the crun of some distributions can't start systemd in nested containers.
        self._podman = ["podman", *(["--runtime", "runc"] if shutil.which("runc") else [])]
        self._container = f"mastodon-s3-parsers-{uuid.uuid4().hex[:8]}"
        limits = ["--ulimit", "nofile=10000:10000", "--ulimit", "nproc=20000:20000"]
        mounts = ["-v", f"{folder}:{folder}:ro", "-v", f"{HERE}:{HERE}:ro"]
        self._call(
            "run",
            # Tests that are killed leave it behind.
            "--timeout=1800",
            "-d",
            "--rm",
            "--name",
            self._container,
            "--systemd=always",
            "--network=none",
            *limits,
            *mounts,
            IMAGE,
            "/sbin/init",
        )
        try:
            self._wait()
        except ReaderError:
            self._call("rm", "-f", "-t", "0", self._container)
            raise
        command = [*self._podman, "exec", "-i", self._container, "/usr/bin/python3", str(HERE / "systemd_reader.py")]
        super().__init__("systemd", command)

    def close(self) -> None:
        """Stop the process and the container."""
        try:
            super().close()
        finally:
            self._call("rm", "-f", "-t", "0", self._container)

    def _question(self, paths: list[Path]) -> str:
        return json.dumps([str(path) for path in paths])

    def _call(self, *words: str) -> str:
        done = subprocess.run([*self._podman, *words], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise ReaderError(f"podman {words[0]} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def _wait(self) -> None:
        state = ""
        for _attempt in range(120):
            done = subprocess.run(
                [*self._podman, "exec", self._container, "systemctl", "is-system-running"],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            state = done.stdout.strip() or done.stderr.strip()
            # degraded: some unit of the distribution did not start, which is no matter here.
            if state in {"running", "degraded"}:
                return
            time.sleep(0.25)
        raise ReaderError(f"systemd does not come up in {IMAGE}: {state}")


def start(folder: Path) -> dict[str, ReferenceReader]:
    """Start all readers. They can read the files in `folder`."""
    ruby = ["ruby", str(HERE / "ruby_reader.rb")]
    return {
        "ruby-dotenv of Debian stable": ReferenceReader("ruby-dotenv of Debian stable", ruby),
        "ruby-dotenv 3": ReferenceReader("ruby-dotenv 3", [*ruby, str(CACHE / "ruby-dotenv" / "lib")]),
        "node": ReferenceReader("node", ["node", str(HERE / "node_reader.cjs"), str(CACHE / "node")]),
        "compose": ReferenceReader("compose", [str(CACHE / "compose-reader")]),
        "systemd": SystemdReader(folder),
    }


def setup() -> str:
    """Install what is missing. Return the reason if that is not possible."""
    done = subprocess.run([str(HERE / "setup.sh")], capture_output=True, text=True, check=False, timeout=900)
    return "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
