# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services behind a switch, with a systemctl that notes what it is told, and real processes."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration import lock, outcome
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.store import StateError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch import services as module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.model import Settings, SwitchError

# On the signal, this process finishes the job that it still has.
SIDEKIQ = """
trap 'sleep 0.6; printf done > "$0"; exit' TSTP
echo ready
while :; do sleep 0.05; done
"""


class Systemctl:
    """What systemctl was told, and what it answers.

    Attributes:
        told: The commands but `show`.
        units: Properties by unit.
        after: Called after each command but `show`.
    """

    def __init__(self):
        self.told = []
        self.units = {}
        self.after = lambda words: None

    def __call__(self, command):
        if command[1] == "show":
            names = [word for word in command if word.endswith(".service")]
            return 0, "\n\n".join(self._shown(name) for name in names), ""
        self.told.append(" ".join(command[1:]))
        self.after(command)
        return 0, "", ""

    def _shown(self, name):
        usual = {"Id": name, "LoadState": "loaded", "ActiveState": "active", "MainPID": "0", "TimeoutStopUSec": "15s"}
        return "\n".join(f"{key}={value}" for key, value in {**usual, **self.units.get(name, {})}.items())


def services(run, **given):
    text = ("state_dir", "bucket", "key_prefix", "root", "env_file", "domain", "restart_command", "web_socket")
    units = {"web_units": ("web.service",), "sidekiq_units": ("sidekiq.service",)}
    settings = {**dict.fromkeys(text, ""), **units, "exposure": "acl", "web_url": "http://127.0.0.1:1"}
    return module.Services(Settings(**{**settings, "quiesce_timeout": 5, "health_timeout": 1, **given}), run)


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_DROP_INS", str(tmp_path / "units"))
    monkeypatch.setattr(module, "_ENOUGH_SECONDS_UP", 0.1)
    return Systemctl()


@contextlib.contextmanager
def process(script, *arguments, name="bash"):
    started = subprocess.Popen(
        [name, "-c", script, *arguments], executable="/bin/bash", stdout=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


def test_the_jobs_of_sidekiq_are_awaited(systemctl, tmp_path):
    with process(SIDEKIQ, str(tmp_path / "done"), name="sidekiq 7.3 live [1 of 5 busy]") as sidekiq:
        assert sidekiq.stdout.readline() == "ready\n"
        # The child has to be collected, or its title would stay.
        threading.Thread(target=sidekiq.wait, daemon=True).start()
        systemctl.units["sidekiq.service"] = {"MainPID": str(sidekiq.pid)}
        services(systemctl).quiet_sidekiq()
        assert (tmp_path / "done").read_text() == "done"


def test_a_wrapper_of_sidekiq_is_not_suspended(systemctl):
    with process("echo ready; sleep 60; :", name="/bin/wrapper") as wrapper:
        wrapper.stdout.readline()
        systemctl.units["sidekiq.service"] = {"MainPID": str(wrapper.pid)}
        services(systemctl).quiet_sidekiq()
        with open(f"/proc/{wrapper.pid}/stat", encoding="ascii") as file:
            assert file.read().split()[2] in "SR"


def test_a_short_stop_timeout_is_extended_until_sidekiq_runs_again(systemctl, tmp_path):
    found = services(systemctl)
    found.stop_sidekiq()
    drop_in = tmp_path / "units" / "sidekiq.service.d" / "50-mastodon-s3.conf"
    assert drop_in.read_text() == "[Service]\nTimeoutStopSec=40\n"
    assert systemctl.told == ["daemon-reload", "stop sidekiq.service"]
    found.start_sidekiq()
    assert not drop_in.exists()
    assert systemctl.told[2:] == ["start sidekiq.service", "daemon-reload"]


def test_a_long_stop_timeout_is_kept(systemctl, tmp_path):
    systemctl.units["sidekiq.service"] = {"TimeoutStopUSec": "1min 30s"}
    services(systemctl).stop_sidekiq()
    assert systemctl.told == ["stop sidekiq.service"]
    assert not (tmp_path / "units").exists()


def test_a_sidekiq_that_starts_again_and_again_is_found(systemctl):
    restarts = iter(range(10))
    usual = systemctl._shown
    systemctl._shown = lambda name: f"{usual(name)}\nNRestarts={next(restarts)}"
    with pytest.raises(SwitchError, match=r"sidekiq.service did not stay up; see journalctl -u web.service -u sidekiq"):
        services(systemctl).start_sidekiq()


def test_a_restart_of_web_ends_when_the_last_old_process_has(systemctl):
    with process("sleep 60; :") as web:
        threading.Thread(target=web.wait, daemon=True).start()
        systemctl.units["web.service"] = {"MainPID": str(web.pid)}
        systemctl.after = lambda words: threading.Timer(0.5, os.kill, (web.pid, signal.SIGKILL)).start()
        begin = time.monotonic()
        services(systemctl).restart_web()
        assert 0.4 < time.monotonic() - begin < 20
        assert systemctl.told == ["restart --no-block web.service"]
        with pytest.raises(ProcessLookupError):
            os.kill(web.pid, 0)


@contextlib.contextmanager
def web_server(statuses):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(next(statuses) if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_web_has_to_be_healthy(systemctl):
    with web_server(iter([503, 500, 200])) as url:
        services(systemctl, web_url=url, health_timeout=30).wait_for_web()
    with web_server(iter([503] * 20)) as url, pytest.raises(SwitchError, match=f"web does not answer at {url}/health"):
        services(systemctl, web_url=url).wait_for_web()


def test_a_failed_unit_is_not_awaited(systemctl):
    systemctl.units["web.service"] = {"ActiveState": "failed"}
    begin = time.monotonic()
    with pytest.raises(SwitchError, match=r"web.service failed; see journalctl"):
        services(systemctl, health_timeout=600).wait_for_web()
    assert time.monotonic() - begin < 60


def test_an_undo_restarts_units_that_failed_too_often(systemctl):
    with web_server(iter([200])) as url:
        services(systemctl, web_url=url).restart(web=True)
    both = "web.service sidekiq.service"
    assert systemctl.told[:2] == [f"reset-failed {both}", f"restart {both}"]


def test_a_command_that_fails_says_why():
    found = services(lambda command: (3, "", f"no {command}"), restart_command="restart 'all of it'")
    with pytest.raises(SwitchError, match=r"failed with status 3: no \['restart', 'all of it'\]"):
        found.restart_by_command()
    with pytest.raises(SwitchError, match="can't be split"):
        services(None, restart_command="restart 'all").restart_by_command()


def test_a_second_switch_waits_for_the_first(tmp_path):
    tmp_path.chmod(0o755)
    state = str(tmp_path / "state")
    assert not lock.wait_for_switch(state, "media", 1)
    with lock.switch_lock(state, "media", 1):
        assert not lock.wait_for_switch(state, "other", 1)
        with pytest.raises(StateError, match=r"still switching this instance on the host, .*media.switch.lock"):
            lock.wait_for_switch(state, "media", 0.3)
        with pytest.raises(StateError), lock.switch_lock(state, "media", 0.1):
            pass
    assert not lock.wait_for_switch(state, "media", 1)


def test_an_outcome_is_kept_until_it_was_seen(tmp_path):
    tmp_path.chmod(0o755)
    state = str(tmp_path / "state")
    assert outcome.read_outcome(state, "media") is None
    ended = outcome.Outcome(False, True, "no luck", outcome.now())
    outcome.write_outcome(state, "media", ended)
    assert outcome.read_outcome(state, "media") == ended
    assert (tmp_path / "state" / "media.switch-outcome.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "state" / "media.switch-outcome.json").write_text("[]")
    assert outcome.read_outcome(state, "media") is None
    outcome.remove_outcome(state, "media")
    outcome.remove_outcome(state, "media")
    assert os.listdir(state) == []
