# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run's own processes: forked early, each with a socket to its parent. They end when the parent ends.

They are forked before the parent has threads, clients or a journal, so that they share nothing with it but code. Each
ends itself when the other end of its socket is closed, and the kernel ends it when the parent dies (prctl(2),
PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import select
import signal
import socket
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any, Callable

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.channel import Channel

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_END_SECONDS = 5.0

# What a child does: with its channel, the descriptor of the tree's root, its job, and messages that came with that.
Duty = Callable[[Channel, int, Any, list[Any]], None]


class Children:
    """Idle processes with the same job, and their channels."""

    def __init__(self, number: int, duty: Duty) -> None:
        """Fork the processes. Call this while the process has a single thread and no client."""
        context = multiprocessing.get_context("fork")
        parent = os.getpid()
        self.channels: list[Channel] = []
        self._processes: list[BaseProcess] = []
        for _each in range(number):
            ours, theirs = socket.socketpair()
            foreign = [channel.socket for channel in self.channels] + [ours]
            process = context.Process(target=_be_child, args=(theirs, foreign, parent, duty), daemon=True)
            process.start()
            theirs.close()
            self.channels.append(Channel(ours))
            self._processes.append(process)

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        for channel in self.channels:
            channel.socket.close()
        for process in self._processes:
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def set_to_work(channel: Channel, root: int, job: Any) -> None:
    """Have a child begin: `root` is the descriptor of the tree's root, `job` the first message.

    Raises:
        OSError: it is gone.
    """
    socket.send_fds(channel.socket, [b"!"], [root])
    channel.send(job)
    while channel.waiting:
        select.select([], [channel.socket], [])
        channel.flush()


def tie_to(parent: int) -> None:
    """Make this process end with its parent, and ignore interrupts, which the parent handles."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before prctl was called
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _be_child(theirs: socket.socket, foreign: list[socket.socket], parent: int, duty: Duty) -> None:
    tie_to(parent)
    for other in foreign:
        other.close()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    try:
        _data, (root, *_more), _flags, _address = socket.recv_fds(theirs, 1, 1)
    except (OSError, ValueError):
        os._exit(0)  # never needed
    gc.freeze()  # what the parent has loaded stays, and need not be collected again
    channel = Channel(theirs)
    messages: list[Any] = []
    try:
        while not messages:
            select.select([theirs], [], [])
            messages += channel.receive()
    except EOFError:
        os._exit(0)
    duty(channel, root, messages[0], messages[1:])
    os._exit(0)
