# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes run an instance's code beside its services: real ones, and those of a simulated /proc."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import proc_files
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.other_writers import other_writers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.processes import Instance

TICKS = os.sysconf("SC_CLK_TCK")
UNITS = frozenset(["mastodon-web.service", "mastodon-sidekiq@1.service"])


class Host:
    """An instance, and real processes whose program has the name of an interpreter, but only sleeps."""

    def __init__(self, folder):
        self.folder = folder
        self.live = folder / "live"
        (self.live / "bin").mkdir(parents=True)
        self.env_file = self.live / ".env.production"
        self.env_file.write_text("LOCAL_DOMAIN=social.example\n", encoding="utf-8")
        self.processes = []

    def start(self, *words, program="ruby3.1", cwd=None, env=None):
        """Start a program with these arguments after its own name, and return its PID."""
        path = self.folder / "usr" / program
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            shutil.copy(os.path.realpath("/bin/bash"), path)
        # A shell that reads its commands from a pipe stays, whatever its arguments are
        command = ["ruby", "--norc", "-s", *words] if program != "bash" else ["bash", "--norc", "-s", *words]
        process = subprocess.Popen(
            command, executable=path, cwd=cwd or self.live, env=env or {}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.processes.append(process)
        # It answers as soon as it has been executed
        process.stdin.write(b"echo\n")
        process.stdin.flush()
        process.stdout.readline()
        return process.pid

    def instance(self, root=None, pids=()):
        return Instance(str(root or self.live), str(self.env_file), "social.example", frozenset(pids))

    def found(self, units=(), **options):
        return [each for each in other_writers(self.instance(**options), units) if each.pid in self.pids]

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    def close(self):
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    made.close()


def test_tootctl_is_found_wherever_it_was_started(host):
    elsewhere = host.folder / "elsewhere"
    elsewhere.mkdir()
    release = host.folder / "releases" / "1"
    release.mkdir(parents=True)
    (release / ".env.production").symlink_to(host.env_file)
    expected = [
        host.start("bin/tootctl", "media", "remove"),
        host.start("tootctl", cwd=host.live / "bin"),
        host.start(str(host.live / "bin" / "tootctl"), cwd=elsewhere),
        host.start("console", cwd=elsewhere, env={"BUNDLE_GEMFILE": str(host.live / "Gemfile")}),
        host.start("bin/rails", "runner", cwd=release),
    ]
    host.start("bin/tootctl", cwd=elsewhere)
    # A backup of the media is none of Mastodon's programs
    host.start("backup.rb", str(host.live / "public"), cwd=elsewhere)
    assert [each.pid for each in host.found()] == expected


def test_a_link_to_the_instance_is_the_instance(host):
    link = host.folder / "current"
    link.symlink_to(host.live)
    elsewhere = host.folder / "elsewhere"
    elsewhere.mkdir()
    expected = [
        host.start("bin/tootctl"),
        host.start(str(link / "bin" / "tootctl"), cwd=elsewhere),
        host.start(str(host.live / "bin" / "tootctl"), cwd=elsewhere),
    ]
    assert [each.pid for each in host.found(root=link)] == expected


def test_what_is_said_of_a_writer(host):
    begun = time.monotonic()
    pid = host.start("bin/tootctl", "AWS_SECRET_ACCESS_KEY=hidden-word", "a\x1b[31mb", "x" * 300)
    time.sleep(1.1)
    (found,) = host.found()
    assert found.pid == pid
    assert found.command.startswith("ruby --norc -s bin/tootctl AWS_SECRET_ACCESS_KEY=********")
    assert "\x1b" not in found.command
    assert len(found.command) < 210
    assert found.user == pwd.getpwuid(os.geteuid()).pw_name
    assert 1 <= found.seconds <= time.monotonic() - begun + 1
    assert found.in_container is False


def test_wrappers_streaming_and_other_programs_are_no_writers(host):
    host.start("cd live; RAILS_ENV=production bin/tootctl media remove", program="bash")
    host.start("./streaming", program="node")
    host.start("exec", "bin/prometheus_exporter")
    assert host.found() == []


def test_services_are_no_other_writers(host):
    pid = host.start("exec", "sidekiq", "-c", "25")
    # Without units, such as in a supervisor's care, all of these are services
    assert host.found() == []
    assert [each.pid for each in host.found(units=UNITS)] == [pid]
    tootctl = host.start("bin/tootctl")
    assert [each.pid for each in host.found()] == [tootctl]
    assert host.found(pids=[tootctl]) == []
    assert [each.pid for each in host.found(units=UNITS, pids=[pid])] == [tootctl]


def test_a_process_that_has_ended_is_none_even_before_its_parent_knows(host):
    pid = host.start("bin/tootctl")
    assert [each.pid for each in host.found()] == [pid]
    host.processes[0].kill()
    deadline = time.monotonic() + 10
    while not proc_files.has_ended(proc_files.read_text(f"/proc/{pid}/stat")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.path.exists(f"/proc/{pid}")
    assert host.found() == []


class FakeProc:
    """A simulated /proc, for what needs containers and control groups."""

    def __init__(self, folder):
        self.folder = folder / "proc"

    def run(self, pid, words, *, cwd, container=False, group="user.slice", env="", state="S", exe="/usr/bin/ruby"):
        folder = self.folder / str(pid)
        folder.mkdir(parents=True)
        ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS) - 90 * TICKS
        files = {
            "cmdline": "\0".join(words) + "\0",
            "stat": f"{pid} (a ) b) {state} " + " ".join(["0"] * 18) + f" {ticks} 0 0\n",
            "status": f"NSpid:\t{pid}" + ("\t7" if container else "") + "\n",
            "cgroup": f"0::/{group}\n",
            "environ": env,
        }
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        (folder / "cwd").symlink_to(cwd)
        if exe:
            (folder / "exe").symlink_to(exe)


def test_control_groups_and_containers(host, tmp_path):
    proc = FakeProc(tmp_path)
    tootctl = ["ruby", "bin/tootctl", "media"]
    proc.run(
        100, ["puma 6.4.2 (tcp://127.0.0.1:3000) [live]"], cwd=host.live, group="system.slice/mastodon-web.service"
    )
    slices = "system.slice/system-mastodon\\x2dsidekiq.slice/mastodon-sidekiq@1.service/inner"
    proc.run(101, ["sidekiq 7.3.9 live [0 of 25 busy]"], cwd=host.live, group=slices)
    proc.run(102, tootctl, cwd=host.live, group="system.slice/cleanup.service")
    proc.run(103, ["sidekiq 7.3.9 live [0 of 25 busy]"], cwd=host.live)
    # In containers: a service, a writer, and those of another instance
    proc.run(
        104,
        ["sidekiq 7.3.9 mastodon [0 of 25 busy]"],
        cwd="/opt/x",
        container=True,
        env="LOCAL_DOMAIN=social.example\0",
    )
    proc.run(105, tootctl, cwd="/opt/x", container=True, env="LOCAL_DOMAIN=social.example\0")
    proc.run(106, tootctl, cwd="/opt/x", container=True, env="LOCAL_DOMAIN=another.example\0")
    # A program that was replaced by an upgrade, and one that can't be read
    proc.run(107, tootctl, cwd=host.live, exe="/usr/bin/ruby3.1 (deleted)")
    proc.run(108, tootctl, cwd=host.live, exe="")
    proc.run(109, ["bash", "-c", "bin/tootctl"], cwd=host.live, exe="")
    # They end while they are read
    proc.run(110, tootctl, cwd=host.live, state="Z")
    proc.run(111, tootctl, cwd=host.live)
    (proc.folder / "111" / "stat").unlink()
    (proc.folder / "112").mkdir()
    found = other_writers(host.instance(), UNITS, str(proc.folder))
    assert [(each.pid, each.in_container, each.seconds // 10) for each in found] == [
        (102, False, 9),
        (103, False, 9),
        (105, True, 9),
        (107, False, 9),
        (108, False, 9),
    ]
    assert other_writers(host.instance(), UNITS, str(tmp_path / "nowhere")) == []
