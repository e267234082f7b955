# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process of a feed: it follows a tree, answers requests, and ends by itself."""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import Any, NoReturn

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import protocol
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import Reader
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder, trusted
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    open_private_file,
    private_folder,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mountinfo import MOUNTINFO

# While a feed rests, the kernel merges changes of the same name: a database that writes all the time costs little.
REST_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 3600.0  # poll(2) refuses what does not fit into an int of milliseconds, 24 days
_ANSWER_SECONDS = 5.0
_WAITING = 8
_CREDENTIALS = struct.Struct("=iII")  # struct ucred


class Service:
    """Answers requests about one tree until its time is over or somebody asks it to end."""

    def __init__(self, reader: Reader, listener: socket.socket, seconds: float) -> None:
        self._reader = reader
        self._listener = listener
        self._end = time.monotonic() + seconds
        self._ended = False

    def run(self) -> None:
        """Serve.

        Raises:
            UnsupportedError: What is mounted has changed, and can't be followed.
        """
        rested = 0.0
        with open(MOUNTINFO, "rb") as mounted:
            while not self._ended and time.monotonic() < self._end:
                now = time.monotonic()
                poller = select.poll()
                poller.register(self._listener, select.POLLIN)
                wait = min(self._end - now, _LONGEST_POLL_SECONDS)
                if now >= rested:
                    poller.register(self._reader.descriptor, select.POLLIN)
                    poller.register(mounted, select.POLLPRI)  # see proc(5)
                else:
                    wait = min(wait, rested - now)
                ready = {descriptor for descriptor, _event in poller.poll(max(0.0, wait) * 1000)}
                if self._listener.fileno() in ready:
                    self._serve_one()
                    ready.discard(self._listener.fileno())
                if ready:
                    self._reader.drain()
                    rested = time.monotonic() + REST_SECONDS

    def _serve_one(self) -> None:
        """Answer one request; who does not speak the protocol gets no answer."""
        with suppress(OSError, FeedError, KeyError, TypeError, ValueError):
            connection, _address = self._listener.accept()
            with connection:
                connection.settimeout(_ANSWER_SECONDS)
                if _user_of(connection) in trusted():
                    protocol.send(connection, self._answer(protocol.receive(connection)))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request["do"]
        if request.get("feed", self._reader.feed) != self._reader.feed:
            raise ValueError("another feed is meant")
        if wanted == "drain":
            return self._reader.drain()._asdict()
        if wanted == "names":
            page = self._reader.page(int(request["since"]), protocol.as_bytes(request["after"]))
            return {"names": None if page is None else list(map(protocol.as_text, page))}
        if wanted == "again":
            self._reader.again(list(map(protocol.as_bytes, request["names"])))
        elif wanted == "forget":
            self._reader.forget(int(request["until"]))
        elif wanted == "renew":
            self._end = time.monotonic() + float(request["seconds"])
        elif wanted == "end":
            self._ended = True
        elif wanted != "status":
            raise ValueError(wanted)
        return self._status()

    def _status(self) -> dict[str, Any]:
        return {
            "process": os.getpid(),
            "file_systems": [[os.fsdecode(mount.point), mount.kind] for mount in self._reader.mounted],
            "seconds_left": max(0, int(self._end - time.monotonic())),
            "changes": self._reader.names.count(),
            "gap": self._reader.gap,
        }


def _user_of(connection: socket.socket) -> int:
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


@contextmanager
def _listening(folder: Folder, src: str) -> Iterator[socket.socket]:
    """Listen on the feed's socket, and remove it at the end. The caller holds the lock."""
    path = protocol.socket_path(folder.descriptor, src)
    before = os.umask(0o177)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with listener:
            listener.bind(path)
            os.umask(before)
            listener.listen(_WAITING)
            try:
                yield listener
            finally:
                with suppress(OSError):
                    os.unlink(path)
    finally:
        os.umask(before)


def serve(src: str, state_dir: str, seconds: float) -> None:
    """Follow `src` for this many seconds. Returns at once if its feed is running already.

    Raises:
        UnsupportedError: The tree can't be followed.
        FileError: The state folder can't be used.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder(state_dir))
        lock = open_private_file(folder, f"{protocol.base_name(src)}.lock")
        stack.callback(os.close, lock)
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return
        reader = Reader(src, state_dir)
        stack.callback(reader.close)
        listener = stack.enter_context(_listening(folder, src))
        Service(reader, listener, seconds).run()


def _stop(*_signal: object) -> NoReturn:
    raise SystemExit(0)


def main(src: str, state_dir: str, seconds: str, archive: str) -> None:
    """Be the process of a feed. `archive`: remove this file, from which the code was loaded; empty if there is none."""
    if archive:
        with suppress(OSError):
            os.unlink(archive)
    os.chdir("/")  # keeps no folder of anybody busy
    signal.signal(signal.SIGTERM, _stop)
    try:
        serve(src, state_dir, float(seconds))
    except (FeedError, sqlite3.Error) as error:
        raise SystemExit(str(error)) from error
