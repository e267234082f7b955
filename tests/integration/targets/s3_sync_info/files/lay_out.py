"""Stores and removes objects with another client than the one under test, as the steps in argv say.

Each step is create, delete:KEY or put:KEY:ACL:CONTENT_TYPE.
"""

from __future__ import annotations

import os
import sys

import boto3
from botocore.config import Config

client = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    verify=os.environ["CA"],
    region_name=os.environ["REGION"],
    # Ceph refuses the newer checksums of botocore over TLS.
    config=Config(request_checksum_calculation="when_required"),
)
bucket = os.environ["BUCKET"]
for step in sys.argv[1:]:
    word, *arguments = step.split(":")
    if word == "create":
        client.create_bucket(Bucket=bucket)
    elif word == "delete":
        client.delete_object(Bucket=bucket, Key=arguments[0])
    elif word == "put":
        key, acl, content_type = arguments
        client.put_object(Bucket=bucket, Key=key, Body=b"another size", ACL=acl, ContentType=content_type)
    else:
        sys.exit(f"unknown step {step}")
