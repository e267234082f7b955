# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from functools import partial

import pytest
from ansible.module_utils import basic

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio import admin
from ansible_collections.fediverse.mastodon_s3.plugins.modules import minio_identity as under_test

SECRETS = ("administrators-secret", "a-secret-that-shows-nowhere")
STATEMENT = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::media/*"}


@pytest.fixture
def run(monkeypatch, capsys, web):
    return partial(_run, monkeypatch, capsys, web)


def _run(monkeypatch, capsys, web, *, check=False, **options):
    arguments = {
        "name": "mastodon",
        "policy_name": "media",
        "policy": {"Version": "2012-10-17", "Statement": [STATEMENT]},
        "user_secret_key": SECRETS[1],
        "endpoint_url": web.url,
        "access_key": "admin",
        "secret_key": SECRETS[0],
        "_ansible_check_mode": check,
        **options,
    }
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit) as ended:
        under_test.main()
    result = json.loads(capsys.readouterr().out)
    # By this ansible-core 2.22 and newer tell the controller what to mask; it takes it out of the result.
    result.pop("_ansible_new_secrets", None)
    assert not any(secret in json.dumps(result) for secret in SECRETS)
    assert bool(result.get("failed")) == bool(ended.value.code)
    return result


@pytest.fixture
def without_minio(monkeypatch):
    monkeypatch.setattr(admin, "_IMPORT_ERROR", "No module named 'minio'")


@pytest.mark.usefixtures("without_minio")
def test_without_the_package_check_mode_assumes_nothing_exists_and_warns(run):
    result = run(check=True)
    assert (result["changed"], result["exists"]) == (True, None)
    assert json.loads(json.dumps(result["diff"]["after"])).count("s3:GetObject") == 1
    assert "No module named 'minio'" in json.dumps(result["warnings"])
    assert not run(check=True, state="absent")["changed"]


@pytest.mark.usefixtures("without_minio")
def test_without_the_package_it_fails_with_the_remedy(run, web):
    assert "Install version 7.2.20 or newer" in run()["msg"]
    assert web.requests == []


@pytest.mark.usefixtures("without_minio")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "ab"}, "write 3 to 20 letters"),
        ({"name": "admin"}, "administrator's own access key"),
        ({"policy_name": "consoleAdmin"}, "MinIO's own policy"),
        ({"policy": {"Statement": [{**STATEMENT, "Resource": "arn:aws:s3:::*"}]}}, "in every bucket"),
        ({"policy": None}, "policy"),
        ({"endpoint_url": "minio.example.com"}, "has no scheme"),
        ({"profile": "p"}, "profile, access_key and secret_key are all set"),
        ({"access_key": ""}, "access_key is empty"),
    ],
)
def test_invalid_options_are_refused_before_any_request(run, web, options, named):
    for check in (False, True):
        assert named in run(check=check, **options)["msg"]
    assert web.requests == []
