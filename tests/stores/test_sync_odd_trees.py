"""s3_sync on trees as no tidy program would write them, on stores that have their own ideas of a name."""

from __future__ import annotations

import itertools
import os
import random
import socket
import threading
import time

import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld, Visitor

FOLDER = "accounts/"
NAMES = [
    *("a b.png", " leading", "trailing ", "two  spaces", "..two dots", "...", "trailing.", ".hidden", "-rf", "~home"),
    *("quo'te", 'dou"ble', "back\\slash", "plus+plus", "100%", "%2F", "%00", "%zz", "hash#tag", "what?", "a&b=c;d"),
    *("<xml>&amp;", "star*", "[set]", "{brace}", "(round)", "pi|pe", "at@", "co:lon", "com,ma", "$HOME", "`tick`"),
    *("new\nline", "re\rturn", "cr\r\nlf", "ta\tb", "bell\x07", "del\x7f", "nbsp\u00a0", "line\u2028separator"),
    *("😀", "👩‍👩‍👧", "é", "e\u0301", "ünïcode", "日本語", "\u202eright to left", "\ufeffbom", "zero\u200bwidth"),
    *("sub/ / folder", "sub/a+b/100%/#", "sub/..x/.y", "sub-/a", "sub.d/a", "sub0", "index.html", "soap", "minio.sys"),
]
LONGEST = FOLDER + "/".join("n" * 200 for _part in range(5)) + "/" + "e" * (1024 - len(FOLDER) - 5 * 201)


@pytest.fixture(params=["minio", "rgw"])
def world(tmp_path, request):
    store = request.getfixturevalue(request.param)
    return StoreWorld(store, new_bucket(store), tmp_path)


def check(world, keys):
    """Hold the bucket against the files of these keys, with a visitor's eyes where the store has ACLs."""
    assert set(world.objects()) == set(keys)
    visitor = Visitor(world.store)
    for key in keys:
        content = (world.src / key).read_bytes()
        assert world.client.get_object(Bucket=world.bucket, Key=key)["Body"].read() == content, key
        if world.store.kind == "rgw":
            assert visitor.get(world.bucket, key) == (200, content), key
    visitor.close()


def test_odd_names_go_there_stay_there_and_go_again(world):
    keys = [*(FOLDER + name for name in NAMES), LONGEST]
    for key in keys:
        world.write(key, key.encode())
    world.write("cache/keep.png")
    assert world.done(exclude=[]) == {"upload": len(keys) + 1}
    check(world, [*keys, "cache/keep.png"])
    assert world.sync(exclude=[])["requests"] == {}
    assert world.sync(exclude=[], delete="all")["changed"] is False
    for key in keys:
        (world.src / key).unlink()
    assert world.done(exclude=[], delete="own") == {"delete": len(keys)}
    check(world, ["cache/keep.png"])


def test_what_can_not_be_an_object_is_told_and_the_rest_is_sent(world, tmp_path):
    for key in ("accounts/a.png", "accounts/empty.png", "cache/b.png"):
        world.write(key, b"" if "empty" in key else b"x")
    folder = world.src / "accounts"
    (tmp_path / "outside").write_bytes(b"root's")
    (folder / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "sock"))
    os.close(os.open(os.fsencode(folder) + b"/caf\xe9.png", os.O_CREAT | os.O_WRONLY))
    os.mkdir(os.fsencode(folder) + b"/f\xfcr")
    os.close(os.open(os.fsencode(folder) + b"/f\xfcr/a.png", os.O_CREAT | os.O_WRONLY))
    (folder / "nothing").mkdir()
    world.write(LONGEST + "e")
    result = world.sync()
    assert not result.get("failed"), result["msg"]
    assert result["complete"]
    assert result["actions"]["upload"]["count"] == 3
    told = {reason: (amount["count"], amount["examples"]) for reason, amount in result["left_out"].items()}
    assert told == {
        "symlink": (1, ["accounts/link"]),
        "special_file": (2, ["accounts/fifo", "accounts/sock"]),
        "bad_name": (2, ["accounts/caf\\xe9.png", "accounts/f\\xfcr/"]),
        "long_key": (1, [LONGEST + "e"]),
    }
    check(world, ["accounts/a.png", "accounts/empty.png", "cache/b.png"])


class Mastodon(threading.Thread):
    """Somebody who changes, grows, shrinks, replaces, removes and writes files all the time."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self._world, self._over, self.changes = world, threading.Event(), 0
        self._chance = random.Random(11)

    def run(self):
        for number in itertools.count():
            if self._over.is_set():
                return
            self._change(number)
            self.changes += 1
            time.sleep(0.001)

    def end(self):
        self._over.set()
        self.join(30)

    def _change(self, number):
        chance = self._chance
        path = self._world.src / f"cache/{chance.randrange(60):02}.bin"
        what = chance.randrange(5)
        if what == 0 and path.exists():
            with path.open("ab") as file:
                file.write(chance.randbytes(chance.randrange(200_000)))
        elif what == 1 and path.exists():
            os.truncate(path, chance.randrange(path.stat().st_size + 1))
        elif what == 2:
            path.unlink(missing_ok=True)
        elif what == 3 and path.exists():
            with path.open("r+b") as file:
                file.write(b"changed in place")
        else:
            # As Mastodon does: it is born private, and opened when it is complete.
            new = path.with_suffix(".new")
            descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.write(descriptor, chance.randbytes(chance.randrange(400_000)))
            os.close(descriptor)
            new.rename(path)
            path.chmod(0o644)


def test_a_tree_that_never_stands_still_is_right_once_it_does(rgw, tmp_path):
    world = StoreWorld(rgw, new_bucket(rgw), tmp_path)
    for number in range(60):
        world.write(f"cache/{number:02}.bin", bytes([number]) * 100_000)
    world.write("cache/large.bin", random.Random(1).randbytes(20 * 1024 * 1024))
    mastodon = Mastodon(world)
    mastodon.start()
    options = {"delete": "own", "minimum_age": 1, "endpoint_url": rgw.plain_endpoint_url}
    sent = 0
    for _round in range(4):
        result = world.sync(**options)
        sent += result["actions"]["upload"]["count"]
        # What changed three times in a row is left to the next round, and nothing else goes wrong.
        assert all("changed or was damaged" in failure["error"] for failure in result["failures"]), result["failures"]
    mastodon.end()
    assert mastodon.changes > 200
    assert sent > 100
    time.sleep(1.1)
    result = world.sync(**options)
    assert result["complete"], result["msg"]
    assert "too_new" not in result["left_out"]
    check(world, world.files())
    assert world.sync(**options)["requests"] == {}


def test_a_file_in_the_writing_is_neither_lost_nor_exposed(rgw, tmp_path):
    world = StoreWorld(rgw, new_bucket(rgw), tmp_path)
    world.write("cache/done.png")
    path = world.write("cache/half.png", b"half", 0o600)
    result = world.sync(minimum_age=60)
    assert result["left_out"]["too_new"]["count"] == 1
    assert set(world.objects()) == {"cache/done.png"}
    path.write_bytes(b"half and half")
    path.chmod(0o644)
    assert world.done(minimum_age=60) == {"upload": 1}
    check(world, ["cache/done.png", "cache/half.png"])
    # One that stays private for longer than that is meant to be private.
    world.write("cache/suspended.png", b"suspended", 0o600)
    time.sleep(1.1)
    assert world.done(minimum_age=1) == {"upload": 1}
    assert not world.is_public("cache/suspended.png")
