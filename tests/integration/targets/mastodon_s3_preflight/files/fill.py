"""Makes a bucket with some objects: fill.py STORE.json BUCKET COUNT."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3

store_file, bucket, count = sys.argv[1:]
store = json.loads(Path(store_file).read_text(encoding="utf-8"))
s3 = boto3.client(
    "s3",
    endpoint_url=store["endpoint_url"],
    region_name=store["region"],
    aws_access_key_id=store["access_key"],
    aws_secret_access_key=store["secret_key"],
    verify=store["ca_bundle"] or True,
)
s3.create_bucket(Bucket=bucket)
for number in range(int(count)):
    s3.put_object(Bucket=bucket, Key=f"accounts/{number}", Body=b"x")
