# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import names as under_test


def test_names_can_not_be_guessed_and_are_left_out_of_a_sync():
    one, other = (under_test.Names("media/accounts/", "media/backups/") for _time in range(2))
    assert one.public("acl") != other.public("acl")
    assert re.fullmatch(
        r"media/accounts/\.fediverse-mastodon-s3-probe/[0-9a-f]{16}\.\d+\.\d+\.[0-9a-f]{32}\.acl", one.public("acl")
    )
    assert one.private("acl").startswith("media/backups/.fediverse-mastodon-s3-probe/")
    assert one.folders == (
        "media/accounts/.fediverse-mastodon-s3-probe/",
        "media/backups/.fediverse-mastodon-s3-probe/",
    )


def test_a_probe_that_runs_keeps_its_objects():
    key = under_test.Names("accounts/", "backups/").public("acl")
    assert under_test.is_abandoned(key, 10) is False
    assert under_test.is_abandoned(key, 3601) is True


def test_the_objects_of_a_process_that_is_gone_are_abandoned_at_once():
    code = f"from {under_test.__name__} import Names; print(Names('accounts/', 'backups/').public('acl'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    key = done.stdout.strip()
    assert under_test.is_abandoned(key, 0) is True
    # Another process of the same number is not the one that wrote it.
    host, _pid, birth, rest = key.rpartition("/")[2].split(".", 3)
    assert under_test.is_abandoned(f"a/{host}.{os.getpid()}.{birth}.{rest}", 0) is True
    # Of other hosts nothing is known.
    elsewhere = f"a/{'0' * 16}.{os.getpid()}.{birth}.{rest}"
    assert under_test.is_abandoned(elsewhere, 3600) is False
    assert under_test.is_abandoned(elsewhere, 3601) is True


@pytest.mark.parametrize("name", ["", "avatar.png", "0.1.2.3.acl", f"{'0' * 16}.1.2.{'0' * 31}.acl"])
def test_what_is_not_a_probes_is_left_alone(name):
    assert under_test.is_abandoned(f"accounts/.fediverse-mastodon-s3-probe/{name}", 10**9) is False


def test_a_process_whose_name_looks_like_the_end_of_a_name_is_known():
    code = (
        "import sys; open('/proc/self/comm', 'w').write('a) b (c'); "
        f"from {under_test.__name__} import Names; "
        "print(Names('accounts/', 'backups/').public('acl'), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as own:
        key = own.stdout.readline().strip()
        with open(f"/proc/{own.pid}/stat", encoding="utf-8") as stream:
            fields = stream.read().partition("(a) b (c) ")[2].split()
        assert key.split(".")[3] == fields[19], "the 22nd field of proc(5)"
        assert under_test.is_abandoned(key, 0) is False
        own.stdin.close()
    assert under_test.is_abandoned(key, 0) is True
