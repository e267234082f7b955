# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.state import (
    BucketState,
    read_state,
    refusal_of,
    warnings_of,
)

OPEN = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)


def encrypted(algorithm):
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [default]}}


class Client:
    """A client whose methods answer what is given by their names: a dictionary, or an error's code and status."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __getattr__(self, method):
        def answer(Bucket):  # noqa: N803 - boto3's name
            self.asked.append(method)
            found = self.answers.get(method, ("NotImplemented", 501))
            if isinstance(found, Exception):
                raise found
            if isinstance(found, tuple):
                code, status = found
                raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, method)
            return {**found, "ResponseMetadata": {"HTTPStatusCode": 200}}

        return answer


AWS = {
    "get_bucket_encryption": encrypted("AES256"),
    "get_bucket_versioning": {"Status": "Enabled"},
    "get_object_lock_configuration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    "get_bucket_ownership_controls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
    "get_public_access_block": {"PublicAccessBlockConfiguration": dict.fromkeys(OPEN, True)},
}
NOTHING_SET = {
    "get_bucket_encryption": ("ServerSideEncryptionConfigurationNotFoundError", 404),
    "get_bucket_versioning": {},
    "get_object_lock_configuration": ("ObjectLockConfigurationNotFoundError", 404),
    "get_bucket_ownership_controls": ("OwnershipControlsNotFoundError", 404),
    "get_public_access_block": ("NoSuchPublicAccessBlockConfiguration", 404),
}
# Ceph 16 answers questions that it does not know with a list of objects, of which boto3 makes empty dictionaries.
CEPH = {
    **NOTHING_SET,
    "get_bucket_encryption": {"ServerSideEncryptionConfiguration": {}},
    "get_bucket_ownership_controls": {"OwnershipControls": {}},
    "get_public_access_block": {"PublicAccessBlockConfiguration": OPEN},
}


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        (AWS, BucketState("AES256", "Enabled", True, "BucketOwnerEnforced", dict.fromkeys(OPEN, True))),
        (NOTHING_SET, BucketState("none", "none", False, "none", OPEN)),
        (CEPH, BucketState(None, "none", False, None, OPEN)),
        ({}, BucketState()),
        # An answer without the setting tells nothing: neither that something is open, nor that it is closed.
        ({method: {} for method in AWS}, BucketState(versioning="none")),
        (dict.fromkeys(AWS, ("NoSuchPolicyConfiguration", 404)), BucketState()),
        (dict.fromkeys(AWS, ("ServiceUnavailable", 503)), BucketState()),
        (dict.fromkeys(AWS, ("BadRequest", 400)), BucketState()),
        (dict.fromkeys(AWS, ("AccessDenied", 403)), BucketState()),
        ({**AWS, "get_bucket_encryption": ("AccessDenied", 403)},
         BucketState(None, "Enabled", True, "BucketOwnerEnforced", dict.fromkeys(OPEN, True))),
    ],
)  # fmt: skip
def test_what_is_made_of_the_answers(answers, state):
    assert read_state(Client(**answers), "media") == state


def test_a_store_that_is_silent_is_not_asked_on():
    gone = EndpointConnectionError(endpoint_url="https://s3.example")
    client = Client(**{**AWS, "get_bucket_versioning": gone})
    assert read_state(client, "media") == BucketState("AES256")
    assert client.asked == ["get_bucket_encryption", "get_bucket_versioning"]


@pytest.mark.parametrize(
    ("encryption", "refused"),
    [("aws:kms", True), ("aws:kms:dsse", True), ("AES256", False), ("none", False), (None, False)],
)
def test_only_a_kms_key_is_refused(encryption, refused):
    found = refusal_of(BucketState(encryption=encryption))
    assert (found is not None) is refused
    assert not refused or (encryption in found and "AES256" in found)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (BucketState(), []),
        (BucketState("AES256", "none", False, "none", OPEN), []),
        (BucketState(versioning="Suspended"), []),
        (BucketState(versioning="Enabled"), ["old versions"]),
        (BucketState(object_lock=True), ["Object Lock"]),
        (BucketState(versioning="Enabled", object_lock=True), ["old versions", "Object Lock"]),
    ],
)
def test_the_warnings(state, words):
    warnings = warnings_of(state)
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings))
