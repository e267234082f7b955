# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the process of a feed, so that it outlives the task that starts it, and ends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import Callable

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client, Status
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError, NoFeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.protocol import base_name
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.service import main
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.watch import Watch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    private_folder,
    write_private_file,
)

# Runs a command and returns its status, output and errors, like AnsibleModule.run_command.
RunCommand = Callable[[list[str]], "tuple[int, str, str]"]

_START_SECONDS = 20.0
_END_SECONDS = 20.0
_POLL_SECONDS = 0.05
_MOST_SAID = 500
# This names the module by what was imported above: Ansible packs only modules that are imported.
_CODE = f"import sys; sys.path.insert(0, sys.argv[1]); from {main.__module__} import main; main(*sys.argv[2:])"
_WITH_SYSTEMD = "/run/systemd/system"  # see sd_booted(3)


def try_out(src: str) -> list[list[str]]:
    """Return the file systems that a feed of `src` would follow, each as its place and its type; nothing is changed.

    Raises:
        UnsupportedError: It can't follow them.
    """
    watch = Watch(src)
    try:
        return [[os.fsdecode(mount.point), mount.kind] for mount in watch.mounted]
    finally:
        watch.close()


def unit_of(src: str) -> str:
    """Return the name of the transient unit of a feed; empty if there is no systemd."""
    return f"{base_name(src)}.service" if os.path.isdir(_WITH_SYSTEMD) and shutil.which("systemd-run") else ""


def start(src: str, state_dir: str, seconds: int, run_command: RunCommand) -> Status:
    """Start a feed, and return its status.

    Raises:
        FeedError: It does not start.
        FileError: The state folder can't be used.
    """
    with private_folder(state_dir) as folder:
        code, archive = _code(), ""
        if os.path.isfile(code):
            # The module's own archive is removed when its task ends.
            with open(code, "rb") as file:
                write_private_file(folder, f"{base_name(src)}.zip", file.read())
            code = archive = os.path.join(state_dir, f"{base_name(src)}.zip")
    command = [sys.executable, "-I", "-c", _CODE, code, src, state_dir, str(seconds), archive]
    unit = unit_of(src)
    process = None
    if unit:
        about = f"Follows changes below {src}"
        # Otherwise systemd would put the values of variables into paths.
        escaped = [word.replace("$", "$$") for word in command]
        status, _output, errors = run_command(
            ["systemd-run", "--quiet", "--collect", f"--unit={unit}", f"--description={about}", "--", *escaped]
        )
        if status != 0:
            raise FeedError(f"systemd-run could not start {unit}: {errors.strip()}")
    else:
        # run_command would wait for its end.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    try:
        return _wait(Client(src, state_dir), process, unit)
    except FeedError:
        with suppress(OSError):
            os.unlink(archive)
        raise


def _code() -> str:
    """Return the archive or folder from which this code was loaded."""
    return __file__.rpartition("/ansible_collections/")[0]


def _wait(client: Client, process: subprocess.Popen[bytes] | None, unit: str) -> Status:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            return client.status()
        except NoFeedError as error:
            if process is not None and process.stderr is not None and process.poll() is not None:
                said = process.stderr.read().decode(errors="replace").strip()
                raise FeedError(f"the feed ended at once: {said[-_MOST_SAID:]}") from error
            if time.monotonic() >= end:
                where = f", see journalctl -u {unit}" if unit else ""
                raise FeedError(f"the feed did not start within {_START_SECONDS:.0f} s{where}") from error
        time.sleep(_POLL_SECONDS)


def stop(src: str, state_dir: str) -> bool:
    """End a feed, wait for that, and return whether there was one.

    Raises:
        FeedError: It does not end.
    """
    client = Client(src, state_dir)
    try:
        client.end()
    except NoFeedError:
        return False
    end = time.monotonic() + _END_SECONDS
    while time.monotonic() < end:
        try:
            client.status()
        except NoFeedError:
            return True
        time.sleep(_POLL_SECONDS)
    raise FeedError(f"the feed of {src} did not end within {_END_SECONDS:.0f} s")
