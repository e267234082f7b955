# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import start as start_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import UnsupportedError
from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_sync_feed


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Options for a tree that can be followed; whatever is started is ended."""
    monkeypatch.setattr(start_module, "_WITH_SYSTEMD", "/nowhere")
    (tmp_path / "tree").mkdir()
    own = {"src": str(tmp_path / "tree"), "state_dir": str(tmp_path / "state")}
    try:
        start_module.try_out(own["src"])
    except UnsupportedError as error:
        pytest.skip(str(error))
    yield own
    start_module.stop(own["src"], own["state_dir"])


@pytest.mark.slow
def test_start_and_stop(run, options):
    foretold, _text = run(s3_sync_feed, check_mode=True, **options)
    assert (foretold["changed"], foretold["running"]) == (True, False)
    assert not os.path.exists(options["state_dir"])
    month = 30 * 24 * 3600  # more milliseconds than poll(2) takes
    first, _text = run(s3_sync_feed, time_limit=month, **options)
    assert month - 60 < first["seconds_left"] <= month
    assert (first["changed"], first["running"], first["unit"], first["gap"]) == (True, True, None, None)
    assert first["file_systems"] == foretold["file_systems"]
    again, _text = run(s3_sync_feed, time_limit=1000, **options)
    assert (again["changed"], again["process"]) == (False, first["process"])
    assert again["seconds_left"] <= 1000
    unchanged, _text = run(s3_sync_feed, check_mode=True, time_limit=5000, **options)
    assert unchanged["seconds_left"] <= 1000
    assert run(s3_sync_feed, check_mode=True, state="stopped", **options)[0]["changed"]
    assert Client(options["src"], options["state_dir"]).status().process == first["process"]
    assert run(s3_sync_feed, state="stopped", **options)[0]["changed"]
    os.waitpid(first["process"], 0)
    assert not run(s3_sync_feed, state="stopped", **options)[0]["changed"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_limit": 0}, "time_limit: 0 is too small"),
        ({"state_dir": "state"}, "state_dir: 'state' is not an absolute path"),
        ({"src": "/nowhere/at/all"}, "does not exist"),
        ({"src": "/proc"}, "can't be followed"),
    ],
)
def test_what_is_wrong_is_named(run, tmp_path, changes, message):
    wanted = {"src": str(tmp_path), "state_dir": str(tmp_path / "state"), **changes}
    result, _text = run(s3_sync_feed, **wanted)
    assert result["failed"]
    assert message in result["msg"]
    assert not (tmp_path / "state").exists()
