# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is computed of contents, and which answers are believed."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import Keys
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    ExposureMode,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import stored_as
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.lean import Packer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.proof import (
    NamedSum,
    Proofs,
    digest_of,
    digests_of,
    md5_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

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


def summed(sums):
    for each in sums.values():
        each.update(memoryview(CONTENT[:4]))
        each.update(CONTENT[4:])
    return digests_of(sums)


def digests(proofs):
    """Send one more content; return what it goes with."""
    found = summed(proofs.sums())
    proofs.sent(found)
    return found


def of_a_repeating_store():
    proofs = Proofs(trusted_way=True)
    assert proofs.holds(digests(proofs), {CRC32: VALUES[CRC32]}, OBJECT)
    return proofs


@pytest.mark.parametrize(("trusted", "name"), [(True, CRC32), (False, SHA256)])
def test_the_first_content_asks_and_the_others_go_with_their_md5(trusted, name):
    proofs = Proofs(trusted_way=trusted)
    first = digests(proofs)
    assert first == {MD5: VALUES[MD5], name: VALUES[name]}
    assert md5_of(first) == HEX
    for _each in range(2):
        assert digests(proofs) == {MD5: VALUES[MD5]}


@pytest.mark.parametrize(("trusted", "name"), [(True, CRC32), (False, SHA256)])
@pytest.mark.parametrize("stored", [OBJECT, ENCRYPTED, ODD], ids=["MD5", "encrypted", "no digest"])
def test_once_it_is_repeated_a_checksum_is_all_whatever_the_etag_is(trusted, name, stored):
    proofs = Proofs(trusted_way=trusted)
    assert proofs.holds(digests(proofs), {name: VALUES[name]}, stored)
    later = digests(proofs)
    assert later == {name: VALUES[name]}
    assert md5_of(later) == ""
    assert proofs.holds(later, {name: VALUES[name]}, ODD)
    assert digests(proofs) == later


@pytest.mark.parametrize(
    ("said", "stored", "held"),
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
def test_a_store_that_does_not_show_it_gets_md5(said, stored, held):
    proofs = Proofs(trusted_way=True)
    assert proofs.holds(digests(proofs), said, stored) is held
    for _each in range(2):
        assert digests(proofs) == {MD5: VALUES[MD5]}


@pytest.mark.parametrize(
    ("stored", "held"), [(OBJECT, True), (ENCRYPTED, True), (ODD, True), (OTHER, False), (NOTHING, False)]
)
def test_an_md5_that_was_sent_is_held_against_an_etag_that_is_one(stored, held):
    proofs = Proofs(trusted_way=True)
    digests(proofs)
    assert proofs.holds(digests(proofs), {}, stored) is held


@pytest.mark.parametrize(
    ("said", "stored"),
    [({}, OBJECT), ({CRC32: "AAAAAA=="}, OBJECT), ({CRC32: VALUES[CRC32]}, NOTHING)],
    ids=["not repeated", "another", "no ETag"],
)
def test_a_checksum_alone_proves_nothing_unless_it_is_repeated(said, stored):
    proofs = of_a_repeating_store()
    assert not proofs.holds(digests(proofs), said, stored)
    assert digests(proofs) == {MD5: VALUES[MD5]}


def test_a_store_that_is_doubted_once_is_not_believed_again():
    proofs = of_a_repeating_store()
    first, second = digests(proofs), digests(proofs)
    assert not proofs.holds(first, {}, OBJECT)
    assert proofs.holds(second, {CRC32: VALUES[CRC32]}, OBJECT)
    assert digests(proofs) == {MD5: VALUES[MD5]}


@pytest.mark.parametrize("make", [lambda: Proofs(trusted_way=True), of_a_repeating_store], ids=["asked", "believed"])
def test_a_refusal_of_a_checksum_ends_them_and_that_of_an_md5_does_not(make):
    proofs = make()
    assert not proofs.refused({MD5: VALUES[MD5]})
    sent = digests(proofs)
    assert CRC32 in sent
    assert proofs.refused(sent)
    assert digests(proofs) == {MD5: VALUES[MD5]}


def test_a_question_whose_answer_is_lost_is_asked_again_a_few_times():
    proofs = Proofs(trusted_way=True)
    for _each in range(3):
        question = digests(proofs)
        assert set(question) == {MD5, CRC32}
        other = digests(proofs)
        assert other == {MD5: VALUES[MD5]}
        proofs.lost(other)
        assert digests(proofs) == other
        proofs.lost(question)
    assert digests(proofs) == {MD5: VALUES[MD5]}


def test_a_content_that_does_not_go_out_asks_nothing():
    proofs = Proofs(trusted_way=True)
    assert set(proofs.sums()) == {MD5, CRC32}
    assert set(digests(proofs)) == {MD5, CRC32}


def test_an_answer_to_an_md5_changes_nothing():
    proofs = Proofs(trusted_way=True)
    first, second = digests(proofs), digests(proofs)
    assert proofs.holds(first, {CRC32: VALUES[CRC32]}, OBJECT)
    assert proofs.holds(second, {}, OBJECT)
    assert list(digests(proofs)) == [CRC32]


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
    again = NamedSum.of(digest)
    again.update(CONTENT)
    assert again.told() == digest


@pytest.mark.parametrize("digest", ["", HEX, f"{HEX}-2", "crc32", "crc64:AAAA"])
def test_what_names_no_checksum(digest):
    assert NamedSum.of(digest) is None


@pytest.mark.parametrize(
    ("tls", "ca_file", "name"), [(True, "ca.pem", CRC32), (True, None, SHA256), (False, None, SHA256)]
)
def test_a_checksum_that_can_be_forged_goes_only_where_the_certificate_is_checked(tmp_path, tls, ca_file, name):
    (tmp_path / "a.png").write_bytes(CONTENT)
    address = Address(tls, "h", 1, "h", "/media/", "r", "agent", 1.0, 1.0, ca_file, Keys("key", "secret"))
    source = Source(str(tmp_path))
    rules = Rules(ExposureMode.ACL, ("a",), ())
    parcel = Packer(address, "", source, rules).pack(Action(ActionKind.UPLOAD, "a.png", "new", Exposure.PUBLIC))
    source.close()
    assert parcel is not None
    parcel.close()
    assert parcel.digests == {MD5: VALUES[MD5], name: VALUES[name]}
