# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from functools import partial

import pytest
from ansible.module_utils import basic

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import Boto3MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_bucket_rules as under_test

SECRET = "a-secret-that-shows-nowhere"
OURS = {
    "Sid": "FediverseMastodonS3PublicRead",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::media/accounts/*",
}


@pytest.fixture
def run(monkeypatch, capsys, web):
    return partial(_run, monkeypatch, capsys, web)


def _run(monkeypatch, capsys, web, *, check=False, **options):
    arguments = {
        "bucket": "media",
        "policy_statements": [OURS],
        "endpoint_url": web.url,
        "access_key": "AKIA",
        "secret_key": SECRET,
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
    assert SECRET not in json.dumps(result)
    assert bool(result.get("failed")) == bool(ended.value.code)
    return result


def answer(status, text):
    return lambda method, path, headers: (status, {"Content-Type": "application/xml"}, text.encode())


def error(status, code):
    return answer(status, f"<Error><Code>{code}</Code><Message>No.</Message></Error>")


@pytest.fixture
def without_boto3(monkeypatch):
    def missing(_options):
        raise Boto3MissingError("No module named 'boto3'")

    monkeypatch.setattr(under_test, "s3_client", missing)


@pytest.mark.usefixtures("without_boto3")
def test_without_boto3_check_mode_assumes_nothing_exists_and_warns(run):
    result = run(check=True)
    assert result["changed"]
    assert result["policy"]["Statement"] == [OURS]
    assert "python3-boto3" in json.dumps(result["warnings"])
    assert not run(check=True, state="absent")["changed"]


@pytest.mark.usefixtures("without_boto3")
def test_without_boto3_it_fails_with_the_remedy(run):
    assert "python3-boto3" in run()["msg"]


def test_a_missing_bucket(run, web):
    web.answer = error(404, "NoSuchBucket")
    assert run(check=True)["policy"]["Statement"] == [OURS]
    assert "the bucket does not exist" in run()["msg"]


def test_a_wrong_endpoint_is_not_a_missing_bucket(run, web):
    web.answer = answer(404, "<html>not found</html>")
    assert run(check=True)["failed"]


def test_check_mode_checks_protected_prefixes(run, web):
    web.answer = error(404, "NoSuchBucket")
    assert "opens 'accounts/private/'" in run(check=True, protected_prefixes=["accounts/private/"])["msg"]


def test_a_correct_policy_is_not_changed(run, web):
    stored = {"Version": "2012-10-17", "Statement": [{**OURS, "Principal": {"AWS": ["*"]}}]}
    web.answer = answer(200, json.dumps(stored))
    result = run()
    assert not result["changed"]
    assert result["policy"] == stored
    assert [request[0] for request in web.requests] == ["GET"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"policy_statements": []}, "policy_statements is empty"),
        ({"policy_statements": [{"Sid": "Theirs"}], "state": "absent"}, "must begin with FediverseMastodonS3"),
        ({"protected_prefixes": [""]}, "write it like backups/"),
        ({"policy_statements": None}, "there is nothing to do"),
        ({"cors_rules": [{"ID": "FediverseMastodonS3Cors"}]}, "needs AllowedOrigins"),
        (
            {"lifecycle_rules": [{"ID": "FediverseMastodonS3X", "Expiration": {"Days": 1}}]},
            "would delete or move media",
        ),
        ({"bucket": "s3://media"}, "is not a bucket's name"),
        ({"endpoint_url": "media.example.com"}, "has no scheme"),
        ({"profile": "p"}, "profile, access_key and secret_key are all set"),
        ({"aws_config": {"unheard_of": 1}}, "unheard_of"),
    ],
)
def test_invalid_options_are_refused_before_any_request(run, web, options, named):
    for check in (False, True):
        assert named in run(check=check, **options)["msg"]
    assert web.requests == []


CORS_RULE = {"ID": "FediverseMastodonS3Cors", "AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}
LIFECYCLE_RULE = {"ID": "FediverseMastodonS3AbortUploads", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


def test_only_requested_settings_are_read(run, web):
    web.answer = error(404, "NoSuchCORSConfiguration")
    result = run(check=True, policy_statements=None, cors_rules=[CORS_RULE])
    assert result["changed"]
    assert result["cors_rules"] == [CORS_RULE]
    assert "policy" not in result
    assert "lifecycle_rules" not in result
    assert json.loads(result["diff"]["before"]) == {"cors_rules": []}
    assert json.loads(result["diff"]["after"]) == {"cors_rules": [CORS_RULE]}
    assert [request[1].partition("?")[2] for request in web.requests] == ["cors"]


def test_all_settings_are_read_before_any_is_written(run, web):
    answers = {
        "policy": error(404, "NoSuchBucketPolicy"),
        "cors": error(404, "NoSuchCORSConfiguration"),
        "lifecycle": error(403, "SignatureDoesNotMatch"),
    }
    web.answer = lambda method, path, headers: answers[path.partition("?")[2]](method, path, headers)
    result = run(cors_rules=[CORS_RULE], lifecycle_rules=[LIFECYCLE_RULE])
    assert "GetBucketLifecycleConfiguration: the secret key does not fit" in result["msg"]
    assert not result["changed"]
    assert {request[0] for request in web.requests} == {"GET"}


def test_dates_in_foreign_rules_are_accepted(run, web):
    web.answer = answer(
        200,
        "<LifecycleConfiguration><Rule><ID>old</ID><Prefix/><Status>Enabled</Status><Expiration>"
        "<Date>2030-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>",
    )
    result = run(check=True, policy_statements=None, lifecycle_rules=[LIFECYCLE_RULE])
    assert "2030-01-01" in result["lifecycle_rules"][0]["Expiration"]["Date"]
    assert "2030-01-01" in result["diff"]["before"]


def test_a_store_without_such_rules_gives_a_warning(run, web):
    web.answer = error(501, "NotImplemented")
    for check in (False, True):
        result = run(check=check, policy_statements=None, cors_rules=[CORS_RULE], lifecycle_rules=[LIFECYCLE_RULE])
        assert not result["changed"]
        assert result["unsupported"] == ["cors", "lifecycle"]
        assert "Access-Control-Allow-Origin" in json.dumps(result["warnings"])
    result = run(state="absent", policy_statements=None, cors_rules=[CORS_RULE], lifecycle_rules=[LIFECYCLE_RULE])
    assert (result["changed"], result["unsupported"]) == (False, [])


def test_a_key_without_bucket_rights_gives_a_warning(run, web):
    web.answer = lambda method, path, headers: (
        error(404, "NoSuchPolicyConfiguration") if "policy" in path else error(403, "AccessDenied")
    )(method, path, headers)
    result = run(check=True, cors_rules=[CORS_RULE], lifecycle_rules=[LIFECYCLE_RULE])
    assert result["unsupported"] == ["cors", "lifecycle"]
    assert json.dumps(result["warnings"]).count("AccessDenied") == 2
    assert result["policy"]["Statement"] == [OURS]


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (503, "ServiceUnavailable"), (400, "X"), (404, "X")]
)
def test_a_policy_that_can_not_be_read_is_not_overwritten(run, web, status, code):
    web.answer = error(status, code)
    assert run(aws_config={"retries": {"total_max_attempts": 1}})["failed"]
    assert {request[0] for request in web.requests} == {"GET"}
