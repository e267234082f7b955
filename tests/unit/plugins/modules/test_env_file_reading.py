# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the modules of dotenv files, and credentials_file, read files: real ones, and what is none."""

from __future__ import annotations

import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.modules import env_file, env_file_info


@pytest.mark.parametrize("kind", ["folder", "fifo", "large", "utf-16", "latin-1", "hard link", "trap"])
def test_files_that_are_not_dotenv_files(run, tmp_path, kind, as_root):
    path = tmp_path / "thing"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "utf-16":
        path.write_text("A=1\n", encoding="utf-16")
    elif kind == "latin-1":
        path.write_text("A=1\nKEY=caf\xe9\n", encoding="latin-1")
    elif kind == "hard link":
        (tmp_path / "other").write_text("A=1\n")
        os.link(tmp_path / "other", path)
    elif kind == "trap":
        (tmp_path / "other").write_text("A=1\n")
        path.symlink_to("other")
        os.lchown(path, 4242, 4242)
    else:
        path.write_bytes(b"#" * (1024 * 1024 + 1))
    result, _text = run(env_file, path=str(path), variables={"A": "1"})
    assert str(path) in result["msg"]
    result, _text = run(env_file_info, paths=[str(path)])
    assert str(path) in result["msg"]
    with pytest.raises(ConnectionOptionsError, match=str(path)):
        connection_options({"credentials_file": str(path)})


def test_info_masks_and_reveals(run, tmp_path):
    path = tmp_path / ".env.production"
    path.write_bytes(b"OTP_SECRET='a$b'\nS3_BUCKET=old\n")
    local = tmp_path / ".env.production.local"
    local.write_bytes(b"S3_BUCKET=local\n")
    missing = str(tmp_path / "missing")
    paths = [missing, str(local), str(path)]
    result, text = run(env_file_info, paths=paths, reveal=["S3_BUCKET", "NONE"])
    assert not result["changed"]
    assert [(file["path"], file["exists"]) for file in result["files"]] == list(zip(paths, [False, True, True]))
    bucket = result["variables"]["S3_BUCKET"]
    assert (bucket["value"], bucket["path"], bucket["line"], bucket["masked"]) == ("local", str(local), 1, False)
    assert result["variables"]["OTP_SECRET"]["masked"]
    assert "value" not in result["variables"]["OTP_SECRET"]
    assert "NONE" not in result["variables"]
    assert "a$b" not in text
