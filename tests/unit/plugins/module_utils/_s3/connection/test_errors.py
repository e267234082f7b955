# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pickle

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import errors, translation


def answer(code, status=400, message="", operation="PutObject", headers=None, **details):
    return boto.ClientError(
        {
            "Error": {"Code": code, "Message": message, **details},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
        },
        operation,
    )


@pytest.mark.parametrize(
    ("error", "expected", "remedy"),
    [
        (answer("AccessDenied", 403), "PermissionDeniedError", "permissions on this bucket"),
        (answer("403", 403, "Forbidden"), "PermissionDeniedError", "a wrong one answers the same"),
        (answer("NoSuchBucket", 404), "NotFoundError", "or create it"),
        (answer("NoSuchBucketPolicy", 404), "NotFoundError", "no policy"),
        (answer("404", 404, "Not Found"), "NotFoundError", "does not exist"),
        (answer("NoSuchTagSet", 404), "NotFoundError", "does not exist"),
        (answer("InvalidAccessKeyId", 403), "BadCredentialsError", "access_key"),
        (answer("SignatureDoesNotMatch", 403), "BadCredentialsError", "copy both again"),
        (answer("ExpiredToken", 400), "BadCredentialsError", "expired"),
        (answer("RequestTimeTooSkewed", 403), "ClockSkewError", "time synchronisation"),
        (answer("PermanentRedirect", 301), "WrongRegionError", "set region"),
        (answer("301", 301, headers={"x-amz-bucket-region": "eu-west-1"}), "WrongRegionError", "set region: eu-west-1"),
        (
            answer("AuthorizationHeaderMalformed", 400, "the region 'a' is wrong; expecting 'eu-west-1'"),
            "WrongRegionError",
            "set region: eu-west-1",
        ),
        (
            answer("AuthorizationHeaderMalformed", 400, "a non-empty Access Key (AKID) must be provided"),
            "BadCredentialsError",
            "check access_key",
        ),
        (answer("AccessControlListNotSupported", 400), "AclUnsupportedError", "BucketOwnerPreferred"),
        (answer("NotImplemented", 501, operation="PutObjectAcl"), "AclUnsupportedError", "by bucket policy"),
        (answer("NotImplemented", 501, "Header x-amz-acl not implemented"), "AclUnsupportedError", "by bucket policy"),
        (answer("NotImplemented", 501, operation="PutBucketCors"), "UnsupportedError", "does not implement"),
        (answer("MissingContentLength", 411), "UnsupportedError", "checksums: when_required"),
        (answer("MissingContentMD5", 400), "UnsupportedError", "Content-MD5"),
        (answer("SlowDown", 503), "ThrottledError", "run again later"),
        (answer("SlowDownWrite", 503), "ThrottledError", "run again later"),
        (answer("TooManyRequests", 429), "ThrottledError", "run again later"),
        (answer("InternalError", 500), "S3Error", "internal error"),
        (answer("QuotaExceeded", 403, "bucket quota"), "S3Error", "bucket quota"),
        (answer("400", 400, "Bad Request"), "S3Error", "check region, credentials and clock"),
        (boto.NoCredentialsError(), "BadCredentialsError", "credentials_file"),
        (boto.ProfileNotFound(profile="p"), "BadCredentialsError", "profile"),
        (boto.EndpointConnectionError(endpoint_url="https://x"), "ConnectionFailedError", "the route and the firewall"),
        (boto.SSLError(endpoint_url="https://x", error="self-signed"), "ConnectionFailedError", "aws_ca_bundle"),
        (boto.ConnectTimeoutError(endpoint_url="https://x"), "ConnectionFailedError", "in time"),
        (boto.ReadTimeoutError(endpoint_url="https://x"), "ConnectionFailedError", "in time"),
        (
            boto.ConnectionClosedError(endpoint_url="https://x"),
            "ConnectionFailedError",
            "connection to the server failed",
        ),
        (boto.HTTPClientError(error="odd"), "ConnectionFailedError", "to the server failed"),
        (ResponseParserError("Unable to parse response"), "ConnectionFailedError", "not an S3 API"),
        (boto.ParamValidationError(report="Bucket"), "S3Error", "check bucket"),
        (boto.UnknownSignatureVersionError(signature_version="x"), "S3Error", "botocore refused"),
        (answer("MalformedPolicy", 400, "odd action"), "S3Error", "correct its statements"),
    ],
)
def test_each_trouble_has_its_class_and_remedy(error, expected, remedy):
    translated = translation.translate(error, "PutObject a")
    assert type(translated).__name__ == expected
    assert remedy in str(translated)
    assert str(translated).startswith("PutObject a: ")
    assert translated.operation == "PutObject a"


def test_code_and_status_are_kept():
    translated = translation.translate(answer("AccessDenied", 403, "Access Denied."), "PutObject")
    assert (translated.code, translated.status) == ("AccessDenied", 403)
    assert "(AccessDenied, HTTP 403)" in str(translated)
    assert "The store said: Access Denied." in str(translated)


def test_clock_skew_names_the_stores_clock():
    error = answer("RequestTimeTooSkewed", 403, headers={"date": "Mon, 23 Nov 2026 02:00:00 GMT"})
    assert "Mon, 23 Nov 2026 02:00:00 GMT" in str(translation.translate(error, "ListBuckets"))


def test_the_cause_of_a_failed_upload_is_found():
    wrapped = S3UploadFailedError("Failed to upload")
    wrapped.__cause__ = answer("AccessDenied", 403)
    assert isinstance(translation.translate(wrapped, "PutObject"), errors.PermissionDeniedError)


def test_a_failed_upload_without_a_cause_is_still_an_s3_error():
    assert translation.translate(S3UploadFailedError("odd"), "PutObject").__class__ is errors.S3Error


def test_an_s3_error_stays_itself():
    error = errors.NotFoundError("gone", code="404", status=404, operation="x")
    assert translation.translate(error, "y") is error


def test_other_exceptions_are_not_swallowed():
    with pytest.raises(KeyError):
        translation.translate(KeyError("bug"), "PutObject")


def test_nothing_of_the_signature_is_repeated():
    error = answer("SignatureDoesNotMatch", 403, "no match", StringToSign="AWS4-HMAC secret", AWSAccessKeyId="AKIA")
    text = str(translation.translate(error, "PutObject"))
    assert "AWS4-HMAC" not in text
    assert "AKIA" not in text


def test_an_answer_without_details_is_translated():
    translated = translation.translate(boto.ClientError({}, "PutObject"), "PutObject")
    assert translated.__class__ is errors.S3Error
    assert "no code" in str(translated)


def test_errors_travel_between_processes():
    error = translation.translate(answer("AccessControlListNotSupported", 400), "PutObjectAcl")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert again.__class__ is errors.AclUnsupportedError
    assert str(again) == str(error)
    assert (again.code, again.status, again.operation) == ("AccessControlListNotSupported", 400, "PutObjectAcl")
    assert (again.remedy, again.summary) == (error.remedy, error.summary)


@pytest.mark.parametrize("phrase", ["Forbidden", "Not Found", "Bad Request", "Unknown", ""])
def test_a_phrase_of_botocore_is_not_taken_for_the_stores_words(phrase):
    assert "The store said" not in str(translation.translate(answer("403", 403, phrase), "HeadObject"))


@pytest.mark.parametrize(("length", "shown"), [(500, "a" * 500), (501, "a" * 500 + "...")])
def test_what_the_store_said_is_one_line_of_bounded_length(length, shown):
    translated = translation.translate(answer("Odd", 400, "a" * length), "PutObject")
    assert str(translated) == f"PutObject: the store refused the request (Odd, HTTP 400). The store said: {shown}"
    lines = translation.translate(answer("Odd", 400, "first\nsecond\x00"), "PutObject")
    assert str(lines).endswith("The store said: first second")


def test_the_text_and_the_summary_are_made_of_the_same_parts():
    error = errors.S3Error("it broke", remedy="mend it", operation="PutObject", details="Odd", said="no")
    assert str(error) == "PutObject: it broke; mend it (Odd). The store said: no"
    assert error.summary == "PutObject: it broke (Odd). The store said: no"
    assert str(errors.S3Error("it broke")) == "it broke"
    assert str(error.copy_with(remedy="leave it", said="")) == "PutObject: it broke; leave it (Odd)."


def test_no_part_of_an_error_holds_a_secret():
    secret = "https://store.example/key?X-Amz-Signature=abcdef"
    error = errors.S3Error(secret, remedy=secret, details=secret, said=secret)
    for text in (str(error), error.summary, error.fault, error.remedy, error.details, error.said):
        assert "abcdef" not in text
        assert "store.example" in text
