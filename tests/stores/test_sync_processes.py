"""s3_sync among other processes: two runs at once, a full disk, and workers from inside Ansible's payload."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import environments
import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld

ANSIBLE = Path(sys.executable).with_name("ansible")
SLOW = {"bandwidth_limit": "400K"}


@pytest.fixture
def world(rgw, tmp_path):
    return StoreWorld(rgw, new_bucket(rgw), tmp_path)


def lay_out(world, files, size=1000):
    for number in range(files):
        world.write(f"cache/{number:04}.png", number.to_bytes(4, "big") * (size // 4))


def wait_for_objects(world, process):
    """Return how many objects there are, once there are some and the process is still at work."""
    end = time.monotonic() + 90
    while not (found := len(world.objects())):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing was sent"
        time.sleep(0.05)
    return found


def test_the_second_of_two_runs_waits_for_the_first(world):
    lay_out(world, 200, size=10_000)
    first = world.start(**SLOW)
    wait_for_objects(world, first)
    second = world.start()
    first_result = json.loads(first.communicate(timeout=120)[0])
    second_result = json.loads(second.communicate(timeout=120)[0])
    assert not first_result.get("failed"), first_result["msg"]
    assert not second_result.get("failed"), second_result["msg"]
    assert first_result["actions"]["upload"]["count"] == 200
    assert second_result["requests"] == {}
    assert world.objects() == world.files()


def test_the_second_run_goes_on_where_the_first_is_killed(world):
    lay_out(world, 200, size=10_000)
    first = world.start(**SLOW)
    wait_for_objects(world, first)
    second = world.start()
    first.kill()
    first.communicate()
    result = json.loads(second.communicate(timeout=120)[0])
    assert not result.get("failed"), result["msg"]
    assert result["actions"]["upload"]["count"] > 0
    assert world.objects() == world.files()


@pytest.fixture
def small_disk(world):
    """Put the state folder on a file system that has only the bytes that the returned function is called with."""
    world.state_dir.mkdir(mode=0o700)

    def resize(size):
        known = ["-o", f"remount,size={size}"] if os.path.ismount(world.state_dir) else ["-o", f"size={size},mode=700"]
        subprocess.run(["mount", "-t", "tmpfs", *known, "tmpfs", world.state_dir], check=True)

    yield resize
    subprocess.run(["umount", world.state_dir], check=True)


@pytest.mark.parametrize("size", ["16k", "400k"], ids=["at once", "in the middle"])
def test_a_full_disk_is_told_and_the_next_run_with_room_finishes(world, small_disk, size):
    lay_out(world, 3000, size=40)
    small_disk(size)
    result = world.sync()
    assert result["failed"]
    assert "make room" in result["msg"]
    assert str(world.state_dir) in result["msg"]
    sent = world.objects()
    assert len(sent) < 3000
    assert (size == "400k") is bool(sent)
    assert result.get("actions", {}).get("upload", {}).get("count", 0) <= len(sent)
    small_disk("64m")
    for journal in world.state_dir.glob("*.sqlite"):
        connection = sqlite3.connect(journal)
        known = {key for (key,) in connection.execute("SELECT key FROM objects")} if sent else set()
        connection.close()
        assert sent.keys() <= known, "something was sent before it was written down"
    result = world.sync()
    assert not result.get("failed"), result["msg"]
    assert result["complete"]
    assert world.objects() == world.files()


@pytest.fixture(params=["node-3.9", "node-3.14"])
def node(request):
    """The Python of a managed node."""
    try:
        environments.ensure(request.param)
    except environments.MissingPythonError as error:
        pytest.skip(str(error))
    return environments.CACHE / request.param / "bin" / "python"


def task(world, node, **options):
    """Start the module as a task of Ansible's, with its payload."""
    for folder in ("tmp", "local"):
        (world.path / folder).mkdir(exist_ok=True)
    arguments = {
        "src": str(world.src),
        "bucket": world.bucket,
        "state_dir": str(world.state_dir),
        "minimum_age": 0,
        **world.store.module_options(),
        **options,
    }
    return subprocess.Popen(
        [
            *(str(ANSIBLE), "localhost", "-i", "localhost,", "-c", "local", "-m", "fediverse.mastodon_s3.s3_sync"),
            *("-e", f"ansible_python_interpreter={node}", "-a", json.dumps(arguments)),
        ],
        env={
            **os.environ,
            "ANSIBLE_REMOTE_TMP": str(world.path / "tmp"),
            "ANSIBLE_LOCAL_TEMP": str(world.path / "local"),
            "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
            "ANSIBLE_NOCOLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def module_processes(world):
    """Return the processes of the payload: the module, and the workers that it has forked. Parents come first."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            payload = any(word.startswith(bytes(world.path)) and b"AnsiballZ_s3_sync" in word for word in words)
            if payload and b"python" in words[0] and fields[0] != "Z":
                found[int(folder.name)] = int(fields[1])
    return sorted(found, key=lambda pid: found[pid] in found)


def test_workers_run_from_the_payload_and_die_with_it(world, node):
    lay_out(world, 300, size=10_000)
    first = task(world, node, **SLOW)
    wait_for_objects(world, first)
    module, *workers = module_processes(world)
    assert len(workers) == min(len(os.sched_getaffinity(0)), 4)
    os.kill(module, signal.SIGKILL)
    first.communicate(timeout=60)
    end = time.monotonic() + 10
    while module_processes(world):
        assert time.monotonic() < end, "a worker outlived its module"
        time.sleep(0.02)
    sent = len(world.objects())
    assert 0 < sent < 300, "the kill came too late to prove anything"
    out, err = task(world, node).communicate(timeout=120)
    assert "| CHANGED => " in out, out + err
    result = json.loads(re.search(r"=> (\{.*\})", out, re.DOTALL).group(1))
    assert result["uploads_by"]["fast"] > 0
    assert result["uploads_by"]["boto3"] == 0
    assert world.objects() == world.files()
