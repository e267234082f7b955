# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import ssl

import pytest
from botocore import exceptions as boto

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import diagnosis as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate

URL = "https://files.example.com/media"


def wrapped(cls, inner):
    error = cls(endpoint_url=URL, error=inner)
    error.__cause__ = inner
    return error


def verification(text):
    return ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {text}")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (wrapped(boto.EndpointConnectionError, socket.gaierror(-2, "Name or service not known")), "NameNotResolved"),
        (wrapped(boto.EndpointConnectionError, ConnectionRefusedError(111, "refused")), "ConnectionRefused"),
        (wrapped(boto.EndpointConnectionError, OSError(113, "No route to host")), "ConnectionFailed"),
        (wrapped(boto.ConnectTimeoutError, TimeoutError("timed out")), "TimedOut"),
        (wrapped(boto.ReadTimeoutError, TimeoutError("timed out")), "TimedOut"),
        (wrapped(boto.SSLError, verification("self-signed certificate in chain")), "CertificateNotTrusted"),
        (wrapped(boto.SSLError, verification("unable to get local issuer certificate")), "CertificateNotTrusted"),
        (wrapped(boto.SSLError, verification("certificate has expired")), "CertificateExpired"),
        (
            wrapped(boto.SSLError, verification("Hostname mismatch, certificate is not valid for 'a'")),
            "CertificateOfOtherHost",
        ),
        (wrapped(boto.SSLError, ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")), "NotTls"),
        (boto.ConnectionClosedError(endpoint_url=URL), "ConnectionFailed"),
        (wrapped(boto.SSLError, ssl.SSLError(1, "[SSL] internal error")), "TlsFailed"),
        (boto.ProxyConnectionError(proxy_url="http://proxy"), "ProxyConnectionError"),
        (boto.NoCredentialsError(), "NoCredentialsError"),
    ],
)
def test_what_botocore_has_one_exception_for_is_told_apart(error, code):
    problem = under_test.problem_of(translate(error, "ListObjectsV2"))
    assert problem.code == code
    assert problem.remedy
    assert problem.message.startswith("ListObjectsV2: ")


def test_the_trust_problem_names_the_option():
    error = wrapped(boto.SSLError, verification("self-signed certificate"))
    problem = under_test.problem_of(translate(error, "ListObjectsV2"))
    assert "aws_ca_bundle" in problem.remedy
    assert under_test.is_certificate_problem(problem)
    assert under_test.was_answered(problem)


def test_the_remedy_is_said_once():
    error = boto.ClientError(
        {"Error": {"Code": "NoSuchBucket"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "ListObjectsV2"
    )
    problem = under_test.problem_of(translate(error, "ListObjectsV2"))
    assert problem.remedy == "Check its name, endpoint and region, or create it"
    assert problem.message == "ListObjectsV2: the bucket does not exist (NoSuchBucket, HTTP 404)."
