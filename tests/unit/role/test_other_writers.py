# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the switch begins while a tootctl runs: a real process, whose program is a copy of sleep."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time

import pytest

pytestmark = pytest.mark.slow
SWITCH = ("role", "--tags", "mastodon_s3_quiesce")
REFUSED = "would go on writing and deleting media on the disk after the switch"


@pytest.fixture
def tootctl(server):
    """Start a process that looks like tootctl."""
    ruby = server.folder / "ruby3.1"
    shutil.copy(os.path.realpath("/bin/sleep"), ruby)
    started = []

    def start():
        process = subprocess.Popen(["ruby", "600", "0"], executable=ruby, cwd=server.live)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_switch_is_refused_while_tootctl_runs(server, tootctl):
    process = tootctl()
    code, said = server.run(*SWITCH, mastodon_s3_other_writers_timeout=0)
    assert code != 0
    assert REFUSED in said
    assert f"ruby 600 0 (process {process.pid} of " in said
    assert not (server.state / "social-media.switch.json").exists()


def test_the_switch_waits_for_tootctl(server, tootctl):
    process = tootctl()
    log = server.folder / "log"
    server.environment["ANSIBLE_LOG_PATH"] = str(log)

    def end_it_while_the_play_waits():
        while process.poll() is None and "RETRYING: " not in (log.read_text(encoding="utf-8") if log.exists() else ""):
            time.sleep(0.1)
        process.terminate()

    thread = threading.Thread(target=end_it_while_the_play_waits)
    thread.start()
    code, said = server.run(*SWITCH, mastodon_s3_other_writers_timeout=120)
    process.kill()
    thread.join()
    assert "RETRYING: " in said
    assert REFUSED not in said
    # It goes on, and fails later, since there is no store
    assert code != 0
    assert "Switch | Let Sidekiq finish its jobs" in said
