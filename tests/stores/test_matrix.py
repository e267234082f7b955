"""The same migration and the same audit on every kind of store, judged by boto3 and by what visitors get.

What is expected of each store is in tests/support/expectations.py; the table is printed at the end of the tests.
"""

from __future__ import annotations

import functools
import hashlib
import json
import uuid

import pytest
from anonymous_watcher import AnonymousWatcher
from expectations import ROWS
from sync_world import StoreWorld, Visitor

CACHE = "public, max-age=315576000, immutable"
TYPES = {"png": "image/png", "webp": "image/webp", "mp4": "video/mp4", "zip": "application/zip"}
OPEN = ("accounts", "cache", "custom_emojis", "media_attachments", "preview_cards", "site_uploads")

AVATARS = [f"accounts/avatars/{number:03}/original/a.png" for number in range(20)]
MEDIA = [f"media_attachments/files/{number:03}/original/m.webp" for number in range(40)]
SUSPENDED_BEFORE, SUSPENDED_LATER, SUSPENDED_AT_THE_SWITCH = MEDIA[0:4], MEDIA[4:8], MEDIA[8:10]
GONE_BEFORE, GONE_IN_THE_BUCKET = MEDIA[10:13], MEDIA[13]
REOPENED = MEDIA[3]
LARGE, SPACED = "cache/media_attachments/large.mp4", "custom_emojis/images/000/ünïcode +&.png"
ARCHIVES = [f"backups/dumps/{number}/original/archive-{number}.zip" for number in range(3)]
IMPORT = "imports/data/1/original/follows.csv"
NEW, NEW_SUSPENDED = "site_uploads/files/1/new.png", "preview_cards/images/1/new.webp"
LATE, LATE_SUSPENDED = "accounts/headers/late/original/h.png", "media_attachments/files/late/original/m.webp"


def content(key):
    """What a file holds: it tells its key, so that no two are alike."""
    return hashlib.sha512(key.encode()).digest() * (160_000 if key == LARGE else 3)


class Migration:
    """One bucket's way through the whole of it, with what must be true in the end kept beside."""

    def __init__(self, row, store, path):
        self.row, self.store = row, store
        self.bucket = f"test-{uuid.uuid4().hex[:16]}"
        self.world = StoreWorld(store, self.bucket, path)
        self.client = store.client()
        self.suspended = set()
        self.gone = set()

    def write(self, *keys, mode=0o644):
        for key in keys:
            self.world.write(key, content(key), mode)

    def suspend(self, *keys):
        for key in keys:
            (self.world.src / key).chmod(0o600)
        self.suspended |= set(keys)

    def write_suspended(self, key):
        self.write(key, mode=0o600)
        self.suspended.add(key)

    def remove(self, *keys):
        for key in keys:
            (self.world.src / key).unlink()
        self.gone |= set(keys)

    def make_bucket(self):
        """As the role does: the administrator's calls, and in the policy mode the statement that opens the media."""
        create = {"name": self.bucket, "state": "present"}
        self.world.module("amazon.aws.s3_bucket", **create)
        for settings in self.row.ownership:
            self.world.module("amazon.aws.s3_bucket", **create, **settings)
        if self.row.opened:
            statement = {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{self.bucket}/{self.row.opened}",
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self.client.put_bucket_policy(Bucket=self.bucket, Policy=policy)

    def open_by_policy(self):
        statement = {
            "Sid": "FediverseMastodonS3PublicRead",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{self.bucket}/{folder}/*" for folder in OPEN],
        }
        rules = {
            "bucket": self.bucket,
            "policy_statements": [statement],
            "protected_prefixes": ["backups/", "imports/"],
        }
        assert self.world.module("fediverse.mastodon_s3.s3_bucket_rules", **rules)["changed"]
        assert not self.world.module("fediverse.mastodon_s3.s3_bucket_rules", **rules)["changed"]

    def probe(self):
        """What the probe says before a policy opens anything that was not open already."""
        found = self.world.module("fediverse.mastodon_s3.s3_storage_info", bucket=self.bucket, probe=True)
        assert found["usable"], found["problem"]
        return found["probe"]

    def sync(self, **options):
        return self.world.done(exposure=self.row.exposure, **options)

    def audit(self):
        return self.world.module(
            "fediverse.mastodon_s3.s3_sync_info",
            src=str(self.world.src),
            bucket=self.bucket,
            exposure=self.row.exposure,
            minimum_age=0,
            public_url=f"{self.store.endpoint_url}/{self.bucket}",
            **({"public_ca_bundle": self.store.ca_bundle} if self.store.ca_bundle else {}),
        )

    def private(self):
        """Keys that no visitor may read, whether they are in the bucket or not."""
        return {*self.suspended, *ARCHIVES, IMPORT}

    def expected(self):
        """Keys that the bucket must hold in the end."""
        on_disk = {*AVATARS, *MEDIA, LARGE, SPACED, *ARCHIVES, NEW, NEW_SUSPENDED, LATE, LATE_SUSPENDED} - self.gone
        at_home = {"acl": set(), "policy": self.suspended, "open_bucket": {*self.suspended, *ARCHIVES}}
        return on_disk - at_home[self.row.exposure]


def seen_by_visitors(store, bucket, keys):
    """Status, headers and body of a GET of each key, and of the bucket itself."""
    visitor, seen = Visitor(store), {}
    for key in ("", *sorted(keys)):
        seen[key] = visitor.fetch(bucket, key)
    visitor.close()
    return seen


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_migration(row, request, tmp_path, judge):
    migration = Migration(row, request.getfixturevalue(row.store), tmp_path)
    cell = functools.partial(judge, row)
    migration.make_bucket()
    with cell("probe"):
        found = migration.probe()
        assert (found["acl"]["verdict"], found["recommendation"]["exposure"]) == (row.acl, row.exposure)
        assert found["leftovers"] == []
        assert migration.world.objects() == {}
    if row.exposure == "policy":
        migration.open_by_policy()
    migration.write(*AVATARS, *MEDIA, LARGE, SPACED, *ARCHIVES, IMPORT)
    migration.suspend(*SUSPENDED_BEFORE)
    with AnonymousWatcher(migration.store, migration.bucket, migration.private()) as watcher:
        first = migration.sync(delete="own")
        assert first == {"upload": len(migration.expected() & set(migration.world.files()))}
        live_on(migration, watcher, cell)
        judge_by_audit(migration, cell)
        switch(migration, watcher, cell)
        watcher.wait()
    with cell("polled"):
        assert watcher.troubles == []
        assert watcher.answers > 100
        assert watcher.exposed == []
    judge_the_end(migration, cell)


def live_on(migration, watcher, cell):
    """Between two rounds more is suspended, something is opened again, some goes and some comes."""
    migration.suspended.remove(REOPENED)
    watcher.remove(REOPENED)
    (migration.world.src / REOPENED).chmod(0o644)
    migration.remove(*GONE_BEFORE)
    migration.write(NEW)
    migration.write_suspended(NEW_SUSPENDED)
    watcher.add(NEW_SUSPENDED)
    migration.suspend(*SUSPENDED_LATER)
    second = migration.sync(delete="own")
    watcher.add(*SUSPENDED_LATER)
    watcher.wait()
    with cell("suspended"):
        shut = seen_by_visitors(migration.store, migration.bucket, SUSPENDED_LATER)
        assert {answer.status for answer in shut.values()} <= {403, 404}
        moved = {"set_acl": 5} if migration.row.exposure == "acl" else {"delete_private": 4}
        assert second == {"upload": 2, "delete": 3, **moved}


def judge_by_audit(migration, cell):
    """What the collection itself says before the switch."""
    with cell("audit"):
        found = migration.audit()
        names = ("missing", "size_differs", "extra", "exposed")
        assert {name: found["counts"][name] for name in names} == dict.fromkeys(names, 0)
        public, private = found["sampled"]["public"], found["sampled"]["private"]
        assert public["requested"] == public["readable"] > 50
        assert public["wrong_type"] == public["wrong_cache_header"] == 0
        assert private["readable"] == private["unanswered"] == 0
        assert found["listable"] is False


def switch(migration, watcher, cell):
    """From here on the bucket is the truth: what appeared late arrives, the last suspensions are carried out."""
    migration.write(LATE)
    migration.write_suspended(LATE_SUSPENDED)
    watcher.add(LATE_SUSPENDED)
    migration.suspend(*SUSPENDED_AT_THE_SWITCH)
    migration.client.delete_object(Bucket=migration.bucket, Key=GONE_IN_THE_BUCKET)
    migration.gone.add(GONE_IN_THE_BUCKET)
    # A file that is missing says nothing any more.
    (migration.world.src / AVATARS[0]).unlink()
    with cell("switch"):
        late = migration.sync(source_of_truth="bucket")
        watcher.add(*SUSPENDED_AT_THE_SWITCH)
        moved = {"upload": 2, "set_acl": 2} if migration.row.exposure == "acl" else {"upload": 1, "delete_private": 2}
        assert late == moved
        assert GONE_IN_THE_BUCKET not in migration.world.objects()
        assert AVATARS[0] in migration.world.objects()
    with cell("again"):
        assert migration.sync(source_of_truth="bucket") == {}


def judge_the_end(migration, cell):
    """The end state, by boto3 and visitors only."""
    client, bucket, expected = migration.client, migration.bucket, migration.expected()
    with cell("bucket"):
        assert set(migration.world.objects()) == expected
        for key in sorted(expected):
            assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == content(key), key
    seen = seen_by_visitors(migration.store, bucket, expected | migration.private() | migration.gone)
    with cell("public"):
        for key in sorted(expected - migration.private()):
            answer = seen[key]
            assert (answer.status, answer.type, answer.cache_control) == (200, TYPES[key[-4:].lstrip(".")], CACHE), key
            assert answer.body == content(key)
    with cell("private"):
        leaked = {key: seen[key].status for key in migration.private() if seen[key].status not in (401, 403, 404)}
        assert leaked == {}
        assert all(seen[key].status in (403, 404) for key in migration.gone)
    with cell("list"):
        assert seen[""].status in (401, 403)
