"""Compares a bucket with the ledger of its instance: every object's content, headers and exposure.

Prints the counts as JSON. If there are faults, it prints a line for each on stderr, and the exit status is 1. It uses
boto3 with the key of the store's administrator, and HTTPS requests without credentials.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import hashlib
import json
import sys
import typing as t
from pathlib import Path
from urllib.parse import quote

import boto3
import urllib3
from botocore.config import Config
from ledger import CACHE_CONTROL, Key, Wanted, job_faults, replay

_FAULTS_SHOWN = 30


class Store:
    """The bucket, for its administrator and for anonymous visitors."""

    def __init__(self, description: dict[str, t.Any], bucket: str) -> None:
        self.bucket = bucket
        self.s3 = boto3.client(
            "s3",
            endpoint_url=description["endpoint_url"],
            aws_access_key_id=description["access_key"],
            aws_secret_access_key=description["secret_key"],
            region_name=description["region"],
            verify=description["ca_bundle"],
            config=Config(max_pool_connections=8, s3={"addressing_style": "path"}),
        )
        self.root = f"{description['endpoint_url']}/{bucket}"
        self.https = urllib3.PoolManager(ca_certs=description["ca_bundle"], maxsize=8)

    def keys(self) -> set[str]:
        """Return all keys in the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def anonymous(self, path: str, method: str = "GET", query: str = "") -> urllib3.BaseHTTPResponse:
        """Send a request without credentials."""
        url = self.root + (f"/{quote(path, safe='/')}" if path else "") + (f"?{query}" if query else "")
        return self.https.request(method, url, redirect=False)


def judge(store: Store, key: Key, wanted: Wanted, *, present: bool) -> list[str]:
    """Return the faults of one object."""
    if wanted is Wanted.ABSENT:
        return ["is in the bucket, and must not be"] if present else []
    if wanted is Wanted.EITHER:
        return []
    if not present:
        return ["is missing"]
    faults = []
    head = store.s3.get_object(Bucket=store.bucket, Key=key.name)
    if hashlib.sha256(head["Body"].read()).hexdigest() != key.sha256:
        faults.append("has other bytes")
    if head["ContentType"] != key.content_type:
        faults.append(f"has the type {head['ContentType']}, not {key.content_type}")
    if head.get("CacheControl") != CACHE_CONTROL:
        faults.append(f"has the cache header {head.get('CacheControl')!r}")
    answer = store.anonymous(key.name)
    if wanted is Wanted.PRIVATE and answer.status != 403:
        faults.append(f"is private, and anybody gets {answer.status}")
    if wanted is Wanted.PUBLIC and (answer.status != 200 or hashlib.sha256(answer.data).hexdigest() != key.sha256):
        faults.append(f"is public, and nobody can load it: {answer.status}")
    return faults


def bucket_faults(store: Store) -> list[str]:
    """Return what anonymous visitors can do with the bucket itself, but must not."""
    tried = {
        "list it": store.anonymous(""),
        "list it as version 2": store.anonymous("", query="list-type=2&max-keys=1"),
        "list the archives": store.anonymous("", query="prefix=backups/"),
        "write to it": store.anonymous("media_attachments/stranger.png", "PUT"),
        "delete from it": store.anonymous("media_attachments/stranger.png", "DELETE"),
        "read its policy": store.anonymous("", query="policy"),
    }
    return [f"anybody can {what}: {answer.status}" for what, answer in tried.items() if answer.status != 403]


def gaps(visits: t.Iterable[dict[str, t.Any]]) -> list[float]:
    """Return the length in seconds of each interruption of the site's health check."""
    found, since = [], None
    for visit in visits:
        if visit["what"] == "health" and visit["answer"] != 200:
            since = since or visit["time"]
        elif visit["what"] == "health" and since:
            found.append(round(visit["time"] - since, 1))
            since = None
    return found


def main() -> int:
    """Parse the command line, check everything and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="store.json of the test's store")
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--visitors", type=Path, required=True, help="what the visitors noted")
    parser.add_argument("--gone", nargs="*", default=[], help="keys that were deleted in the bucket from outside")
    parser.add_argument("--stale-disk", action="store_true", help="the disk was the truth again for a while")
    arguments = parser.parse_args()
    store = Store(json.loads(arguments.store.read_text(encoding="utf-8")), arguments.bucket)
    events = [json.loads(line) for line in arguments.ledger.read_text(encoding="utf-8").splitlines()]
    keys = replay(events)
    there = store.keys()
    wanted = {name: key.wanted(stale_disk=arguments.stale_disk) for name, key in keys.items()}
    wanted.update(dict.fromkeys(arguments.gone, Wanted.ABSENT))

    faults = bucket_faults(store) + job_faults(events)
    faults += [f"{name}: is in the bucket, and nobody knows it" for name in sorted(there - set(keys))]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = sorted(keys)
        verdicts = pool.map(lambda name: judge(store, keys[name], wanted[name], present=name in there), names)
        faults += [f"{name}: {fault}" for name, found in zip(names, verdicts) for fault in found]

    counts: dict[str, t.Any] = dict(collections.Counter(want.value for want in wanted.values()))
    counts.update(
        objects=len(there),
        ledger_lines=len(events),
        stored_in_bucket_by_mastodon=sum(event["event"] == "stored" and event["where"] == "bucket" for event in events),
        uploads_processed=sum(event["event"] == "processed" for event in events),
        gaps_of_web=gaps(json.loads(line) for line in arguments.visitors.read_text(encoding="utf-8").splitlines()),
        faults=len(faults),
    )
    print(json.dumps(counts))
    for fault in faults[:_FAULTS_SHOWN]:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
