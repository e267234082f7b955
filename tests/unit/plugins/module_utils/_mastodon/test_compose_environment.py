# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import textwrap

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.compose_environment import (
    environment_of_mastodon,
)

IMAGE = "image: ghcr.io/mastodon/mastodon:v4.5.0"


def read(text):
    return {name: tuple(setting) for name, setting in environment_of_mastodon(textwrap.dedent(text)).items()}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('environment:\n      S3_ENABLED: "false"\n      A: b # why', {"S3_ENABLED": ("false", 5), "A": ("b", 6)}),
        ("environment:\n      - S3_ENABLED=false\n      - 'A=b c'", {"S3_ENABLED": ("false", 5), "A": ("b c", 6)}),
        ("environment:\n    - S3_ENABLED=false\n    ports: [A=b]", {"S3_ENABLED": ("false", 5)}),
        ("environment: {S3_ENABLED: 'false', \"A\": b}", {"S3_ENABLED": ("false", 4), "A": ("b", 4)}),
        ('environment: ["S3_ENABLED=false", A]', {"S3_ENABLED": ("false", 4), "A": (None, 4)}),
        (
            'environment:\n      A: ""\n      B:\n      C: ${X}\n      D: a$$b',
            {"A": ("", 5), "B": (None, 6), "C": (None, 7), "D": ("a$b", 8)},
        ),
        ("environment:\n      - A=\n      # - B=c\n    command: bundle exec puma", {"A": ("", 5)}),
        ("env_file: .env.production\n    labels:\n      - S3_ENABLED=false", {}),
    ],
)
def test_notations_of_environment(written, expected):
    assert read(f"services:\n  web:\n    {IMAGE}\n    {written}\n") == expected


@pytest.mark.parametrize(
    ("service", "counts"),
    [
        (IMAGE, True),
        ("build: .\n    command: bundle exec sidekiq", True),
        ("image: ghcr.io/mastodon/mastodon-streaming:v4.5.0", False),
        (f"{IMAGE}\n    command: node ./streaming", False),
        ("image: backup-to-s3", False),
    ],
)
def test_only_variables_of_web_and_sidekiq(service, counts):
    assert bool(read(f"services:\n  one:\n    {service}\n    environment:\n      S3_BUCKET: x\n")) is counts


def test_anchors_and_merges():
    text = """
        x-settings: &settings
          S3_ENABLED: "false"
          S3_REGION: a
        x-mastodon: &mastodon
          image: ghcr.io/mastodon/mastodon:v4.5.0
          environment:
            <<: *settings
            S3_REGION: b
            S3_BUCKET: c
        services:
          db:
            image: postgres
            environment: {S3_PROTOCOL: http}
          web:
            <<: *mastodon
            command: bundle exec puma
          sidekiq:
            image: ghcr.io/mastodon/mastodon:v4.5.0
            environment: &more
              S3_ALIAS_HOST: d
    """
    found = read(text)
    assert {name: value for name, (value, _line) in found.items()} == {
        "S3_ENABLED": "false",
        "S3_REGION": "b",
        "S3_BUCKET": "c",
        "S3_ALIAS_HOST": "d",
    }
    assert found["S3_BUCKET"][1] == 10


def test_a_recursive_alias_ends():
    assert read("services:\n  web: &web\n    <<: *web\n    image: mastodon\n    environment: {A: b}\n") == {
        "A": ("b", 5)
    }
