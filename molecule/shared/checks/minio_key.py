"""Makes a MinIO user that may work in one bucket and nowhere else.

Usage: minio_key.py STORE.json HOST KEY.json
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from urllib.parse import urlsplit

import urllib3
from minio import MinioAdmin
from minio.credentials import StaticProvider

# What Mastodon, the sync and its verification ask for. No administration, no other bucket.
_BUCKET_ACTIONS = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
_OBJECT_ACTIONS = [
    "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
]  # fmt: skip


def policy(bucket: str) -> dict[str, object]:
    """The user's policy."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": _BUCKET_ACTIONS, "Resource": [f"arn:aws:s3:::{bucket}"]},
            {"Effect": "Allow", "Action": _OBJECT_ACTIONS, "Resource": [f"arn:aws:s3:::{bucket}/*"]},
        ],
    }


def main() -> None:
    """Makes user, policy and key file, which only its owner can read."""
    store_file, host, key_file = sys.argv[1:]
    with open(store_file, encoding="utf-8") as stream:
        store = json.load(stream)
    bucket = f"mastodon-{host}"
    address = urlsplit(store["endpoint_url"])
    admin = MinioAdmin(
        endpoint=address.netloc,
        credentials=StaticProvider(store["access_key"], store["secret_key"]),
        http_client=urllib3.PoolManager(ca_certs=store["ca_bundle"]),
    )
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
