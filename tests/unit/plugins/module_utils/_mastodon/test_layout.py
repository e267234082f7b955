# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import layout as under_test

ROOT = "/home/mastodon/live"


def test_order_of_dotenv_files():
    assert under_test.env_file_names("production") == (
        ".env.production.local",
        ".env.local",
        ".env.production",
        ".env",
    )


@pytest.mark.parametrize(
    ("configured", "path"),
    [
        (None, "/home/mastodon/live/public/system"),
        ("/srv/media/", "/srv/media"),
        ("media", "/home/mastodon/live/media"),
        ("../media", "/home/mastodon/media"),
        (":rails_root/public/system", "/home/mastodon/live/public/system"),
        ("", "/"),
    ],
)
def test_media_root(configured, path):
    assert under_test.media_root(ROOT, configured) == path


@pytest.mark.parametrize(
    ("command", "environment", "address"),
    [
        ("bundle exec puma -C config/puma.rb", {}, ("http://127.0.0.1:3000", None)),
        ("bundle exec puma", {"PORT": "3001"}, ("http://127.0.0.1:3001", None)),
        ("bundle exec puma", {"PORT": "3001", "BIND": "10.0.0.5"}, ("http://10.0.0.5:3001", None)),
        ("bundle exec puma", {"BIND": ".".join("0000")}, ("http://127.0.0.1:3000", None)),
        ("bundle exec puma", {"BIND": "[::]"}, ("http://[::1]:3000", None)),
        ("bundle exec puma", {"BIND": "fd00::5"}, ("http://[fd00::5]:3000", None)),
        ("bundle exec puma", {"SOCKET": "/run/m.sock", "PORT": "1"}, ("http://localhost", "/run/m.sock")),
        ("bundle exec puma -p 4001", {"SOCKET": "/run/m.sock", "PORT": "1"}, ("http://127.0.0.1:4001", None)),
        ("bundle exec puma -b unix:///run/p.sock?umask=0111", {}, ("http://localhost", "/run/p.sock")),
        ("bundle exec puma --bind tcp://0.0.0.0:5001", {"PORT": "1"}, ("http://127.0.0.1:5001", None)),
        ("bundle exec puma --bind=tcp://[::1]:5001", {}, ("http://[::1]:5001", None)),
        ("", {}, ("http://127.0.0.1:3000", None)),
    ],
)
def test_address_of_the_web_process(command, environment, address):
    assert under_test.web_address(command, environment) == address


PUMA = "/home/mastodon/.rbenv/shims/bundle exec puma"


@pytest.mark.parametrize(
    ("root", "commands", "signs", "expected"),
    [
        (ROOT, [PUMA], {}, None),
        (ROOT, [], {}, None),
        (ROOT, [], {"compose": True}, "docker"),
        (ROOT, ["/usr/bin/docker compose up"], {}, "docker"),
        (ROOT, ["/usr/local/bin/docker-compose -f x up"], {}, "docker"),
        ("/nix/store/0-mastodon", ["/nix/store/1-bundle exec puma"], {"nixos": True}, "nixos"),
        (ROOT, ["/nix/store/1-ruby/bin/bundle exec puma"], {}, "nixos"),
        (ROOT, [PUMA], {"yunohost": True}, None),
        ("/var/www/mastodon/live", [PUMA], {"yunohost": True}, "yunohost"),
    ],
)
def test_managed_by(root, commands, signs, expected):
    known = {"nixos": False, "yunohost": False, "compose": False, **signs}
    assert under_test.managed_by(root, commands, **known) == expected


MOUNTS = r"""21 26 0:19 / /sys rw,nosuid shared:7 - sysfs sysfs rw
26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 26 254:2 / /home rw,relatime shared:20 - xfs /dev/vdb1 rw
41 40 0:50 / /home/mastodon/live/public/system rw shared:21 - nfs4 nas:/media rw,vers=4.2
42 26 254:3 / /srv/with\040space rw - btrfs /dev/vdc rw
43 26 254:4 / /twice rw - ext4 /dev/vdd rw
44 43 254:5 / /twice rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/home/mastodon/live/public/system", "/home/mastodon/live/public/system", "nfs4"),
        ("/home/mastodon/live/public/system-old", "/home", "xfs"),
        ("/homes", "/", "ext4"),
        ("/srv/with space/media", "/srv/with space", "btrfs"),
        ("/twice/x", "/twice", "tmpfs"),
    ],
)
def test_mounts(path, point, kind):
    assert under_test.mount_of(MOUNTS, path) == {"mount_point": point, "file_system": kind}


def test_no_mounts():
    assert under_test.mount_of("", "/x") == {}
