"""Creates a MinIO user with access to one bucket only, or checks that a user has only this access.

Usage: minio_key.py STORE.json HOST KEY.json   creates a user
       minio_key.py STORE.json HOST -          checks the key in the JSON from stdin
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import typing as t
from urllib.parse import urlsplit

import boto3
import urllib3
from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials import StaticProvider

# The requests of Mastodon, the sync and its verification. No administration, no other bucket.
_BUCKET_ACTIONS = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
_OBJECT_ACTIONS = [
    "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
]  # fmt: skip


def policy(bucket: str) -> dict[str, object]:
    """Return the user's policy."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": _BUCKET_ACTIONS, "Resource": [f"arn:aws:s3:::{bucket}"]},
            {"Effect": "Allow", "Action": _OBJECT_ACTIONS, "Resource": [f"arn:aws:s3:::{bucket}/*"]},
        ],
    }


def administrator(store: dict[str, str]) -> MinioAdmin:
    """Return a client of MinIO's admin API."""
    return MinioAdmin(
        endpoint=urlsplit(store["endpoint_url"]).netloc,
        credentials=StaticProvider(store["access_key"], store["secret_key"]),
        http_client=urllib3.PoolManager(ca_certs=store["ca_bundle"]),
    )


def refused(call: t.Callable[..., object], **words: object) -> bool:
    """Return whether the store denies a call."""
    try:
        call(**words)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


def judge(store: dict[str, str], bucket: str, key: dict[str, str]) -> list[str]:
    """Return the faults of a key."""
    user = json.loads(administrator(store).user_info(access_key=key["access_key"]))
    s3 = boto3.client(
        "s3",
        endpoint_url=store["endpoint_url"],
        region_name=store["region"],
        verify=store["ca_bundle"],
        aws_access_key_id=key["access_key"],
        aws_secret_access_key=key["secret_key"],
    )
    tried = {
        "is not enabled, or has other policies than its own": user["status"] == "enabled"
        and user["policyName"] in (bucket, key["access_key"]),
        "can't list its bucket": "Contents" in s3.list_objects_v2(Bucket=bucket, MaxKeys=1),
        "can list another bucket": refused(s3.list_objects_v2, Bucket="somebody-elses"),
        "can make a bucket": refused(s3.create_bucket, Bucket="one-more"),
        "can delete its bucket": refused(s3.delete_bucket, Bucket=bucket),
        "can change the policy of its bucket": refused(s3.put_bucket_policy, Bucket=bucket, Policy="{}"),
    }
    return [fault for fault, right in tried.items() if not right]


def main() -> None:
    """Create user, policy and key file, which only its owner can read, or check a key."""
    store_file, host, key_file = sys.argv[1:]
    with open(store_file, encoding="utf-8") as stream:
        store = json.load(stream)
    bucket = f"mastodon-{host}"
    if key_file == "-":
        sys.exit("\n".join(judge(store, bucket, json.load(sys.stdin))) or None)
    admin = administrator(store)
    key = {"access_key": f"MASTODON{secrets.token_hex(6).upper()}", "secret_key": secrets.token_urlsafe(30)[:40]}
    admin.user_add(access_key=key["access_key"], secret_key=key["secret_key"])
    with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
        json.dump(policy(bucket), stream)
        stream.flush()
        admin.policy_add(policy_name=bucket, policy_file=stream.name)
    admin.policy_set(policy_name=bucket, user=key["access_key"])
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        json.dump(key, stream)


if __name__ == "__main__":
    main()
