# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import systemd_files as under_test


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[Service]\nEnvironment="A=1" B=2\nEnvironment=C=3\n', {"A": 2, "B": 2, "C": 3}),
        ("[Service]\nEnvironment=A=1\nEnvironment=A=2\n", {"A": 3}),
        ("[Service]\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n", {"": 3, "B": 4}),
        ("[Unit]\nEnvironment=A=1\n[Service]\nUser=x\n[Install]\nEnvironment=B=1\n", {}),
        ("[Service]\n# Environment=A=1\n; Environment=B=1\n Environment = C=1\n", {"C": 4}),
        ("[Service]\nEnvironment=A=1 \\\n  B=2 \\\n# said in between\n  'C=3 4'\nUser=x\n", {"A": 2, "B": 2, "C": 2}),
        ("[Service]\nEnvironment=A=1 \\", {"A": 2}),
        ("[Service]\nEnvironmentFile=/x=y\nEnvironment=novalue\n", {}),
    ],
)
def test_lines_of_unit_files(text, expected):
    assert under_test.environment_lines(text) == expected
