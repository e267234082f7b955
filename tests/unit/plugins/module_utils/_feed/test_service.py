# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A feed as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import protocol
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import start as start_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client, GapError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError, NoFeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.start import start, stop, try_out

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch):
    monkeypatch.setattr(start_module, "_WITH_SYSTEMD", "/nowhere")


@pytest.fixture
def feed(tree, tmp_path):
    """The client of a feed that is started for as long as a test needs."""
    state_dir = str(tmp_path / "state")
    begin(tree, state_dir)
    client = Client(str(tree), state_dir)
    client.state_dir = state_dir
    yield client
    stop(str(tree), state_dir)


def begin(tree, state_dir, seconds=60):
    return start(str(tree), state_dir, seconds, lambda _command: (1, "", "")).process


def wait_until_gone(process):
    os.waitpid(process, 0)


def test_it_remembers_what_has_changed_until_that_was_dealt_with(feed, tree):
    start = feed.drain()
    (tree / "a").write_bytes(b"x")
    (tree / "b\udcff").write_bytes(b"x")
    state = feed.drain()
    assert list(feed.names(state.feed, start.time)) == [b"a", b"b\xff"]
    feed.again(state.feed, [b"c\xff"])
    feed.forget(state.feed, state.time)
    assert list(feed.names(state.feed, state.time)) == [b"c\xff"]
    with pytest.raises(GapError):
        list(feed.names(state.feed, start.time))
    assert feed.status().changes == 1


def test_many_names_are_passed_on(feed, tree):
    start = feed.drain()
    for number in range(2500):
        os.mknod(tree / f"{number:04}")
    state = feed.drain()
    assert list(feed.names(state.feed, start.time)) == [b"%04d" % number for number in range(2500)]


def test_it_collects_changes_by_itself(feed, tree):
    (tree / "a").write_bytes(b"x")
    end = time.monotonic() + 20
    while feed.status().changes == 0:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_meant_for_another_feed_is_refused(feed):
    state = feed.drain()
    with pytest.raises(NoFeedError):
        feed.forget("another", state.time)
    with pytest.raises(NoFeedError):
        list(feed.names("another", state.time))
    assert feed.drain().complete_since == state.complete_since


def test_a_killed_feed_leaves_nothing_and_the_next_one_is_another(feed, tree):
    state, process = feed.drain(), feed.status().process
    os.kill(process, signal.SIGKILL)
    wait_until_gone(process)
    with pytest.raises(NoFeedError):
        feed.drain()
    begin(tree, feed.state_dir)
    again = feed.drain()
    assert again.feed != state.feed
    assert len(os.listdir(feed.state_dir)) == 2  # lock and socket


@pytest.mark.parametrize("how", ["asked", "signal", "time"])
def test_it_ends_and_removes_its_socket(tree, tmp_path, how):
    state_dir = str(tmp_path / "state")
    process = begin(tree, state_dir, seconds=1 if how == "time" else 60)
    if how == "asked":
        assert stop(str(tree), state_dir)
    elif how == "signal":
        os.kill(process, signal.SIGTERM)
    wait_until_gone(process)
    assert [name for name in os.listdir(state_dir) if not name.endswith(".lock")] == []
    assert not stop(str(tree), state_dir)


def test_its_time_can_begin_again(feed):
    assert feed.status().seconds_left <= 60
    assert feed.renew(1000).seconds_left > 900


def test_two_starts_make_one_feed(feed, tree):
    first = feed.status().process
    assert begin(tree, feed.state_dir) == first


def test_only_its_owner_can_use_the_socket(feed, tree):
    path = os.path.join(feed.state_dir, f"{protocol.base_name(str(tree))}.sock")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(feed.state_dir).st_mode) == 0o700
    os.chmod(path, 0o777)  # noqa: S103
    os.chmod(feed.state_dir, 0o755)  # noqa: S103
    code = "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
    code += 's.sendall(b\'{"do": "end"}\\n\'); print(s.recv(10))'
    folder = os.open(feed.state_dir, os.O_RDONLY)
    # As nobody, even with the folder's descriptor in hand.
    short = f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    seen = subprocess.run([sys.executable, "-c", code, short], pass_fds=[folder], capture_output=True, check=False)
    os.close(folder)
    assert seen.stdout in (b"b''\n", b""), seen
    os.chmod(feed.state_dir, 0o700)
    assert feed.status().process


@pytest.mark.parametrize("message", [b"", b"x\n", b"[]\n", b"{}\n", b'{"do": "dance"}\n', b'{"do": "names"}\n'])
def test_nonsense_gets_no_answer_and_does_no_harm(feed, tree, message):
    with socket.socket(socket.AF_UNIX) as connection:
        folder = os.open(feed.state_dir, os.O_RDONLY)
        connection.connect(protocol.socket_path(folder, str(tree)))
        os.close(folder)
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""
    assert feed.status().process


def test_a_feed_that_ends_at_once_says_why(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(start_module, "_CODE", "import sys; sys.exit('no luck')")
    with pytest.raises(FeedError, match="the feed ended at once: no luck"):
        begin(tree, str(tmp_path / "state"))


def test_systemd_runs_it_where_there_is_one(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(start_module, "unit_of", lambda src: "name.service")
    seen = []
    tree = tree.rename(tree.with_name("$HOME"))

    def run_command(command):
        seen.append(command)
        own = [word.replace("$$", "$") for word in command[command.index("--") + 1 :]]
        assert command[-4].endswith("/disk/$$HOME")
        subprocess.Popen(own, start_new_session=True)
        return 0, "", ""

    state_dir = str(tmp_path / "state")
    assert start(str(tree), state_dir, 60, run_command).process
    assert seen[0][:4] == ["systemd-run", "--quiet", "--collect", "--unit=name.service"]
    assert stop(str(tree), state_dir)
    with pytest.raises(FeedError, match=r"systemd-run could not start name\.service: no bus"):
        start(str(tree), state_dir, 60, lambda _command: (1, "", "no bus\n"))


def test_a_trial_leaves_nothing(tree, tmp_path):
    assert try_out(str(tree)) == [[str(tree.parent), "tmpfs"]]
    with pytest.raises(NoFeedError):
        Client(str(tree), str(tmp_path / "state")).status()
    assert not (tmp_path / "state").exists()
