# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that look at a background run, carried out by a real shell."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import Snapshot, register
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._job_status import (
    BackgroundJob,
    cleanup_command,
    parsed_status,
    status_command,
)


def shell(command):
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout


def status(target):
    return parsed_status(shell(status_command(target)), target)


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "a sync's" / "token"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "j1.2").write_text('{"started": 1, "finished": 0, "ansible_job_id": "j1.2"}')
    return BackgroundJob(job_file=str(folder / "j1.2"))


def test_the_status_of_a_run(job, tmp_path):
    first = status(job)
    assert (first.unfinished, first.alive, first.job, first.snapshot) == (True, None, job, None)
    assert os.stat(job.folder).st_mode & 0o777 == 0o700
    progress = tmp_path / "it's.progress"
    register(job.folder, str(progress))
    known = status(job).job
    assert known == BackgroundJob(job.job_file, os.getpid(), str(progress))
    assert status(known).alive is True
    snapshot = Snapshot(os.getpid(), seconds=3.5, done_files=7)
    progress.write_text(snapshot.as_line())
    assert status(known).snapshot == snapshot
    with open(job.job_file, "w", encoding="utf-8") as file:
        file.write('{"changed": true, "failures": [{"error": "\\"started\\": "}]}')
    assert status(known).unfinished is False


def test_the_status_of_a_process_that_has_ended(job):
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    assert status(BackgroundJob(job.job_file, process.pid, "/nonexistent")).alive is False


def test_output_of_the_login_shell_is_ignored(job):
    assert parsed_status("Welcome!\n" + shell(status_command(job)), job).unfinished is True


@pytest.mark.parametrize("output", ["", "Connection to host closed.\n"])
def test_invalid_output(job, output):
    assert parsed_status(output, job) is None


def test_a_truncated_file_is_ignored(job, tmp_path):
    (tmp_path / "p").write_text('{"process": 12, "seco')
    assert status(BackgroundJob("", os.getpid(), str(tmp_path / "p"))).snapshot is None


def test_only_own_and_stale_jobs_are_removed(job, tmp_path):
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
    shell(cleanup_command(job))
    assert {path.name for path in siblings.iterdir()} == {"fetched soon", "running"}
    assert (tmp_path / "j7.8").exists()
