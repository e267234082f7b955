"""The stores are what the other tests take them for, and starting and stopping them touches nothing else."""

from __future__ import annotations

import io
import json
import os
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from stores import ProgramMissingError, StoreError, lifecycle, packages, processes, start, stop
from stores.fixtures import new_bucket

COMMAND = Path(__file__).resolve().parents[1] / "support" / "stores"


def anonymous_status(store, path, base=None):
    trust = ssl.create_default_context(cafile=store.ca_bundle) if store.ca_bundle else None
    try:
        url = f"{base or store.endpoint_url}/{path}"
        with urllib.request.urlopen(url, context=trust, timeout=10) as answer:  # noqa: S310 - our own server's
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def cli(*words, env=None):
    done = subprocess.run(
        [sys.executable, COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


def test_rgw_enforces_object_acls(rgw):
    client, bucket = rgw.client(), new_bucket(rgw)
    client.put_object(Bucket=bucket, Key="open", Body=b"x", ACL="public-read")
    client.put_object(Bucket=bucket, Key="shut", Body=b"x", ACL="private")
    assert anonymous_status(rgw, f"{bucket}/open") == 200
    assert anonymous_status(rgw, f"{bucket}/shut") == 403
    client.put_object_acl(Bucket=bucket, Key="open", ACL="private")
    assert anonymous_status(rgw, f"{bucket}/open") == 403


def test_rgw_answers_with_and_without_tls(rgw):
    bucket = new_bucket(rgw)
    rgw.client().put_object(Bucket=bucket, Key="open", Body=b"x", ACL="public-read")
    assert rgw.endpoint_url.startswith("https://")
    assert anonymous_status(rgw, f"{bucket}/open", rgw.plain_endpoint_url) == 200


def test_rgw_refuses_checksum_trailers_over_tls(rgw):
    bucket = new_bucket(rgw)
    trailers = Config(request_checksum_calculation="when_supported")
    with pytest.raises(ClientError, match="MissingContentLength"):
        rgw.client(config=trailers).put_object(Bucket=bucket, Key="a", Body=b"x")
    plain = rgw.client(config=trailers, endpoint_url=rgw.plain_endpoint_url)
    assert plain.put_object(Bucket=bucket, Key="a", Body=b"x")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_minio_ignores_object_acls_and_obeys_policies(minio):
    client, bucket = minio.client(), new_bucket(minio)
    client.put_object(Bucket=bucket, Key="a", Body=b"x", ACL="public-read")
    assert anonymous_status(minio, f"{bucket}/a") == 403
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert anonymous_status(minio, f"{bucket}/a") == 200


def test_minio_speaks_tls_of_the_private_authority_only(minio):
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(minio.endpoint_url, timeout=10)  # noqa: S310 - our own server's
    assert anonymous_status(minio, "") in (200, 403)


@pytest.mark.parametrize(("region", "status"), [("us-east-1", 404), ("eu-central-1", 400)])
def test_minio_insists_on_its_region(minio, region, status):
    # By a signed URL, since boto3 corrects a wrong region by itself.
    parameters = {"Bucket": new_bucket(minio), "Key": "none"}
    config = Config(signature_version="s3v4")
    url = minio.client(region_name=region, config=config).generate_presigned_url("get_object", Params=parameters)
    assert anonymous_status(minio, url.removeprefix(f"{minio.endpoint_url}/")) == status


@pytest.mark.parametrize("kind", ["minio", "rgw", "seaweedfs", "versitygw", "aws"])
def test_a_wrong_secret_is_refused(kind, request):
    store = request.getfixturevalue(kind)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        store.client(aws_secret_access_key="wrong").list_buckets()


def refused(call, **arguments):
    """The code and the status with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def policy_of(bucket, what="accounts/*"):
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/{what}",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_seaweedfs_takes_object_acls_and_ignores_them_and_obeys_policies(seaweedfs):
    client, bucket = seaweedfs.client(), new_bucket(seaweedfs)
    for key in ("accounts/a", "backups/a"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x", ACL="public-read")
        client.put_object_acl(Bucket=bucket, Key=key, ACL="public-read")
        assert anonymous_status(seaweedfs, f"{bucket}/{key}") == 403
    client.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket))
    assert anonymous_status(seaweedfs, f"{bucket}/accounts/a") == 200
    assert anonymous_status(seaweedfs, f"{bucket}/accounts/a", seaweedfs.plain_endpoint_url) == 200
    assert anonymous_status(seaweedfs, f"{bucket}/backups/a") == 403
    assert anonymous_status(seaweedfs, f"{bucket}?list-type=2") == 403


def test_versitygw_refuses_every_acl_of_an_object_that_is_there_and_obeys_policies(versitygw):
    client, bucket = versitygw.client(), new_bucket(versitygw)
    for key in ("accounts/a", "backups/a"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x", ACL="public-read")
        assert anonymous_status(versitygw, f"{bucket}/{key}") == 403
    found = refused(client.put_object_acl, Bucket=bucket, Key="accounts/a", ACL="public-read")
    assert found == ("NotImplemented", 501)
    client.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket))
    assert anonymous_status(versitygw, f"{bucket}/accounts/a") == 200
    assert anonymous_status(versitygw, f"{bucket}/backups/a") == 403
    assert anonymous_status(versitygw, f"{bucket}?list-type=2") == 403


NO_ACLS = ("AccessControlListNotSupported", 400)
DENIED = ("AccessDenied", 403)


BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def test_a_new_bucket_of_aws_takes_no_acls_and_is_blocked(aws):
    client, bucket = aws.client(), new_bucket(aws)
    rules = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert all(client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    thing = {"Bucket": bucket, "Key": "accounts/ünïcode +&.png"}
    for acl in ("public-read", "private"):
        assert refused(client.put_object, Body=b"x", ACL=acl, **thing) == NO_ACLS
        assert refused(client.create_multipart_upload, ACL=acl, **thing) == NO_ACLS
        assert refused(client.put_object_acl, ACL=acl, **thing) == NO_ACLS
    assert refused(client.put_bucket_acl, Bucket=bucket, ACL="public-read") == NO_ACLS
    client.put_object(Body=b"content", **thing)
    client.put_object(Body=b"content", ACL="bucket-owner-full-control", **thing)
    assert client.get_object(**thing)["Body"].read() == b"content"
    assert [grant["Permission"] for grant in client.get_object_acl(**thing)["Grants"]] == ["FULL_CONTROL"]
    assert anonymous_status(aws, f"{bucket}/accounts/%C3%BCn%C3%AFcode%20%2B%26.png") == 403
    assert refused(client.put_bucket_policy, Bucket=bucket, Policy=policy_of(bucket)) == DENIED


def test_each_block_of_aws_does_what_its_name_says(aws):
    client, bucket = aws.client(), new_bucket(aws)
    thing = {"Bucket": bucket, "Key": "accounts/a"}
    where = f"{bucket}/accounts/a"

    def block(*names):
        wanted = {name: name in names for name in BLOCKS}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)
        assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == wanted

    client.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    block("BlockPublicAcls")
    assert refused(client.put_object, Body=b"x", ACL="public-read", **thing) == DENIED
    client.put_object(Body=b"x", ACL="private", **thing)
    assert refused(client.put_object_acl, ACL="public-read", **thing) == DENIED
    grants = {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'}
    assert refused(client.put_object, Body=b"x", **grants, **thing) == DENIED
    block("IgnorePublicAcls")
    client.put_object(Body=b"x", ACL="public-read", **thing)
    assert anonymous_status(aws, where) == 403
    block()
    assert anonymous_status(aws, where) == 200
    client.put_object_acl(ACL="private", **thing)
    assert anonymous_status(aws, where) == 403
    block("BlockPublicPolicy")
    assert refused(client.put_bucket_policy, Bucket=bucket, Policy=policy_of(bucket)) == DENIED
    block()
    client.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket))
    assert anonymous_status(aws, where) == 200
    block("RestrictPublicBuckets")
    assert anonymous_status(aws, where) == 403
    assert client.get_object(**thing)["Body"].read() == b"x"
    client.delete_public_access_block(Bucket=bucket)
    assert refused(client.get_public_access_block, Bucket=bucket) == ("NoSuchPublicAccessBlockConfiguration", 404)
    assert anonymous_status(aws, where) == 200


def test_acls_of_aws_give_nothing_once_the_owner_enforces_again(aws):
    client, bucket = aws.client(), f"test-{uuid.uuid4().hex[:16]}"
    client.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    client.delete_public_access_block(Bucket=bucket)
    thing = {"Bucket": bucket, "Key": "accounts/a"}
    client.put_object(Body=b"x", ACL="public-read", **thing)
    assert anonymous_status(aws, f"{bucket}/accounts/a") == 200
    client.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    assert anonymous_status(aws, f"{bucket}/accounts/a") == 403
    assert [grant["Permission"] for grant in client.get_object_acl(**thing)["Grants"]] == ["FULL_CONTROL"]
    client.delete_bucket_ownership_controls(Bucket=bucket)
    assert refused(client.get_bucket_ownership_controls, Bucket=bucket) == ("OwnershipControlsNotFoundError", 404)
    assert anonymous_status(aws, f"{bucket}/accounts/a") == 200


def test_visitors_change_no_settings_of_aws(aws):
    bucket = new_bucket(aws)
    anonymous = aws.client(config=Config(signature_version=UNSIGNED))
    assert refused(anonymous.delete_public_access_block, Bucket=bucket) == DENIED
    assert refused(anonymous.get_bucket_ownership_controls, Bucket=bucket) == DENIED
    assert all(aws.client().get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())


def test_aws_passes_large_bodies_through(aws):
    client, bucket = aws.client(), new_bucket(aws)
    body = bytes(range(256)) * 80_000
    client.upload_fileobj(io.BytesIO(body), bucket, "cache/large")
    assert client.get_object(Bucket=bucket, Key="cache/large")["Body"].read() == body
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "cache/large"}]})
    client.delete_bucket(Bucket=bucket)
    assert bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]


def test_moto_knows_iam_too(moto):
    moto.client("iam").create_user(UserName="mastodon")
    assert [user["UserName"] for user in moto.client("iam").list_users()["Users"]] == ["mastodon"]


def test_command_line_from_start_to_stop(tmp_path):
    folder = tmp_path / "store"
    status, output, errors = cli("start", "moto", "--dir", str(folder), "--region", "eu-west-3")
    assert (status, errors) == (0, "")
    store = json.loads(output)
    try:
        assert store["region"] == "eu-west-3"
        assert processes.birth(store["pid"]) == store["pids"][0][1]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "store.json").stat().st_mode) == 0o600
        again = cli("start", "moto", "--dir", str(folder))
        assert json.loads(again[1])["pid"] == store["pid"]
        other = cli("start", "minio", "--dir", str(folder))
        assert other[0] == 1
        assert "moto runs in" in other[2]
    finally:
        assert cli("stop", "--dir", str(folder))[0] == 0
    assert processes.birth(store["pid"]) is None
    assert sorted(path.name for path in folder.iterdir()) == ["logs", "this-is-a-test-store"]
    status, _output, errors = cli("stop", "--dir", str(folder))
    assert status == 0
    assert "nothing to stop" in errors


def test_the_certificate_bears_the_wanted_names_and_the_first_is_advertised(tmp_path):
    everywhere = "0.0.0.0"  # noqa: S104 - as containers need it
    store = start("minio", tmp_path / "store", host=everywhere, names=("localhost",), bound_to_parent=True)
    try:
        assert store.endpoint_url.startswith("https://localhost:")
        assert store.client().list_buckets()["Buckets"] == []
        assert anonymous_status(store, "", store.endpoint_url.replace("localhost", "127.0.0.1")) in (200, 403)
    finally:
        stop(tmp_path / "store")


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "precious").write_text("x", encoding="ascii")
    status, _output, errors = cli("start", "moto", "--dir", str(tmp_path))
    assert status == 1
    assert "is not empty" in errors
    assert (tmp_path / "precious").exists()


def test_only_the_very_process_is_ended(tmp_path):
    sleeper = processes.spawn(["sleep", "60"], tmp_path / "log", bound_to_parent=True)
    started = processes.birth(sleeper)
    processes.end([(sleeper, "1")])
    assert processes.birth(sleeper) == started
    processes.end([(sleeper, started)])
    assert processes.birth(sleeper) is None


def test_a_server_that_ends_at_once_shows_its_log(tmp_path):
    log = tmp_path / "log"
    pid = processes.spawn(["sh", "-c", "echo the reason; exit 3"], log)
    with pytest.raises(StoreError, match=r"(?s)ended at once.*the reason"):
        processes.wait_until(lambda: False, [pid], log, "it")


def test_processes_end_with_a_killed_parent(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from stores import processes\n"
        "pid = processes.spawn(['sleep', '60'], Path(sys.argv[2]), bound_to_parent=True)\n"
        "print(pid, processes.birth(pid), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", script, str(COMMAND.parent), str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pid, started = done.stdout.split()
    assert processes._gone(int(pid), started, 5)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("rgw", "apt-get install"), ("minio", "Install Go"), ("versitygw", "Install Go"), ("seaweedfs", "by pip")],
)
def test_a_missing_program_is_named_with_the_remedy(kind, remedy, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "CACHE", tmp_path)
    monkeypatch.setattr(packages, "MINIO", tmp_path / "bin" / "minio")
    monkeypatch.setattr(packages, "VERSITYGW", tmp_path / "bin" / "versitygw")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ProgramMissingError, match=remedy):
        start(kind, tmp_path / "store")


def test_a_start_that_fails_leaves_no_process(tmp_path, monkeypatch):
    seen = []
    spawn = processes.spawn

    def noted(*words, **options):
        seen.append(spawn(*words, **options))
        return seen[-1]

    def never(_store):
        raise StoreError("no S3")

    monkeypatch.setattr(processes, "spawn", noted)
    monkeypatch.setattr(lifecycle, "_wait_for_s3", never)
    with pytest.raises(StoreError, match="no S3"):
        start("moto", tmp_path / "store")
    assert len(seen) == 1
    assert processes.birth(seen[0]) is None
