"""Builds and runs the null store, an S3 server that keeps only metadata (see null_store/)."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, final

import environments
from stores import ProgramMissingError, StoreServer

SOURCE = Path(__file__).resolve().parent / "null_store"
PROGRAM = environments.CACHE / "bin" / "null_store"
ACCESS_KEY, SECRET_KEY, REGION = "NULLSTORE", "a-secret-of-the-null-store-alone", "us-east-1"


def program() -> Path:
    """Return the path of the null store's program. Build it if it is missing or older than its source.

    Raises:
        ProgramMissingError: Go is not installed.
        SetupError: The program can't be built.
    """
    with environments.locked("null_store"):
        newest = max(path.stat().st_mtime for path in SOURCE.iterdir())
        if PROGRAM.exists() and PROGRAM.stat().st_mtime > newest:
            return PROGRAM
        go = shutil.which("go")
        if go is None:
            raise ProgramMissingError(
                "the null store has to be built, but Go is not installed. Install Go 1.21 or newer, such as the package"
                " golang-go of Debian 13, and run this again"
            )
        environments.run("null_store", go, "build", "-C", SOURCE, "-trimpath", "-o", PROGRAM)
        PROGRAM.touch()
    return PROGRAM


@final
class NullServer:
    """A running null store. `store` describes it like the stores in tests/support/stores."""

    def __init__(self, directory: Path, *, delay_ms: int = 0, verify: str = "digest", host: str = "127.0.0.1") -> None:
        """Start it. `delay_ms`: delay before each response. `verify`: none, digest or all (see null_store/main.go)."""
        directory.mkdir(parents=True, exist_ok=True)
        self._log = (directory / "null_store.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [
                str(program()),
                f"-listen={f'[{host}]' if ':' in host else host}:0",
                f"-delay={delay_ms}ms",
                f"-verify={verify}",
            ],
            stdin=subprocess.PIPE,  # it stops when this process does
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={"NULL_STORE_ACCESS_KEY": ACCESS_KEY, "NULL_STORE_SECRET_KEY": SECRET_KEY},
        )
        address = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not address:
            self.close()
            raise ProgramMissingError(f"the null store did not start; see {self._log.name}")
        url = f"http://{address}"
        self.store = StoreServer(
            kind="null",
            endpoint_url=url,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            region=REGION,
            ca_bundle=None,
            plain_endpoint_url=url,
            pid=self._process.pid,
            pids=(),
            directory=str(directory),
            log=self._log.name,
        )

    def __enter__(self) -> NullServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def counts(self, *, reset: bool = False) -> Any:
        """Return the number of requests by method since the last reset, and the objects and bytes of each bucket."""
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.store.endpoint_url}/-/count", method="POST" if reset else "GET"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._log.close()
