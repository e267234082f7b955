# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import compose as under_test


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services:\n  web:\n    image: ghcr.io/mastodon/mastodon:v4.5.0\n", True),
        ("services:\n  web:\n    image: 'glitchsoc/mastodon'\n", True),
        ("services:\n  web:\n    build: .\n    command: bundle exec puma -C config/puma.rb\n", True),
        ("services:\n  db:\n    image: postgres:14-alpine\n", False),
        ("", False),
    ],
)
def test_compose_files(text, expected):
    assert under_test.runs_mastodon(text) is expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("image: ghcr.io/mastodon/mastodon:v4.5.0", "4.5.0"),
        ('image: "tootsuite/mastodon:v3.5.2"', "3.5.2"),
        ("image: ghcr.io/mastodon/mastodon:v4.4.0-rc.1 # newest", "4.4.0-rc.1"),
        ("image: registry.example/glitch-soc/mastodon:v4.3", "4.3.0"),
        ("image: ghcr.io/mastodon/mastodon:v4.3.1@sha256:0011", "4.3.1"),
        ("image: ghcr.io/mastodon/mastodon-streaming:v4.3.1\n    image: ghcr.io/mastodon/mastodon:v4.2.9", "4.2.9"),
        ("# image: ghcr.io/mastodon/mastodon:v4.5.0\n    image: ghcr.io/mastodon/mastodon:latest", None),
        ("image: ghcr.io/mastodon/mastodon:${TAG}", None),
        ("image: ghcr.io/mastodon/mastodon", None),
        ("image: postgres:14.1", None),
    ],
)
def test_version_of_the_image(image, expected):
    found = under_test.image_version(f"services:\n  web:\n    {image}\n")
    assert (found.full if found else None) == expected


LONG = """
    volumes:
      - type: bind
        source: /srv/media
        target: /opt/mastodon/public/system/
      - type: bind
        source: ./other
        target: /other
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("      - ./public/system:/mastodon/public/system\n", [("./public/system", "/live/public/system")]),
        ("      - /srv/media:/mastodon/public/system:z\n", [("/srv/media", "/srv/media")]),
        ('      - "/srv/my media:/mastodon/public/system"\n', [("/srv/my media", "/srv/my media")]),
        ("      - media:/mastodon/public/system\n", [("media", None)]),
        ("      - ${MEDIA}:/mastodon/public/system\n", [("${MEDIA}", None)]),
        ("      - { type: bind, source: /a, target: /mastodon/public/system }\n", [("/a", "/a")]),
        (LONG, [("/srv/media", "/srv/media")]),
        ("      # - /old:/mastodon/public/system\n      - /new:/mastodon/public/system # here\n", [("/new", "/new")]),
        ("      - /a:/mastodon/public/system\n      - /a:/mastodon/public/system:ro\n", [("/a", "/a")]),
        ("      - ./postgres14:/var/lib/postgresql/data\n      - '127.0.0.1:3000:3000'\n", []),
    ],
)
def test_folders_of_the_media(text, expected):
    assert [(mount.source, mount.path) for mount in under_test.media_mounts(text, "/live")] == expected
