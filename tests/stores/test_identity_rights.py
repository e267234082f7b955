"""The key that an instance gets, with the role's own policy: it can do what Mastodon does, and nothing else."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError
from jinja2.nativetypes import NativeEnvironment
from stores.fixtures import new_bucket
from sync_world import StoreWorld

STORAGE = Path(__file__).resolve().parents[2] / "roles/mastodon_s3/vars/main/storage.yml"
# SeaweedFS 4.48 refuses policies that name these actions. It needs neither: parts are listed by s3:ListParts there.
UNKNOWN_TO_SEAWEEDFS = {"s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"}
LARGE = bytes(range(256)) * 80_000


def rendered(value, variables):
    """What a variable of the role holds, as Ansible would see it."""
    if isinstance(value, dict):
        return {name: rendered(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [rendered(each, variables) for each in value]
    return NativeEnvironment().from_string(value).render(variables) if isinstance(value, str) else value


def role_policy(bucket):
    variables = {
        "__mastodon_s3_partition": "aws",
        "mastodon_s3_bucket": bucket,
        "__mastodon_s3_key_base": "",
        "__mastodon_s3_acls_wanted": False,
    }
    policy = rendered(yaml.safe_load(STORAGE.read_text(encoding="utf-8"))["__mastodon_s3_identity_policy"], variables)
    # A date by its looks.
    return {**policy, "Version": "2012-10-17"}


def identity_of_minio(world):
    name, secret = f"test-{secrets.token_hex(4)}", secrets.token_hex(20)
    wish = {"name": name, "user_secret_key": secret, "policy_name": name, "policy": role_policy(world.bucket)}
    assert world.module("fediverse.mastodon_s3.minio_identity", **wish)["changed"]
    return {"access_key": name, "secret_key": secret}


def identity_of_seaweedfs(world):
    """By the IAM calls that it speaks, as AWS does."""
    iam, name, policy = world.store.client("iam"), f"test-{secrets.token_hex(4)}", role_policy(world.bucket)
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action not in UNKNOWN_TO_SEAWEEDFS]
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}


IDENTITIES = {"minio": identity_of_minio, "seaweedfs": identity_of_seaweedfs}


class Lent:
    """A world, and a client with the key that its bucket's instance got."""

    def __init__(self, world):
        self.world = world
        self.key = IDENTITIES[world.store.kind](world)
        self.client = world.store.client(
            aws_access_key_id=self.key["access_key"], aws_secret_access_key=self.key["secret_key"]
        )
        self._wait()

    def _wait(self):
        """Wait for the store to know the key everywhere."""
        deadline = time.monotonic() + 15
        while code(self.client.list_objects_v2, Bucket=self.world.bucket) and time.monotonic() < deadline:
            time.sleep(0.2)


def code(call, **arguments):
    """The code of the refusal, or None where there was none."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


@pytest.fixture(params=IDENTITIES)
def lent(request, tmp_path):
    store = request.getfixturevalue(request.param)
    return Lent(StoreWorld(store, new_bucket(store), tmp_path))


def test_the_key_does_what_mastodon_does(lent):
    client, bucket = lent.client, lent.world.bucket
    thing = {"Bucket": bucket, "Key": "accounts/a.png"}
    client.put_object(**thing, Body=b"a", ContentType="image/png")
    assert client.get_object(**thing)["Body"].read() == b"a"
    assert client.head_object(**thing)["ContentType"] == "image/png"
    client.copy_object(Bucket=bucket, Key="cache/b.png", CopySource=thing)
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == [
        "accounts/a.png",
        "cache/b.png",
    ]
    large = {"Bucket": bucket, "Key": "cache/large.mp4"}
    upload = client.create_multipart_upload(**large)["UploadId"]
    part = client.upload_part(**large, UploadId=upload, PartNumber=1, Body=LARGE)
    client.complete_multipart_upload(
        **large, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert client.get_object(**large)["Body"].read() == LARGE
    given_up = client.create_multipart_upload(**large)["UploadId"]
    client.abort_multipart_upload(**large, UploadId=given_up)
    client.delete_object(**thing)
    deletion = {"Objects": [{"Key": "cache/b.png"}, {"Key": "cache/large.mp4"}]}
    assert "Errors" not in client.delete_objects(Bucket=bucket, Delete=deletion)
    assert lent.world.objects() == {}


def test_the_key_does_nothing_else(lent):
    client, bucket = lent.client, lent.world.bucket
    administrator, other = lent.world.client, new_bucket(lent.world.store)
    administrator.put_object(Bucket=other, Key="accounts/a.png", Body=b"other")
    everybody = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
            ],
        }
    )
    soon = {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    refused = {
        "read another bucket": code(client.get_object, Bucket=other, Key="accounts/a.png"),
        "write to another bucket": code(client.put_object, Bucket=other, Key="accounts/b.png", Body=b""),
        "delete in another bucket": code(client.delete_object, Bucket=other, Key="accounts/a.png"),
        "list another bucket": code(client.list_objects_v2, Bucket=other),
        "create a bucket": code(client.create_bucket, Bucket=f"{other}-more"),
        "delete its bucket": code(client.delete_bucket, Bucket=bucket),
        "set the policy": code(client.put_bucket_policy, Bucket=bucket, Policy=everybody),
        "remove the policy": code(client.delete_bucket_policy, Bucket=bucket),
        "read the policy": code(client.get_bucket_policy, Bucket=bucket),
        "set expiry": code(client.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=soon),
        "set versioning": code(
            client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        ),
    }
    assert refused == dict.fromkeys(refused, "AccessDenied")
    assert administrator.get_object(Bucket=other, Key="accounts/a.png")["Body"].read() == b"other"
    assert [found["Key"] for found in administrator.list_objects_v2(Bucket=other)["Contents"]] == ["accounts/a.png"]
    assert code(administrator.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    assert code(administrator.head_bucket, Bucket=f"{other}-more") == "404"
    names = [found["Name"] for found in client.list_buckets()["Buckets"]]
    assert other not in names


def test_the_key_is_enough_for_a_migration(lent):
    world = lent.world
    world.write("accounts/a.png", b"a")
    world.write("cache/large.mp4", LARGE)
    world.write("backups/a.zip", b"archive")
    options = {"exposure": "policy", "delete": "own", **lent.key}
    assert world.done(**options) == {"upload": 3}
    (world.src / "accounts/a.png").unlink()
    assert world.done(**options) == {"delete": 1}
    world.write("accounts/late.png", b"late")
    assert world.done(exposure="policy", source_of_truth="bucket", **lent.key) == {"upload": 1}
    assert world.objects() == {"accounts/late.png": 4, "cache/large.mp4": len(LARGE), "backups/a.zip": 7}
