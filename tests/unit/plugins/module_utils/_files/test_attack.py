# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root works on files in a folder whose owner attacks it all the while."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.writer import (
    Writing,
    open_target,
    write_target,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files import replace
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.copy import copy_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import Access
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import locate

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from attacker import KINDS, UID, Arena, Attacker

# For each act and each kind of attack.
ROUNDS = 100


@pytest.fixture
def arena(as_root):
    with Arena() as arena:
        yield arena


def edit_file(arena, number):
    with open_target(str(arena.file), lock=True) as target:
        edited = edit(target.data, {"S3_BUCKET": f"bucket-{number}"}).after.data
        write_target(target, edited, Writing(Access()))


def edit_with_backup(arena, number):
    with open_target(str(arena.file), lock=True) as target:
        edited = edit(target.data, {"S3_BUCKET": f"bucket-{number}"}).after.data
        write_target(target, edited, Writing(Access(), backup=True))


def give(arena, _number):
    with open_target(str(arena.file), lock=True) as target:
        write_target(target, target.data, Writing(Access(uid=UID, gid=UID, mode=0o644)))


def write_in_place(arena, number):
    with locate(str(arena.file)) as place, place.open() as file:
        held = file.read(1000)
        replace.write_in_place(file, held, b"S3_BUCKET=bucket-%d\n" % number)


def copy_out(arena, _number):
    copy_file(str(arena.file), str(arena.state / "env"), 1 << 20)


def put_back(arena, number):
    (arena.state / "env").write_bytes(b"S3_BUCKET=bucket-%d\n" % number)
    copy_file(str(arena.state / "env"), str(arena.file), 1 << 20)


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (act, kind)
        for act in (edit_file, edit_with_backup, write_in_place, give, copy_out, put_back)
        for kind in KINDS
        # These two make nothing in the attacker's folder.
        if kind != "temporary" or act not in (copy_out, write_in_place)
    ],
)
def test_the_owner_of_the_folder_wins_nothing(arena, act, kind):
    done = refused = 0
    with Attacker(arena, kind) as attacker:
        for number in range(ROUNDS):
            try:
                act(arena, number)
                done += 1
            except (FileError, DotenvError):
                refused += 1
    assert arena.harm() == []
    assert attacker.swaps > 0
    assert done + refused == ROUNDS


def careless_edit(arena, number):
    temporary = arena.folder / ".env.tmp"
    temporary.unlink(missing_ok=True)
    with temporary.open("wb") as stream:
        stream.write(b"S3_BUCKET=bucket-%d\n" % number)
        os.fsync(stream.fileno())
    status = arena.file.stat()
    os.chown(temporary, status.st_uid, status.st_gid)
    temporary.rename(arena.file)


def careless_copy(arena, _number):
    # Else a FIFO would keep it waiting for ever.
    with open(os.open(arena.file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        (arena.state / "env").write_bytes(stream.read())


@pytest.mark.parametrize("kind", KINDS)
def test_the_attack_succeeds_where_root_is_careless(arena, kind):
    """So that the test above can fail."""
    act = careless_edit if kind == "temporary" else careless_copy
    end = time.monotonic() + 30
    with Attacker(arena, kind):
        number = 0
        while not (harm := arena.harm()) and time.monotonic() < end:
            number += 1
            try:
                act(arena, number)
            except OSError:
                continue
    assert harm
