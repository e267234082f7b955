# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules env_file and env_file_info, run whole, on real files."""

from __future__ import annotations

import json
import os
import stat
import struct

import pytest
from ansible.module_utils.basic import PASS_VARS
from ansible.module_utils.testing import patch_module_args

from ansible_collections.fediverse.mastodon_s3.plugins.modules import env_file, env_file_info

BEFORE = b"LOCAL_DOMAIN=example.social\n# S3_BUCKET=\nOTP_SECRET='a$b'\nS3_ALIAS_HOST=old\n"


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a module and returns its result, and all that it printed."""
    temporary = tmp_path / "remote_tmp"
    temporary.mkdir()

    def call(module, check_mode=False, **params):
        settings = {
            "_ansible_check_mode": check_mode,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(temporary),
        }
        if "inject_invocation" in PASS_VARS:
            settings["_ansible_inject_invocation"] = True
        with patch_module_args({**params, **settings}), pytest.raises(SystemExit):
            module.main()
        printed = capsys.readouterr()
        result = json.loads(printed.out)
        # Since 2.22 the controller is told what it has to mask, by a way of its own.
        result.pop("_ansible_new_secrets", None)
        return result, json.dumps(result) + printed.err

    return call


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "home" / "mastodon" / "live"
    folder.mkdir(parents=True)
    file = folder / ".env.production"
    file.write_bytes(BEFORE)
    file.chmod(0o640)
    return file


def test_sets_and_removes_in_one_go_and_only_once(run, path):
    params = {
        "path": str(path),
        "variables": {"S3_ENABLED": True, "S3_BUCKET": "media", "S3_PERMISSION": "", "N": 5},
        "secrets": {"AWS_SECRET_ACCESS_KEY": "it's"},
        "absent": ["S3_ALIAS_HOST", "S3_CLOUDFRONT_HOST"],
    }
    after = (
        b"LOCAL_DOMAIN=example.social\nS3_BUCKET=media\nOTP_SECRET='a$b'\n"
        b'S3_ENABLED=true\nS3_PERMISSION=\nN=5\nAWS_SECRET_ACCESS_KEY="it\'s"\n'
    )
    predicted, _text = run(env_file, check_mode=True, **params)
    assert predicted["changed"]
    assert path.read_bytes() == BEFORE
    assert os.listdir(path.parent) == [".env.production"]

    result, _text = run(env_file, **params)
    assert path.read_bytes() == after
    assert {key: predicted[key] for key in ("changed", "added", "updated", "removed", "duplicates", "diff")} == {
        key: result[key] for key in ("changed", "added", "updated", "removed", "duplicates", "diff")
    }
    assert result["added"] == ["S3_ENABLED", "S3_BUCKET", "S3_PERMISSION", "N", "AWS_SECRET_ACCESS_KEY"]
    assert result["removed"] == ["S3_ALIAS_HOST"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == [".env.production"]

    inode = path.stat().st_ino
    again, _text = run(env_file, **params)
    assert not again["changed"]
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("secret", ["mastodon", "e", "home", "S3", "/", 6, "true", "path"])
def test_a_short_secret_mangles_nothing(run, path, secret):
    result, _text = run(
        env_file, path=str(path), variables={"S3_BUCKET": "media"}, secrets={"S3_SECRET": secret}, backup=True
    )
    assert result["path"] == str(path)
    assert result["added"] == ["S3_BUCKET", "S3_SECRET"]
    assert result["backup_file"].startswith(f"{path}.")
    assert result["diff"][0]["before_header"] == str(path)
    assert "LOCAL_DOMAIN=********\nS3_BUCKET=********\n" in result["diff"][0]["after"]
    assert result.get("changed") is True


def test_no_value_in_result_or_error(run, path):
    secrets = {"A": "hunter-2", "B": "hunter 3"}
    _result, text = run(env_file, path=str(path), secrets=secrets)
    assert "hunter" not in text
    assert "a$b" not in text
    for options in ({"absent": ["A"]}, {"variables": {"A": "x"}}, {"path": "/nowhere"}, {"validate": "false %s"}):
        result, text = run(env_file, **{"path": str(path), "secrets": {"A": "hunter-9", "B": "hunter 9"}, **options})
        assert result["failed"]
        assert "hunter" not in text


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_changed(run, path):
    result, text = run(
        env_file,
        path=str(path),
        variables={"NULL": None, "FLOAT": 1.5, "LIST": ["hunter2"], "DICT": {"a": "hunter2"}, "a-b": "x", "GOOD": "1"},
        secrets={"LINES": "secret-1\nhunter3", "TWICE": "secret-1"},
        absent=["TWICE", "c d"],
        validate="true",
    )
    assert result["failed"]
    for name in ("NULL", "FLOAT", "LIST", "DICT", "a-b", "LINES", "TWICE", "c d", "%s"):
        assert name in result["msg"]
    assert "GOOD" not in result["msg"]
    assert "hunter" not in result["msg"]
    assert "secret-1" not in text
    assert path.read_bytes() == BEFORE


def test_a_missing_file(run, tmp_path):
    path = tmp_path / "new.env"
    result, _text = run(env_file, path=str(path), variables={"A": "1"})
    assert "create" in result["msg"]
    result, _text = run(env_file, path=str(path), absent=["A"])
    assert not result["changed"]
    assert not path.exists()
    result, _text = run(env_file, check_mode=True, path=str(path), variables={"A": "1"}, create=True)
    assert result["changed"]
    assert not path.exists()
    old = os.umask(0)
    try:
        result, _text = run(env_file, path=str(path), variables={"A": "1"}, create=True)
    finally:
        os.umask(old)
    assert result["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    result, _text = run(env_file, path=str(path), variables={"A": "1"}, create=True, mode="0640")
    assert result["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    bad = tmp_path / "bad.env"
    for options in ({"owner": "no-such-user"}, {"group": "no-such-group"}, {"mode": "rwx"}):
        result, _text = run(env_file, path=str(bad), variables={"A": "1"}, create=True, **options)
        assert result["failed"]
        assert not bad.exists()
        assert sorted(os.listdir(tmp_path)) == ["new.env", "remote_tmp"]
    result, _text = run(env_file, path=str(tmp_path / "no" / "where"), variables={"A": "1"}, create=True)
    assert "folder has to exist" in result["msg"]


@pytest.mark.parametrize(("create", "mode"), [(True, None), (True, "0640"), (False, "0600")])
def test_is_never_readable_for_others_not_even_for_a_moment(run, path, monkeypatch, create, mode):
    target = path if not create else path.parent / "new.env"
    path.chmod(0o644)
    seen = []
    rename, chmod = os.rename, os.chmod

    def spy_rename(source, destination, **words):
        rename(source, destination, **words)
        if os.fsdecode(destination) == str(target):
            seen.append(stat.S_IMODE(os.stat(destination).st_mode))

    def spy_chmod(file, wanted, **words):
        chmod(file, wanted, **words)
        if os.path.realpath(os.fsdecode(file)) == str(target):
            seen.append(stat.S_IMODE(wanted))

    monkeypatch.setattr(os, "rename", spy_rename)
    monkeypatch.setattr(os, "chmod", spy_chmod)
    old = os.umask(0)
    try:
        run(env_file, path=str(target), variables={"A": "1"}, create=True, **({"mode": mode} if mode else {}))
    finally:
        os.umask(old)
    assert b"A=1\n" in target.read_bytes()
    assert seen
    assert not any(found & 0o007 for found in seen)


def test_backup_keeps_the_old_file_but_not_for_others(run, path):
    path.chmod(0o644)
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, backup=True)
    backup = result["backup_file"]
    with open(backup, "rb") as stream:
        assert stream.read() == BEFORE
    assert stat.S_IMODE(os.stat(backup).st_mode) == 0o640
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, backup=True)
    assert "backup_file" not in result


def test_validate(run, path, tmp_path):
    noted = tmp_path / "noted"
    command = f'sh -c \'stat -c %a "$0" > {noted}; grep -q S3_BUCKET=media "$0"\' %s'
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, validate=command)
    assert result["changed"]
    assert noted.read_text() == "600\n"
    after = path.read_bytes()
    result, text = run(env_file, path=str(path), variables={"S3_BUCKET": "other"}, validate="sh -c 'cat $0; exit 3' %s")
    assert "exit code 3" in result["msg"]
    assert "a$b" not in text
    assert path.read_bytes() == after
    assert os.listdir(path.parent) == [".env.production"]


@pytest.mark.parametrize("change", ["echo X=1 >> {0}", "cp {0} {0}.new; mv {0}.new {0}", "rm {0}", "rm {0}; mkdir {0}"])
def test_a_change_by_somebody_else_is_noticed(run, path, change):
    command = f"sh -c '{change.format(path)}' %s"
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, validate=command)
    assert "somebody else" in result["msg"]
    assert path.is_dir() or not path.exists() or b"media" not in path.read_bytes()
    assert not (path.parent / "..env.production.ansible_tmp").exists()


def test_a_file_that_appears_is_not_overwritten(run, tmp_path):
    path = tmp_path / "new.env"
    command = f"sh -c 'echo X=1 > {path}' %s"
    result, _text = run(env_file, path=str(path), variables={"A": "1"}, create=True, validate=command)
    assert "somebody else" in result["msg"]
    assert path.read_bytes() == b"X=1\n"


def test_what_a_killed_run_left_is_cleared_away(run, path):
    rest = path.parent / "..env.production.ansible_tmp"
    rest.write_bytes(b"SECRET=1\n")
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"})
    assert result["changed"]
    assert not rest.exists()


def test_links_are_followed_and_stay(run, path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    result, _text = run(env_file, path=str(link), variables={"S3_BUCKET": "media"})
    assert result["path"] == str(path)
    assert link.is_symlink()
    assert b"S3_BUCKET=media" in path.read_bytes()


def test_a_value_that_no_process_can_be_given_is_refused(run, path):
    before = path.read_bytes()
    longest = "x" * (128 * 1024 - len("A=") - 1)
    result, text = run(env_file, path=str(path), variables={"A": "1"}, secrets={"B": f"{longest}x"})
    assert "B" in result["msg"]
    assert "128 KiB" in result["msg"]
    assert longest not in text
    assert path.read_bytes() == before
    result, _text = run(env_file, path=str(path), secrets={"B": longest})
    assert result["changed"] is True


@pytest.mark.parametrize("kind", ["folder", "fifo", "large", "utf-16"])
def test_what_is_no_dotenv_file(run, tmp_path, kind):
    path = tmp_path / "thing"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "utf-16":
        path.write_text("A=1\n", encoding="utf-16")
    else:
        path.write_bytes(b"#" * (1024 * 1024 + 1))
    result, _text = run(env_file, path=str(path), variables={"A": "1"})
    assert str(path) in result["msg"]
    result, _text = run(env_file_info, paths=[str(path)])
    assert str(path) in result["msg"]


def test_access_control_lists_stay(run, path):
    # user::rw- user:4242:r-- group::--- mask::r-- other::---
    entries = [(1, 6, -1), (2, 4, 4242), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", acl)
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, backup=True)
    assert b"media" in path.read_bytes()
    assert os.getxattr(path, "system.posix_acl_access") == acl
    assert os.getxattr(result["backup_file"], "system.posix_acl_access") == acl


def test_duplicates_and_problems_are_told(run, path):
    path.write_bytes(b"S3_BUCKET=a\nexport S3_REGION=\nS3_BUCKET=b\n")
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"})
    assert result["duplicates"] == {"S3_BUCKET": [1]}
    assert any("line 2" in str(warning) for warning in result["warnings"])


def test_info_masks_and_reveals(run, path, tmp_path):
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
