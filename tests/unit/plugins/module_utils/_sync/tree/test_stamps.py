# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import stamps
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
MOUNTS = b"""\
21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 21 0:40 / /srv rw,relatime shared:2 - nfs4 server:/export rw
31 30 0:41 / /srv/with\\040space rw - xfs /dev/vdb rw
32 21 0:42 / /home rw - btrfs /dev/vdc rw,subvol=/home
33 21 0:43 / /home rw - fuse.sshfs other:/home rw
34 33 0:44 / /home/a/cache rw - ext4 /dev/vdd rw
35 33 0:45 / /home/a/cache rw - xfs /dev/vde rw
36 33 0:46 / /home/ab rw - ext3 /dev/vdf rw
odd
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/var/x", ["ext4"]),
        ("/srv/a", ["nfs4"]),
        ("/srvx/a", ["ext4"]),
        ("/srv/with space/a", ["xfs"]),
        ("/srv", ["nfs4", "xfs"]),
        ("/home/mastodon", ["fuse.sshfs"]),
        ("/home/a", ["fuse.sshfs", "xfs"]),
        ("/home/a/cache", ["xfs"]),
    ],
)
def test_which_file_systems_a_walk_crosses(path, kinds):
    mounts = list(stamps.mounts_of(path, MOUNTS))
    assert [kind for _point, kind in mounts] == kinds
    assert mounts[0][0] == path


@pytest.mark.parametrize(
    ("mounts", "fine", "lag"),
    [
        ([("/a", "ext4")], ["/a"], stamps._LAG_NS),
        ([("/a", "ext4")], [], stamps._LAG_NS + stamps.COARSE_NS),
        ([("/a", "xfs"), ("/a/cache", "ext3")], ["/a"], stamps._LAG_NS + stamps.COARSE_NS),
        ([("/a", "ext4"), ("/a/cache", "nfs4")], ["/a", "/a/cache"], stamps.REMOTE_NS),
        ([("/a", "fuseblk")], ["/a"], stamps.REMOTE_NS),
        ([("/a", "")], ["/a"], stamps.REMOTE_NS),
    ],
)
def test_the_worst_file_system_decides_how_far_times_lag(monkeypatch, mounts, fine, lag):
    monkeypatch.setattr(stamps, "mounts_of", lambda _path, _lines: iter(mounts))
    monkeypatch.setattr(stamps, "keeps_parts", lambda path: path in fine)
    assert stamps.lag_ns("/a") == lag


def test_parts_of_a_second_are_seen_by_any_of_the_first_times(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"")
    assert stamps.keeps_parts(str(tmp_path))
    monkeypatch.setattr(stamps, "_SECOND_NS", 1)
    assert not stamps.keeps_parts(str(tmp_path))
    assert not stamps.keeps_parts(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("lag", "ctime", "open_again"),
    [
        (stamps.TICK_NS, NOW + 1, True),
        (stamps.TICK_NS, NOW - stamps.TICK_NS + 1, True),
        (stamps.TICK_NS, NOW - stamps.TICK_NS - 1, False),
        (stamps.TICK_NS, NOW - 2 * SECOND, True),  # a whole second, so it may be a rounded one
        (stamps.TICK_NS, NOW - 3 * SECOND, False),
        (stamps.TICK_NS, NOW + 3600 * SECOND, False),  # what is written once more gets an earlier time
        (stamps.REMOTE_NS, NOW - 599 * SECOND + 1, True),
        (stamps.REMOTE_NS, NOW + 599 * SECOND + 1, True),
        (stamps.REMOTE_NS, NOW - 700 * SECOND + 1, False),
    ],
)
def test_a_file_that_may_be_written_again_within_the_tick_is_to_be_read_again(tmp_path, lag, ctime, open_again):
    source = Source(str(tmp_path))
    source._lag_ns = lag
    entry = Entry("a", 1, 2, ctime, 0o644)
    assert source.as_read(entry, NOW) == (entry._replace(ctime_ns=0) if open_again else entry)
    source.close()
