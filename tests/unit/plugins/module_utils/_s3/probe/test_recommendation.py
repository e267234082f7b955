# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import (
    AclSupport,
    Addressing,
    Checksums,
    Cors,
    Facts,
    Latency,
    OpenToEverybody,
    OperationResult,
    Rights,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.recommendation import recommend

CLOSED = OpenToEverybody(public_prefix=False, private_prefix=False, list=False)
PUBLIC_OPEN = OpenToEverybody(public_prefix=True, private_prefix=False, list=False)
ALL_OPEN = OpenToEverybody(public_prefix=True, private_prefix=True, list=False)
ABSENT = None


def facts(verdict=None, seen=CLOSED, *, repair=None, operations=None, **others):
    return Facts(
        operations={"put_object": OperationResult(True), **(operations or {})},
        acl=AclSupport(verdict=verdict, repair=repair),
        open_to_everybody=seen,
        **{"complete": True, **others},
    )


@pytest.mark.parametrize(
    ("found", "exposure", "permission"),
    [
        # Ceph, and AWS with ACLs
        (facts("honoured", repair=True, bucket_policies=True), "acl", "public-read"),
        (facts("honoured", repair=True, bucket_policies=False), "acl", "public-read"),
        (facts("honoured", PUBLIC_OPEN, repair=True), "acl", "public-read"),
        # What an ACL opened must close again, or else a suspension has no effect.
        (facts("honoured", repair=False, bucket_policies=True), "policy", ""),
        (facts("honoured", repair=None, bucket_policies=False), "open_bucket", ""),
        # MinIO before its policy is written, and after
        (facts("ignored", repair=False, bucket_policies=True), "policy", ""),
        (facts("ignored", PUBLIC_OPEN, repair=False, bucket_policies=True), "policy", ""),
        (facts("ignored", PUBLIC_OPEN, repair=False, bucket_policies=None), "policy", ""),
        # AWS with BucketOwnerEnforced, and with BlockPublicAcls
        (facts("unsupported", repair=False, bucket_policies=True), "policy", ""),
        (facts("refused", repair=False, bucket_policies=True), "policy", ""),
        # A key that may not read the policy
        (facts("ignored", repair=False, bucket_policies=None), "policy", ""),
        # R2, B2 and Garage: no policies, closed or open as a whole
        (facts("ignored", repair=False, bucket_policies=False), "open_bucket", ""),
        (facts("unsupported", ALL_OPEN, bucket_policies=False), "open_bucket", ""),
        (facts("ignored", ALL_OPEN, bucket_policies=True), "open_bucket", ""),
        # A policy that opens everything wins over whatever else works.
        (facts("honoured", ALL_OPEN, repair=True, bucket_policies=True), "open_bucket", ""),
        # Nothing is concluded from silence.
        (facts(None, CLOSED), None, ABSENT),
        (facts("honoured", OpenToEverybody(), repair=True), None, ABSENT),
        (facts("ignored", OpenToEverybody(private_prefix=False), bucket_policies=True), None, ABSENT),
        (Facts(), None, ABSENT),
        (
            facts("honoured", repair=True, operations={"put_object": OperationResult(False, "AccessDenied")}),
            None,
            ABSENT,
        ),
    ],
)
def test_exposure_and_permission(found, exposure, permission):
    said = recommend(found)
    assert (said.exposure, said.variables["S3_PERMISSION"].value) == (exposure, permission)
    assert said.reason
    assert all(setting.reason for setting in said.variables.values())


@pytest.mark.parametrize(
    ("checksums", "value"),
    [
        (Checksums(header_crc32=True, trailer_crc32=True, response_mode=True), ABSENT),
        (Checksums(header_crc32=True, trailer_crc32=None, response_mode=True), ABSENT),
        (Checksums(header_crc32=True, trailer_crc32=False, response_mode=True), "when_required"),
        (Checksums(header_crc32=False), "when_required"),
        (Checksums(header_crc32=True, trailer_crc32=True, response_mode=False), "when_required"),
        (Checksums(), ABSENT),
    ],
)
def test_checksums(checksums, value):
    variables = recommend(facts("honoured", repair=True, checksums=checksums)).variables
    assert variables["AWS_REQUEST_CHECKSUM_CALCULATION"].value == value
    assert variables["AWS_RESPONSE_CHECKSUM_VALIDATION"].value == value
    unknown = checksums.header_crc32 is None
    assert ("not known" in variables["AWS_REQUEST_CHECKSUM_CALCULATION"].reason) is unknown


@pytest.mark.parametrize(
    ("addressing", "value"),
    [
        (Addressing(path=True, virtual=True), ABSENT),
        (Addressing(path=True, virtual=None), ABSENT),
        (Addressing(path=False, virtual=True), "true"),
        # Unknown is no reason to leave the ordinary way.
        (Addressing(path=None, virtual=True), ABSENT),
        (Addressing(path=False, virtual=False), ABSENT),
    ],
)
def test_path_style(addressing, value):
    assert recommend(facts("honoured", addressing=addressing)).variables["S3_OVERRIDE_PATH_STYLE"].value == value


@pytest.mark.parametrize(("works", "value"), [(True, ABSENT), (None, ABSENT), (False, "5368709120")])
def test_uploads_in_parts(works, value):
    found = facts("honoured", operations={"multipart_upload": OperationResult(works, "NotImplemented")})
    assert recommend(found).variables["S3_MULTIPART_THRESHOLD"].value == value


@pytest.mark.parametrize(
    ("checksums", "value"),
    [
        (Checksums(response_mode_disabled=True, response_mode=True), ABSENT),
        (Checksums(response_mode_disabled=False, response_mode=True), "true"),
        # Mastodon's default is right for these
        (Checksums(response_mode_disabled=True, response_mode=False), ABSENT),
        (Checksums(response_mode_disabled=False, response_mode=False), ABSENT),
        (Checksums(response_mode_disabled=False, response_mode=None), ABSENT),
        (Checksums(), ABSENT),
    ],
)
def test_checksum_mode(checksums, value):
    assert recommend(facts("honoured", checksums=checksums)).variables["S3_ENABLE_CHECKSUM_MODE"].value == value


@pytest.mark.parametrize(
    ("slowest", "value"), [(None, ABSENT), (0.02, ABSENT), (1.25, ABSENT), (1.3, "10"), (2.6, "15"), (9.5, "40")]
)
def test_read_timeout(slowest, value):
    latency = slowest and Latency(30, 0.01, slowest, "put_object")
    said = recommend(facts("honoured", latency=latency)).variables["S3_READ_TIMEOUT"]
    assert said.value == value
    assert ("put_object" in said.reason) is (value is not None)


def test_nothing_to_warn_of():
    found = facts(
        "honoured",
        repair=True,
        checksums=Checksums(True, True, True, True, True),
        cors=Cors(True, True),
        rights=Rights(list_buckets=False, other_buckets=False),
        versioned=False,
    )
    assert recommend(found).warnings == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (facts("ignored", ALL_OPEN), "private prefix"),
        (facts("honoured", OpenToEverybody(False, False, True), repair=True), "list the bucket"),
        (facts("honoured", repair=False), "suspended"),
        (facts("ignored", PUBLIC_OPEN), "can't be closed"),
        (
            facts("honoured", repair=True, operations={"put_object": OperationResult(False, "AccessDenied")}),
            "put_object",
        ),
        (
            facts("honoured", repair=True, operations={"list_objects": OperationResult(False, "AccessDenied")}),
            "may not list",
        ),
        (facts("honoured", repair=True, operations={"presigned_get": OperationResult(False, "HTTP403")}), "archives"),
        (
            facts("honoured", repair=True, operations={"delete_objects": OperationResult(False, "NotImplemented")}),
            "clean up",
        ),
        (
            facts("honoured", repair=True, checksums=Checksums(batch_delete_md5=True, batch_delete_crc32=False)),
            "1.178 and newer",
        ),
        (
            facts("honoured", repair=True, checksums=Checksums(batch_delete_md5=False, batch_delete_crc32=True)),
            "older than 1.178",
        ),
        (
            facts(
                "honoured",
                repair=True,
                checksums=Checksums(response_mode=False, response_mode_disabled=False),
            ),
            "x-amz-checksum-mode",
        ),
        (facts("honoured", repair=True, rights=Rights(True, True, "of-others")), "of-others"),
        (facts("honoured", repair=True, versioned=True), "old versions"),
        (facts("ignored", public_access_block={"BlockPublicPolicy": True}), "BlockPublicPolicy to false"),
        (facts("honoured", repair=True, cors=Cors(allowed=False)), "CORS"),
        (facts("honoured", repair=True, leftovers=["accounts/.x/y"]), "accounts/.x/y"),
        (facts("honoured", repair=True, complete=False), "run again"),
    ],
)
def test_each_warning_comes_alone(found, says):
    assert [says in warning for warning in recommend(found).warnings] == [True]
