# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that look at a background run, carried out by a real shell."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import Snapshot, introduce
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._sight import (
    Target,
    look_command,
    sight,
    sweep_command,
)


def shell(command):
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout


def look(target):
    return sight(shell(look_command(target)), target)


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "a sync's" / "token"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "j1.2").write_text('{"started": 1, "finished": 0, "ansible_job_id": "j1.2"}')
    return Target(job_file=str(folder / "j1.2"))


def test_a_run_is_seen_from_its_start_to_its_end(job, tmp_path):
    first = look(job)
    assert (first.unfinished, first.alive, first.target, first.snapshot) == (True, None, job, None)
    assert os.stat(job.folder).st_mode & 0o777 == 0o700
    progress = tmp_path / "it's.progress"
    introduce(job.folder, str(progress))
    known = look(job).target
    assert known == Target(job.job_file, os.getpid(), str(progress))
    assert look(known).alive is True
    snapshot = Snapshot(os.getpid(), seconds=3.5, done_files=7)
    progress.write_text(snapshot.as_line())
    assert look(known).snapshot == snapshot
    with open(job.job_file, "w", encoding="utf-8") as file:
        file.write('{"changed": true, "failures": [{"error": "\\"started\\": "}]}')
    assert look(known).unfinished is False


def test_a_process_that_is_gone_is_seen(job):
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    assert look(Target(job.job_file, process.pid, "/nonexistent")).alive is False


def test_what_a_login_prints_first_does_no_harm(job):
    assert sight("Welcome!\n" + shell(look_command(job)), job).unfinished is True


@pytest.mark.parametrize("output", ["", "Connection to host closed.\n"])
def test_an_answer_that_is_none(job, output):
    assert sight(output, job) is None


def test_half_a_file_is_no_figure(job, tmp_path):
    (tmp_path / "p").write_text('{"process": 12, "seco')
    assert look(Target("", os.getpid(), str(tmp_path / "p"))).snapshot is None


def test_own_and_stale_jobs_are_removed_and_no_others(job, tmp_path):
    siblings = tmp_path / "a sync's"
    days = 24 * 3600
    cases = {
        "fetched soon": ('{"changed": true}', 0.5),
        "forgotten": ('{"changed": true}', 2.1),
        "running": ('{"started": true, "finished": false}', 3),
        "died long ago": ('{"started": true, "finished": false}', 17),
    }
    for name, (content, age) in cases.items():
        (siblings / name).mkdir()
        (siblings / name / "j5.6").write_text(content)
        for path in (siblings / name / "j5.6", siblings / name):
            os.utime(path, (time.time() - age * days,) * 2)
    (tmp_path / "j7.8").write_text("{}")
    os.utime(tmp_path / "j7.8", (0, 0))
    shell(sweep_command(job))
    assert {path.name for path in siblings.iterdir()} == {"fetched soon", "running"}
    assert (tmp_path / "j7.8").exists()
