"""The world of s3_fetch: a bucket in memory, and a folder for its objects."""

from __future__ import annotations

import hashlib
import os
import threading
from io import BytesIO

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download import Bucket
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.fetch import Fetch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchSettings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, Listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, patterns
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Stored

SWITCH = 1_790_000_000.0


def md5(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class MemoryBucket:
    """A bucket. `damage`: how many responses to a key end early or differ; `gone`: listed, and then deleted."""

    def __init__(self):
        self.objects = {}
        self.caller = os.geteuid()
        self.damage = {}
        self.gone = set()
        self.private = set()
        self.error = None
        self.requests = []
        self.lock = threading.Lock()

    def put(self, key, body=b"content", *, modified=SWITCH + 60, etag=None):
        self.objects[key] = (body, etag or md5(body), modified)

    def listing(self):
        for key, (body, etag, modified) in sorted(self.objects.items()):
            yield Listed(key, len(body), etag, modified)

    def get(self, key, first=0, length=None, etag=""):
        with self.lock:
            self.requests.append(key)
            damaged = self.damage.get(key, 0)
            self.damage[key] = damaged - 1
        if self.error is not None:
            raise self.error
        if key in self.gone:
            raise NotFoundError("gone")
        body, now, _modified = self.objects[key]
        if etag not in ("", now):
            raise S3Error("the object has another ETag")
        whole, body = len(body), body[first : None if length is None else first + length]
        sent = body[:-1] + (b"" if damaged % 2 else b"?") if damaged > 0 else body
        return Stored(now, False, whole), BytesIO(sent)

    def acl(self, key):
        return Acl(readable=key not in self.private, changeable=False, closed=key in self.private)

    def connect(self):
        """The client is made with the rights of the caller, who can read what it needs."""
        if os.geteuid() != self.caller:
            raise PermissionError("a client needs files that only the caller can read")

    def close(self):
        pass

    def as_bucket(self):
        return Bucket(self, self)


class World:
    """A folder for the files, one for the replaced files, and the options of a run."""

    def __init__(self, root, bucket):
        self.bucket = bucket
        self.journal = None
        self.dest = root / "system"
        self.set_aside = root / "set_aside"
        self.dest.mkdir()
        self.set_aside.mkdir()

    def settings(self, *, include=(), exposure=ExposureMode.ACL, check_mode=False, **others):
        rules = Rules(exposure, ("accounts/", "media/"), ("backups/",), include=patterns("include", include))
        given = {
            "dest": str(self.dest),
            "set_aside_dir": str(self.set_aside),
            "newer_than": None,
            "journal": None,
            "max_change_percent": 50,
            "all_acls": False,
            "modes_until": None,
            "mode": 0o644,
            "directory_mode": 0o755,
            "concurrency": 4,
            "limit": 5,
        }
        return FetchSettings(rules=rules, check_mode=check_mode, **{**given, **others})

    def run(self, **options):
        dest, aside = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (self.dest, self.set_aside))
        before = os.umask(0)
        try:
            return Fetch(self.settings(**options), self.bucket.as_bucket(), dest, aside, self.journal).run()
        finally:
            os.umask(before)
            os.close(dest)
            os.close(aside)

    def counts(self, **options):
        report = self.run(**options)
        assert report.error is None
        return {name: number for name, number in report.counts.items() if number}

    def write(self, key, body=b"content", *, modified=SWITCH - 60):
        path = self.dest / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (modified, modified))
        return path

    def files(self, root=None):
        root = root or self.dest
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
