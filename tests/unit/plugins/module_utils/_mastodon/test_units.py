# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import systemctl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import units as under_test

CAPTURED = Path(__file__).parent / "captured"


@pytest.fixture(scope="module")
def captured():
    text = (CAPTURED / "show-systemd-252.txt").read_text(encoding="utf-8")
    found = [under_test.from_properties(properties) for properties in systemctl.parse_show(text)]
    return {unit.name: unit for unit in found}


def test_a_unit_from_systemd(captured):
    web = captured["mastodon-web.service"]
    assert (web.kind, web.root, web.user, web.umask) == ("web", "/home/mastodon/live", "nobody", "0027")
    assert (web.active, web.enabled, web.main_pid, web.timeout_stop) == (True, False, 77, 15.0)
    assert web.fragment_path == "/etc/systemd/system/mastodon-web.service"
    assert web.drop_ins == ("/etc/systemd/system/mastodon-web.service.d/s3.conf",)
    assert not web.needs_daemon_reload
    assert web.environment["S3_BUCKET"] == "has space"


def test_kinds_from_systemd(captured):
    assert {name: unit.kind for name, unit in captured.items()} == {
        "mastodon-web.service": "web",
        "mastodon-sidekiq@default.service": "sidekiq",
        "mastodon-sidekiq.service": "sidekiq",
        "mastodon-streaming.service": "other",
        "mastodon-streaming@4000.service": "streaming",
        "nonexist.service": "other",
    }


def test_a_leftover_unit_is_not_in_use(captured):
    names = [unit.name for unit in under_test.in_use(list(captured.values()), "sidekiq")]
    assert names == ["mastodon-sidekiq@default.service"]


def test_enabled_units_of_a_stopped_server_are_in_use():
    shown = [
        {
            "Id": ["a.service"],
            "ExecStart": [exec_start("puma")],
            "ActiveState": ["inactive"],
            "UnitFileState": ["enabled"],
        },
        {
            "Id": ["b.service"],
            "ExecStart": [exec_start("puma")],
            "ActiveState": ["inactive"],
            "UnitFileState": ["disabled"],
        },
    ]
    units = [under_test.from_properties(properties) for properties in shown]
    assert [unit.name for unit in under_test.in_use(units, "web")] == ["a.service"]


def exec_start(command):
    return f"{{ path={command.split()[0]} ; argv[]={command} ; ignore_errors=no ; start_time=[n/a] }}"


def test_unset_environment():
    unit = under_test.from_properties(
        {"Id": ["a.service"], "Environment": ["A=1 B=2 C=3"], "UnsetEnvironment": ["A B=2 C=other"]}
    )
    assert unit.environment == {"C": "3"}
    assert unit.unset == ("A",)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/home/mastodon/.rbenv/shims/bundle exec puma -C config/puma.rb", "web"),
        ("/usr/local/bin/bundle exec rails s -p 3001", "web"),
        ("/bin/bash -lc 'bundle exec puma -C config/puma.rb'", "web"),
        ("/nix/store/0123-mastodon-4.5.0/bin/puma -C config/puma.rb", "web"),
        ("/home/mastodon/.rbenv/shims/bundle exec sidekiq -c 25 -q default", "sidekiq"),
        ("/bin/sh -c cd /home/mastodon/live; exec bin/sidekiq", "sidekiq"),
        ("/usr/bin/node ./streaming", "streaming"),
        ("/usr/bin/node /home/mastodon/live/streaming/index.js", "streaming"),
        ("/usr/bin/npm run start:streaming", "streaming"),
        ("/nix/store/0123-mastodon-4.5.0/run-streaming.sh", "other"),
        ("/bin/echo mastodon-streaming exists only to start and stop", "other"),
        ("/home/mastodon/live/bin/tootctl media remove", "other"),
        ("/usr/bin/sidekiq-exporter", "other"),
        ("/usr/bin/pumactl status", "other"),
        ("", "other"),
    ],
)
def test_kinds(command, kind):
    assert under_test.kind_of(command) == kind


@pytest.mark.parametrize(
    ("command", "working_directory", "root"),
    [
        ("bundle exec puma", "/srv/a/live/", "/srv/a/live"),
        ("/bin/sh -c cd /srv/b && exec bundle exec puma", "", "/srv/b"),
        ('/bin/sh -c cd "/srv/c" && exec bundle exec puma', "/root", "/srv/c"),
        ("/srv/d/bin/bundle exec puma", "/", ""),
        ("/usr/bin/puma", "", ""),
    ],
)
def test_roots(command, working_directory, root):
    assert under_test.root_of(command, working_directory) == root


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("puma -p 1", "1"),
        ("puma -p1", "1"),
        ("puma --port=1 --port 2", "2"),
        ("puma -C config/puma.rb", None),
        ("puma --pidfile x", None),
    ],
)
def test_options_of_a_command(command, value):
    assert under_test.option_of(command, "-p", "--port") == value
