"""s3_bucket against real stores: a bucket of its own, twice, and what each store says to a wrong wish."""

from __future__ import annotations

import json
import uuid
from functools import partial

import pytest
from ansible.module_utils import basic
from botocore.exceptions import ClientError
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_bucket


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(_run, monkeypatch, capsys)


def _run(monkeypatch, capsys, store, bucket, *, check=False, **options):
    arguments = {**store.module_options(), "bucket": bucket, "_ansible_check_mode": check, **options}
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        s3_bucket.main()
    output = capsys.readouterr()
    assert store.secret_key not in output.out + output.err
    return json.loads(output.out)


def exists(store, bucket):
    try:
        store.client().head_bucket(Bucket=bucket)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "404"  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("kind", ["minio", "rgw", "seaweedfs", "versitygw", "moto"])
def test_a_bucket_is_created_once(request, run, kind):
    store = request.getfixturevalue(kind)
    bucket = f"test-{uuid.uuid4().hex[:16]}"
    assert run(store, bucket, check=True)["created"]
    assert not exists(store, bucket)
    first = run(store, bucket)
    assert (first["changed"], first["created"]) == (True, True), first
    assert exists(store, bucket)
    second = run(store, bucket)
    assert (second["changed"], second["created"], second["settings"]) == (False, False, first["settings"])


@pytest.mark.parametrize("kind", ["minio", "rgw", "moto"])
def test_tags_are_added_to_those_of_others(request, run, kind):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "theirs", "Value": "1"}]})
    assert run(store, bucket, tags={"ours": "2"}, check=True)["changed"]
    assert run(store, bucket, tags={"ours": "2"})["changed"]
    tags = {tag["Key"]: tag["Value"] for tag in store.client().get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags == {"theirs": "1", "ours": "2"}
    assert not run(store, bucket, tags={"ours": "2"})["changed"]


def test_settings_are_written_once(run, moto):
    bucket = new_bucket(moto)
    wishes = {
        "ownership": "BucketOwnerPreferred",
        "encryption": "AES256",
        "public_access": {"block_public_acls": True, "restrict_public_buckets": True},
    }
    predicted = run(moto, bucket, check=True, **wishes)
    first = run(moto, bucket, **wishes)
    assert first["changed"]
    assert first["settings"] == predicted["settings"]
    assert moto.client().get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": False,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": True,
    }
    assert not run(moto, bucket, **wishes)["changed"]


def test_ceph_is_told_of_its_zonegroup(run, rgw):
    bucket = f"test-{uuid.uuid4().hex[:16]}"
    message = run(rgw, bucket, region="eu-west-3")["msg"]
    assert "InvalidLocationConstraint" in message
    assert "api_name of the zonegroup" in message
    assert not exists(rgw, bucket)
