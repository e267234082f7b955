"""A tree on disk, runs of s3_sync on it as a real module process, and checks of the bucket without this collection."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
import typing
from urllib.parse import quote, urlsplit

from old_files import Writer

COLLECTION = "ansible_collections.fediverse.mastodon_s3"
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"


def begin_module(name, arguments, *, path, check=False, diff=False, within=()):
    """Start a module of any collection as Ansible does, in a process, and return the process.

    name: with its collection. path: a folder for its temporary files. within: a command that runs it.
    """
    collection, _dot, short = name.rpartition(".")
    own = {
        "_ansible_check_mode": check,
        "_ansible_diff": diff,
        "_ansible_remote_tmp": str(path),
        "_ansible_keep_remote_files": False,
    }
    process = subprocess.Popen(
        [*within, sys.executable, "-m", f"ansible_collections.{collection}.plugins.modules.{short}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    )
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **own}}))
    process.stdin.close()
    process.stdin = None
    return process


def end_module(process):
    """Wait for the module and return its result."""
    out, err = process.communicate(timeout=300)
    assert out, err
    return json.loads(out)


class VisitorResponse(typing.NamedTuple):
    """A response to a visitor: status, two headers (None if missing), and the body."""

    status: int
    type: str | None
    cache_control: str | None
    body: bytes


class Visitor:
    """A client without credentials, with one persistent connection."""

    def __init__(self, store, base=None):
        url = urlsplit(base or store.endpoint_url)
        if url.scheme == "https":
            trust = ssl.create_default_context(cafile=store.ca_bundle)
            self._connection = http.client.HTTPSConnection(url.hostname, url.port, context=trust, timeout=20)
        else:
            self._connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)

    def get(self, bucket, key):
        """Return the status and body of a GET."""
        seen = self.fetch(bucket, key)
        return seen.status, seen.body

    def fetch(self, bucket, key):
        """Return the response to a GET."""
        self._connection.request("GET", f"/{bucket}/{quote(key)}")
        answer = self._connection.getresponse()
        return VisitorResponse(
            answer.status, answer.getheader("Content-Type"), answer.getheader("Cache-Control"), answer.read()
        )

    def close(self):
        self._connection.close()


class StoreWorld(Writer):
    """One tree, one bucket, one state folder. `options` are those of every run."""

    def __init__(self, store, bucket, path):
        self.store, self.bucket, self.path = store, bucket, path
        self.src, self.state_dir = path / "tree", path / "state"
        self.src.mkdir()
        self.client = store.client()
        self.options = dict(store.module_options())

    def open_by_policy(self, *folders):
        """Let everybody read the objects below these folders."""
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{self.bucket}/{folder}/*" for folder in folders],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))

    def start(self, check=False, diff=False, within=(), **options):
        """Start the module as Ansible does, and return its process. `within` is a command that runs it."""
        arguments = {
            "src": str(self.src),
            "bucket": self.bucket,
            "state_dir": str(self.state_dir),
            "minimum_age": 0,
            "max_private_percent": 100,  # the trees are small, and many of their files are private
            **self.options,
            **options,
        }
        name = "fediverse.mastodon_s3.s3_sync"
        return begin_module(name, arguments, path=self.path, check=check, diff=diff, within=within)

    def sync(self, **options):
        """Run the module and return its result."""
        return end_module(self.start(**options))

    def module(self, which, /, **options):
        """Run another module on the store, expect it to succeed, and return its result."""
        result = end_module(begin_module(which, {**self.store.module_options(), **options}, path=self.path))
        assert not result.get("failed"), f"{which}: {result['msg']}"
        return result

    def done(self, **options):
        """Run the module, expect it to succeed, and return the numbers of its actions that are not 0."""
        result = self.sync(**options)
        assert not result.get("failed"), result["msg"]
        return {name: amount["count"] for name, amount in result["actions"].items() if amount["count"]}

    def objects(self):
        """Return size and ETag of all objects, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}

    def files(self):
        """Return the size of all files on disk, by key."""
        return {str(path.relative_to(self.src)): path.stat().st_size for path in self.src.rglob("*") if path.is_file()}

    def unfinished(self, key):
        """Return all unfinished multipart uploads. MinIO lists only those of the exact `key`."""
        pages = [self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix) for prefix in ("", key)]
        return [found for page in pages for found in page.get("Uploads", [])]

    def is_public(self, key):
        """Return whether the object's ACL lets everybody read."""
        grants = self.client.get_object_acl(Bucket=self.bucket, Key=key)["Grants"]
        return any(grant["Grantee"].get("URI") == EVERYBODY and grant["Permission"] == "READ" for grant in grants)
