"""The parts of the benchmark of the switch, without its hosts: what it measures must be what happens."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import window
import window_server
import window_watch
import yaml
from stores import certificates
from window_client import Client, Fetch, Medium

DOMAIN = "window.example"
OUTAGE = window.Outage(began=100.0, old_ended=130.0, web=142.0, sidekiq=150.5, ended=200.0, seconds=90.0, load=1.5)


class Instance(http.server.ThreadingHTTPServer):
    """An instance and its store. After `switched` it hands out addresses in the store, where `missing` is not yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        made = certificates.make(folder, ("127.0.0.1",))
        self.ca = str(made.authority)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.stored: list[str] = []
        self.missing: set[str] = set()
        self.down = self.switched = False
        self.number = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Instance

    def do_GET(self):
        instance, key = self.server, self.path.rpartition("/")[2]
        if self.path.startswith("/bucket/"):
            return self._answer(404 if key in instance.missing or key not in instance.stored else 200)
        if self.path.startswith("/system/"):
            return self._answer(200 if key in instance.stored else 404)
        if instance.down:
            return self._answer(502)
        return self._answer(200, self._medium(key) if self.path.startswith("/api/v1/media/") else {})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.down:
            return self._answer(502)
        self.server.number += 1
        key = f"{self.server.number}.png"
        self.server.stored.append(key)
        return self._answer(202, self._medium(key))

    def _medium(self, key):
        port = self.server.server_address[1]
        root = f"https://127.0.0.1:{port}/bucket" if self.server.switched else f"https://{DOMAIN}/system"
        return {"id": key, "url": f"{root}/{key}"}

    def _answer(self, status, content=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_values):
        pass


@pytest.fixture
def instance(tmp_path):
    with Instance(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_client_counts_what_is_missing(instance):
    began = time.time()
    with Client("127.0.0.1", DOMAIN, instance.ca, 50.0, 100, instance.server_address[1]) as client:
        wait_until(lambda: len(client.media) >= 5 and client.fetches)
        instance.down = True
        wait_until(lambda: client.refused and not client.healthy[-1][1])
        before = list(instance.stored)
        instance.missing = {before[-1]}
        instance.switched = True
        during = len(client.fetches)
        wait_until(lambda: len(client.fetches) > during + 1)
        instance.down = False
        wait_until(lambda: any(fetch.status == 404 for fetch in client.fetches))
        instance.missing = set()
        found = len(client.fetches)
        wait_until(lambda: any(fetch.id == before[-1] and fetch.status == 200 for fetch in client.fetches[found:]))
    outage = dataclasses.replace(
        OUTAGE, began=began, old_ended=began, web=client.answers_again(began), ended=time.time()
    )
    suspended = {before[1]: True, before[2]: False}
    watched = window.seen(client, outage, suspended)
    assert {fetch.id for fetch in watched.missed} == {before[-1]}, "what is on disk was there all the time"
    assert all("/bucket/" in fetch.url and fetch.moment > outage.web for fetch in watched.missed)
    assert 0 < window.missing_seconds(watched) < 10
    assert watched.refused > 0
    assert len(watched.media) == len(client.media) == instance.number
    assert watched.lost == []
    assert [fetch.id for fetch in watched.exposed] == [before[1]]
    instance.missing = {before[0], before[1]}
    watched = window.seen(client, outage, suspended)
    assert [fetch.id for fetch in watched.lost] == [before[0]]
    assert watched.exposed == []


def test_ends_and_starts_of_processes_are_noted(monkeypatch):
    """The last process of a unit is the one that counts, and a new one is not mistaken for an old one."""
    ours: set[int] = set()
    program = "import os, signal; child = os.fork(); print(child, flush=True) if child else 0; signal.pause()"
    monkeypatch.setattr(window_watch, "unit_of", lambda pid, _container: "web" if pid in ours else None)

    def start():
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        child = int(process.stdout.readline())
        process.stdout.close()
        ours.update((process.pid, child))
        return process, child

    first, child = start()
    with window_watch.Watcher("container") as watcher:
        old = watcher.alive("web")
        assert {process.pid for process in old} == {first.pid, child}
        second, second_child = start()
        wait_until(lambda: len(watcher.alive("web")) == 4)
        first.kill()
        first.wait()
        wait_until(lambda: len(watcher.alive("web")) == 3)
        assert watcher.last_end(old) is None
        killed = time.time()
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: len(watcher.alive("web")) == 2)
        assert killed <= watcher.last_end(old) < killed + 5
        assert {process.pid for process in watcher.alive("web")} == {second.pid, second_child}
        os.kill(second_child, signal.SIGKILL)
        second.kill()
        second.wait()


def test_suspensions_come_from_the_instances_log():
    lines = [
        {"event": "stored", "key": "a", "where": "disk"},
        {"event": "hiding", "key": "a", "where": "disk"},
        {"event": "hidden", "key": "a", "where": "disk", "effective": True},
        {"event": "hiding", "key": "b", "where": "bucket"},
        {"event": "hidden", "key": "b", "where": "bucket", "effective": False},
    ]
    assert window.suspensions(lines) == {"a": True, "b": False}


def test_a_row_has_a_cell_for_each_column():
    media = [Medium("a", 120.0, "u"), Medium("b", 121.0, "u")]
    fetches = [Fetch(141.0, "a", "u", 404), Fetch(143.0, "a", "u", 404), Fetch(145.5, "a", "u", 200)]
    watched = window.Seen(media, 3, fetches, fetches[:2], [], [])
    row = dict(zip(window.SWITCH_HEAD, window.switch_row(10_000, 2, "feed", [130.2, 130.75], OUTAGE, watched)))
    assert len(row) == len(window.SWITCH_HEAD)
    assert (row["files sent"], row["first s"], row["last s"]) == ("2", "0.20", "0.75")
    assert (row["web s"], row["Sidekiq s"]) == ("12.0", "20.5")
    assert (row["misses before"], row["misses after"], row["missing s"]) == ("1", "1", "4.5")
    assert len(window.switch_row(10_000, 2, "walk", [], OUTAGE, watched)) == len(window.SWITCH_HEAD)
    assert len(window.rollback_row(10_000, 2, OUTAGE, watched)) == len(window.ROLLBACK_HEAD)


def test_the_steps_of_the_switch_come_from_the_log(tmp_path):
    lines = [
        (90, "Earlier | Let Sidekiq finish its jobs"),
        (120, "fediverse.mastodon_s3.mastodon_s3 : Switch | Let Sidekiq finish"),
        (129, "fediverse.mastodon_s3.mastodon_s3 : Services | Restart web"),
        (130.5, "fediverse.mastodon_s3.mastodon_s3 : Sync | Final sync"),
        (132, "fediverse.mastodon_s3.mastodon_s3 : Services | Wait until web answers"),
        (151, "fediverse.mastodon_s3.mastodon_s3 : Restart | Record the switch"),
    ]
    log = tmp_path / "ansible.log"
    with log.open("w", encoding="utf-8") as stream:
        for moment, name in lines:
            then = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
            stream.write(f"{then},{int(moment % 1 * 1000):03} p=1 u=root n=ansible INFO| TASK [{name}] ****\n")
    assert [line.split() for line in window.steps(log, OUTAGE)] == [
        ["-10.00", "s", "9.00", "s", "Switch", "|", "Let", "Sidekiq", "finish"],
        ["-1.00", "s", "1.50", "s", "Services", "|", "Restart", "web"],
        ["+0.50", "s", "1.50", "s", "Sync", "|", "Final", "sync"],
        ["+2.00", "s", "19.00", "s", "Services", "|", "Wait", "until", "web", "answers"],
    ]


def test_the_host_is_one_of_molecules(tmp_path, monkeypatch):
    """Its inventory and playbook use molecule's files, so they have to follow them."""
    monkeypatch.setattr(window_server, "HOME", tmp_path)
    server = window_server.Server()
    server.write_inventory(window_server.Place(10, "tmpfs", str(tmp_path)), 3.0)
    playbook = window_server.HERE / "window_host" / "create.yml"
    program = Path(sys.executable).with_name("ansible-playbook")
    words = [program, "--inventory", tmp_path / "inventory" / "hosts.yml", "--list-tasks", playbook]
    settings = os.environ | {"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "ansible")}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    for task in ("Hosts | Start them", "Store | Start MinIO", "Let web boot as slowly as Mastodon"):
        assert task in done.stdout
    hosts = yaml.safe_load((tmp_path / "inventory" / "hosts.yml").read_text(encoding="utf-8"))["mastodon"]["hosts"]
    (host,) = hosts.values()
    assert host["host_options"] == ["--volume", f"{tmp_path}/media:/home/mastodon/live/public/system"]
    assert {each["name"] for each in host["instance_sidekiq"]} == set(server.units_sidekiq)
