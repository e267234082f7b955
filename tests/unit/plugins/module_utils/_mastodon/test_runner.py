# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runner with a service manager that is simulated here. Molecule runs it with systemd."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import runner as under_test

USER = pwd.getpwuid(os.geteuid()).pw_name
SECRET = "0123456789abcdefghij"
DOCUMENT = parse(f"S3_ENABLED=true\nAWS_SECRET_ACCESS_KEY={SECRET}\nSMTP_PASSWORD=root\n".encode())


class Systemd:
    """Answers systemctl. `start` calls `main` with the unit's settings, and `result` is what it says of its end."""

    def __init__(self, folder, name="mastodon-web.service"):
        self.live, self.units = folder / "live", folder / "units"
        (self.live / "bin").mkdir(parents=True)
        (self.live / "bin" / "rails").touch()
        self.units.mkdir()
        self.env_file = self.live / ".env.production"
        self.env_file.touch()
        self.fragment = folder / "web.service"
        self.fragment.write_text("[Service]\nExecStart=/a/bundle exec puma\n", encoding="utf-8")
        self.name = name
        self.user = USER
        self.calls = []
        self.result = "success"
        self.refusal = ""
        self.status = "0"
        self.main = lambda settings: None

    def __call__(self, command):
        verb, unit = command[1], command[-1]
        self.calls.append((verb, unit))
        if verb == "show" and unit == self.name:
            return 0, f"LoadState=loaded\nFragmentPath={self.fragment}\nDropInPaths=\nUser={self.user}\n", ""
        if verb == "show" and unit.startswith("mastodon-s3-"):
            return 0, f"Result={self.result}\nExecMainStatus={self.status}\n", ""
        if verb == "show":
            return 0, "LoadState=not-found\n", ""
        if verb == "start" and self.refusal:
            return 1, "", self.refusal + "\n"
        if verb == "start":
            lines = (self.units / unit).read_text(encoding="utf-8").splitlines()
            self.main(dict(line.split("=", 1) for line in lines if "=" in line))
            return int(self.result != "success"), "", ""
        return 0, "", ""


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    made = Systemd(tmp_path)
    monkeypatch.setattr(under_test, "FOLDER", str(tmp_path / "run"))
    monkeypatch.setattr(under_test, "UNITS", str(made.units))
    return made


def run(systemd, script="puts 1"):
    runner = under_test.MastodonRunner(systemd, systemd.name, str(systemd.live))
    return runner.run(script, str(systemd.env_file), DOCUMENT, 60)


def left(systemd):
    return [*systemd.units.iterdir(), *(systemd.live.parent / "run").iterdir()]


def test_the_code_gets_the_copy_and_nothing_is_left(systemd):
    seen = {}

    def main(settings):
        copy, _separator, place = settings["BindReadOnlyPaths"].partition(":")
        status = os.stat(copy)
        seen.update(place=place, data=Path(copy).read_bytes(), mode=stat.S_IMODE(status.st_mode), owner=status.st_uid)
        seen["folder"] = stat.S_IMODE(os.stat(os.path.dirname(copy)).st_mode)
        seen["script"] = Path(settings["StandardInput"].partition(":")[2]).read_text(encoding="utf-8")
        seen["unit"] = [stat.S_IMODE(path.stat().st_mode) for path in systemd.units.iterdir()]
        Path(settings["StandardOutput"].partition(":")[2]).write_text(
            '{"a": 0}\nlog\n{"a": 1}\nbye {\n', encoding="utf-8"
        )

    systemd.main = main
    ran = run(systemd)
    assert (ran.ended, ran.result, ran.errors) == ("success", {"a": 1}, "")
    assert seen == {
        "place": str(systemd.env_file),
        "data": DOCUMENT.data,
        "mode": 0o400,
        "owner": os.geteuid(),
        "folder": 0o700,
        "script": "puts 1",
        "unit": [0o600, 0o600],
    }
    assert left(systemd) == []
    assert [verb for verb, _unit in systemd.calls] == [
        *("show", "stop", "reset-failed", "start", "stop", "reset-failed"),
    ], "no reload of other units"


@pytest.mark.parametrize("result", ["timeout", "exit-code", "oom-kill"])
def test_a_failure_is_named_without_secrets(systemd, result):
    def main(settings):
        said = "x" * 70000 + f"\nkey {SECRET} at https://user:word@store/path?X-Amz-Signature=1 root\n\tfrom rails:1\n"
        Path(settings["StandardError"].partition(":")[2]).write_text(said, encoding="utf-8")
        Path(settings["StandardOutput"].partition(":")[2]).write_text(f'{{"key": ["{SECRET}"]}}', encoding="utf-8")

    systemd.main, systemd.result = main, result
    ran = run(systemd)
    assert ran.ended == result
    assert ran.errors.endswith("key ******** at https://store/*** root")
    assert len(ran.errors) <= 2000
    assert ran.result == {"key": ["********"]}
    assert left(systemd) == []


def test_what_a_killed_run_left_is_removed(systemd):
    word = "0123456789abcdef"
    (systemd.live.parent / "run").mkdir(mode=0o700)
    name = f"mastodon-s3-runner-{word}"
    for path in (
        systemd.units / f"{name}.service",
        systemd.units / f"{name}-files.service",
        systemd.live.parent / "run" / f"{word}.env",
    ):
        path.touch()
    other = systemd.units / "other.service"
    other.touch()
    run(systemd)
    assert left(systemd) == [other]
    assert systemd.calls[1] == ("stop", "mastodon-s3-runner-*")


def test_a_unit_that_systemd_refuses(systemd):
    systemd.refusal = "Job for it failed."
    assert run(systemd).ended == "Job for it failed."
    assert left(systemd) == []
    systemd.refusal, systemd.result, systemd.status = "", "exit-code", "226"
    with pytest.raises(under_test.RunnerUnsupportedError):
        run(systemd)
    assert left(systemd) == []


def test_nothing_is_left_after_an_error(systemd):
    def main(_settings):
        raise KeyboardInterrupt

    systemd.main = main
    with pytest.raises(KeyboardInterrupt):
        run(systemd)
    assert left(systemd) == []


def test_an_instance_of_a_template_keeps_its_name(systemd):
    systemd.name = "mastodon-web@3000.service"
    names = []
    systemd.main = lambda _settings: names.extend(path.name for path in systemd.units.iterdir())
    run(systemd)
    assert sorted(name.partition("@")[2] for name in names) == ["", "3000.service"]
    assert left(systemd) == []


def test_hosts_without_a_runner(systemd, monkeypatch):
    def refused(name):
        with pytest.raises(under_test.RunnerUnsupportedError) as error:
            under_test.MastodonRunner(systemd, name, str(systemd.live))
        return str(error.value)

    assert refused("other.service") == "there is no unit other.service: not-found"
    systemd.user = "nobody-has-this-name"
    assert refused(systemd.name) == "its user nobody-has-this-name does not exist"
    (systemd.live / "bin" / "rails").unlink()
    assert refused(systemd.name) == f"there is no {systemd.live}/bin/rails"
    monkeypatch.setattr(under_test, "UNITS", "/nowhere")
    assert refused(systemd.name) == "this host does not run systemd"
