# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.filter.nginx_config import nginx_config

DUMP = """\
# configuration file /etc/nginx/nginx.conf:
# user root;
user  www-data adm;
http { include /etc/nginx/sites-enabled/*; }

# configuration file /etc/nginx/sites-enabled/mastodon:
server {
%s
    user_agent x;
}
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("  location ^~ /system/ {", True),
        ("\tlocation /system {", True),
        ("location ~ ^/system/", True),
        ("  location ~* /system/.*png {", True),
        ("  # location ^~ /system/ {", False),
        ("  location ^~ /systems/ {", False),
        ("  location / { try_files /system/x =404; }", False),
    ],
)
def test_the_files_the_user_and_the_locations(line, found):
    site = "/etc/nginx/sites-enabled/mastodon"
    assert nginx_config(DUMP % line) == {
        "files": ["/etc/nginx/nginx.conf", site],
        "user": "www-data",
        "locations": [site] if found else [],
    }


def test_no_output():
    assert nginx_config("") == {"files": [], "user": "", "locations": []}
