"""What a key can do, by boto3 alone: `key.py STORE_FILE BUCKET ACCESS_KEY`, the secret key on standard input.

Prints as JSON what the store answers to writing, listing and deleting the bucket: OK or an error's code.
"""

from __future__ import annotations

import json
import sys

import boto3
from botocore.exceptions import ClientError

store_file, bucket, access_key = sys.argv[1:]
with open(store_file, encoding="utf-8") as stream:
    store = json.load(stream)


def client(access_key: str, secret_key: str):
    return boto3.client(
        "s3",
        endpoint_url=store["endpoint_url"],
        region_name=store["region"],
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=store["ca_bundle"],
    )


def answer(request, **arguments) -> str:
    try:
        request(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "OK"


answer(client(store["access_key"], store["secret_key"]).create_bucket, Bucket=bucket)
key = client(access_key, sys.stdin.read().strip())
print(
    json.dumps(
        {
            "put": answer(key.put_object, Bucket=bucket, Key="accounts/a", Body=b"x"),
            "list": answer(key.list_objects_v2, Bucket=bucket),
            "delete_bucket": answer(key.delete_bucket, Bucket=bucket),
        }
    )
)
