# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import UnsupportedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.mounts import check_kind, parse, places
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mountinfo import Mount

LINES = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /srv rw shared:2 master:3 - xfs /dev/sdb rw
31 30 8:3 /sub /srv/media rw - ext4 /dev/sdc rw
32 30 8:4 / /srv/media-old rw - ext4 /dev/sdd rw
33 31 8:5 / /srv/media/a\040b rw - btrfs /dev/sde rw
34 33 8:6 / /srv/media/a\040b/c rw - nfs4 host:/c rw
short line
""".splitlines(keepends=True)


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        (b"/srv/media", [31, 33, 34]),
        (b"/srv/media/", [31, 33, 34]),
        (b"/srv/media/a", [31]),
        (b"/srv/media/a b/c/d", [34]),
        (b"/srv/med", [30]),
        (b"/", [22, 30, 31, 32, 33, 34]),
        (b"/home", [22]),
    ],
)
def test_what_is_mounted_at_and_below_a_path(path, numbers):
    assert [mount.number for mount in parse(LINES, path)] == numbers


def test_a_mount_above_another_at_the_same_place_counts():
    again = [*LINES, b"40 31 8:9 / /srv/media rw - tmpfs tmpfs rw\n"]
    assert parse(again, b"/srv/media")[0] == Mount(40, "8:9", b"/", b"/srv/media", "tmpfs")


def test_places_do_not_depend_on_the_namespace():
    assert places(parse(LINES, b"/srv/media")[:2]) == [["8:3", "/sub", "/srv/media"], ["8:5", "/", "/srv/media/a b"]]


@pytest.mark.parametrize("kind", ["nfs4", "overlay", "fuse.sshfs", "zfs", "proc"])
def test_other_file_systems_are_refused(kind):
    with pytest.raises(UnsupportedError, match=f"/srv can't be followed: its file system is {kind}"):
        check_kind(Mount(1, "8:1", b"/", b"/srv", kind))
