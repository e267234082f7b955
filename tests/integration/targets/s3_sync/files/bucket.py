"""Looks into a bucket, and changes it, with another client than the one under test, as the steps in argv say.

Each step is create, delete:KEY, close:KEY (private ACL) or look. The last one prints, as JSON, each object with its
size, type, cache header and whether everybody may read it by its ACL.
"""

from __future__ import annotations

import json
import os
import sys

import boto3
from botocore.config import Config

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
client = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    verify=os.environ["CA"],
    region_name=os.environ["REGION"],
    # Ceph refuses the newer checksums of botocore over TLS.
    config=Config(request_checksum_calculation="when_required"),
)
bucket = os.environ["BUCKET"]


def look() -> dict[str, dict[str, object]]:
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for stored in page.get("Contents", []):
            key = stored["Key"]
            head = client.head_object(Bucket=bucket, Key=key)
            grants = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
            found[key] = {
                "size": stored["Size"],
                "type": head["ContentType"],
                "cache": head.get("CacheControl"),
                "public": any(grant["Grantee"].get("URI") == EVERYBODY for grant in grants),
            }
    return found


for step in sys.argv[1:]:
    word, _colon, key = step.partition(":")
    if word == "create":
        client.create_bucket(Bucket=bucket)
    elif word == "delete":
        client.delete_object(Bucket=bucket, Key=key)
    elif word == "close":
        client.put_object_acl(Bucket=bucket, Key=key, ACL="private")
    elif word == "look":
        print(json.dumps(look()))
    else:
        sys.exit(f"unknown step {step}")
