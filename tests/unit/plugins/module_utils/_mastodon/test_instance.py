# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An instance on disk and the units that systemd would name, put together."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import host, units
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import instance as under_test

CAPTURED = Path(__file__).parent / "captured"
VERSION = "def major\n  4\nend\ndef minor\n  3\nend\ndef patch\n  2\nend\n"
HIDDEN = "hidden-in-plain-sight"


@pytest.fixture
def live(tmp_path):
    root = tmp_path / "live"
    (root / "lib" / "mastodon").mkdir(parents=True)
    (root / "lib" / "mastodon" / "version.rb").write_text(VERSION)
    (root / ".env.production").write_text(f"LOCAL_DOMAIN=social.example\nDB_PASS={HIDDEN}\n")
    return root


def unit(name, command, root="", **properties):
    shown = {
        "Id": [name],
        "LoadState": ["loaded"],
        "ActiveState": ["active"],
        "WorkingDirectory": [str(root)],
        "ExecStart": [f"{{ path={command.split()[0]} ; argv[]={command} ; ignore_errors=no ; pid=0 }}"],
    }
    shown.update({key: value if isinstance(value, list) else [value] for key, value in properties.items()})
    return units.from_properties(shown)


def web(root, **properties):
    return unit("mastodon-web.service", "/usr/bin/bundle exec puma -C config/puma.rb", root, **properties)


def sidekiq(root, name="mastodon-sidekiq.service", **properties):
    return unit(name, "/usr/bin/bundle exec sidekiq -c 25", root, **properties)


def test_an_instance_without_systemd(live):
    found = under_test.discover(str(live), [])
    assert found["root"] == str(live)
    assert found["version"]["full"] == "4.3.2"
    assert (found["units"], found["web_units"], found["sidekiq_units"]) == ([], [], [])
    assert (found["env_file"], found["env_file_exists"]) == (str(live / ".env.production"), True)
    assert [Path(file["path"]).name for file in found["env_files"] if file["exists"]] == [".env.production"]
    assert (found["domain"], found["web_domain"], found["managed_by"]) == ("social.example", "social.example", None)
    assert (found["media_root"], found["media_url_path"]) == (str(live / "public/system"), "/system")
    assert found["media_root_state"]["exists"] is False
    assert found["media_root_state"]["empty"] is True
    assert found["shadowed"] == []


def test_without_units_the_port_in_the_dotenv_file_is_used(live):
    (live / ".env.production").write_text("PORT=3333\n")
    assert under_test.discover(str(live), [])["web_url"] == "http://127.0.0.1:3333"


def test_with_a_unit_the_port_in_the_dotenv_file_is_ignored(live):
    (live / ".env.production").write_text("PORT=3333\n")
    assert under_test.discover(None, [web(live)])["web_url"] == "http://127.0.0.1:3000"


def test_media_root_outside_the_instance(live, tmp_path):
    media = tmp_path / "media"
    (media / "accounts").mkdir(parents=True)
    media.chmod(0o750)
    (tmp_path / "link").symlink_to(media)
    (live / ".env.production").write_text(f"PAPERCLIP_ROOT_PATH={tmp_path}/link\nPAPERCLIP_ROOT_URL=/media\n")
    found = under_test.discover(str(live), [])
    assert (found["media_root"], found["media_url_path"]) == (str(tmp_path / "link"), "/media")
    state = found["media_root_state"]
    assert (state["real_path"], state["exists"], state["mode"], state["empty"]) == (str(media), True, "0750", False)
    assert state["file_system"]
    assert os.path.ismount(state["mount_point"])


def test_media_root_that_is_unknown(live):
    (live / ".env.production").write_text("PAPERCLIP_ROOT_PATH=${MEDIA}/system\n")
    with pytest.raises(
        host.DiscoveryError, match=r"PAPERCLIP_ROOT_PATH \(dotenv file .*\.env\.production line 1\).*Write the path out"
    ):
        under_test.discover(str(live), [])


def test_units_determine_the_root(live):
    found = under_test.discover(None, [sidekiq(live), web(live), unit("x.service", "/usr/bin/puma", "/srv/other")])
    assert found["root"] == str(live)
    assert [(entry["name"], entry["kind"]) for entry in found["units"]] == [
        ("mastodon-web.service", "web"),
        ("mastodon-sidekiq.service", "sidekiq"),
    ]


def test_other_units_of_the_instance_have_the_kind_other(live):
    tootctl = unit("vacuum.service", f"{live}/bin/tootctl media remove", ActiveState="inactive")
    found = under_test.discover(None, [web(live), tootctl])
    assert [(entry["name"], entry["kind"], entry["active"]) for entry in found["units"]] == [
        ("mastodon-web.service", "web", True),
        ("vacuum.service", "other", False),
    ]


def second_instance(live):
    other = live.parent / "second"
    (other / "lib" / "mastodon").mkdir(parents=True)
    (other / "lib" / "mastodon" / "version.rb").write_text(VERSION)
    return other


def test_several_instances_are_an_error(live):
    other = second_instance(live)
    with pytest.raises(host.DiscoveryError) as error:
        under_test.discover(None, [web(live), sidekiq(other, "second-sidekiq.service")])
    assert f"{live}, {other}" in str(error.value)
    assert "root" in str(error.value)


def test_a_stopped_second_instance_is_ignored(live):
    other = second_instance(live)
    stopped = sidekiq(other, "second-sidekiq.service", ActiveState="inactive")
    assert under_test.discover(None, [web(live), stopped])["root"] == str(live)
    assert under_test.discover(str(other), [web(live), stopped])["units"][0]["name"] == "second-sidekiq.service"


def test_two_paths_of_one_folder_are_one_instance(live, tmp_path):
    (tmp_path / "current").symlink_to(live)
    found = under_test.discover(None, [web(live), sidekiq(tmp_path / "current")])
    assert len(found["units"]) == 2


@pytest.mark.parametrize("root", [".", "/nowhere", "relative/path"])
def test_a_wrong_root_is_an_error(root):
    with pytest.raises(
        host.DiscoveryError, match=r"root: .* is not the folder of a Mastodon instance.*/home/mastodon/live"
    ):
        under_test.discover(root, [])


def test_a_compose_folder_without_source(live):
    (live / "lib" / "mastodon" / "version.rb").unlink()
    (live / "compose.yaml").write_text("services:\n  web:\n    image: ghcr.io/mastodon/mastodon:latest\n")
    found = under_test.discover(str(live), [])
    assert found["managed_by"] == "docker"
    assert set(found["version"].values()) == {None}


def test_the_compose_file_of_the_source_is_ignored_if_units_run_mastodon(live):
    (live / "docker-compose.yml").write_text("services:\n  web:\n    image: ghcr.io/mastodon/mastodon:v4.5.0\n")
    assert under_test.discover(str(live), [web(live), sidekiq(live)])["managed_by"] is None
    assert under_test.discover(str(live), [])["managed_by"] == "docker"
    (live / "public" / "packs").mkdir(parents=True)
    assert under_test.discover(str(live), [])["managed_by"] is None


class TestVariables:
    """Where each variable comes from, by the precedence of systemd and dotenv."""

    @pytest.fixture
    def files(self, live):
        (live / ".env.production.local").write_text("S3_REGION=local\n")
        (live / ".env.production").write_text(
            f"S3_ENABLED=false\nS3_BUCKET=written\nS3_REGION=written\nAWS_SECRET_ACCESS_KEY={HIDDEN}\n"
        )
        (live / ".env").write_text("S3_PROTOCOL=http\nS3_BUCKET=last\n")
        unit_file = live.parent / "mastodon-web.service"
        unit_file.write_text("[Service]\nEnvironment=S3_BUCKET=unit\nEnvironment=S3_HOSTNAME=unit PORT=3000\n")
        drop_in = live.parent / "s3.conf"
        drop_in.write_text("[Service]\n\nEnvironment=S3_BUCKET=drop-in\n")
        for number in (1, 2):
            (live.parent / f"env{number}").write_text(f"# comment\nCDN_HOST=file{number}\n")
        return live.parent

    def web(self, live, files, **properties):
        settings = {
            "FragmentPath": str(files / "mastodon-web.service"),
            "DropInPaths": str(files / "s3.conf"),
            "Environment": "S3_BUCKET=drop-in S3_HOSTNAME=unit PORT=3000 CDN_HOST=unit",
            "EnvironmentFiles": [f"{files}/env* (ignore_errors=no)", f"{files}/absent (ignore_errors=yes)"],
        }
        return web(live, **{**settings, **properties})

    def test_sources(self, live, files):
        found = under_test.discover(None, [self.web(live, files)])
        assert {
            name: (entry["value"], entry["source"], Path(entry["path"]).name, entry["line"])
            for name, entry in found["variables"].items()
        } == {
            "AWS_SECRET_ACCESS_KEY": (None, "dotenv", ".env.production", 4),
            "CDN_HOST": ("file2", "environment_file", "env2", 2),
            "PORT": ("3000", "unit", "mastodon-web.service", 3),
            "S3_BUCKET": ("drop-in", "drop_in", "s3.conf", 3),
            "S3_ENABLED": ("false", "dotenv", ".env.production", 1),
            "S3_HOSTNAME": ("unit", "unit", "mastodon-web.service", 3),
            "S3_PROTOCOL": ("http", "dotenv", ".env", 1),
            "S3_REGION": ("local", "dotenv", ".env.production.local", 1),
        }

    def test_shadowed(self, live, files):
        found = under_test.discover(None, [self.web(live, files)])
        assert [entry["name"] for entry in found["shadowed"]] == ["CDN_HOST", "S3_BUCKET", "S3_HOSTNAME", "S3_REGION"]

    def test_units_that_differ(self, live, files):
        found = under_test.discover(None, [self.web(live, files), sidekiq(live)])
        assert [entry["name"] for entry in found["differences"]] == ["CDN_HOST", "S3_BUCKET", "S3_HOSTNAME"]
        (bucket,) = (entry for entry in found["differences"] if entry["name"] == "S3_BUCKET")
        assert {unit: has["value"] for unit, has in bucket["units"].items()} == {
            "mastodon-web.service": "drop-in",
            "mastodon-sidekiq.service": "written",
        }

    def test_the_env_file_as_environment_file_overrides_nothing(self, live, files):
        (live / ".env.production.local").unlink()
        same = f"{live}/.env.production (ignore_errors=no)"
        found = under_test.discover(None, [web(live, EnvironmentFiles=same), sidekiq(live)])
        assert found["shadowed"] == []
        assert found["variables"]["S3_BUCKET"]["source"] == "environment_file"
        assert [entry["environment_files"] for entry in found["units"]] == [
            [{"path": f"{live}/.env.production", "optional": False, "exists": True, "is_env_file": True}],
            [],
        ]

    def test_an_environment_reset_by_a_drop_in(self, live, files):
        (files / "s3.conf").write_text("[Service]\nEnvironment=\nEnvironment=S3_BUCKET=drop-in\n")
        found = under_test.discover(None, [self.web(live, files, Environment="S3_BUCKET=drop-in")])
        assert "S3_HOSTNAME" not in found["variables"]
        assert found["variables"]["S3_BUCKET"]["line"] == 3

    def test_an_unset_variable_falls_back_to_the_dotenv_file(self, live, files):
        found = under_test.discover(None, [self.web(live, files, UnsetEnvironment="S3_BUCKET CDN_HOST")])
        assert found["variables"]["S3_BUCKET"]["value"] == "written"
        assert "CDN_HOST" not in found["variables"]

    def test_the_result_contains_no_secret(self, live, files):
        (files / "env2").write_text(f"AWS_SECRET_ACCESS_KEY={HIDDEN}\nSWIFT_PASSWORD={HIDDEN}\nDB_PASS={HIDDEN}\n")
        command = f"/usr/bin/env AWS_ACCESS_KEY_ID={HIDDEN} DATABASE_URL=postgres://u:{HIDDEN}@db/x bundle exec sidekiq"
        runs = unit("mastodon-sidekiq.service", command, live, Environment=f"AWS_SESSION_TOKEN={HIDDEN}")
        found = under_test.discover(None, [self.web(live, files), runs])
        assert found["variables"]["AWS_SECRET_ACCESS_KEY"]["source"] == "environment_file"
        assert {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"} <= {entry["name"] for entry in found["shadowed"]}
        assert HIDDEN not in json.dumps(found)

    def test_another_rails_environment(self, live, files):
        (live / ".env.staging").write_text("S3_BUCKET=staging\n")
        found = under_test.discover(None, [web(live, Environment="RAILS_ENV=staging")])
        assert found["env_file"] == str(live / ".env.staging")
        assert found["variables"]["S3_BUCKET"]["value"] == "staging"


def test_a_dotenv_file_that_can_not_be_read_is_an_error(live):
    (live / ".env").mkdir()
    with pytest.raises(host.DiscoveryError, match=r"live/\.env "):
        under_test.discover(str(live), [])


class Systemctl:
    """Answers as systemctl did when it was captured."""

    def __init__(self):
        self.commands = []

    def __call__(self, command):
        self.commands.append(command)
        verb = next(word for word in command[1:] if not word.startswith("-"))
        return 0, (CAPTURED / f"{verb}-systemd-252.txt").read_text(encoding="utf-8"), ""


def test_units_are_read_from_systemd():
    run = Systemctl()
    found = host.read_units(run, ["/usr/bin/systemctl", "--system"])
    assert [entry.name for entry in found if entry.kind == "sidekiq"] == [
        "mastodon-sidekiq.service",
        "mastodon-sidekiq@default.service",
    ]
    assert all(command[:2] == ["/usr/bin/systemctl", "--system"] for command in run.commands)
    show = run.commands[-1]
    assert "mastodon-sidekiq@pull.service" in show
    assert "mastodon-sidekiq@.service" not in show


def test_systemctl_that_fails_is_an_error():
    with pytest.raises(host.DiscoveryError, match="status 1: Failed to connect to bus"):
        host.read_units(lambda command: (1, "", "Failed to connect to bus\n"), ["/usr/bin/systemctl", "--user"])


def test_processes_of_a_unit(live, tmp_path, monkeypatch):
    group = tmp_path / "cgroup" / "system.slice" / "mastodon-web.service"
    (group / "worker").mkdir(parents=True)
    (group / "cgroup.procs").write_text("12\n10\n")
    (group / "worker" / "cgroup.procs").write_text("11\n")
    monkeypatch.setattr(host, "_CONTROL_GROUP_FOLDERS", (str(tmp_path / "cgroup"), str(tmp_path / "absent")))
    running = web(live, MainPID="10", ControlGroup="/system.slice/mastodon-web.service")
    assert host.process_ids(running) == [10, 11, 12]
    assert host.process_ids(web(live, MainPID="0")) == []
    assert host.process_ids(web(live, MainPID="7", ControlGroup="/elsewhere")) == [7]


COMPOSE = (
    "services:\n  web:\n    image: ghcr.io/mastodon/mastodon:v4.5.1\n    volumes:\n      - {}:/mastodon/public/system\n"
)


def test_version_and_media_from_a_compose_folder_without_source(tmp_path):
    (tmp_path / ".env.production").write_text("LOCAL_DOMAIN=social.example\n")
    (tmp_path / "docker-compose.yml").write_text(COMPOSE.format("/srv/media"))
    found = under_test.discover(str(tmp_path), [])
    assert (found["version"]["full"], found["managed_by"]) == ("4.5.1", "docker")
    assert found["media_mounts"] == [{"source": "/srv/media", "path": "/srv/media"}]
    (tmp_path / "docker-compose.override.yml").write_text("services:\n  web:\n    image: mastodon:v4.5.2\n")
    assert under_test.discover(str(tmp_path), [])["version"]["full"] == "4.5.2"
    (tmp_path / "lib" / "mastodon").mkdir(parents=True)
    (tmp_path / "lib" / "mastodon" / "version.rb").write_text(VERSION)
    assert under_test.discover(str(tmp_path), [])["version"]["full"] == "4.5.2"  # not that of the checkout beside it


def test_media_root_can_be_set(live, tmp_path):
    (live / ".env.production").write_text("PAPERCLIP_ROOT_PATH=$SOMEWHERE\n")
    (tmp_path / "media" / "accounts").mkdir(parents=True)
    found = under_test.discover(str(live), [], media_root=f"{tmp_path}/media/")
    assert found["media_root"] == f"{tmp_path}/media"
    assert (found["media_root_state"]["exists"], found["media_root_state"]["empty"]) == (True, False)
    with pytest.raises(host.DiscoveryError, match="'media' is not an absolute path"):
        under_test.discover(str(live), [], media_root="media")


@pytest.mark.parametrize("name", ["lib/mastodon/version.rb", "compose.yml", "docker-compose.override.yml"])
@pytest.mark.parametrize("trap", ["fifo", "device"])
def test_a_fifo_of_the_account_does_not_block_root(live, name, trap):
    path = live / name
    path.unlink(missing_ok=True)
    if trap == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    # It would hang in a system call, or read until the memory is full.
    signal.alarm(20)
    try:
        assert under_test.discover(str(live), [])["root"] == str(live)
    finally:
        signal.alarm(0)


def test_a_device_is_not_opened(live, monkeypatch):
    """Opening one may have an effect: a watchdog would restart the host."""
    opened = []
    real = os.open

    def noted(path, flags, *arguments, **options):
        descriptor = real(path, flags, *arguments, **options)
        if not flags & os.O_PATH:
            opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return descriptor

    monkeypatch.setattr(os, "open", noted)
    (live / "compose.yml").symlink_to("/dev/null")
    assert host.read_text(str(live / "compose.yml")) == ""
    assert opened == []


def test_the_kernels_own_files_are_read():
    assert "/proc" in host.read_text("/proc/self/mountinfo")
