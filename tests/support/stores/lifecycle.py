"""Starts and stops a store. Its folder contains its data and its description."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
import typing as t
from pathlib import Path

from stores import (
    aws_server,
    minio_server,
    moto_server,
    packages,
    processes,
    rgw_server,
    seaweedfs_server,
    versitygw_server,
)
from stores.model import StartRequest, StoreError, StoreServer

_STARTERS: dict[str, t.Callable[[StartRequest], StoreServer]] = {
    "minio": minio_server.start,
    "rgw": rgw_server.start,
    "moto": moto_server.start,
    "seaweedfs": seaweedfs_server.start,
    "versitygw": versitygw_server.start,
    "aws": aws_server.start,
}
_INSTALLERS: dict[str, t.Callable[[], t.Any]] = {
    "minio": packages.minio,
    "rgw": packages.ceph,
    "moto": packages.moto,
    "seaweedfs": packages.seaweedfs,
    "versitygw": packages.versitygw,
    "aws": packages.ceph,
}
KINDS = tuple(_STARTERS)

# Asked to end it takes 17 seconds, for data that are thrown away.
_IMPATIENT = ("seaweedfs",)

_MARK = "this-is-a-test-store"
_STATE = "store.json"


def install(kind: str) -> None:
    """Build or install the programs of a store.

    Raises ProgramMissingError.
    """
    _INSTALLERS[kind]()


def load(directory: Path) -> StoreServer | None:
    """Return the store that was started in this folder, running or not, or None."""
    try:
        state = json.loads((directory / _STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    state["pids"] = tuple((int(pid), str(started)) for pid, started in state["pids"])
    return StoreServer(**state)


def start(kind: str, directory: Path, **wishes: t.Any) -> StoreServer:
    """Start a store with empty data in this folder, and return when S3 answers.

    wishes: the fields of StartRequest. A store of the same kind that still runs there is returned as it is.

    Raises StoreError, and ProgramMissingError where a program is missing.
    """
    directory = directory.resolve()
    running = load(directory)
    if running and any(processes.birth(pid) == started for pid, started in running.pids):
        if running.kind != kind:
            raise StoreError(f"{running.kind} runs in {directory}; stop it first, or use another folder")
        return running
    _make_empty(directory)
    store = _STARTERS[kind](StartRequest(directory=directory, **wishes))
    try:
        _remember(directory, store)
        _wait_for_s3(store)
    except BaseException:
        processes.end(store.pids)
        raise
    return store


def stop(directory: Path) -> bool:
    """Stop the store in this folder and remove its data, but not its logs. Return whether there was one."""
    directory = directory.resolve()
    store = load(directory)
    if store is None:
        return False
    processes.end(store.pids, **({"seconds": 0} if store.kind in _IMPATIENT else {}))
    if store.kind == "seaweedfs":
        seaweedfs_server.tidy(directory)
    _remove_data(directory)
    return True


def _make_empty(directory: Path) -> None:
    """Create the folder, or empty that of an earlier store. It contains keys, so only its owner can read it."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / _MARK).exists():
        if any(directory.iterdir()):
            raise StoreError(f"{directory} is not empty and no store was ever in it; name an empty folder")
        (directory / _MARK).touch()
    directory.chmod(0o700)
    _remove_data(directory)
    shutil.rmtree(directory / "logs", ignore_errors=True)


def _remove_data(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name in (_MARK, "logs"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _remember(directory: Path, store: StoreServer) -> None:
    path = directory / _STATE
    path.touch(mode=0o600)
    path.write_text(json.dumps(dataclasses.asdict(store), indent=2) + "\n", encoding="utf-8")


def _wait_for_s3(store: StoreServer) -> None:
    """Wait until a signed request succeeds, since servers listen before they can answer."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = store.client(config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}))
    trouble: Exception | None = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client.list_buckets()
        except (BotoCoreError, ClientError) as error:
            trouble = error
            time.sleep(0.2)
        else:
            return
    raise StoreError(f"{store.kind} listens, but does not answer S3 requests: {trouble}. See {store.log}")
