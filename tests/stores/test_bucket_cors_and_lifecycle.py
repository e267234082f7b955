"""s3_bucket_rules against real stores: CORS and lifecycle rules beside those of others."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from functools import partial

import pytest
from ansible.module_utils import basic
from botocore.exceptions import ClientError
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import connection_options
from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_bucket_rules

CORS = {
    "ID": "FediverseMastodonS3Cors",
    "AllowedOrigins": ["*"],
    "AllowedMethods": ["HEAD", "GET"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 3600,
}
ABORT = {"ID": "FediverseMastodonS3AbortUploads", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
APP = {"ID": "app", "AllowedOrigins": ["https://b.example", "https://a.example"], "AllowedMethods": ["PUT"]}
LOGS = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}
TAGS = [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
TAGGED = {"ID": "t", "Status": "Enabled", "Filter": {"And": {"Prefix": "t/", "Tags": TAGS}}, "Expiration": {"Days": 3}}
OLD = {"ID": "old", "Status": "Disabled", "Prefix": "tmp/", "Expiration": {"Days": 9}}


@pytest.fixture(params=["rgw", "moto", "seaweedfs"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(_run, monkeypatch, capsys)


def _run(monkeypatch, capsys, store, bucket, *, check=False, **options):
    arguments = {
        **store.module_options(),
        "bucket": bucket,
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        **options,
    }
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        s3_bucket_rules.main()
    output = capsys.readouterr()
    assert store.secret_key not in output.out + output.err
    return json.loads(output.out)


def cors_of(store, bucket):
    try:
        return store.client().get_bucket_cors(Bucket=bucket)["CORSRules"]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchCORSConfiguration"  # noqa: PT017
        return []


def lifecycle_of(store, bucket):
    try:
        return store.client().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration"  # noqa: PT017
        return []


def put_lifecycle(store, bucket, *rules):
    store.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def preflight(store, bucket, origin, method="GET"):
    """Whether a browser at this origin would be allowed to ask, as the store answers it."""
    asked = urllib.request.Request(  # noqa: S310 - a store of our own
        f"{store.endpoint_url}/{bucket}/accounts/a.png",
        method="OPTIONS",
        headers={"Origin": origin, "Access-Control-Request-Method": method},
    )
    trust = ssl.create_default_context(cafile=store.ca_bundle)
    try:
        with urllib.request.urlopen(asked, context=trust, timeout=10) as answer:  # noqa: S310
            return answer.headers.get("Access-Control-Allow-Origin") is not None
    except urllib.error.HTTPError:
        return False


def test_a_second_run_changes_nothing(run, store):
    bucket = new_bucket(store)
    for changes in (True, False):
        result = run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT])
        assert (result.get("msg"), result["changed"], result["unsupported"]) == (None, changes, [])
    assert [rule["ID"] for rule in cors_of(store, bucket)] == [CORS["ID"]]
    assert [rule["ID"] for rule in lifecycle_of(store, bucket)] == [ABORT["ID"]]
    assert lifecycle_of(store, bucket)[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    for changes in (True, False):
        gone = run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], state="absent")
        assert gone["changed"] is changes
    assert (cors_of(store, bucket), lifecycle_of(store, bucket)) == ([], [])


def test_check_mode_predicts_and_changes_nothing(run, store):
    bucket = new_bucket(store)
    predicted = run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], check=True)
    assert predicted["changed"]
    assert (cors_of(store, bucket), lifecycle_of(store, bucket)) == ([], [])
    made = run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT])
    assert (made["cors_rules"], made["lifecycle_rules"]) == (predicted["cors_rules"], predicted["lifecycle_rules"])
    assert made["diff"] == predicted["diff"]
    assert not run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], check=True)["changed"]


def test_others_rules_stay_as_they_are_through_changes_and_removal(run, store):
    bucket = new_bucket(store)
    store.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [APP]})
    put_lifecycle(store, bucket, LOGS, OLD)
    before = (cors_of(store, bucket), lifecycle_of(store, bucket))
    for days in (7, 3):
        abort = {**ABORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}
        options = {"cors_rules": [{**CORS, "MaxAgeSeconds": days}], "lifecycle_rules": [abort]}
        assert run(store, bucket, **options)["changed"]
        assert not run(store, bucket, **options)["changed"]
        assert [rule for rule in cors_of(store, bucket) if rule["ID"] == "app"] == before[0]
        assert [rule for rule in lifecycle_of(store, bucket) if rule["ID"] in ("logs", "old")] == before[1]
    assert run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], state="absent")["changed"]
    assert (cors_of(store, bucket), lifecycle_of(store, bucket)) == before


def test_an_expiry_of_tagged_objects_below_a_prefix_stays_below_it(run, store):
    """Ceph tells such a filter in a form in which it would lose the prefix when it is sent back."""
    bucket = new_bucket(store)
    put_lifecycle(store, bucket, TAGGED)
    before = lifecycle_of(store, bucket)
    assert "'t/'" in str(before)
    assert run(store, bucket, lifecycle_rules=[ABORT])["changed"]
    assert [rule for rule in lifecycle_of(store, bucket) if rule["ID"] == "t"] == before
    assert run(store, bucket, lifecycle_rules=[ABORT], state="absent")["changed"]
    assert lifecycle_of(store, bucket) == before


def test_ceph_loses_the_prefix_of_a_filter_that_is_sent_back_as_it_came(rgw):
    """Why rules are not sent back as they came. When this fails Ceph has mended it."""
    bucket = new_bucket(rgw)
    put_lifecycle(rgw, bucket, TAGGED)
    put_lifecycle(rgw, bucket, *lifecycle_of(rgw, bucket))
    assert "'t/'" not in str(lifecycle_of(rgw, bucket))


def test_what_others_allow_already_is_not_added(run, store):
    bucket = new_bucket(store)
    everything = {"ID": "x", "AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"], "ExposeHeaders": ["ETag"]}
    store.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [everything]})
    sooner = {**ABORT, "ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}}
    put_lifecycle(store, bucket, sooner)
    assert not run(store, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT])["changed"]
    assert [rule["ID"] for rule in cors_of(store, bucket) + lifecycle_of(store, bucket)] == ["x", "x"]


def test_browsers_are_allowed_to_ask(run, rgw):
    bucket = new_bucket(rgw)
    assert not preflight(rgw, bucket, "https://mastodon.example")
    assert run(rgw, bucket, cors_rules=[CORS])["changed"]
    assert preflight(rgw, bucket, "https://mastodon.example")
    assert not preflight(rgw, bucket, "https://mastodon.example", "DELETE")


def test_policy_and_rules_in_one_task(run, store):
    bucket = new_bucket(store)
    statement = {
        "Sid": "FediverseMastodonS3PublicRead",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/accounts/*",
    }
    options = {"policy_statements": [statement], "cors_rules": [CORS], "lifecycle_rules": [ABORT]}
    assert run(store, bucket, **options)["changed"]
    assert not run(store, bucket, **options)["changed"]
    bad = run(
        store, bucket, **{**options, "lifecycle_rules": [{**ABORT, "Expiration": {"Days": 1}}], "state": "present"}
    )
    assert "would delete or move media" in bad["msg"]


def test_minio_has_neither_and_says_so(run, minio):
    bucket = new_bucket(minio)
    put_lifecycle(minio, bucket, LOGS)
    for check in (True, False):
        result = run(minio, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], check=check)
        assert (result["changed"], result["unsupported"]) == (False, ["cors", "lifecycle"])
        assert "Access-Control-Allow-Origin" in json.dumps(result["warnings"])
        assert "unfinished uploads" in json.dumps(result["warnings"])
        assert [rule["ID"] for rule in lifecycle_of(minio, bucket)] == ["logs"]
    assert preflight(minio, bucket, "https://mastodon.example")
    gone = run(minio, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], state="absent")
    assert (gone["changed"], gone["unsupported"]) == (False, [])


def test_versitygw_has_cors_rules_and_no_lifecycle(run, versitygw):
    bucket = new_bucket(versitygw)
    for changes in (True, False):
        result = run(versitygw, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT])
        assert (result["changed"], result["unsupported"]) == (changes, ["lifecycle"])
    assert [rule["ID"] for rule in cors_of(versitygw, bucket)] == [CORS["ID"]]
    assert preflight(versitygw, bucket, "https://mastodon.example")
    assert run(versitygw, bucket, cors_rules=[CORS], lifecycle_rules=[ABORT], state="absent")["changed"]
    assert cors_of(versitygw, bucket) == []


def test_a_rule_of_minios_own_kind_is_not_dropped(run, minio):
    """boto3 does not know DelMarkerExpiration, and would send the rule back without it."""
    bucket = new_bucket(minio)
    own = (
        "<LifecycleConfiguration><Rule><ID>m</ID><Status>Enabled</Status><Filter><Prefix>t/</Prefix></Filter>"
        "<DelMarkerExpiration><Days>3</Days></DelMarkerExpiration></Rule></LifecycleConfiguration>"
    )
    client = s3_client(connection_options(minio.module_options()))
    client.meta.events.register_first(
        "before-call.s3.PutBucketLifecycleConfiguration", lambda params, **_others: params.update(body=own.encode())
    )
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [LOGS]})
    assert "DelMarkerExpiration, which boto3" in run(minio, bucket, lifecycle_rules=[ABORT])["msg"]
    assert [rule["ID"] for rule in lifecycle_of(minio, bucket)] == ["m"]
