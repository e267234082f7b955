"""s3_sync killed at random moments: one more run, and the bucket equals the tree, nothing ever exposed.

Ceph RGW honours ACLs, and gets files with their MD5. MinIO has a policy, so private files stay local only. It gets
the others with a checksum alone.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld, Visitor

MEBIBYTE = 1024 * 1024
FILES = 240
CHANGES = 60
ROWS = 2
MOST_ROWS = 12
LARGE = "cache/large.mp4"
ARCHIVE = "backups/archive.zip"
PRIVATE = (ARCHIVE, "media_attachments/suspended.png")


@pytest.fixture(params=[("rgw", "plain"), ("rgw", "tls"), ("minio", "tls")], ids="-".join)
def world(tmp_path, request):
    kind, way = request.param
    store = request.getfixturevalue(kind)
    world = StoreWorld(store, new_bucket(store), tmp_path)
    if way == "plain":
        world.options["endpoint_url"] = store.plain_endpoint_url
    if kind == "minio":
        world.open_by_policy("cache", "media_attachments")
        world.options["exposure"] = "policy"
    world.options["delete"] = "own"
    return world


class ChangingTree:
    """The tree of a server that lives on while it is copied."""

    def __init__(self, world, chance):
        self.world, self.chance = world, chance
        self.keys = [f"media_attachments/files/{number:03}/original/{number}.png" for number in range(FILES)]
        for key in self.keys:
            self.write(key)
        for key in PRIVATE:
            world.write(key, chance.randbytes(1000), 0o600)
        self.write_large()

    def write(self, key):
        self.world.write(key, self.chance.randbytes(self.chance.randrange(60_000)))

    def write_large(self):
        self.world.write(LARGE, self.chance.randbytes(17 * MEBIBYTE + self.chance.randrange(MEBIBYTE)))

    def live(self):
        """Have files changed, some to the same size, suspended, opened again and removed."""
        for key in self.chance.sample(self.keys, CHANGES):
            path = self.world.src / key
            there = path.exists()
            change = self.chance.randrange(6)
            if change == 0:
                path.unlink(missing_ok=True)
            elif change == 1 and there:
                path.chmod(0o644 if path.stat().st_mode & 0o044 == 0 else 0o600)
            elif change == 2 and there:
                self.world.write(key, self.chance.randbytes(path.stat().st_size), path.stat().st_mode & 0o777)
            else:
                self.write(key)
        if self.chance.random() < 0.4:
            self.write_large()


def descendants(pid):
    """Return the processes below `pid`."""
    found, below = [], [pid]
    while below:
        for children in Path(f"/proc/{below.pop()}/task").glob("*/children"):
            try:
                pids = [int(child) for child in children.read_text().split()]
            except OSError:
                continue
            found += pids
            below += pids
    return found


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_work(world, process):
    """Return once the run has opened its journal, or has ended."""
    started = time.time_ns()
    while process.poll() is None:
        logs = [path.stat().st_mtime_ns for path in world.state_dir.glob("*-wal")] if world.state_dir.exists() else []
        if logs and max(logs) > started:
            return
        time.sleep(0.005)


def pause_before_kill(chance):
    """Return seconds: mostly few, as runs are short on a fast machine.

    Now and then so many that the run comes to what the one before has left under way.
    """
    return 0.8 * chance.random() ** 3 if chance.random() < 0.8 else chance.uniform(4.5, 6)


def kill(way, process, chance):
    """Kill the module, one of its workers, or all of them at once; return whether it still ran."""
    workers = descendants(process.pid)
    ran = process.poll() is None
    if ran and way == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif ran and way == "worker" and workers:
        os.kill(chance.choice(workers), signal.SIGKILL)
    elif ran:
        process.kill()
    process.communicate(timeout=60)
    end = time.monotonic() + 20
    while any(runs(pid) for pid in workers):
        assert time.monotonic() < end, "a worker outlived its module"
        time.sleep(0.02)
    return ran


class Poller(threading.Thread):
    """Somebody who asks for the private files all the time."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self._world, self.seen, self._over = world, [], threading.Event()

    def run(self):
        visitor = Visitor(self._world.store)
        while not self._over.wait(0.01):
            self.seen += [visitor.get(self._world.bucket, key)[0] for key in PRIVATE]
        visitor.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self._over.set()
        self.join(30)


def check(world):
    """Hold the bucket against the tree by other means than the module's."""
    wanted = world.files()
    private = {key for key in wanted if (world.src / key).stat().st_mode & 0o044 == 0}
    if world.options.get("exposure") == "policy":
        for key in private - {ARCHIVE}:
            del wanted[key]
    assert world.objects() == wanted
    visitor = Visitor(world.store)
    for key in wanted:
        path = world.src / key
        status, body = visitor.get(world.bucket, key)
        if key in private:
            assert status == 403, key
            body = world.client.get_object(Bucket=world.bucket, Key=key)["Body"].read()
        else:
            assert status == 200, key
        assert body == path.read_bytes(), key
    visitor.close()
    assert world.unfinished(LARGE) == []


def test_killed_at_any_moment_the_next_run_finishes(world):
    chance = random.Random(world.options["endpoint_url"].partition(":")[0])
    tree = ChangingTree(world, chance)
    hits = {"module": 0, "worker": 0, "group": 0}
    with Poller(world) as poller:
        rows = 0
        # A run may be over before it is killed: then each way gets another chance.
        while rows < ROWS or not min(hits.values()):
            assert rows < MOST_ROWS, f"the runs were too short to be killed: {hits}"
            rows += 1
            for way in chance.sample(list(hits), len(hits)):
                process = world.start(within=["setsid"])
                wait_for_work(world, process)
                time.sleep(pause_before_kill(chance))
                hits[way] += kill(way, process, chance)
                tree.live()
            result = world.sync()
            assert not result.get("failed"), result["msg"]
            assert result["complete"]
            check(world)
    assert world.sync()["requests"] == {}
    assert world.sync(delete="all")["changed"] is False
    assert not poller.is_alive()
    assert len(poller.seen) > 100
    assert 200 not in poller.seen
