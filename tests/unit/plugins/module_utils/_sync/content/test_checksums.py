# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is computed of contents, and which answers are believed."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.checksums import (
    ChecksumNegotiation,
    NamedHasher,
    digest_of,
    digests_of,
    md5_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Entry,
    Exposure,
    Headers,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.request_builder import RequestBuilder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import OpenFile
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import stored_as

CONTENT = b"123456789"
MD5, CRC32, SHA256 = "content-md5", "x-amz-checksum-crc32", "x-amz-checksum-sha256"
# By `printf 123456789 | md5sum` and the like; the CRC is the check value of CRC-32/ISO-HDLC.
HEX = "25f9e794323b453885f5181f1b624d0b"
VALUES = {
    MD5: "JfnnlDI7RTiF9RgfG2JNCw==",
    CRC32: "y/Q5Jg==",
    SHA256: "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
}
OBJECT = stored_as(f'"{HEX}"', encrypted=False)
OTHER = stored_as(f'"{"0" * 32}"', encrypted=False)
ENCRYPTED = stored_as(f'"{"0" * 32}"', encrypted=True)
ODD = stored_as(f'"{HEX}-1"', encrypted=False)
NOTHING = stored_as("", encrypted=False)


def summed(hashers):
    for each in hashers.values():
        each.update(memoryview(CONTENT[:4]))
        each.update(CONTENT[4:])
    return digests_of(hashers)


def digests(checksums):
    """Send one more content; return what it goes with."""
    found = summed(checksums.hashers())
    checksums.sent(found)
    return found


def of_a_repeating_store():
    checksums = ChecksumNegotiation(trusted_way=True)
    assert checksums.confirms(digests(checksums), {CRC32: VALUES[CRC32]}, OBJECT)
    return checksums


@pytest.mark.parametrize(("trusted", "name"), [(True, CRC32), (False, SHA256)])
def test_the_first_content_asks_and_the_others_go_with_their_md5(trusted, name):
    checksums = ChecksumNegotiation(trusted_way=trusted)
    first = digests(checksums)
    assert first == {MD5: VALUES[MD5], name: VALUES[name]}
    assert md5_of(first) == HEX
    for _each in range(2):
        assert digests(checksums) == {MD5: VALUES[MD5]}


@pytest.mark.parametrize(("trusted", "name"), [(True, CRC32), (False, SHA256)])
@pytest.mark.parametrize("stored", [OBJECT, ENCRYPTED, ODD], ids=["MD5", "encrypted", "no digest"])
def test_once_it_is_repeated_a_checksum_is_all_whatever_the_etag_is(trusted, name, stored):
    checksums = ChecksumNegotiation(trusted_way=trusted)
    assert checksums.confirms(digests(checksums), {name: VALUES[name]}, stored)
    later = digests(checksums)
    assert later == {name: VALUES[name]}
    assert md5_of(later) == ""
    assert checksums.confirms(later, {name: VALUES[name]}, ODD)
    assert digests(checksums) == later


@pytest.mark.parametrize(
    ("said", "stored", "confirmed"),
    [
        ({}, OBJECT, True),
        ({CRC32: "AAAAAA=="}, OBJECT, True),
        ({SHA256: VALUES[SHA256]}, OBJECT, True),
        ({}, ENCRYPTED, True),
        ({CRC32: VALUES[CRC32]}, OTHER, False),
        ({CRC32: VALUES[CRC32]}, NOTHING, False),
    ],
    ids=["ignored", "another", "of another kind", "encrypted", "wrong ETag", "no ETag"],
)
def test_a_store_that_does_not_show_it_gets_md5(said, stored, confirmed):
    checksums = ChecksumNegotiation(trusted_way=True)
    assert checksums.confirms(digests(checksums), said, stored) is confirmed
    for _each in range(2):
        assert digests(checksums) == {MD5: VALUES[MD5]}


@pytest.mark.parametrize(
    ("stored", "confirmed"), [(OBJECT, True), (ENCRYPTED, True), (ODD, True), (OTHER, False), (NOTHING, False)]
)
def test_an_md5_that_was_sent_is_held_against_an_etag_that_is_one(stored, confirmed):
    checksums = ChecksumNegotiation(trusted_way=True)
    digests(checksums)
    assert checksums.confirms(digests(checksums), {}, stored) is confirmed


@pytest.mark.parametrize(
    ("said", "stored"),
    [({}, OBJECT), ({CRC32: "AAAAAA=="}, OBJECT), ({CRC32: VALUES[CRC32]}, NOTHING)],
    ids=["not repeated", "another", "no ETag"],
)
def test_a_checksum_alone_proves_nothing_unless_it_is_repeated(said, stored):
    checksums = of_a_repeating_store()
    assert not checksums.confirms(digests(checksums), said, stored)
    assert digests(checksums) == {MD5: VALUES[MD5]}


def test_a_store_that_is_doubted_once_is_not_believed_again():
    checksums = of_a_repeating_store()
    first, second = digests(checksums), digests(checksums)
    assert not checksums.confirms(first, {}, OBJECT)
    assert checksums.confirms(second, {CRC32: VALUES[CRC32]}, OBJECT)
    assert digests(checksums) == {MD5: VALUES[MD5]}


@pytest.mark.parametrize(
    "make", [lambda: ChecksumNegotiation(trusted_way=True), of_a_repeating_store], ids=["asked", "believed"]
)
def test_a_refusal_of_a_checksum_ends_them_and_that_of_an_md5_does_not(make):
    checksums = make()
    assert not checksums.refused({MD5: VALUES[MD5]})
    sent = digests(checksums)
    assert CRC32 in sent
    assert checksums.refused(sent)
    assert digests(checksums) == {MD5: VALUES[MD5]}


def test_a_question_whose_answer_is_lost_is_asked_again_a_few_times():
    checksums = ChecksumNegotiation(trusted_way=True)
    for _each in range(3):
        question = digests(checksums)
        assert set(question) == {MD5, CRC32}
        other = digests(checksums)
        assert other == {MD5: VALUES[MD5]}
        checksums.lost(other)
        assert digests(checksums) == other
        checksums.lost(question)
    assert digests(checksums) == {MD5: VALUES[MD5]}


def test_a_content_that_does_not_go_out_asks_nothing():
    checksums = ChecksumNegotiation(trusted_way=True)
    assert set(checksums.hashers()) == {MD5, CRC32}
    assert set(digests(checksums)) == {MD5, CRC32}


def test_an_answer_to_an_md5_changes_nothing():
    checksums = ChecksumNegotiation(trusted_way=True)
    first, second = digests(checksums), digests(checksums)
    assert checksums.confirms(first, {CRC32: VALUES[CRC32]}, OBJECT)
    assert checksums.confirms(second, {}, OBJECT)
    assert list(digests(checksums)) == [CRC32]


@pytest.mark.parametrize(
    ("names", "digest"),
    [
        ([MD5], HEX),
        ([MD5, CRC32], HEX),
        ([CRC32], "crc32:y/Q5Jg=="),
        ([SHA256], "sha256:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ],
)
def test_what_tells_a_content_from_others(names, digest):
    assert digest_of({name: VALUES[name] for name in names}) == digest


@pytest.mark.parametrize("digest", ["crc32:y/Q5Jg==", "sha256:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="])
def test_a_checksum_that_is_computed_once_more(digest):
    again = NamedHasher.of(digest)
    again.update(CONTENT)
    assert again.told() == digest


@pytest.mark.parametrize("digest", ["", HEX, f"{HEX}-2", "crc32", "crc64:AAAA"])
def test_what_names_no_checksum(digest):
    assert NamedHasher.of(digest) is None


@pytest.mark.parametrize(
    ("tls", "ca_file", "name"), [(True, "ca.pem", CRC32), (True, None, SHA256), (False, None, SHA256)]
)
def test_a_checksum_that_can_be_forged_goes_only_where_the_certificate_is_checked(tmp_path, tls, ca_file, name):
    (tmp_path / "a.png").write_bytes(CONTENT)
    endpoint = Endpoint(tls, "h", 1, "h", "/media/", "r", "agent", 1.0, 1.0, ca_file, Credentials("key", "secret"))
    headers = Headers("image/png", None, None, "fingerprint")
    action = Action(ActionKind.UPLOAD, "a.png", "new", Exposure.PUBLIC)
    descriptor = os.open(tmp_path / "a.png", os.O_RDONLY)
    entry = Entry("a.png", len(CONTENT), 1, 1, 0o644)
    with closing(OpenFile(action, entry, Exposure.PUBLIC, headers, descriptor)) as file:
        content = RequestBuilder(endpoint, "", acl=True).read(file)
    assert content.digests == {MD5: VALUES[MD5], name: VALUES[name]}
