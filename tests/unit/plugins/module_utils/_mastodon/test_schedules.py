# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.schedules import Schedule, schedules

EXEC = "{{ path={0} ; argv[]={1} ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; status=0/0 }}"
TOOTCTL = "/usr/bin/bash -lc 'cd live && bin/tootctl media remove'"
LIST = "mastodon-clean.timer loaded active waiting Cleans\napt-daily.timer loaded active waiting Daily\n"
TIMERS = "Id=mastodon-clean.timer\nUnit=mastodon-clean.service\n\nId=apt-daily.timer\nUnit=apt-daily.service\n"
SERVICES = (
    f"Id=apt-daily.service\nExecStart={EXEC.format('/usr/lib/apt/apt.systemd.daily', 'apt update')}\n\n"
    f"Id=mastodon-clean.service\nExecStart={EXEC.format('/usr/bin/true', '/usr/bin/true')}\n"
    f"ExecStart={EXEC.format('/usr/bin/bash', TOOTCTL)}\n"
)


class Systemd:
    """Answers as systemctl does on a host with two timers."""

    def __init__(self, *, status=0):
        self.status = status

    def __call__(self, command):
        answers = {"list-units": LIST, "--property=Id,Unit": TIMERS, "--property=Id,ExecStart": SERVICES}
        return self.status, next(text for word, text in answers.items() if word in command), ""


def write(folder, path, text):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_timers_whose_service_runs_tootctl(tmp_path):
    (found,) = schedules(str(tmp_path), Systemd(), str(tmp_path))
    assert found.source == "mastodon-clean.timer"
    assert "bin/tootctl media remove" in found.command


def test_without_systemd_or_with_one_that_fails_there_are_no_timers(tmp_path):
    assert schedules(str(tmp_path), None, str(tmp_path)) == []
    assert schedules(str(tmp_path), Systemd(status=1), str(tmp_path)) == []


@pytest.mark.parametrize("spool", ["var/spool/cron/crontabs", "var/spool/cron"])
def test_crontabs_of_the_account_and_of_the_system(tmp_path, spool):
    account = pwd.getpwuid(os.geteuid()).pw_name
    own = write(
        tmp_path,
        f"{spool}/{account}",
        "# tootctl\n@daily cd live && DB_PASS=hidden bin/tootctl media remove # weekly\n",
    )
    write(tmp_path, f"{spool}/another", "@daily bin/tootctl media remove\n")
    system = write(
        tmp_path, "etc/cron.d/mastodon", "0 3 * * * mastodon /home/mastodon/live/bin/tootctl accounts prune\n"
    )
    write(tmp_path, "etc/crontab", "0 3 * * * root /usr/local/bin/notootctl-at-all\n17 * * * * root run-parts\n")
    found = schedules(str(tmp_path), None, str(tmp_path))
    assert found == [
        Schedule(system, "0 3 * * * mastodon /home/mastodon/live/bin/tootctl accounts prune"),
        Schedule(own, "@daily cd live && DB_PASS=******** bin/tootctl media remove # weekly"),
    ]
