# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Worker processes: what they send, what they leave to boto3, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest
from child_processes import alive, pids_of, wait_for
from fake_s3_server import Behaviour, nonsense, reset_after, reset_before, stall, status, truncated, wrong_etag

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import sync_round
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import Stop, StopReason
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders import flow_control
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import fallback
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers

pytestmark = pytest.mark.slow

ODD_KEYS = ("a b.png", "a+b.png", "100%.png", "a#b?.png", "ü€😀.png", "a\nb.png", "quo'te\".png", "~t.png", "a=b&c.png")


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
class TestSending:
    def test_every_byte_and_header_arrives(self, world):
        wanted = {f"accounts/{name}": name.encode() * 10 for name in ODD_KEYS}
        wanted["cache/empty.png"] = b""
        wanted["cache/middle.mp4"] = os.urandom(700_000)
        for key, content in wanted.items():
            world.write(key, content)
        world.write("media_attachments/suspended.png", b"s", 0o600)
        result = world.sync().as_dict()
        assert result["failures"] == []
        assert result["uploads_by"] == {"fast": len(wanted) + 1, "boto3": 0}
        # One look whether the bucket holds what a new journal can't know.
        assert result["requests"] == {"ListObjectsV2": 1, "PutObject": len(wanted) + 1}
        assert {key: body for key, body in world.bodies().items() if key in wanted} == wanted
        headers = world.server.sent_headers["cache/middle.mp4"]
        assert headers["content-type"] == "video/mp4"
        assert headers["cache-control"] == "public, max-age=315576000, immutable"
        assert headers["x-amz-acl"] == "public-read"
        assert world.server.sent_headers["media_attachments/suspended.png"]["x-amz-acl"] == "private"

    def test_a_bucket_that_is_part_of_the_hosts_name(self, make_world, monkeypatch):
        real = socket.getaddrinfo

        def everything_is_here(_name, *others, **words):
            return real("127.0.0.1", *others, **words)

        monkeypatch.setattr(socket, "getaddrinfo", everything_is_here)
        world = make_world()
        world.write("accounts/a b.png")
        report = world.sync(style="virtual", host="store.example.org")
        assert report.as_dict()["uploads_by"] == {"fast": 1, "boto3": 0}
        (headers,) = world.server.sent_headers.values()
        assert headers["host"] == f"media.store.example.org:{world.server.port}"
        assert list(world.bodies()) == ["accounts/a b.png"]

    def test_an_unchanged_tree_costs_no_request(self, world, tmp_path):
        world.write("accounts/a.png")
        assert world.sync().error is None
        world.server.requests.clear()
        world.workers.close()
        world.workers = Workers(1, world.store)
        assert world.sync().as_dict()["requests"] == {}
        assert world.server.requests == []

    @pytest.mark.parametrize(
        ("fault", "cause"),
        [
            (status(500, "InternalError"), "500"),
            (status(503, "SlowDown"), "503"),
            (status(429, "TooManyRequests"), "429"),
            (status(307), "307"),
            (reset_before, "connection"),
            (reset_after, "connection"),
            (truncated, "connection"),
            (nonsense, "connection"),
            (wrong_etag, "changed"),
        ],
        ids=["500", "503", "429", "307", "reset before", "reset after", "truncated", "nonsense", "wrong etag"],
    )
    def test_what_is_no_plain_success_is_done_by_boto3(self, world, fault, cause):
        world.server.faults = [fault]
        for number in range(20):
            world.write(f"accounts/{number}.png", b"%d" % number)
        result = world.sync().as_dict()
        assert result["failures"] == []
        assert result["uploads_by"] == {"fast": 19, "boto3": 1}
        assert result["retries"] == {cause: 1}
        assert world.bodies() == {f"accounts/{number}.png": b"%d" % number for number in range(20)}

    @pytest.mark.parametrize("content", ["the same", "another"])
    @pytest.mark.parametrize("etag_is_md5", [True, False])
    @pytest.mark.parametrize("seconds", [0, 0.1])
    def test_an_answer_that_comes_twice_is_not_taken_for_the_next_one(self, make_world, content, etag_is_md5, seconds):
        world = make_world(1)
        world.server.behaviour.etag_is_md5 = etag_is_md5

        def twice(exchange, _key):
            exchange.go_on()
            time.sleep(seconds)
            exchange.go_on()

        # The second one would get what the first one's connection still says; the store knows nothing of it.
        world.server.faults_of_keys = {"accounts/0.png": twice, "accounts/1.png": status(500, "InternalError")}
        for number in range(4):
            world.write(f"accounts/{number}.png", b"content 0" if content == "the same" else b"content %d" % number)
        result = world.sync(concurrency=1).as_dict()
        assert result["failures"] == []
        assert result["actions"]["upload"]["count"] == 4
        assert sorted(world.bodies()) == [f"accounts/{number}.png" for number in range(4)]

    @pytest.mark.parametrize("repeats", [True, False])
    def test_connections_are_kept_where_answers_are_told_apart(self, make_world, repeats):
        world = make_world(1)
        world.server.behaviour = Behaviour(repeats_checksums=repeats, etag_is_md5=not repeats)
        ports = set()

        def note(exchange, _key):
            ports.add(exchange.client_address[1])
            exchange.go_on()

        world.server.faults = [note] * 100
        for number in range(100):
            world.write(f"accounts/{number}.png", b"%d" % number)
        assert world.sync(concurrency=2).as_dict()["uploads_by"] == {"fast": 100, "boto3": 0}
        assert len(ports) <= 6

    def test_a_store_that_does_not_answer_in_time_gets_fewer_requests_at_once(self, make_world, monkeypatch):
        monkeypatch.setattr(flow_control, "_CALM_SECONDS", 600.0)
        world = make_world(1, read_timeout=2)
        # So slow that even a busy machine has as many under way as it may, and many are left when one is given up.
        world.server.behaviour.delay = 0.3
        world.server.faults = [stall]
        for number in range(200):
            world.write(f"accounts/{number}.png", b"%d" % number)
        result = world.sync(concurrency=16).as_dict()
        assert result["failures"] == []
        assert result["retries"]["connection"] >= 1
        assert max(world.server.load) > 10
        # The server still counts the one that was given up.
        assert max(world.server.load[-40:]) <= 9

    def test_a_store_that_only_refuses_ends_the_run_with_its_word(self, world):
        world.server.faults = [status(403, "AccessDenied")] * 1000
        for number in range(50):
            world.write(f"accounts/{number}.png")
        report = world.sync()
        assert "AccessDenied" in report.error or "not allowed" in report.error
        assert report.as_dict()["actions"]["upload"]["count"] == 0
        assert world.bodies() == {}

    def test_a_file_that_is_gone_after_an_answer_was_lost_is_not_forgotten(self, world):
        world.write("accounts/a.png")

        def vanish(exchange, key):
            (world.src / key).unlink()
            reset_after(exchange, key)

        world.server.faults = [vanish]
        result = world.sync().as_dict()
        assert result["left_out"]["vanished"]["count"] == 1
        world.workers.close()
        world.workers = Workers(1, world.store)
        report = world.sync(delete="own")
        # It knows of the object, and won't delete it only since the tree is empty.
        assert "contains no file for the bucket" in report.error

    def test_bytes_are_limited(self, world):
        for number in range(10):
            world.write(f"accounts/{number}.png", b"x" * 20_000)
        started = time.monotonic()
        assert world.sync(bandwidth_limit=200_000).error is None
        assert time.monotonic() - started > 0.5


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
class TestEnds:
    def test_a_worker_that_is_killed_is_reported_and_the_next_run_finishes(self, world):
        victim = pids_of(world.workers)[0]

        def kill(exchange, key):
            os.kill(victim, signal.SIGKILL)
            reset_before(exchange, key)

        world.server.faults = [None] * 5 + [kill]
        for number in range(200):
            world.write(f"accounts/{number}.png", b"%d" % number)
        report = world.sync()
        result = report.as_dict()
        assert report.error is not None
        assert result["failed_count"] >= 1
        assert result["failed_count"] + result["actions"]["upload"]["count"] == 200
        assert "ended from outside" in result["failures"][0]["error"]
        world.workers.close()
        world.workers = Workers(1, world.store)
        assert world.sync().error is None
        assert len(world.bodies()) == 200

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ValueError("Invalid header value b'Credential=SECRET'"), "ValueError in test_workers.py, line"),
            (UnicodeEncodeError("latin-1", "SECRET\u017c", 6, 7, "SECRET"), "only ASCII characters"),
            (OSError(24, "Too many open files"), "Too many open files"),
        ],
    )
    def test_a_worker_that_fails_says_why_but_no_secret(self, make_world, monkeypatch, error, said):
        def fail(_fallback, _action, _done):
            raise error

        monkeypatch.setattr(fallback.Fallback, "send", fail)
        world = make_world()
        for number in range(40):
            world.write(f"accounts/{number}.png")
        report = world.sync()
        assert "the process that was to send it failed" in report.error
        assert said in report.error
        assert "ended from outside" not in report.error
        assert "SECRET" not in str(report.as_dict()) + report.error

    def test_a_run_can_be_stopped_while_the_store_is_silent(self, world, monkeypatch):
        monkeypatch.setattr(sync_round, "STOP_SECONDS", 0.3)
        world.write("accounts/a.png")
        world.server.faults = [stall]
        stop = Stop(1)
        began = time.monotonic()
        report = world.sync(stop=stop)
        assert time.monotonic() - began < 20
        assert (report.stopped, report.error, report.complete) == (StopReason.TIME_LIMIT, None, False)
        world.server.released.set()
        world.workers.close()
        world.workers = Workers(1, world.store)
        assert world.sync().complete
        assert list(world.bodies()) == ["accounts/a.png"]

    def test_all_workers_killed(self, world):
        for pid in pids_of(world.workers):
            os.kill(pid, signal.SIGKILL)
        world.write("accounts/a.png")
        report = world.sync()
        assert report.error is not None
        assert report.as_dict()["actions"]["upload"]["count"] == 0

    def test_closing_leaves_no_process(self, world):
        pids = pids_of(world.workers)
        assert pids
        assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
        world.workers.close()
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)

    def test_workers_die_with_their_parent(self, tmp_path):
        reading, writing = os.pipe()
        parent = os.fork()
        if not parent:
            workers = Workers(2, lambda: None)
            os.write(writing, " ".join(map(str, pids_of(workers))).encode())
            time.sleep(60)
            os._exit(0)
        pids = [int(pid) for pid in os.read(reading, 100).split()]
        assert len(pids) == 2
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        wait_for(lambda: not any(alive(pid) for pid in pids))
