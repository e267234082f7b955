"""A bucket's true policy and rules, by boto3 alone: `bucket.py STORE_FILE create|get|put|rules BUCKET [POLICY]`."""

from __future__ import annotations

import json
import sys

import boto3
from botocore.exceptions import ClientError

store_file, action, bucket, *policy = sys.argv[1:]
with open(store_file, encoding="utf-8") as stream:
    store = json.load(stream)
client = boto3.client(
    "s3",
    endpoint_url=store["endpoint_url"],
    region_name=store["region"],
    aws_access_key_id=store["access_key"],
    aws_secret_access_key=store["secret_key"],
    verify=store["ca_bundle"],
)
if action == "create":
    client.create_bucket(Bucket=bucket)
elif action == "put":
    client.put_bucket_policy(Bucket=bucket, Policy=policy[0])
elif action == "rules":
    print(
        json.dumps(
            {
                "cors": client.get_bucket_cors(Bucket=bucket)["CORSRules"],
                "lifecycle": client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
            }
        )
    )
else:
    try:
        print(client.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        print("{}")
