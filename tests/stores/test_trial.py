"""The role's trial of object storage with Ruby's AWS SDK and real stores. Paperclip is that of Molecule's stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from stores import ProgramMissingError, packages
from stores.fixtures import new_bucket

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (ROOT / "roles" / "mastodon_s3" / "files" / "trial.rb").read_text(encoding="utf-8")
LIBRARY = ROOT / "molecule" / "shared" / "instance" / "live" / "lib"
RUNNER = "require 'stand_in'; Paperclip = StandIn::Paperclip; eval($stdin.read, TOPLEVEL_BINDING, 'stdin')"
STEPS = [
    *("settings", "store", "read", "change the ACL", "fetch by a presigned address", "fetch by its public address"),
    *("delete", "delete in a batch", "miss what was deleted"),
]
WITHOUT_ACL = [name for name in STEPS if name != "change the ACL"]


@pytest.fixture(autouse=True, scope="module")
def _ruby():
    try:
        packages.ruby()
    except ProgramMissingError as error:
        pytest.skip(str(error))


def start(store, bucket, **variables):
    url = urlsplit(store.endpoint_url)
    settings = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "LOCAL_DOMAIN": "social.example",
        "S3_ENABLED": "true",
        "S3_BUCKET": bucket,
        "S3_REGION": store.region,
        "S3_ENDPOINT": store.endpoint_url,
        "S3_PROTOCOL": url.scheme,
        "S3_HOSTNAME": url.netloc,
        "S3_PERMISSION": "",
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        **({"SSL_CERT_FILE": str(store.ca_bundle)} if store.ca_bundle else {}),
        **variables,
    }
    return subprocess.Popen(
        ["ruby", "-I", str(LIBRARY), "-e", RUNNER],
        env={name: value for name, value in settings.items() if value is not None},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tried(store, bucket, script=SCRIPT, **variables):
    """Run the trial, and return the names of its steps and the last error."""
    out, err = start(store, bucket, **variables).communicate(script, timeout=120)
    assert store.secret_key not in out + err
    assert "X-Amz-Signature" not in out + err
    steps = json.loads(out.splitlines()[-1])["steps"]
    assert all(step["error"] is None for step in steps[:-1])
    assert all(step["seconds"] >= 0 for step in steps)
    assert keys(store, bucket) == []
    return [step["name"] for step in steps], steps[-1]["error"]


def keys(store, bucket):
    return [each["Key"] for each in store.client().list_objects_v2(Bucket=bucket).get("Contents") or []]


def make_public(store, bucket, *folders):
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/{folder}*" for folder in folders],
    }
    store.client().put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )


def test_all_steps_with_a_policy_and_a_prefix(minio):
    bucket = new_bucket(minio)
    make_public(minio, bucket, "media/accounts/")
    assert tried(minio, bucket, S3_KEY_PREFIX="media") == (WITHOUT_ACL, None)


def test_all_steps_with_acls(rgw):
    assert tried(rgw, new_bucket(rgw), S3_PERMISSION="public-read") == (STEPS, None)


def test_an_object_that_visitors_cannot_read(minio):
    impatient = SCRIPT.replace("PATIENCE = 10", "PATIENCE = 1")
    assert impatient != SCRIPT
    names, error = tried(minio, new_bucket(minio), script=impatient)
    assert names[-1] == "fetch by its public address"
    assert error == f"RuntimeError: {urlsplit(minio.endpoint_url).hostname} answers with status 403"


@pytest.mark.parametrize(
    ("variables", "step", "said"),
    [
        ({"S3_ENABLED": None}, "settings", "something overrides S3_ENABLED"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong" * 8}, "store", "Aws::S3::Errors::SignatureDoesNotMatch: "),
        ({"SSL_CERT_FILE": "/dev/null"}, "store", "certificate verify failed"),
        ({"S3_ENDPOINT": "https://store.invalid"}, "store", "Seahorse::Client::NetworkingError: "),
        ({"S3_HOSTNAME": "media.invalid"}, "fetch by its public address", "SocketError: "),
    ],
)
def test_what_only_ruby_finds(minio, variables, step, said):
    bucket = new_bucket(minio)
    make_public(minio, bucket, "accounts/")
    names, error = tried(minio, bucket, **variables)
    assert names[-1] == step
    assert said in error


def test_nothing_is_left_if_it_is_told_to_end(minio):
    bucket = new_bucket(minio)  # visitors can't read it, so the trial goes on trying
    process = start(minio, bucket)
    process.stdin.write(SCRIPT)
    process.stdin.close()
    process.stdin = None
    end = time.monotonic() + 60
    while len(keys(minio, bucket)) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(keys(minio, bucket)) == 2
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert keys(minio, bucket) == []
