# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.filter.container_restarts import container_restarts


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("docker compose restart", "docker compose restart"),
        ("sudo -u root docker compose -f /srv/compose.yml restart web", None),
        ("docker-compose -f a.yml restart web sidekiq", None),
        ("docker-compose-1.29 restart", None),
        ("/usr/bin/podman-compose restart", None),
        ("podman restart web", None),
        ("nerdctl compose start", None),
        ("docker container restart web", None),
        ("docker --context prod compose -p mastodon restart", None),
        ("docker unpause web", None),
        ("docker compose up -d --no-recreate web", None),
        ("docker compose 'restart'", "docker compose restart"),
        ("docker compose restart>/dev/null", "docker compose restart"),
        ("docker compose \\\n restart", "docker compose restart"),
        ("cd /srv && docker compose restart", "docker compose restart"),
        ("(cd /srv; docker compose restart web)", "docker compose restart web"),
        ("true\ndocker compose restart", "docker compose restart"),
        ("sh -c 'cd /srv && docker compose restart web'", "docker compose restart web"),
        ("bash -lc \"sh -c 'docker compose restart'\"", "docker compose restart"),
        ("`docker compose restart`", "docker compose restart"),
        ("echo $(docker compose restart)", "docker compose restart"),
        ("env A=1 docker compose restart", None),
    ],
)
def test_restarts_without_recreation(line, found):
    assert container_restarts(line) == [found or line]


@pytest.mark.parametrize(
    "line",
    [
        "docker compose up -d --force-recreate web sidekiq",
        "docker compose -p start up -d --force-recreate",
        "docker compose --project-name restart up -d",
        "docker compose -f start.yml up -d # instead of restart",
        "docker compose down && docker compose up -d",
        "docker compose run --rm web bin/tootctl media restart",
        "systemctl restart mastodon-web mastodon-sidekiq",
        "sh -c 'systemctl restart mastodon-web'",
        "echo 'an open quote",
        "true",
        "",
    ],
)
def test_other_commands(line):
    assert container_restarts(line) == []


def test_duplicates_are_returned_once():
    assert container_restarts("docker restart a; docker restart b; docker restart a") == [
        "docker restart a",
        "docker restart b",
    ]
