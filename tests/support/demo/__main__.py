"""Migrates a sample Mastodon server to an embedded store, checks the result, and prints it.

The exit status is 0 only if all checks passed.
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
from stores.model import StoreError, StoreServer

from demo import checks, envdiff, playbook, sample

HOME = environments.CACHE / "demo-server"
RESTART = Path(__file__).resolve().parent / "restart.py"
BUCKET = "social-example-media"
USER = f"mastodon-{BUCKET}"
REPORTS = HOME / "reports"
REPORT = f"{BUCKET}.report.html"
KEEP_HINT = "Run `make demo ARGS=--keep` to inspect the server and the store."


class DemoError(Exception):
    """The demo failed. The text says why and what to do."""


def say(text: str = "") -> None:
    """Print one line."""
    print(text, flush=True)


def variables(server: sample.Sample, store: StoreServer, port: int) -> dict[str, object]:
    """Return the inventory's variables, for a server without systemd and a self-hosted store."""
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
        "mastodon_s3_mastodon_dir": str(server.live),
        "mastodon_s3_state_dir": str(HOME / "state"),
        "mastodon_s3_restart_command": shlex.join(restart),
        "mastodon_s3_web_url": f"http://127.0.0.1:{port}",
        "mastodon_s3_concurrency": 4,
        "mastodon_s3_report_dir": str(REPORTS),
    }


def start_services(server: sample.Sample, port: int) -> None:
    """Start the sample server's processes, bound to this one."""
    avatar = next(server.media.glob("accounts/avatars/*/*/*/original/*")).relative_to(server.media)
    settings = {"live": str(server.live), "port": port, "thumbnail": server.thumbnail, "avatar": str(avatar)}
    settings["owner"] = os.getpid()
    (HOME / "web.json").write_text(json.dumps(settings), encoding="utf-8")
    restart("start")


def restart(verb: str) -> None:
    """Start or stop the web process and Sidekiq."""
    done = subprocess.run([sys.executable, str(RESTART), verb, str(HOME)], check=False)
    if done.returncode:
        raise DemoError(f"The sample server's web process did not start. See {HOME / 'serve.log'}.")


def thumbnail(port: int) -> str:
    """Return the address of the thumbnail from the instance's API."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/instance", timeout=10) as answer:
        return str(json.load(answer)["thumbnail"]["url"])


def clients(store: StoreServer) -> dict[str, t.Any]:
    """Return the administrator's boto3 clients."""
    settings = {
        "endpoint_url": store.endpoint_url,
        "region_name": store.region,
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": store.secret_key,
    }
    return {name: boto3.client(name, **settings) for name in ("s3", "iam")}


def migrate(server: sample.Sample, store: StoreServer, port: int, more: t.Mapping[str, object]) -> None:
    """Run the migration, with `more` variables, check the result and print it.

    Raises:
        DemoError: The playbook or a check failed.
    """
    before, before_mode = server.env_file.read_text(encoding="utf-8"), server.env_file.stat().st_mode
    old_thumbnail = thumbnail(port)
    inventory = HOME / "inventory.json"
    playbook.write_inventory(inventory, {**variables(server, store, port), **more})

    say(f"\nansible-playbook --inventory {inventory.relative_to(environments.ROOT)} playbooks/migrate.yml")
    run = playbook.run("migrate", inventory, HOME)
    if run.status:
        raise DemoError(
            f"The playbook failed with status {run.status} after {run.seconds:.0f} s. Its output is in {run.log}. "
            f"{KEEP_HINT}"
        )

    say("\nChecking the result without the collection ...")
    new_thumbnail = thumbnail(port)
    time.sleep(1.5)  # for one more upload to the bucket
    restart("stop")
    findings = checks.findings(server, clients(store), BUCKET, USER, new_thumbnail, HOME / "uploads.log")
    after = server.env_file.read_text(encoding="utf-8")
    kept = [line for line in before.splitlines() if line not in after.splitlines()]
    findings.expect(
        not kept and server.env_file.stat().st_mode == before_mode,
        "no other line of the env file was changed, and its mode is the same",
        f"{len(kept)} lines are missing, mode {server.env_file.stat().st_mode & 0o7777:o}",
    )
    output = run.log.read_text(encoding="utf-8")
    findings.expect(
        "Proven that Mastodon uses the bucket" in output,
        "the playbook proved that web and Sidekiq use the bucket",
        f"its report does not say so, see {run.log}",
    )
    report, copy = (path.read_text(encoding="utf-8") for path in (HOME / "state" / REPORT, REPORTS / f"demo.{REPORT}"))
    modes = {path.stat().st_mode & 0o777 for path in (HOME / "state" / REPORT, REPORTS / f"demo.{REPORT}")}
    findings.expect(
        report == copy and modes == {0o600} and f"<h1>{sample.DOMAIN}</h1>" in report and report.endswith("</html>\n"),
        "the report is a page, here and on the host, which only the owner can read",
        f"see {HOME / 'state' / REPORT}",
    )
    secret_names = [Path(key).name for key in (*server.suspended, server.archive, *server.left_out)]
    leaked = [value for value in secret_names if value in report]
    findings.expect(not leaked, "the report does not name private files", f"{len(leaked)} of them are in it")
    leaked = [value for value in [*envdiff.secrets_in(after), store.secret_key] if value in output + report]
    findings.expect(
        not leaked, "neither the playbook's output nor the report contains a secret", f"{len(leaked)} are in {run.log}"
    )
    print_result(server, findings, run, old_thumbnail, new_thumbnail, envdiff.difference(before, after))
    if findings.faults:
        raise DemoError(
            f"{len(findings.faults)} of these checks failed. The playbook's output is in {run.log}. {KEEP_HINT}"
        )


def print_result(
    server: sample.Sample,
    findings: checks.CheckResults,
    run: playbook.Run,
    old_thumbnail: str,
    new_thumbnail: str,
    changes: list[str],
) -> None:
    """Print the result."""
    say(f"\nMigrated in {run.seconds:.0f} s with {run.tasks} tasks; {run.changed} of them changed something")
    say(
        f"  {findings.files} files ({findings.size / 1e6:.1f} MB) are in the bucket {BUCKET}: "
        f"{findings.files - findings.private} public, {findings.private} private; {len(server.left_out)} left out"
    )
    say(f"  The instance's thumbnail was at {old_thumbnail}")
    say(f"                    and is now at {new_thumbnail}")
    say("\nWhat visitors get")
    for address, response in findings.responses:
        say(f"  {response:14} {address}")
    say("\nWhat changed in .env.production")
    for line in changes:
        say(f"  {line}")
    say("\nWhat was checked")
    for line in findings.passed:
        say(f"  ok      {line}")
    for line in findings.faults:
        say(f"  FAILED  {line}")


def wait_for_enter(server: sample.Sample, store: StoreServer, port: int) -> None:
    """Keep everything running until the user presses Enter, and print what can be tried."""
    restart("start")
    say(f"\nStill running: the store at {store.endpoint_url} (key {store.access_key}, secret {store.secret_key}),")
    say(f"the instance at http://127.0.0.1:{port}/api/v2/instance, its files in {server.live}.")
    say("\nIn another terminal, in this folder, you can run the other playbooks on this server:")
    program = Path(sys.executable).parent.relative_to(environments.ROOT) / "ansible-playbook"
    collections = (environments.CACHE / "collections").relative_to(environments.ROOT)
    inventory = (HOME / "inventory.json").relative_to(environments.ROOT)
    say(f"  export ANSIBLE_COLLECTIONS_PATH={collections}")
    for name in ("verify", "rollback", "preflight", "migrate"):
        say(f"  {program} -i {inventory} playbooks/{name}.yml")
    say("\nPress Enter or Ctrl-C to stop everything.")
    sys.stdin.readline()


def demo(keep: bool = False, cached: int = 0, more: t.Mapping[str, object] | None = None) -> None:
    """Run the demo, unless another one is running in this checkout.

    Args:
        keep: Whether to wait for Enter at the end.
        cached: How many more pictures of other servers the sample server has.
        more: Variables of the inventory.

    Raises:
        DemoError: It failed, or another one is running.
    """
    environments.CACHE.mkdir(exist_ok=True)
    with (environments.CACHE / "demo.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError("Another demo is running in this checkout. Stop it first.") from None
        set_up_and_migrate(keep, cached, more or {})


def set_up_and_migrate(keep: bool, cached: int, more: t.Mapping[str, object]) -> None:
    """Create the server, migrate it, and stop everything that was started."""
    # Only the store itself can empty the folder that an earlier demo left.
    lifecycle.stop(HOME / "store")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, mode=0o700)
    os.umask(0o022)
    say("demo: creating a sample server with real pictures ...")
    server = sample.lay_out(HOME / "live", cached)
    store = lifecycle.start("moto", HOME / "store", bound_to_parent=True)
    port = processes.free_port("127.0.0.1")
    try:
        start_services(server, port)
        say(f"demo: the store is at {store.endpoint_url}, the instance at http://127.0.0.1:{port}")
        try:
            migrate(server, store, port, more)
        finally:
            if keep:
                wait_for_enter(server, store, port)
    finally:
        restart("stop")
        lifecycle.stop(HOME / "store")
        if not keep:
            shutil.rmtree(HOME / "live", ignore_errors=True)


def main() -> int:
    """Parse the command line and run the demo. Return the exit status."""
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep everything running at the end until you press Enter, and keep the files",
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
    say(f"\ndemo: all checks passed, after {time.time() - started:.0f} s including the setup.")
    if not arguments.keep:
        say("To run the other playbooks on the sample server: make demo ARGS=--keep")
    say("To migrate your own server, continue with README.md, section 'Migrate a server'.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
