# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import json
from importlib.machinery import ModuleSpec

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.filter.missing_collections import missing_collections


def test_namespaces_and_collections_that_do_not_exist():
    required = {"nobody.nothing": "1.0.0", "fediverse.nothing": "1.0.0", "fediverse.mastodon_s3": "0.1.0"}
    assert missing_collections(required) == ["nobody.nothing", "fediverse.nothing"]


@pytest.mark.parametrize(
    ("installed", "missing"),
    [("10.1.0", True), ("9.20.0", True), ("10.1.1", False), ("11.0.0", False), ("*", False), (None, False)],
)
def test_the_version_in_the_manifest(tmp_path, monkeypatch, installed, missing):
    if installed is not None:
        manifest = {"collection_info": {"version": installed}}
        (tmp_path / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    spec = ModuleSpec("ansible_collections.amazon.aws", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == spec.name else None)
    assert missing_collections({"amazon.aws": "10.1.1"}) == (["amazon.aws"] if missing else [])
