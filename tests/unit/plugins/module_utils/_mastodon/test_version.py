# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.version import parse_version


def ruby(**methods):
    body = "\n\n".join(f"    def {name}\n      {code}\n    end" for name, code in methods.items())
    return f"module Mastodon\n  module Version\n    module_function\n\n{body}\n  end\nend\n"


NUMBERS = {"major": "4", "minor": "3", "patch": "2"}
CURRENT = {
    "prerelease": "ENV['MASTODON_VERSION_PRERELEASE'].presence || default_prerelease",
    "to_a": "[major, minor, patch].compact",
}


@pytest.mark.parametrize(
    ("methods", "full"),
    [
        ({**NUMBERS, "default_prerelease": "''", **CURRENT}, "4.3.2"),
        ({**NUMBERS, "default_prerelease": "'rc.1'", **CURRENT}, "4.3.2-rc.1"),
        ({**NUMBERS, "default_prerelease": '"alpha.4"', **CURRENT}, "4.3.2-alpha.4"),
        (
            {**NUMBERS, "default_prerelease": "''", "build_metadata": "ENV.fetch('MASTODON_VERSION_METADATA', nil)"},
            "4.3.2",
        ),
        (
            {
                **NUMBERS,
                "default_prerelease": "'beta.1'",
                "build_metadata": "['glitch', ENV.fetch('MASTODON_VERSION_METADATA', nil)].compact_blank.join('.')",
            },
            "4.3.2-beta.1+glitch",
        ),
        ({**NUMBERS, "default_prerelease": "''", "build_metadata": "version_configuration[:metadata]"}, "4.3.2"),
        ({**NUMBERS, "flags": "'rc3'", "suffix": "''"}, "4.3.2-rc3"),
        ({**NUMBERS, "flags": "''", "suffix": "'+glitch.th'"}, "4.3.2+glitch.th"),
        ({**NUMBERS, "pre": "nil", "flags": "''"}, "4.3.2"),
        ({"upstream_major": "4", "upstream_minor": "3", "upstream_patch": "2", "downstream_major": "9"}, "4.3.2"),
        ({"major": "# of upstream\n      4", "minor": "17", "patch": "0"}, "4.17.0"),
    ],
)
def test_versions_of_mastodon_and_its_forks(methods, full):
    assert parse_version(ruby(**methods)).full == full


def test_parts_of_a_version():
    version = parse_version(ruby(**NUMBERS, default_prerelease="'rc.1'", suffix="'+glitch'"))
    parts = (version.major, version.minor, version.patch, version.prerelease, version.metadata, version.string)
    assert parts == (4, 3, 2, "rc.1", "glitch", "4.3.2")


def test_methods_without_end():
    assert parse_version("def major = 4\ndef minor = 6\ndef patch = 0\n").full == "4.6.0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "module Mastodon\nend\n",
        ruby(major="4", minor="3"),
        ruby(major="'4'", minor="3", patch="0"),
        ruby(majority="4", minor="3", patch="0"),
    ],
)
def test_no_version(text):
    assert parse_version(text) is None
