"""What real stores tell of a bucket's settings, as s3_storage_info returns it."""

from __future__ import annotations

import pytest
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.state import (
    BucketState,
    read_state,
    refusal_of,
    warnings_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import connection_options

OPEN = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
# For a bucket that was just made.
FRESH = {
    "minio": BucketState("none", "none", False, None, None),
    "rgw": BucketState(None, "none", False, None, OPEN),
    "moto": BucketState("none", "none", False, "none", OPEN),
    "seaweedfs": BucketState("none", "none", False, "BucketOwnerEnforced", None),
    "versitygw": BucketState(None, "none", False, "BucketOwnerEnforced", None),
}


@pytest.mark.parametrize("kind", FRESH)
def test_a_bucket_that_was_just_made(request, kind):
    store = request.getfixturevalue(kind)
    state = read_state(store.client(), new_bucket(store))
    assert state == FRESH[kind]
    assert (refusal_of(state), warnings_of(state)) == (None, [])


@pytest.mark.parametrize("kind", ["minio", "rgw", "moto", "seaweedfs"])
def test_a_bucket_that_keeps_old_versions(request, kind):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    state = read_state(store.client(), bucket)
    assert state.versioning == "Enabled"
    assert "old versions" in warnings_of(state)[0]
    store.client().put_object(Bucket=bucket, Key="x", Body=b"x")
    store.client().delete_object(Bucket=bucket, Key="x")
    assert len(store.client().list_object_versions(Bucket=bucket)["Versions"]) == 1


@pytest.mark.parametrize("kind", ["minio", "rgw", "moto"])
def test_a_bucket_with_object_lock(request, kind):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store) + "-l"
    store.client().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    state = read_state(store.client(), bucket)
    assert (state.object_lock, state.versioning) == (True, "Enabled")
    assert len(warnings_of(state)) == 2


@pytest.mark.parametrize(("algorithm", "refused"), [("aws:kms", True), ("AES256", False)])
def test_a_bucket_with_encryption(moto, algorithm, refused):
    bucket = new_bucket(moto)
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
    moto.client().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    state = read_state(moto.client(), bucket)
    assert state.encryption == algorithm
    assert (refusal_of(state) is not None) is refused


def test_a_key_that_may_not_ask_is_told_nothing(minio):
    bucket = new_bucket(minio)
    options = {**minio.module_options(), "access_key": "nobody", "secret_key": "no-secret-at-all"}
    assert read_state(s3_client(connection_options(options)), bucket) == BucketState()
