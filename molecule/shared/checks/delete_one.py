"""Deletes the first object below a prefix and prints its key.

Usage: delete_one.py STORE.json BUCKET PREFIX
"""

from __future__ import annotations

import json
import sys

import boto3


def main() -> None:
    """Delete the object as the store's administrator."""
    store_file, bucket, prefix = sys.argv[1:]
    with open(store_file, encoding="utf-8") as stream:
        store = json.load(stream)
    s3 = boto3.client(
        "s3",
        endpoint_url=store["endpoint_url"],
        aws_access_key_id=store["access_key"],
        aws_secret_access_key=store["secret_key"],
        region_name=store["region"],
        verify=store["ca_bundle"],
    )
    key = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["Contents"][0]["Key"]
    s3.delete_object(Bucket=bucket, Key=key)
    print(key)


if __name__ == "__main__":
    main()
