"""s3_bucket_rules against real stores: what they make of a policy, and that a second run finds nothing to do."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from functools import partial

import pytest
from ansible.module_utils import basic
from botocore.exceptions import ClientError
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_bucket_rules

SID = "FediverseMastodonS3PublicRead"


@pytest.fixture(params=["minio", "rgw", "moto"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["minio", "rgw"])
def enforcing(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def run(monkeypatch, capsys):
    """The module, as Ansible runs it, but in this process, since there are many runs."""
    return partial(_run, monkeypatch, capsys)


def _run(monkeypatch, capsys, store, bucket, statements, *, check=False, **options):
    arguments = {
        **store.module_options(),
        "bucket": bucket,
        "policy_statements": statements,
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        **options,
    }
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        s3_bucket_rules.main()
    output = capsys.readouterr()
    assert store.secret_key not in output.out + output.err
    return json.loads(output.out)


def ours(bucket, *prefixes, **parts):
    return {
        "Sid": SID,
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes or ("media_attachments/", "accounts/")],
        **parts,
    }


def put_policy(store, bucket, *statements):
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    store.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def stored(store, bucket):
    """The statements that the bucket has, by boto3."""
    try:
        return json.loads(store.client().get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchBucketPolicy"  # noqa: PT017
        return []


def sids(store, bucket):
    return [statement.get("Sid", "") for statement in stored(store, bucket)]


def anonymous(store, bucket, key):
    trust = ssl.create_default_context(cafile=store.ca_bundle)
    try:
        url = f"{store.endpoint_url}/{bucket}/{key}"
        with urllib.request.urlopen(url, context=trust, timeout=10) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


FORMS = {
    "lists": {},
    "one resource": {"Resource": None},
    "a single action": {"Action": "s3:GetObject"},
    "AWS principal": {"Principal": {"AWS": "*"}},
    "AWS principals": {"Principal": {"AWS": ["*"]}},
    "several actions": {"Action": ["s3:GetObjectVersion", "s3:GetObject"]},
    "condition": {"Condition": {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "127.0.0.0/8"]}}},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_second_run_changes_nothing_whatever_the_form(run, store, form):
    bucket = new_bucket(store)
    statement = ours(bucket, **FORMS[form])
    statement["Resource"] = statement["Resource"] or f"arn:aws:s3:::{bucket}/accounts/*"
    first = run(store, bucket, [statement], protected_prefixes=["backups/"])
    assert first["changed"], first
    assert sids(store, bucket) == [SID]
    second = run(store, bucket, [statement], protected_prefixes=["backups/"])
    assert not second["changed"], (second, stored(store, bucket))
    assert second["diff"]["before"] == second["diff"]["after"]


def test_it_opens_just_the_prefixes(run, enforcing):
    store, bucket = enforcing, new_bucket(enforcing)
    for key in ("accounts/a.png", "backups/b.zip", "accounts-old/c.png"):
        store.client().put_object(Bucket=bucket, Key=key, Body=b"x")
    keys = ("accounts/a.png", "backups/b.zip", "accounts-old/c.png")
    assert [anonymous(store, bucket, key) for key in keys] == [403, 403, 403]
    assert run(store, bucket, [ours(bucket, "accounts/")], protected_prefixes=["backups/"])["changed"]
    assert [anonymous(store, bucket, key) for key in keys] == [200, 403, 403]
    assert run(store, bucket, [{"Sid": SID}], state="absent")["changed"]
    assert [anonymous(store, bucket, key) for key in keys] == [403, 403, 403]


def test_others_statements_survive_changes_and_removal(run, store):
    bucket = new_bucket(store)
    theirs = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:DeleteObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/locked/*"],
    }
    put_policy(store, bucket, theirs)
    before = stored(store, bucket)
    for resources in (("accounts/",), ("accounts/", "cache/")):
        assert run(store, bucket, [ours(bucket, *resources)])["changed"]
        assert sorted(sids(store, bucket)) == [SID, "Theirs"]
        assert [each for each in stored(store, bucket) if each["Sid"] == "Theirs"] == before
        assert not run(store, bucket, [ours(bucket, *reversed(resources))])["changed"]
    assert run(store, bucket, [{"Sid": SID}], state="absent")["changed"]
    assert stored(store, bucket) == before
    assert not run(store, bucket, [{"Sid": SID}], state="absent")["changed"]


def test_a_statement_that_is_made_already_under_another_name(run, store):
    bucket = new_bucket(store)
    put_policy(store, bucket, {**ours(bucket), "Sid": "Theirs"})
    assert not run(store, bucket, [ours(bucket)])["changed"]
    assert sids(store, bucket) == ["Theirs"]


def test_check_mode_predicts_and_changes_nothing(run, store):
    bucket = new_bucket(store)
    predicted = run(store, bucket, [ours(bucket)], check=True)
    assert predicted["changed"]
    assert stored(store, bucket) == []
    assert "accounts" in predicted["diff"]["after"]
    assert "accounts" not in predicted["diff"]["before"]
    made = run(store, bucket, [ours(bucket)])
    assert made["policy"] == predicted["policy"]
    assert not run(store, bucket, [ours(bucket)], check=True)["changed"]
    assert run(store, bucket, [{"Sid": SID}], state="absent", check=True)["changed"]
    assert sids(store, bucket) == [SID]


def test_check_mode_before_the_bucket_exists(run, store):
    bucket = "not-there-yet-0123456789"
    assert run(store, bucket, [ours(bucket)], check=True)["changed"]
    failed = run(store, bucket, [ours(bucket)])
    assert failed["failed"]
    assert "the bucket does not exist" in failed["msg"]


def test_anothers_public_statement_over_protected_prefixes_stops_it(run, store):
    bucket = new_bucket(store)
    put_policy(store, bucket, {**ours(bucket, ""), "Sid": "AllOpen"})
    before = stored(store, bucket)
    failed = run(store, bucket, [ours(bucket)], protected_prefixes=["backups/", "imports/"])
    assert failed["failed"]
    assert "statement AllOpen opens 'backups/'" in failed["msg"]
    assert "'imports/'" in failed["msg"]
    assert stored(store, bucket) == before


def test_minio_keeps_one_of_two_equal_statements(minio):
    """Why a statement that another Sid makes is not made again: MinIO would drop it, and no run would be the last."""
    bucket = new_bucket(minio)
    put_policy(minio, bucket, {**ours(bucket), "Sid": "Theirs"}, ours(bucket))
    assert len(stored(minio, bucket)) == 1


def test_a_malformed_policy_is_told_as_such(run, enforcing):
    bucket = new_bucket(enforcing)
    failed = run(enforcing, bucket, [ours(bucket, Action="s3:Nonsense")])
    assert failed["failed"]
    assert "does not accept the policy; correct its statements" in failed["msg"]
    assert stored(enforcing, bucket) == []


def test_a_public_access_block_is_named(run, rgw):
    bucket = new_bucket(rgw)
    rgw.client().put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": False,
            "IgnorePublicAcls": False,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": False,
        },
    )
    failed = run(rgw, bucket, [ours(bucket)])
    assert failed["failed"]
    assert "BlockPublicPolicy" in failed["msg"]
    assert stored(rgw, bucket) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"secret_key": "wrong-secret"}, "secret key does not fit"),
        ({"access_key": "nobody", "secret_key": "wrong-secret"}, "does not know this access key"),
        ({"aws_ca_bundle": None}, "set aws_ca_bundle"),
        ({"endpoint_url": "https://127.0.0.1:9"}, "nothing listens"),
        ({"aws_ca_bundle": "/nonexistent/ca.pem"}, "aws_ca_bundle /nonexistent/ca.pem is not a file"),
    ],
)
def test_a_wrong_connection_is_told_with_the_remedy(run, enforcing, options, named):
    bucket = new_bucket(enforcing)
    quick = {"aws_config": {"retries": {"total_max_attempts": 1}}}
    failed = run(enforcing, bucket, [ours(bucket)], **quick, **options)
    assert failed["failed"]
    assert named in failed["msg"]
    assert "wrong-secret" not in json.dumps(failed)
