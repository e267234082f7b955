# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket import setting
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.cors import CORS
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.lifecycle import LIFECYCLE
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import RulesError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules_setting import BucketRules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.setting import LostUpdateError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    BadCredentialsError,
    ClockSkewError,
    NotFoundError,
    PermissionDeniedError,
    WrongRegionError,
)

OURS = {"ID": "FediverseMastodonS3AbortUploads", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
OURS_CORS = {"ID": "FediverseMastodonS3Cors", "AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}
THEIRS = "<Rule><ID>logs</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>%s</Rule>"
EXPIRES = "<Expiration><Days>30</Days></Expiration>"
ABORTS = (
    "<Rule><ID>FediverseMastodonS3AbortUploads</ID><Prefix/><Status>Enabled</Status><AbortIncompleteMultipartUpload>"
    "<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
)


def lifecycle(*rules):
    return f'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(rules)}</LifecycleConfiguration>'


class BucketServer:
    """A bucket's subresources as text, what others make of them after a write, and what the store refuses."""

    def __init__(self):
        self.text = {}
        self.afterwards = []
        self.refuse = {}
        self.server = "Test"
        self.headers = {}
        self.writes = []
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                what = self.path.partition("?")[2].partition("=")[0]
                if self.command == "GET" and bucket.writes and bucket.afterwards:
                    bucket.text[what] = bucket.afterwards.pop(0)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                missing = {"cors": "NoSuchCORSConfiguration", "lifecycle": "NoSuchLifecycleConfiguration"}[what]
                if self.command in bucket.refuse:
                    status, code = bucket.refuse[self.command]
                    return self.give(status, f"<Error><Code>{code}</Code><Message>No.</Message></Error>")
                if self.command != "GET":
                    bucket.writes.append((self.command, body.decode(), dict(self.headers)))
                    bucket.text[what] = body.decode() if body else None
                    return self.give(200, "")
                if bucket.text.get(what) is None:
                    return self.give(404, f"<Error><Code>{missing}</Code></Error>")
                return self.give(200, bucket.text[what])

            do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

            def give(self, status, text):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **bucket.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def version_string(self):
                return bucket.server

            def log_message(self, *_arguments):
                pass

        self._web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._web.daemon_threads = True
        self._thread = threading.Thread(target=self._web.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._web.server_address[1]}",
            region_name="us-east-1",
            aws_access_key_id="AKIA",
            aws_secret_access_key="secret",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, proxies={}),
        )

    def close(self):
        self._web.shutdown()
        self._thread.join()
        self._web.server_close()


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setattr(setting.time, "sleep", lambda _seconds: None)
    found = BucketServer()
    yield found
    found.close()


def ensured(bucket, kind=LIFECYCLE, wanted=None, *, absent=False, check_mode=False):
    part = BucketRules(kind, "media", [wanted or OURS], absent=absent)
    change = part.plan(bucket.client)
    if not change.changed:
        return change
    return part.forecast(change) if check_mode else part.write(bucket.client, change)


@pytest.mark.parametrize(("kind", "wanted"), [(LIFECYCLE, OURS), (CORS, OURS_CORS)])
def test_a_first_a_second_and_a_last_run(bucket, kind, wanted):
    first = ensured(bucket, kind, wanted)
    assert (first.before, len(first.after)) == ([], 1)
    assert wanted["ID"] in bucket.text[kind.name]
    assert not ensured(bucket, kind, wanted).changed
    assert ensured(bucket, kind, wanted, absent=True).after == []
    assert not ensured(bucket, kind, wanted, absent=True).changed
    assert [command for command, _body, _headers in bucket.writes] == ["PUT", "DELETE"]


@pytest.mark.parametrize(("kind", "wanted"), [(LIFECYCLE, OURS), (CORS, OURS_CORS)])
def test_an_answer_that_says_nothing_is_a_warning(bucket, kind, wanted):
    bucket.text[kind.name] = ""
    assert ensured(bucket, kind, wanted).unsupported
    assert bucket.writes == []


def test_check_mode_writes_nothing(bucket):
    assert [rule["ID"] for rule in ensured(bucket, check_mode=True).after] == [OURS["ID"]]
    assert bucket.writes == []


def test_others_rules_are_sent_back_in_a_form_that_loses_nothing(bucket):
    tagged = (
        "<Prefix>t/</Prefix><And><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value>d</Value></Tag></And>"
    )
    bucket.text["lifecycle"] = lifecycle(
        f"<Rule><ID>tags</ID><Filter>{tagged}</Filter><Status>Enabled</Status>{EXPIRES}</Rule>"
    )
    assert ensured(bucket).changed
    assert (
        "<And><Prefix>t/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value>d</Value></Tag></And>"
        in bucket.writes[0][1]
    )


@pytest.mark.parametrize(
    ("rules", "strange"),
    [
        (THEIRS % "<DelMarkerExpiration><Days>3</Days></DelMarkerExpiration>", "DelMarkerExpiration"),
        (THEIRS % "<Expiration><Days>3</Days><ExpiredObjectAllVersions>true</ExpiredObjectAllVersions></Expiration>",
         "ExpiredObjectAllVersions"),
        ("<Rule><ID>a</ID><Filter><Flag>ArchiveZone</Flag></Filter><Status>Enabled</Status></Rule>", "Flag"),
    ],
)  # fmt: skip
def test_nothing_is_written_where_boto3_would_drop_what_others_made(bucket, rules, strange):
    bucket.text["lifecycle"] = lifecycle(rules)
    with pytest.raises(RulesError, match=f"the bucket has rules with {strange}, which boto3"):
        ensured(bucket)
    assert bucket.writes == []
    # Where nothing is to be written nothing can be lost.
    bucket.text["lifecycle"] = lifecycle(rules, ABORTS)
    assert not ensured(bucket).changed


def test_all_that_boto3_knows_is_known(bucket):
    bucket.text["lifecycle"] = lifecycle(
        THEIRS % (EXPIRES + "<Transition><Days>3</Days><StorageClass>GLACIER</StorageClass></Transition>"),
        "<Rule><ID>x</ID><Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>"
        "<Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"
        "</NoncurrentVersionExpiration></Rule>",
    )
    bucket.text["cors"] = (
        "<CORSConfiguration><CORSRule><ID>x</ID><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
        "<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3</MaxAgeSeconds></CORSRule>"
        "</CORSConfiguration>"
    )
    assert [rule.get("ID") for rule in ensured(bucket).after] == ["logs", "x", OURS["ID"]]
    assert [rule.get("ID") for rule in ensured(bucket, CORS, OURS_CORS).after] == ["x", OURS_CORS["ID"]]


def test_the_size_below_which_nothing_is_moved_stays(bucket):
    bucket.text["lifecycle"] = lifecycle(THEIRS % EXPIRES)
    bucket.headers = {"x-amz-transition-default-minimum-object-size": "varies_by_storage_class"}
    if "TransitionDefaultMinimumObjectSize" in (
        bucket.client.meta.service_model.operation_model("PutBucketLifecycleConfiguration").input_shape.members
    ):
        assert ensured(bucket).changed
        sent = {name.lower(): value for name, value in bucket.writes[0][2].items()}
        assert sent["x-amz-transition-default-minimum-object-size"] == "varies_by_storage_class"
    else:
        with pytest.raises(RulesError, match="TransitionDefaultMinimumObjectSize"):
            ensured(bucket)
        assert bucket.writes == []


@pytest.mark.parametrize(
    ("kind", "wanted", "status", "code"),
    [
        (CORS, OURS_CORS, 501, "NotImplemented"),
        (LIFECYCLE, OURS, 501, "NotImplemented"),
        (LIFECYCLE, OURS, 400, "InvalidArgument"),
        (LIFECYCLE, OURS, 400, "MalformedXML"),
    ],
)
def test_a_store_that_refuses_such_rules_has_none(bucket, kind, wanted, status, code):
    bucket.refuse["PUT"] = (status, code)
    change = ensured(bucket, kind, wanted)
    assert not change.changed
    assert code in change.unsupported
    assert "MinIO" in change.unsupported


@pytest.mark.parametrize(("kind", "wanted"), [(LIFECYCLE, OURS), (CORS, OURS_CORS)])
def test_a_store_that_does_not_even_read_them_has_none(bucket, kind, wanted):
    bucket.refuse["GET"] = (501, "NotImplemented")
    assert "The store has no" in ensured(bucket, kind, wanted).unsupported
    assert ensured(bucket, kind, wanted, absent=True) == ([], [], "")


def test_a_list_of_objects_is_no_answer(bucket):
    """What an old store gives that overlooks the question."""
    bucket.text["cors"] = "<ListBucketResult><Name>media</Name></ListBucketResult>"
    assert "ListBucketResult" in ensured(bucket, CORS, OURS_CORS).unsupported
    assert bucket.writes == []


def test_minio_is_known_by_its_name_in_check_mode(bucket):
    bucket.server = "MinIO"
    change = ensured(bucket, check_mode=True)
    assert (change.changed, change.unsupported[:12]) == (False, "The store ha")
    assert "(" not in change.unsupported.partition(".")[0]


REFUSALS = [
    (403, "AccessDenied"),
    (400, "InvalidRequest"),
    (400, "BadRequest"),
    (405, "MethodNotAllowed"),
    (501, "NotImplemented"),
    (503, "ServiceUnavailable"),
]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
@pytest.mark.parametrize(("kind", "wanted"), [(LIFECYCLE, OURS), (CORS, OURS_CORS)])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_refusal_of_such_rules_is_a_warning_as_all_else_may_work(bucket, kind, wanted, method, status, code):
    bucket.refuse[method] = (status, code)
    change = ensured(bucket, kind, wanted)
    assert not change.changed
    assert code in change.unsupported
    assert bucket.writes == []


@pytest.mark.parametrize(
    ("kind", "wanted", "code"),
    [(CORS, OURS_CORS, "NoSuchCORSConfigurationError"), (LIFECYCLE, OURS, "NoSuchBucketLifecycle")],
)
def test_other_words_for_no_rules_yet(bucket, kind, wanted, code):
    bucket.refuse["GET"] = (404, code)
    with contextlib.suppress(LostUpdateError):
        ensured(bucket, kind, wanted)
    assert len(bucket.writes) == 1


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "NoSuchBucket", NotFoundError),
        (403, "InvalidAccessKeyId", BadCredentialsError),
        (403, "SignatureDoesNotMatch", BadCredentialsError),
        (400, "AuthorizationHeaderMalformed", WrongRegionError),
        (403, "RequestTimeTooSkewed", ClockSkewError),
    ],
)
def test_what_concerns_all_requests_is_an_error(bucket, status, code, error):
    for method in ("GET", "PUT"):
        bucket.refuse = {method: (status, code)}
        with pytest.raises(error):
            ensured(bucket)


def test_rules_that_may_not_be_removed_are_an_error(bucket):
    bucket.refuse["GET"] = (403, "AccessDenied")
    with pytest.raises(PermissionDeniedError, match="GetBucketLifecycleConfiguration: not allowed"):
        ensured(bucket, absent=True)


@pytest.mark.parametrize(
    ("later", "named"),
    [
        (lifecycle(THEIRS % EXPIRES), "FediverseMastodonS3AbortUploads is not there"),
        (lifecycle(THEIRS % EXPIRES, ABORTS.replace("7", "9")), "is there, but not as it was written"),
        (lifecycle(ABORTS), "the rule 'logs' of somebody else is not as it was"),
        (lifecycle(THEIRS % EXPIRES.replace("30", "3"), ABORTS), "the rule 'logs' of somebody else is not as it was"),
        (None, "is not there"),
    ],
)
def test_a_lost_update_is_reported(bucket, later, named):
    bucket.text["lifecycle"] = lifecycle(THEIRS % EXPIRES)
    bucket.afterwards = [later] * 9
    with pytest.raises(setting.LostUpdateError, match=named):
        ensured(bucket)


def test_a_lost_removal_is_reported(bucket):
    bucket.text["lifecycle"] = lifecycle(THEIRS % EXPIRES, ABORTS)
    bucket.afterwards = [lifecycle(THEIRS % EXPIRES, ABORTS)] * 9
    with pytest.raises(setting.LostUpdateError, match="is there again"):
        ensured(bucket, absent=True)


def test_a_store_that_is_slow_to_show_the_rules_is_waited_for(bucket):
    bucket.afterwards = [None, None, lifecycle(ABORTS)]
    assert ensured(bucket).changed
    assert bucket.afterwards == []


def test_what_others_add_at_the_same_time_is_no_trouble(bucket):
    bucket.afterwards = [lifecycle(ABORTS, THEIRS % EXPIRES)]
    assert ensured(bucket).changed


def test_the_prediction_for_a_bucket_that_is_not_there_yet():
    part = BucketRules(LIFECYCLE, "media", [OURS])
    assert part.predict().after == [{**OURS, "Status": "Enabled", "Filter": {"Prefix": ""}}]
    assert not BucketRules(LIFECYCLE, "media", [OURS], absent=True).predict().changed
