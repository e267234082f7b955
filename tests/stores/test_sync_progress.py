"""Progress of s3_sync as an administrator sees it: real plays, piped, on a terminal, over SSH, interrupted and cut."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ssh_server
from stores.fixtures import new_bucket

FILES, BYTES = 120, 20_000
BACKGROUND = "the run is a background job on the host"
FIGURES = re.compile(r"\d+ of (about )?120 files, [0-9.]+ [kM]?B of 2\.4 MB \(\d+ %\)")
TIMEOUT_SECONDS = 120.0
PRESSED_AGAIN = 5.0


class Play:
    """Files, a bucket, and plays that push the one to the other, slowly."""

    def __init__(self, store, path):
        self.store, self.path, self.bucket = store, path, new_bucket(store)
        self.client = store.client()
        for folder in ("tree/accounts", "tmp", "async"):
            (path / folder).mkdir(parents=True)
        for number in range(FILES):
            (path / "tree" / "accounts" / f"{number}.png").write_bytes(os.urandom(BYTES))
        (path / "env").write_text(f"AWS_ACCESS_KEY_ID={store.access_key}\nAWS_SECRET_ACCESS_KEY={store.secret_key}\n")
        (path / "env").chmod(0o600)
        self.settings = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))},
            "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
            "ANSIBLE_HOME": str(path / "home"),
            "ANSIBLE_LOCAL_TEMP": str(path / "local"),
            "ANSIBLE_REMOTE_TMP": str(path / "tmp"),
            "ANSIBLE_ASYNC_DIR": str(path / "async"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_NOCOLOR": "1",
        }
        self.hosts = {"web1": {}}

    def task(self, seconds=8, **options):
        """One task that takes about so many seconds."""
        module = {
            "src": str(self.path / "tree"),
            "bucket": self.bucket,
            "key_prefix": "{{ inventory_hostname }}",
            "endpoint_url": self.store.endpoint_url,
            "region": self.store.region,
            "credentials_file": str(self.path / "env"),
            "state_dir": str(self.path / "state"),
            "exposure": "policy",
            "minimum_age": 0,
            "bandwidth_limit": str(FILES * BYTES // seconds),
            **({"aws_ca_bundle": self.store.ca_bundle} if self.store.ca_bundle else {}),
            **options.pop("options", {}),
        }
        return {"name": "push", "fediverse.mastodon_s3.s3_sync": module, "register": "pushed", **options}

    def command(self, *tasks, words=()):
        inventory, playbook = self.path / "hosts.json", self.path / "play.yml"
        common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"all": {"hosts": self.hosts, "vars": common}}))
        hosts = [host for host in self.hosts if host != "other"]
        playbook.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]))
        ansible = str(Path(sys.executable).with_name("ansible-playbook"))
        return [ansible, "-i", str(inventory), str(playbook), *words]

    def start(self, *tasks, words=()):
        """Start a play as a shell does, in a process group of its own, its outputs in files."""
        with (self.path / "out").open("wb") as out, (self.path / "err").open("wb") as err:
            return subprocess.Popen(
                self.command(*tasks, words=words),
                env=self.settings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def err(self):
        return (self.path / "err").read_text().splitlines()

    def out(self):
        """What the callback wrote, which has to be JSON and nothing else."""
        return json.loads((self.path / "out").read_text())["plays"][0]["tasks"]

    def run(self, *tasks, words=(), status=0):
        """Run a play to its end; return the results of its tasks, by task and host, and its lines on stderr."""
        process = self.start(*tasks, words=words)
        with ended(process):
            assert process.wait(TIMEOUT_SECONDS) == status, (self.out(), self.err())
        return [task["hosts"] for task in self.out()], self.err()

    def wait_for(self, text, process, seconds=TIMEOUT_SECONDS):
        until = time.monotonic() + seconds
        while not any(text in line for line in self.err()):
            assert process.poll() is None, (text, self.err())
            assert time.monotonic() < until, (text, self.err())
            time.sleep(0.1)

    def in_bucket(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}

    def left_behind(self):
        """Files of jobs and modules; async_wrapper looks every five seconds whether to remove its own."""
        until = time.monotonic() + 20
        while True:
            found = [str(path) for name in ("tmp", "async") for path in (self.path / name).rglob("*") if path.is_file()]
            if not found or time.monotonic() > until:
                return found
            time.sleep(0.5)

    def expected(self, *hosts):
        return {f"{host}/accounts/{number}.png": BYTES for host in hosts for number in range(FILES)}


@contextlib.contextmanager
def ended(process):
    """Leave no play behind, whatever happens."""
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def play(minio, tmp_path):
    play = Play(minio, tmp_path)
    yield play
    for pid in module_processes(play):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def module_processes(play):
    """The processes of modules on the imagined host, by the folder in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"{play.path}/tmp/".encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def of(host, lines):
    return [line.partition("] ")[2] for line in lines if line.startswith(f"[{host}] ")]


def test_lines_of_several_hosts_go_to_stderr_and_results_are_the_modules_own(play):
    play.hosts = {"web1": {}, "web2": {}, "web3": {}}
    (pushed,), lines = play.run(play.task(seconds=12), words=("-f", "20"))
    for host in play.hosts:
        first, second, *_more, last = of(host, lines)
        assert first.startswith(BACKGROUND)
        assert "attaches to it" in first
        assert FIGURES.match(second), second
        assert last.startswith("ended after ")
        assert pushed[host]["changed"] is True
        assert pushed[host]["actions"]["upload"] == {"count": FILES, "bytes": FILES * BYTES}
    assert play.in_bucket() == play.expected(*play.hosts)
    assert play.left_behind() == []
    (again, plain), _lines = play.run(play.task(), play.task(options={"progress": False}))
    assert again["web1"]["changed"] is plain["web1"]["changed"] is False
    assert set(again["web1"]) == set(plain["web1"])


def test_a_failure_is_the_modules_own(play):
    (pushed,), _lines = play.run(play.task(options={"bucket": f"{play.bucket}-none"}), status=2)
    assert pushed["web1"]["failed"] is True
    assert "the bucket does not exist" in pushed["web1"]["msg"]
    assert play.left_behind() == []
    (pushed,), _lines = play.run(play.task(options={"concurrency": 0}), status=2)
    assert pushed["web1"]["msg"].startswith("concurrency: 0 is too small")


def test_it_is_silent_where_it_is_to_be(play):
    fast = {"bandwidth_limit": "100M"}
    results, lines = play.run(
        play.task(check_mode=True),
        play.task(seconds=5, options={"progress": False, "key_prefix": "plain"}),
        play.task(seconds=5, options={"key_prefix": "polled"}, **{"async": 60, "poll": 1}),
        play.task(options={**fast, "key_prefix": "left"}, **{"async": 60, "poll": 0}),
        {
            "ansible.builtin.async_status": {"jid": "{{ pushed.ansible_job_id }}"},
            "register": "job",
            "until": "job is finished",
            "retries": 60,
            "delay": 1,
        },
        play.task(options={"progress": False}, no_log=True),
    )
    assert not any(line.startswith("[web") for line in lines), lines
    planned, plain, polled, left, job, _hidden = (hosts["web1"] for hosts in results)
    assert planned["actions"]["upload"]["count"] == FILES
    assert "started" in left
    for result in (plain, polled, job):
        assert result["actions"]["upload"]["count"] == FILES
    keys = play.in_bucket()
    assert {key.partition("/")[0] for key in keys} == {"plain", "polled", "left", "web1"}
    assert set(keys.values()) == {BYTES}


def test_with_no_log_there_are_figures_and_no_more(play):
    (pushed,), lines = play.run(play.task(no_log=True))
    assert "censored" in pushed["web1"]
    assert any(FIGURES.match(line) for line in of("web1", lines))
    shown = "\n".join(lines)
    assert play.bucket not in shown
    assert str(play.path) not in shown


def test_become_delegation_and_loops(play):
    play.hosts = {"web1": {}, "other": {}}
    play.settings["ANSIBLE_BECOME_ALLOW_SAME_USER"] = "true"
    (pushed,), lines = play.run(
        play.task(
            seconds=6, delegate_to="other", become=True, loop=["one", "two"], options={"key_prefix": "{{ item }}"}
        )
    )
    assert [item["actions"]["upload"]["count"] for item in pushed["web1"]["results"]] == [FILES, FILES]
    delegated = of("web1 -> other", lines)
    assert len([line for line in delegated if line.startswith(BACKGROUND)]) == 2
    assert any(FIGURES.match(line) for line in delegated)
    assert play.in_bucket() == play.expected("one", "two")
    assert play.left_behind() == []


def test_a_secret_among_the_options_makes_no_job_that_would_keep_it(play):
    secret = {
        "access_key": play.store.access_key,
        "secret_key": play.store.secret_key,
        "credentials_file": "{{ omit }}",
    }
    process = play.start(play.task(seconds=6, options=secret))
    with ended(process):
        until = time.monotonic() + TIMEOUT_SECONDS
        while not play.in_bucket():
            assert process.poll() is None, play.err()
            assert time.monotonic() < until
        assert list((play.path / "async").rglob("*")) == []
        assert process.wait(TIMEOUT_SECONDS) == 0
    (warning,) = play.out()[0]["hosts"]["web1"]["warnings"]
    assert "secret_key" in warning
    assert "use credentials_file" in warning
    assert of("web1", play.err()) == []
    assert play.store.secret_key not in (play.path / "out").read_text() + "".join(play.err())
    assert play.in_bucket() == play.expected("web1")


def test_what_lies_on_disk_meanwhile_is_for_its_owner_only(play):
    process = play.start(play.task())
    with ended(process):
        play.wait_for(BACKGROUND, process)
        (job,) = (play.path / "async" / "s3_sync").iterdir()
        assert job.stat().st_mode & 0o777 == 0o700
        (progress,) = (play.path / "state").glob("*.progress")
        assert progress.stat().st_mode & 0o777 == 0o600
        assert (play.path / "state").stat().st_mode & 0o777 == 0o700
        assert process.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.parametrize("group", [False, True], ids=["terminal", "pipes"])
def test_after_ctrl_c_the_job_goes_on_and_the_same_task_attaches(play, group):
    task = play.task(seconds=45)
    if group:
        process = play.start(task)
        play.wait_for(" of ", process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) != 0
    else:
        shown = on_a_terminal(play, task, until=FIGURES.pattern)
        assert BACKGROUND in shown
    sent = len(play.in_bucket())
    assert sent < FILES, "the interruption came too late to prove anything"
    (pushed,), lines = play.run(task)
    lines = of("web1", lines)
    assert lines[0].startswith("another run (process ")
    assert "its progress is shown here" in lines[0]
    assert FIGURES.match(lines[1]), lines
    assert pushed["web1"]["changed"] is False, "the job that went on had sent all"
    assert pushed["web1"]["unchanged"]["count"] == FILES
    assert play.in_bucket() == play.expected("web1")


def on_a_terminal(play, task, until):
    """Run a play on a terminal of its own until that text is shown, press Ctrl-C, and return what was shown.

    It is pressed again, as people do, where the play has not ended after some seconds.
    """
    command = play.command(task)
    pid, terminal = pty.fork()
    if not pid:
        os.execve(command[0], command, {**play.settings, "ANSIBLE_STDOUT_CALLBACK": "default"})  # noqa: S606 - no shell is meant
    shown, pressed, deadline = "", 0.0, time.monotonic() + TIMEOUT_SECONDS
    try:
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    shown += os.read(terminal, 4096).decode(errors="replace")
                except OSError:
                    break
            if time.monotonic() > pressed + PRESSED_AGAIN and re.search(until, shown):
                os.write(terminal, b"\x03")
                pressed = time.monotonic()
        assert pressed, shown
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown


def test_a_module_that_is_killed_is_told_and_the_next_run_finishes(play):
    process = play.start(play.task(seconds=25))
    with ended(process):
        play.wait_for(" of ", process)
        pids = module_processes(play)
        assert pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert process.wait(TIMEOUT_SECONDS) == 2
    assert "run the task again to continue" in play.out()[0]["hosts"]["web1"]["msg"]
    assert 0 < len(play.in_bucket()) < FILES
    (pushed,), _lines = play.run(play.task(seconds=3))
    assert 0 < pushed["web1"]["actions"]["upload"]["count"] < FILES
    assert play.in_bucket() == play.expected("web1")


@pytest.fixture
def ssh(play, tmp_path):
    missing = ssh_server.missing()
    if missing:
        pytest.skip(missing)
    server = ssh_server.SshServer(tmp_path / "ssh")
    play.hosts = {"web1": server.variables()}
    # The path of a control socket must be short.
    play.settings["ANSIBLE_SSH_CONTROL_PATH_DIR"] = f"/tmp/.{secrets.token_hex(4)}"
    yield server
    server.cut_off()


def test_over_ssh_a_lost_connection_does_not_end_the_run(play, ssh):
    process = play.start(play.task(seconds=25))
    with ended(process):
        play.wait_for(" of ", process)
        assert ssh.cut_off() > 0
        play.wait_for("the connection is lost", process)
        before = len(play.in_bucket())
        time.sleep(5)
        assert len(play.in_bucket()) > before, "the job stopped with the connection"
        ssh.connect()
        assert process.wait(TIMEOUT_SECONDS) == 0, play.err()
    assert "connected again" in of("web1", play.err())
    assert play.out()[0]["hosts"]["web1"]["actions"]["upload"]["count"] == FILES
    assert play.in_bucket() == play.expected("web1")
    assert play.left_behind() == []
