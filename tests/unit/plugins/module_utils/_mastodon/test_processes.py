# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes are the instance's, which are older than the edit, and which use other settings."""

from __future__ import annotations

import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import processes as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.proof import (
    DISPROVEN,
    NOT_PROVEN,
    PROVEN,
    judge,
)

NAMES = ("S3_ENABLED", "S3_BUCKET", "S3_PERMISSION", "S3_ALIAS_HOST", "AWS_SECRET_ACCESS_KEY")
SECRET = "hidden-in-plain-sight"
FILE = {"LOCAL_DOMAIN": "social.example", "S3_ENABLED": "true", "S3_BUCKET": "media", "S3_PERMISSION": ""}
PUMA = "puma 6.4.2 (tcp://127.0.0.1:3000) [live]"
WORKER = "puma: cluster worker 0: 100 [live]"
SIDEKIQ = "sidekiq 7.3.9 live [0 of 25 busy]"


class FakeHost:
    """A simulated /proc, and one instance on disk."""

    def __init__(self, folder):
        self.proc = folder / "proc"
        self.live = folder / "live"
        self.live.mkdir()
        self.env_file = self.live / ".env.production"
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in FILE.items()))
        self.write("sys/kernel/random/boot_id", "the-first-boot\n")
        self.write("sys/kernel/randomize_va_space", "2\n")

    def write(self, path, content):
        path = self.proc / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, pid, title, *, started=500, cwd=None, program="a", container=False, env=None, raw_env=None):
        variables = {"PATH": "/usr/bin", **(env or {})}
        self.write(f"{pid}/cmdline", title.replace(" -- ", "\0") + "\0\0\0")
        self.write(f"{pid}/stat", f"{pid} (a ) b) S " + " ".join(["0"] * 18) + f" {started} 0 0\n")
        self.write(f"{pid}/status", f"Name:\tx\nNSpid:\t{pid}" + ("\t7" if container else "") + "\n")
        self.write(f"{pid}/auxv", program)
        data = "".join(f"{name}={value}\0" for name, value in variables.items())
        self.write(f"{pid}/environ", data if raw_env is None else raw_env)
        (self.proc / str(pid) / "ns").mkdir()
        (self.proc / str(pid) / "ns" / "pid").symlink_to(f"pid:[{7 if container else 1}]")
        (self.proc / str(pid) / "cwd").symlink_to(cwd or self.live)

    def found(self, **more):
        instance = under_test.Instance(str(self.live), str(self.env_file), "social.example", **more)
        return under_test.of_instance(instance, str(self.proc))

    def moment(self, ticks=400, programs=(), boot_id="the-first-boot"):
        return under_test.Moment(boot_id, ticks, tuple(programs))

    def judged(self, moment, names=NAMES, wanted=None):
        aged = [(one, under_test.is_newer(one, moment, "the-first-boot")) for one in self.found()[0]]
        return judge(aged, FILE if wanted is None else wanted, names, str(self.env_file))


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ([PUMA], "web"),
        ([WORKER], "web"),
        ([SIDEKIQ + " stopping"], "sidekiq"),
        (["/usr/bin/ruby3.1", "/usr/bin/bundle", "exec", "puma", "-C", "config/puma.rb"], "web"),
        (["ruby", "/opt/x/bin/sidekiq", "-c", "25"], "sidekiq"),
        (["ruby", "bin/rails", "s", "-p", "3000"], "web"),
        (["ruby-3.4", "--yjit", "-W0", "-Ilib", "-rset", "bin/bundle", "exec", "puma"], "web"),
        (["ruby", "bin/rails", "console"], ""),
        (["docker", "compose", "up", "puma", "sidekiq"], ""),
        (["vi", "config/puma.rb"], ""),
        (["/bin/sh", "-c", "bundle exec puma"], ""),
        (["pumactl", "status"], ""),
        (["sidekiqmon"], ""),
        ([], ""),
    ],
)
def test_kinds_of_processes(words, kind):
    assert under_test.kind_of(words) == kind


def test_processes_of_another_instance_are_not_included(host, tmp_path):
    (tmp_path / "other").mkdir()
    host.run(100, PUMA)
    host.run(101, SIDEKIQ, cwd=tmp_path / "other")
    host.run(102, SIDEKIQ, cwd="/opt/mastodon", container=True, env={"LOCAL_DOMAIN": "another.example"})
    host.run(103, SIDEKIQ, cwd="/opt/mastodon", container=True, env={"LOCAL_DOMAIN": "social.example"})
    host.run(104, "bash -- -c -- sleep")
    found, others = host.found()
    assert [one.pid for one in found] == [100, 103]
    assert others == 2


def test_a_process_of_a_unit_is_included_if_its_folder_is_unreadable(host, tmp_path):
    host.run(100, PUMA, cwd=tmp_path / "gone")
    assert host.found()[0] == []
    assert [one.pid for one in host.found(pids=frozenset([100]))[0]] == [100]


def test_new_processes_are_proof(host):
    host.run(100, PUMA, program="b")
    host.run(101, SIDEKIQ, program="c")
    found = host.judged(host.moment(programs=["old"]))
    assert (found.verdict, found.faults, found.doubts) == (PROVEN, (), ())


def test_a_process_from_before_the_edit_is_a_fault(host):
    host.run(100, PUMA, started=300)
    host.run(101, SIDEKIQ, program="c")
    programs = [one.program for one in host.found()[0] if one.pid == 100]
    found = host.judged(host.moment(programs=programs))
    assert found.verdict == DISPROVEN
    assert "web (process 100) still running with the settings from before" in found.faults[0]
    assert "Sidekiq" not in found.faults[0]


def test_a_reloaded_puma_is_new_although_its_pid_is_the_same(host):
    host.run(100, PUMA, started=300, program="after its exec")
    host.run(101, SIDEKIQ, program="c")
    assert host.judged(host.moment(programs=["before it"])).verdict == PROVEN


def test_a_worker_that_an_old_puma_forks_is_old(host):
    host.run(100, PUMA, started=300)
    before = [one.program for one in host.found()[0]]
    host.run(102, WORKER, started=600)
    host.run(101, SIDEKIQ, program="c")
    found = host.judged(host.moment(programs=before))
    assert "web (process 100, 102) still run" in found.faults[0]


def test_a_process_that_was_booting_at_the_edit_is_old(host):
    host.run(99, SIDEKIQ, program="old")
    host.run(100, "ruby -- bin/start-the-site", program="booting")
    moment = under_test.now(str(host.proc))
    host.write("100/cmdline", PUMA + "\0")
    host.run(101, SIDEKIQ, started=moment.ticks + 1, program="b")
    found = host.judged(moment)
    assert found.verdict == DISPROVEN
    assert "web (process 100)" in found.faults[0]


def test_a_process_in_the_folder_of_an_older_release_is_included(host, tmp_path):
    release = tmp_path / "release-1"
    release.mkdir()
    (release / ".env.production").symlink_to(host.env_file)
    host.run(100, PUMA, program="b")
    host.run(101, SIDEKIQ, program="old", cwd=release)
    assert [one.pid for one in host.found()[0]] == [100, 101]


def test_a_process_of_another_rails_environment_reads_another_file(host):
    host.run(100, PUMA, program="b", env={"RAILS_ENV": "staging"})
    host.run(101, SIDEKIQ, program="c", env={"RAILS_ENV": "production"})
    found = host.judged(host.moment(programs=["old"]))
    assert found.verdict == DISPROVEN
    assert "RAILS_ENV=staging is in the environment of web (process 100)" in found.faults[0]


def test_without_random_addresses_the_start_time_decides(host):
    host.write("sys/kernel/randomize_va_space", "0\n")
    host.run(100, PUMA, started=300)
    host.run(101, SIDEKIQ, started=500)
    found = host.judged(host.moment())
    assert found.verdict == DISPROVEN
    assert "process 101" not in found.faults[0]


def test_after_a_reboot_everything_is_new(host):
    host.run(100, PUMA, started=3)
    host.run(101, SIDEKIQ, started=4, program="c")
    assert host.judged(host.moment(boot_id="the boot before")).verdict == PROVEN


def test_not_proven_without_a_moment_or_a_process(host):
    host.run(100, PUMA)
    found = host.judged(None)
    assert found.verdict == NOT_PROVEN
    assert "not known whether web (process 100) started before or after" in found.doubts[0]
    assert "No Sidekiq process" in found.doubts[1]


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"S3_ENABLED": "false"}, "S3_ENABLED=false is in the environment"),
        ({"S3_BUCKET": "'media'"}, "S3_BUCKET='media' is in the environment"),
        ({"S3_ALIAS_HOST": "old.example"}, "does not set it"),
        ({"S3_PERMISSION": "public-read"}, "S3_PERMISSION=public-read is in"),
    ],
)
def test_a_variable_that_overrides_the_file_is_a_fault(host, env, says):
    host.run(100, PUMA, env=env)
    host.run(101, SIDEKIQ, program="c")
    found = host.judged(host.moment())
    assert found.verdict == DISPROVEN
    assert says in found.faults[0]
    assert "web (process 100)" in found.faults[0]


def test_a_different_secret_is_a_fault_but_not_shown(host):
    host.run(100, PUMA, env={"AWS_SECRET_ACCESS_KEY": SECRET})
    host.run(101, SIDEKIQ, program="c")
    for wanted in (FILE, {**FILE, "AWS_SECRET_ACCESS_KEY": "another"}):
        found = host.judged(host.moment(), wanted=wanted)
        assert "AWS_SECRET_ACCESS_KEY is in the environment" in found.faults[0]
        assert SECRET not in str(found)


def test_equal_and_unknown_values_are_not_faults(host):
    host.run(100, PUMA, env={"S3_ENABLED": "true", "S3_BUCKET": "whatever it expands to"})
    host.run(101, SIDEKIQ, program="c")
    assert host.judged(host.moment(), wanted={**FILE, "S3_BUCKET": None}).verdict == PROVEN


def container(host, pid, title, **env):
    variables = {"LOCAL_DOMAIN": "social.example", **env}
    host.run(pid, title, cwd="/opt/mastodon", container=True, env=variables, program=str(pid))


def test_a_container_that_was_only_restarted_lacks_the_variables(host):
    container(host, 100, PUMA)
    container(host, 101, SIDEKIQ, S3_ENABLED="true", S3_BUCKET="media", S3_PERMISSION="")
    found = host.judged(host.moment())
    assert found.verdict == DISPROVEN
    assert found.faults[0].startswith("S3_ENABLED, S3_BUCKET, S3_PERMISSION of ")
    assert "web (process 100)" in found.faults[0]
    assert "--force-recreate" in found.faults[0]
    assert len(found.faults) == 1


def test_a_recreated_container_is_proof(host):
    for pid, title in ((100, PUMA), (101, SIDEKIQ)):
        container(host, pid, title, S3_ENABLED="true", S3_BUCKET="media", S3_PERMISSION="")
    assert host.judged(host.moment()).verdict == PROVEN


def test_a_container_with_the_env_file_needs_no_variables(host, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    os.link(host.env_file, inside / ".env.production")
    for pid, title in ((100, PUMA), (101, SIDEKIQ)):
        host.run(pid, title, cwd=inside, container=True, program=str(pid))
    assert host.judged(host.moment()).verdict == PROVEN
    # A file that was mounted alone stays what it was when another one takes its name.
    (inside / ".env.production").unlink()
    (inside / ".env.production").write_text("LOCAL_DOMAIN=social.example\n")
    assert host.found() == ([], 2)


def test_the_environment_of_a_worker_is_used_if_a_title_overwrote_it(host):
    host.run(100, PUMA, raw_env=b"ng and long title [live]\0\0\0\0")
    host.run(101, SIDEKIQ, program="c")
    found = host.judged(host.moment())
    assert found.verdict == NOT_PROVEN
    assert "environment of web (process 100) can't be read" in found.doubts[0]
    host.run(102, WORKER, env={"S3_ENABLED": "false"})
    found = host.judged(host.moment())
    assert "web (process 100, 102)" in found.faults[0]


def test_the_moment_of_this_host():
    before, after = under_test.now(), under_test.now()
    assert before.boot_id == after.boot_id != ""
    assert 0 < before.ticks <= after.ticks


def test_processes_from_before_a_reverted_edit_need_no_restart(host):
    host.run(100, PUMA, started=300)
    image = host.found()[0][0].program
    before_edit, after = host.moment(ticks=310, programs=[image]), host.moment(ticks=400, programs=[image])
    process = host.found()[0][0]
    assert under_test.is_newer(process, after, "the-first-boot") is False
    assert under_test.is_newer(process, after, "the-first-boot", before_reverted_edit=before_edit) is True
    host.run(101, SIDEKIQ, started=350, program="read the edited file")
    sidekiq = host.found()[0][1]
    after = host.moment(ticks=400, programs=[image, sidekiq.program])
    assert under_test.is_newer(sidekiq, after, "the-first-boot", before_reverted_edit=before_edit) is False
