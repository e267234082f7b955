"""minio_identity against a real MinIO; what the key can do is tried with it, by boto3."""

from __future__ import annotations

import json
import uuid
from functools import partial
from types import SimpleNamespace

import boto3
import pytest
import urllib3
from ansible.module_utils import basic
from botocore.config import Config
from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials import StaticProvider
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio import admin as rooms
from ansible_collections.fediverse.mastodon_s3.plugins.modules import minio_identity

SECRET = "SecretThatShowsNowhere0123456789"


def policy_on(bucket):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"},
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            },
        ],
    }


@pytest.fixture
def admin(minio):
    return MinioAdmin(
        endpoint=minio.endpoint_url.partition("//")[2],
        credentials=StaticProvider(minio.access_key, minio.secret_key),
        http_client=urllib3.PoolManager(ca_certs=minio.ca_bundle),
    )


@pytest.fixture
def wish(minio):
    """An identity that nobody had before."""
    tag = uuid.uuid4().hex[:10]
    bucket = new_bucket(minio)
    return {"name": f"masto-{tag}", "policy_name": f"media-{tag}", "policy": policy_on(bucket)}


@pytest.fixture
def run(monkeypatch, capsys, minio):
    return partial(_run, monkeypatch, capsys, minio)


def _run(monkeypatch, capsys, minio, wish, *, check=False, **options):
    arguments = {
        **{name: value for name, value in minio.module_options().items() if name != "region"},
        **wish,
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        **options,
    }
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        minio_identity.main()
    output = capsys.readouterr()
    assert minio.secret_key not in output.out + output.err
    result = json.loads(output.out)
    result.pop("_ansible_new_secrets", None)
    assert SECRET not in json.dumps(result)
    return result


def client(minio, name, secret):
    return boto3.client(
        "s3",
        endpoint_url=minio.endpoint_url,
        region_name=minio.region,
        aws_access_key_id=name,
        aws_secret_access_key=secret,
        verify=minio.ca_bundle,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def code(request, **arguments):
    """What the store answers: OK, or an error's code."""
    try:
        request(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "OK"


def bucket_of(wish):
    return wish["policy"]["Statement"][0]["Resource"].rpartition(":")[2]


def users(admin):
    return json.loads(admin.user_list())


def policies(admin):
    return json.loads(admin.policy_list())


def test_ten_runs_make_one_key(run, minio, admin, wish):
    before = len(users(admin))
    results = [run(wish, user_secret_key=SECRET) for _turn in range(10)]
    assert [result.get("msg") for result in results] == [None] * 10
    assert [result["changed"] for result in results] == [True] + [False] * 9
    assert [result["exists"] for result in results] == [False] + [True] * 9
    assert not any("user_secret_key" in result for result in results)
    assert len(users(admin)) == before + 1
    assert users(admin)[wish["name"]]["policyName"] == wish["policy_name"]
    keep = client(minio, wish["name"], SECRET)
    assert code(keep.put_object, Bucket=bucket_of(wish), Key="accounts/a", Body=b"x") == "OK"


def test_the_key_can_do_its_work_and_no_more(run, minio, wish):
    assert run(wish, user_secret_key=SECRET)["changed"]
    key, bucket, other = client(minio, wish["name"], SECRET), bucket_of(wish), new_bucket(minio)
    minio.client().put_object(Bucket=other, Key="x", Body=b"x")
    assert code(key.put_object, Bucket=bucket, Key="accounts/a", Body=b"x") == "OK"
    assert code(key.get_object, Bucket=bucket, Key="accounts/a") == "OK"
    assert code(key.list_objects_v2, Bucket=bucket) == "OK"
    assert code(key.delete_object, Bucket=bucket, Key="accounts/a") == "OK"
    assert code(key.get_object, Bucket=other, Key="x") == "AccessDenied"
    assert code(key.put_object, Bucket=other, Key="y", Body=b"y") == "AccessDenied"
    assert code(key.list_objects_v2, Bucket=other) == "AccessDenied"
    assert code(key.delete_bucket, Bucket=bucket) == "AccessDenied"
    assert code(key.get_bucket_policy, Bucket=bucket) == "AccessDenied"
    assert code(key.put_bucket_policy, Bucket=bucket, Policy="{}") == "AccessDenied"
    assert code(key.create_bucket, Bucket="another-bucket") == "AccessDenied"


def test_a_lost_secret_leads_to_a_new_one(run, minio, admin, wish):
    first = run(wish)
    assert (first["changed"], first["exists"], len(first["user_secret_key"])) == (True, False, 40)
    second = run(wish)
    assert (second["changed"], second["exists"]) == (True, True)
    assert second["user_secret_key"] != first["user_secret_key"]
    assert code(client(minio, wish["name"], first["user_secret_key"]).list_objects_v2, Bucket=bucket_of(wish)) == (
        "SignatureDoesNotMatch"
    )
    assert not run(wish, user_secret_key=second["user_secret_key"])["changed"]
    assert code(client(minio, wish["name"], second["user_secret_key"]).list_objects_v2, Bucket=bucket_of(wish)) == "OK"
    assert [name for name in users(admin) if name == wish["name"]] == [wish["name"]]


def test_another_secret_takes_the_place_of_the_old_one(run, minio, wish):
    assert run(wish, user_secret_key="TheOldSecret")["changed"]
    assert run(wish, user_secret_key=SECRET)["changed"]
    assert not run(wish, user_secret_key=SECRET)["changed"]
    assert code(client(minio, wish["name"], SECRET).list_objects_v2, Bucket=bucket_of(wish)) == "OK"
    assert code(client(minio, wish["name"], "TheOldSecret").list_objects_v2, Bucket=bucket_of(wish)) != "OK"


@pytest.mark.parametrize("method", ["policy_add", "user_add", "attach_policy"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_is_mended_by_the_next(run, minio, admin, wish, monkeypatch, method, when):
    class KilledError(BaseException):
        pass

    def killed(client, name, **arguments):
        if (name, when) == (method, "before"):
            raise KilledError
        answer = call(client, name, **arguments)
        if (name, when) == (method, "after"):
            raise KilledError
        return answer

    call = rooms._call
    with monkeypatch.context() as patch:
        patch.setattr(rooms, "_call", killed)
        arguments = SimpleNamespace(**{**minio.module_options(), **wish})
        found = rooms.ConnectionOptions(endpoint_url=arguments.endpoint_url, ca_bundle=minio.ca_bundle)
        wanted = rooms.Wanted(wish["name"], wish["policy_name"], wish["policy"], SECRET)
        with pytest.raises(KilledError):
            _converge(found, minio, wanted)
    # Half a user can do nothing but what the policy says.
    if wish["name"] in users(admin):
        assert users(admin)[wish["name"]].get("policyName", "") in ("", wish["policy_name"])
    last = run(wish, user_secret_key=SECRET)
    assert last["changed"] is ((method, when) != ("attach_policy", "after"))
    assert code(client(minio, wish["name"], SECRET).list_objects_v2, Bucket=bucket_of(wish)) == "OK"
    assert not run(wish, user_secret_key=SECRET)["changed"]


def _converge(options, minio, wanted):
    there = rooms.Admin(options, (minio.access_key, minio.secret_key, None))
    there.execute(wanted, minio_identity.plan(wanted, there.read(wanted)), wanted.secret_key)


def test_check_mode_predicts_and_changes_nothing(run, admin, wish):
    predicted = run(wish, check=True)
    assert (predicted["changed"], predicted["exists"]) == (True, False)
    assert "user_secret_key" not in predicted
    assert wish["name"] not in users(admin)
    assert wish["policy_name"] not in policies(admin)
    made = run(wish, user_secret_key=SECRET)
    assert made["diff"] == predicted["diff"]
    assert not run(wish, user_secret_key=SECRET, check=True)["changed"]
    assert run(wish, state="absent", check=True)["changed"]
    assert wish["name"] in users(admin)


def test_a_changed_policy_is_brought_back(run, minio, admin, wish):
    run(wish, user_secret_key=SECRET)
    admin.policy_add(policy_name=wish["policy_name"], policy=policy_on("somewhere-else"))
    assert code(client(minio, wish["name"], SECRET).list_objects_v2, Bucket=bucket_of(wish)) == "AccessDenied"
    changed = run(wish, user_secret_key=SECRET)
    assert changed["changed"]
    assert "somewhere-else" in changed["diff"]["before"]
    assert code(client(minio, wish["name"], SECRET).list_objects_v2, Bucket=bucket_of(wish)) == "OK"


def test_a_disabled_user_is_enabled(run, minio, admin, wish):
    run(wish, user_secret_key=SECRET)
    admin.user_disable(access_key=wish["name"])
    assert run(wish, user_secret_key=SECRET)["changed"]
    assert code(client(minio, wish["name"], SECRET).list_objects_v2, Bucket=bucket_of(wish)) == "OK"


def test_removal_takes_user_and_policy_and_nothing_else(run, admin, wish):
    before = (set(users(admin)), set(policies(admin)))
    run(wish, user_secret_key=SECRET)
    gone = {"name": wish["name"], "policy_name": wish["policy_name"], "state": "absent"}
    assert [run(gone)["changed"] for _turn in range(2)] == [True, False]
    assert (set(users(admin)), set(policies(admin))) == before


def test_a_policy_that_somebody_else_has_stays(run, minio, admin, wish):
    run(wish, user_secret_key=SECRET)
    neighbour = f"n-{wish['name']}"[:20]
    admin.user_add(access_key=neighbour, secret_key="neighbours-secret")
    admin.attach_policy(policies=[wish["policy_name"]], user=neighbour)
    changed = {**wish, "policy": policy_on("somewhere-else")}
    assert f"attached to user {neighbour}, too" in run(changed, user_secret_key=SECRET)["msg"]
    result = run({"name": wish["name"], "policy_name": wish["policy_name"], "state": "absent"})
    assert result["changed"]
    assert f"also attached to user {neighbour}" in json.dumps(result["warnings"])
    assert wish["policy_name"] in policies(admin)
    assert code(client(minio, neighbour, "neighbours-secret").list_objects_v2, Bucket=bucket_of(wish)) == "OK"


def test_somebody_elses_user_keeps_its_key(run, minio, admin, wish):
    admin.user_add(access_key=wish["name"], secret_key="their-own-secret")
    admin.attach_policy(policies=["readonly"], user=wish["name"])
    for options in ({"user_secret_key": SECRET}, {}, {"state": "absent"}):
        assert "another application" in run(wish, **options)["msg"]
    assert wish["policy_name"] not in policies(admin)
    assert code(client(minio, wish["name"], "their-own-secret").list_buckets) == "OK"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"secret_key": "wrong-secret"}, "secret key does not fit the access key"),
        ({"access_key": "nobody", "secret_key": "wrong-secret"}, "does not know this access key"),
        ({"aws_ca_bundle": None}, "set aws_ca_bundle"),
        ({"endpoint_url": "https://127.0.0.1:9"}, "nothing listens at endpoint_url; check host and port"),
        ({"endpoint_url": None}, "endpoint_url is missing"),
        ({"name": "ab"}, "write 3 to 20 letters"),
        ({"policy": {"Statement": [{"Effect": "Allow", "Action": "s3:Nonsense", "Resource": "arn:aws:s3:::m"}]}},
         "MinIO refused the request (XMinio"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_remedy(run, admin, wish, options, named):
    failed = run(wish, **{"user_secret_key": SECRET, **options})
    assert named in failed["msg"]
    assert "wrong-secret" not in json.dumps(failed)
    assert wish["name"] not in users(admin)


def test_the_administrator_can_not_be_made_the_user(run, minio, wish):
    assert "administrator's own access key" in run({**wish, "name": minio.access_key})["msg"]


def test_a_key_that_is_no_administrators_is_told_as_such(run, wish):
    run(wish, user_secret_key=SECRET)
    failed = run({**wish, "name": "another-user"}, access_key=wish["name"], secret_key=SECRET)
    assert "use an administrator's key" in failed["msg"]


def test_another_store_is_not_taken_for_minio(run, moto, wish):
    failed = run(
        wish,
        endpoint_url=moto.endpoint_url,
        access_key=moto.access_key,
        secret_key=moto.secret_key,
        aws_ca_bundle=None,
    )
    assert "is not MinIO" in failed["msg"]
