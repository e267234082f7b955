"""Migrates a sample Mastodon server to an embedded store, checks the result, and tells what happened.

The status is 0 only if everything is as it should be.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path

import boto3
import environments
from stores import lifecycle, processes
from stores.model import Store, StoreError

from demo import checks, envdiff, playbook, sample

HOME = environments.CACHE / "demo-server"
RESTART = Path(__file__).resolve().parent / "restart.py"
BUCKET = "social-example-media"
USER = f"mastodon-{BUCKET}"


class DemoError(Exception):
    """Something is not as it should be; the text says what, and what to do."""


def say(text: str = "") -> None:
    """One line for whoever watches."""
    print(text, flush=True)


def variables(server: sample.Sample, store: Store, port: int) -> dict[str, object]:
    """The inventory's variables: what a user would write for a server without systemd, beside a store of its own."""
    restart = [sys.executable, str(RESTART), "start", str(HOME)]
    return {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "mastodon_s3_bucket": BUCKET,
        "mastodon_s3_region": store.region,
        "mastodon_s3_endpoint_url": store.endpoint_url,
        "mastodon_s3_iam_endpoint_url": store.endpoint_url,
        "mastodon_s3_protocol": "http",
        "mastodon_s3_admin_access_key": store.access_key,
        "mastodon_s3_admin_secret_key": store.secret_key,
        "mastodon_s3_boto3": "none",
        "mastodon_s3_root": str(server.live),
        "mastodon_s3_state_dir": str(HOME / "state"),
        "mastodon_s3_restart_command": shlex.join(restart),
        "mastodon_s3_web_url": f"http://127.0.0.1:{port}",
        "mastodon_s3_concurrency": 4,
    }


def restart(verb: str) -> None:
    """Starts or stops the web process."""
    done = subprocess.run([sys.executable, str(RESTART), verb, str(HOME)], check=False)
    if done.returncode:
        raise DemoError(f"The sample server's web process could not be run; see {HOME / 'web.log'}.")


def thumbnail(port: int) -> str:
    """Where the instance says that its thumbnail is."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/instance", timeout=10) as answer:
        return str(json.load(answer)["thumbnail"]["url"])


def clients(store: Store) -> dict[str, t.Any]:
    """The administrator's own view of store and users."""
    settings = {
        "endpoint_url": store.endpoint_url,
        "region_name": store.region,
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": store.secret_key,
    }
    return {name: boto3.client(name, **settings) for name in ("s3", "iam")}


def migrate(server: sample.Sample, store: Store, port: int) -> None:
    """Runs the migration and compares the result with what is expected."""
    before, before_mode = server.env_file.read_text(encoding="utf-8"), server.env_file.stat().st_mode
    old_thumbnail = thumbnail(port)
    inventory = HOME / "inventory.json"
    playbook.write_inventory(inventory, variables(server, store, port))

    say(f"\nansible-playbook --inventory {inventory.relative_to(environments.ROOT)} playbooks/migrate.yml")
    run = playbook.run("migrate", inventory, HOME)
    if run.status:
        raise DemoError(
            f"The playbook failed with status {run.status} after {run.seconds:.0f} s. All it said is in {run.log}. "
            "Run tests/support/demo/run.sh --keep to look around afterwards."
        )

    say("\nLooking at the result from outside ...")
    new_thumbnail = thumbnail(port)
    time.sleep(1.5)  # one more upload, into the bucket
    restart("stop")
    findings = checks.look(server, clients(store), BUCKET, USER, new_thumbnail, HOME / "uploads.log")
    after = server.env_file.read_text(encoding="utf-8")
    kept = [line for line in before.splitlines() if line not in after.splitlines()]
    findings.expect(
        not kept and server.env_file.stat().st_mode == before_mode,
        "no other line of the env file was touched, and its mode is what it was",
        f"{len(kept)} lines are gone, mode {server.env_file.stat().st_mode & 0o7777:o}",
    )
    said = run.log.read_text(encoding="utf-8")
    leaked = [value for value in [*envdiff.secrets_in(after), store.secret_key] if value in said]
    findings.expect(not leaked, "no secret is in what the playbook said", f"{len(leaked)} are in {run.log}")
    tell(server, findings, run, old_thumbnail, new_thumbnail, envdiff.difference(before, after))
    if findings.faults:
        raise DemoError(
            f"{len(findings.faults)} of these are not as they should be. The playbook's output is in {run.log}. Run "
            "tests/support/demo/run.sh --keep to look around."
        )


def tell(
    server: sample.Sample,
    findings: checks.Findings,
    run: playbook.Run,
    old_thumbnail: str,
    new_thumbnail: str,
    changes: list[str],
) -> None:
    """Says what happened."""
    say(f"\nWhat happened in {run.seconds:.0f} s, by {run.tasks} tasks of which {run.changed} changed something")
    say(
        f"  {findings.files} files, {findings.size / 1e6:.1f} MB, are in the bucket {BUCKET}: "
        f"{findings.files - findings.private} public, {findings.private} private; {len(server.left_out)} stayed at home"
    )
    say(f"  The instance's thumbnail was {old_thumbnail}")
    say(f"                      and is {new_thumbnail}")
    say("\nWhat visitors get")
    for address, answer in findings.answers:
        say(f"  {answer:14} {address}")
    say("\nWhat changed in .env.production")
    for line in changes:
        say(f"  {line}")
    say("\nWhat was checked")
    for line in findings.passed:
        say(f"  ok      {line}")
    for line in findings.faults:
        say(f"  FAILED  {line}")


def linger(server: sample.Sample, store: Store, port: int) -> None:
    """Keeps everything running until somebody has seen enough."""
    restart("start")
    say(f"\nStill running: the store at {store.endpoint_url} (key {store.access_key}, secret {store.secret_key}),")
    say(f"the instance at http://127.0.0.1:{port}/api/v2/instance, its files in {server.live}.")
    say("Press Enter or Ctrl-C to end.")
    sys.stdin.readline()


def demo(keep: bool) -> None:
    """Plays the demo, one at a time."""
    environments.CACHE.mkdir(exist_ok=True)
    with (environments.CACHE / "demo.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError("Another demo runs in this checkout. End it first.") from None
        play(keep)


def play(keep: bool) -> None:
    """Sets the scene, migrates, and ends everything that was started."""
    # A store's folder refuses whatever is not its own, so that the one of an earlier demo is emptied by it.
    lifecycle.stop(HOME / "store")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, mode=0o700)
    os.umask(0o022)
    say("demo: laying out a sample server with real pictures ...")
    server = sample.lay_out(HOME / "live")
    store = lifecycle.start("moto", HOME / "store", bound_to_parent=True)
    port = processes.free_port("127.0.0.1")
    try:
        settings = {"live": str(server.live), "port": port, "thumbnail": server.thumbnail, "owner": os.getpid()}
        (HOME / "web.json").write_text(json.dumps(settings), encoding="utf-8")
        restart("start")
        say(f"demo: the store is at {store.endpoint_url}, the instance at http://127.0.0.1:{port}")
        try:
            migrate(server, store, port)
        finally:
            if keep:
                linger(server, store, port)
    finally:
        restart("stop")
        lifecycle.stop(HOME / "store")
        if not keep:
            shutil.rmtree(HOME / "live", ignore_errors=True)


def main() -> int:
    """Reads the command line, and tells whether all went well."""
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--keep", action="store_true", help="wait at the end, so that one can look around, and keep files"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = float(os.environ.get("DEMO_STARTED", time.time()))
    try:
        demo(arguments.keep)
    except (DemoError, StoreError) as error:
        say(f"\ndemo: FAILED. {error}")
        return 1
    except KeyboardInterrupt:
        say("\ndemo: stopped.")
        return 130
    say(f"\ndemo: all is well, after {time.time() - started:.0f} s with everything.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
