# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module env_file, run whole, on real files."""

from __future__ import annotations

import json
import os
import re
import stat
import struct
import subprocess
import sys

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse
from ansible_collections.fediverse.mastodon_s3.plugins.modules import env_file

BEFORE = b"LOCAL_DOMAIN=example.social\n# S3_BUCKET=\nOTP_SECRET='a$b'\nS3_ALIAS_HOST=old\n"


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "home" / "mastodon" / "live"
    folder.mkdir(parents=True)
    file = folder / ".env.production"
    file.write_bytes(BEFORE)
    file.chmod(0o640)
    return file


def test_sets_and_removes_and_is_idempotent(run, path):
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
def test_a_short_secret_does_not_mask_other_text(run, path, secret):
    result, _text = run(
        env_file, path=str(path), variables={"S3_BUCKET": "media"}, secrets={"S3_SECRET": secret}, backup=True
    )
    assert result["path"] == str(path)
    assert result["added"] == ["S3_BUCKET", "S3_SECRET"]
    assert result["backup_file"].startswith(f"{path}.")
    assert result["diff"][0]["before_header"] == str(path)
    assert result["diff"][0]["after"] == "S3_BUCKET=media\nS3_SECRET=********\n"
    assert result.get("changed") is True


def test_result_and_error_contain_no_value(run, path):
    secrets = {"A": "hunter-2", "B": "hunter 3"}
    _result, text = run(env_file, path=str(path), secrets=secrets)
    assert "hunter" not in text
    assert "a$b" not in text
    for options in ({"absent": ["A"]}, {"variables": {"A": "x"}}, {"path": "/nowhere"}, {"validate": "false %s"}):
        result, text = run(env_file, **{"path": str(path), "secrets": {"A": "hunter-9", "B": "hunter 9"}, **options})
        assert result["failed"]
        assert "hunter" not in text


def test_all_problems_are_reported_at_once_and_nothing_is_changed(run, path):
    result, text = run(
        env_file,
        path=str(path),
        variables={"NULL": None, "FLOAT": 1.5, "LIST": ["hunter2"], "DICT": {"a": "hunter2"}, "a-b": "x", "GOOD": "1"},
        secrets={"LINES": "secret-1\nhunter3", "TWICE": "secret-1"},
        absent=["TWICE", "c d"],
        validate="true",
    )
    assert result["failed"]
    for name in ("a-b", "LINES", "TWICE", "c d", "%s"):
        assert name in result["msg"]
    for name, reason in {"NULL": "null", "FLOAT": "a number", "LIST": "a list", "DICT": "a dict"}.items():
        assert re.search(rf"the value of {name} is[^;]* {reason}\b", result["msg"]), name
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
    assert "create the folder first" in result["msg"]
    result, _text = run(env_file, path=str(tmp_path / "no" / "where"), variables={"A": "1"})
    assert "create" in result["msg"]


@pytest.mark.parametrize(("create", "mode"), [(True, None), (True, "0640"), (False, "0600")])
def test_is_never_readable_for_others(run, path, monkeypatch, create, mode):
    target = path if not create else path.parent / "new.env"
    path.chmod(0o644)
    seen = []

    def spy(act):
        def spied(source, destination, **words):
            act(source, destination, **words)
            seen.append(stat.S_IMODE(target.stat().st_mode))

        return spied

    monkeypatch.setattr(os, "rename", spy(os.rename))
    monkeypatch.setattr(os, "link", spy(os.link))
    old = os.umask(0)
    try:
        run(env_file, path=str(target), variables={"A": "1"}, create=True, **({"mode": mode} if mode else {}))
    finally:
        os.umask(old)
    assert b"A=1\n" in target.read_bytes()
    assert seen == [int(mode, 8) if mode else 0o600]


def test_a_backup_is_not_readable_for_others(run, path):
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
def test_a_change_by_another_program_is_noticed(run, path, change):
    command = f"sh -c '{change.format(path)}' %s"
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, validate=command)
    assert "another program" in result["msg"]
    assert path.is_dir() or not path.exists() or b"media" not in path.read_bytes()
    assert not [name for name in os.listdir(path.parent) if name.startswith(".mastodon_s3-")]


def test_a_file_that_appears_is_not_overwritten(run, tmp_path):
    path = tmp_path / "new.env"
    command = f"sh -c 'echo X=1 > {path}' %s"
    result, _text = run(env_file, path=str(path), variables={"A": "1"}, create=True, validate=command)
    assert "another program" in result["msg"]
    assert path.read_bytes() == b"X=1\n"


def test_leftovers_of_a_killed_run_are_removed(run, path):
    rest = path.parent / ".mastodon_s3-0123456789abcdef.tmp"
    rest.write_bytes(b"SECRET=1\n")
    run(env_file, path=str(path), variables={"S3_BUCKET": "media"})
    assert rest.exists()
    os.utime(rest, (1, 1))
    run(env_file, path=str(path), variables={"S3_BUCKET": "other"})
    assert os.listdir(path.parent) == [".env.production"]


def test_owner_and_mode_are_set_and_returned(run, path, as_root):
    params = {"path": str(path), "owner": "4242", "group": "4343", "mode": "0600"}
    predicted, _text = run(env_file, check_mode=True, **params)
    assert os.stat(path).st_uid == 0
    result, _text = run(env_file, **params)
    assert (result["changed"], result["diff"]) == (True, predicted["diff"])
    assert result["diff"][1]["after"] == {"path": str(path), "owner": 4242, "group": 4343, "mode": "0600"}
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (4242, 4343, 0o600)
    assert path.read_bytes() == BEFORE
    result, _text = run(env_file, **params)
    assert (result["changed"], len(result["diff"])) == (False, 1)


def test_a_file_of_root_that_was_moved_in_is_refused(run, path, as_root):
    os.chown(path.parent, 4242, 4242)
    path.chmod(0o600)
    for options in ({"owner": "4242"}, {"mode": "0644"}):
        result, _text = run(env_file, path=str(path), **options)
        assert "moved there" in result["msg"]
    status = path.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    result, _text = run(env_file, path=str(path), variables={"A": "1"})
    assert result["changed"]
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)


def test_a_mounted_file_is_written_in_place_on_request(run, path, tmp_path, as_root):
    other = tmp_path / "outside"
    other.write_bytes(BEFORE)
    if subprocess.run(["mount", "--bind", str(other), str(path)], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"})
        assert "unsafe_writes" in result["msg"]
        assert other.read_bytes() == BEFORE
        result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, unsafe_writes=True)
        assert result["changed"]
        assert b"S3_BUCKET=media" in other.read_bytes()
        assert os.listdir(path.parent) == [".env.production"]
    finally:
        subprocess.run(["umount", str(path)], check=True)


PROCESS = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.fediverse.mastodon_s3.plugins.modules import env_file
number, path, temporary = sys.argv[1:]
for turn in range(20):
    with patch_module_args({"path": path, "variables": {f"V{number}_{turn}": "x"}, "_ansible_remote_tmp": temporary}):
        try:
            env_file.main()
        except SystemExit as end:
            if end.code:
                raise
"""


def test_concurrent_edits_are_all_kept(path, tmp_path):
    runs = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(number), str(path), str(tmp_path)], stdout=subprocess.PIPE)
        for number in range(3)
    ]
    told = [json.loads(line) for each in runs for line in each.communicate()[0].split(b"\n") if line]
    assert [each.returncode for each in runs] == [0, 0, 0]
    names = {f"V{number}_{turn}" for number in range(3) for turn in range(20)}
    assert sorted(name for result in told for name in result["added"]) == sorted(names)
    assert set(parse(path.read_bytes()).values()) - set(parse(BEFORE).values()) == names


def test_links_are_followed_and_kept(run, path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    result, _text = run(env_file, path=str(link), variables={"S3_BUCKET": "media"})
    assert result["path"] == str(path)
    assert link.is_symlink()
    assert b"S3_BUCKET=media" in path.read_bytes()


def test_a_value_that_is_too_long_for_a_process_is_refused(run, path):
    before = path.read_bytes()
    longest = "x" * (128 * 1024 - len("A=") - 1)
    result, text = run(env_file, path=str(path), variables={"A": "1"}, secrets={"B": f"{longest}x"})
    assert "B" in result["msg"]
    assert "128 KiB" in result["msg"]
    assert longest not in text
    assert path.read_bytes() == before
    result, _text = run(env_file, path=str(path), secrets={"B": longest})
    assert result["changed"] is True


def test_access_control_lists_are_kept(run, path):
    # user::rw- user:4242:r-- group::--- mask::r-- other::---
    entries = [(1, 6, -1), (2, 4, 4242), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", acl)
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, backup=True)
    assert b"media" in path.read_bytes()
    assert os.getxattr(path, "system.posix_acl_access") == acl
    assert os.getxattr(result["backup_file"], "system.posix_acl_access") == acl


def test_duplicates_and_problems_are_reported(run, path):
    path.write_bytes(b"S3_BUCKET=a\nexport S3_REGION=\nS3_BUCKET=b\n")
    result, _text = run(env_file, path=str(path), variables={"S3_BUCKET": "media"})
    assert result["duplicates"] == {"S3_BUCKET": [1]}
    assert any("line 2" in str(warning) for warning in result["warnings"])


def test_after_a_power_failure_the_old_or_the_new_file_and_the_backup_exist(run, path, kept_by_disk):
    seen = kept_by_disk(path)
    result, _printed = run(env_file, path=str(path), variables={"S3_BUCKET": "media"}, backup=True)
    written = [(content, held) for kind, content, held in seen if kind == "file"]
    after = path.read_bytes()
    assert b"S3_BUCKET=media\n" in after
    assert (after, BEFORE) in written, "the new content was not on disk when it got its name"
    assert seen[-1] == ("folder", None, after), "the new name was not on disk at the end"
    with open(result["backup_file"], "rb") as backup:
        assert (backup.read(), BEFORE) in written, "the backup was not on disk when the file was replaced"
