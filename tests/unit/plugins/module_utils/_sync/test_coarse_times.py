# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real file systems, some of which know the time of a file in whole seconds only."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import stamps
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
MAKERS = {
    "ext4 in whole seconds": ["mkfs.ext4", "-q", "-I", "128"],
    "ext4": ["mkfs.ext4", "-q", "-I", "256"],
    "tmpfs": [],
}
if shutil.which("mkfs.xfs"):
    MAKERS["xfs"] = ["mkfs.xfs", "-q"]


@pytest.fixture(params=MAKERS)
def kind(request):
    return request.param


@pytest.fixture
def mounted(world, tmp_path, kind):
    """The world's tree, on a file system of its own."""
    if MAKERS[kind]:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate((320 if kind == "xfs" else 16) * 1024 * 1024)
        subprocess.run([*MAKERS[kind], image], check=True, stderr=subprocess.DEVNULL)
        command = ["mount", "-o", "loop", image, world.src]
    else:
        command = ["mount", "-t", "tmpfs", "tmpfs", world.src]
    subprocess.run(command, check=True)
    yield world
    subprocess.run(["umount", world.src], check=True)


def wait_for_the_first_half_of_a_second():
    time.sleep(1 - time.time() % 1 + 0.1)


def test_how_exact_times_are_is_found_out(mounted, kind):
    mounted.write("accounts/a.png")
    source = Source(str(mounted.src))
    coarse = stamps.COARSE_NS if kind == "ext4 in whole seconds" else 0
    assert source.lag_ns() == stamps._LAG_NS + coarse
    source.close()


@pytest.mark.parametrize("below", ["", "cache"])
def test_a_file_that_the_last_walk_had_passed_is_sent_after_the_switch(mounted, below, done):
    late = f"{below or 'accounts'}/a.png"

    def hook(operation, key):
        if operation == "PutObject" and key.endswith("z.png"):
            mounted.write(late, b"late")

    mounted.write(f"{below or 'accounts'}/b.png")
    mounted.write("media_attachments/z.png")
    wait_for_the_first_half_of_a_second()
    time.sleep(0.3)
    mounted.s3.hook = hook
    assert mounted.sync().complete
    assert late not in mounted.s3.objects
    assert done(mounted.sync(source_of_truth="bucket")) == {"upload": 1}
    assert mounted.s3.objects[late].body == b"late"


def test_a_file_that_is_written_again_within_the_same_tick_is_sent_again(mounted):
    path = mounted.write("accounts/a.png", b"first")
    wait_for_the_first_half_of_a_second()
    for number in range(5):
        mounted.write("accounts/a.png", b"%05d" % number)
        before = path.stat()
        assert mounted.sync().complete
        mounted.write("accounts/a.png", b"%05d" % (number + 90000))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        assert mounted.sync().complete
        assert mounted.s3.objects["accounts/a.png"].body == b"%05d" % (number + 90000)


def test_what_has_settled_costs_nothing(mounted):
    mounted.write("accounts/a.png")
    assert mounted.sync().complete
    time.sleep(2.2)
    assert mounted.sync().complete  # reads it once more where that is needed
    mounted.s3.calls.clear()
    assert mounted.sync().complete
    assert mounted.s3.calls == []
    assert mounted.rows()["accounts/a.png"].ctime_ns == (mounted.src / "accounts/a.png").stat().st_ctime_ns
