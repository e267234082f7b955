# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe against a store of many manners; what real stores do is looked at in tests/stores."""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from small_s3 import Manners, SmallS3

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import AddressError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import names as probe_names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import onlooker as probe_onlooker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import probe as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.hand import StoreSilentError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Checksums, Reply, Tried
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import try_checksums

PLACES = under_test.Places("", "accounts/", "backups/")
QUICK = {"connect_timeout": 0.8, "read_timeout": 0.8, "retries": {"total_max_attempts": 1}}


@pytest.fixture(autouse=True)
def no_outside_configuration(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture(scope="module")
def session():
    return boto3.session.Session()


@pytest.fixture(autouse=True)
def no_waste_of_time(monkeypatch, session):
    """Reading botocore's models takes most of a client's making; nothing changes later here."""
    monkeypatch.setattr(boto3.session, "Session", lambda profile_name=None: session)
    monkeypatch.setattr(probe_onlooker, "_LOOKS", (0.0, 0.0))


@pytest.fixture
def small():
    server = SmallS3()
    yield server
    server.close()


def probe(url, places=PLACES, **aws_config):
    options = ConnectionOptions(
        endpoint_url=url,
        region="us-east-1",
        access_key="AKIA",
        secret_key="secret",
        addressing_style="path",
        aws_config=aws_config,
    )
    return under_test.probe(options, "media", places)


def test_a_store_that_honours_acls_and_is_left_as_it_was(small):
    small.objects["accounts/avatar.png"] = (b"own", "public-read")
    found = probe(small.url)
    assert found.complete is True
    assert (found.acl.verdict, found.acl.repair, found.acl.refused_for) == ("honoured", True, [])
    assert {name for name, tried in found.operations.items() if not tried.ok} == set()
    assert (found.open_to_everybody.public_prefix, found.open_to_everybody.private_prefix) == (False, False)
    assert found.leftovers == []
    assert small.objects == {"accounts/avatar.png": (b"own", "public-read")}
    assert small.uploads == {}


@pytest.mark.parametrize(
    ("manners", "verdict", "repair", "public", "private"),
    [
        (Manners(acls=False), "ignored", False, False, False),
        (Manners(open_prefixes=("accounts/",)), "ignored", False, True, False),
        (Manners(open_prefixes=("accounts/", "backups/")), "ignored", False, True, True),
        (Manners(refuse={"PUT x-amz-acl": "NotImplemented"}), "unsupported", False, False, False),
        (Manners(refuse={"PUT x-amz-acl": "AccessDenied"}), "refused", False, False, False),
        (Manners(refuse={"PUT acl": "AccessDenied"}), "honoured", False, False, False),
        # A web server in front that has a page for everything does not count as open.
        (Manners(page=b"<html>Welcome</html>"), "honoured", True, False, False),
        (Manners(acls=False, page=b"<html>Welcome</html>"), "ignored", False, False, False),
    ],
)
def test_exposure(small, manners, verdict, repair, public, private):
    small.manners = manners
    found = probe(small.url)
    assert (found.acl.verdict, found.acl.repair) == (verdict, repair)
    assert (found.open_to_everybody.public_prefix, found.open_to_everybody.private_prefix) == (public, private)
    assert small.objects == {}


def test_all_keys_lie_below_the_key_prefix(small):
    probe(small.url, under_test.Places("media/system/", "accounts/", "backups/"))
    keys = {seen.path for seen in small.requests if seen.method == "PUT"}
    folder = ".fediverse-mastodon-s3-probe/"
    assert keys
    assert all(
        key.startswith((f"/media/media/system/accounts/{folder}", f"/media/media/system/backups/{folder}"))
        for key in keys
    )


def test_the_public_address_is_looked_at_without_the_key_prefix(small, web):
    def answer(method, path, headers):
        stored = small.objects.get(f"media/{path.lstrip('/')}")
        return (200, {"Access-Control-Allow-Origin": "*"}, stored[0]) if stored else (404, {}, b"")

    web.answer = answer
    small.manners = Manners(acls=False)
    found = probe(small.url, under_test.Places("media/", "accounts/", "backups/", web.url))
    assert (found.open_to_everybody.public_prefix, found.open_to_everybody.private_prefix) == (True, True)
    assert found.open_to_everybody.list is False
    assert found.cors.allowed is True


def test_a_public_address_that_is_not_there_yet_changes_nothing(small):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    found = probe(small.url, under_test.Places("", "accounts/", "backups/", nobody))
    assert (found.acl.verdict, found.open_to_everybody.public_prefix) == ("honoured", False)
    assert found.complete is True


def test_each_batch_is_deleted_with_one_checksum_only(small):
    probe(small.url)
    batches = [seen for seen in small.requests if "delete" in seen.query]
    sums = [
        {name for name in seen.headers if name == "content-md5" or name.startswith("x-amz-checksum-")}
        for seen in batches
    ]
    assert sums == [{"content-md5"}, {"x-amz-checksum-crc32"}]
    md5 = base64.b64encode(hashlib.md5(batches[0].body, usedforsecurity=False).digest()).decode()
    assert batches[0].headers["content-md5"] == md5
    assert "content-md5" in batches[0].headers["authorization"]


def test_only_the_objects_for_it_have_a_checksum(small):
    probe(small.url)
    named = {
        seen.path.rpartition(".")[2]
        for seen in small.requests
        if seen.method == "PUT" and "x-amz-checksum-crc32" in seen.headers and "acl" not in seen.query
    }
    assert named == {"checksum"}


def test_a_store_that_says_one_thing_and_does_another(small):
    small.manners = Manners(keeps_deleted=True)
    found = probe(small.url)
    assert found.operations["delete_object"] == Tried(False, "StillThere")
    assert found.operations["delete_objects"] == Tried(False, "StillThere")
    assert (found.checksums.batch_delete_md5, found.checksums.batch_delete_crc32) == (False, False)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("POST delete", "delete_objects"),
        ("POST uploads", "multipart_upload"),
        ("GET list-type", "list_objects"),
        ("GET X-Amz-Signature", "presigned_get"),
        ("DELETE", "delete_object"),
    ],
)
def test_what_is_refused_is_named_and_the_rest_goes_on(small, rule, name):
    small.manners = Manners(refuse={rule: "AccessDenied"})
    found = probe(small.url)
    assert found.operations[name] == Tried(False, "AccessDenied")
    assert found.complete is True
    # Cleaning is what else a store can refuse: then what is left is named.
    assert found.leftovers == sorted({*small.objects, *(key for key, _body in small.uploads.values())})
    assert bool(found.leftovers) is (rule == "DELETE")


def test_where_nothing_can_be_written_nothing_is_concluded(small):
    small.manners = Manners(refuse={"PUT": "AccessDenied"})
    found = probe(small.url)
    assert found.operations["put_object"] == Tried(False, "AccessDenied")
    assert (found.acl.verdict, found.open_to_everybody.public_prefix, found.checksums.header_crc32) == (None,) * 3
    assert found.rights.other_buckets is False
    assert found.leftovers == []


def test_a_store_that_never_answers_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        found = probe(f"http://127.0.0.1:{silent.getsockname()[1]}", **QUICK)
    assert time.monotonic() - begun < 10
    assert (found.complete, found.operations, found.leftovers) == (False, {}, [])


@pytest.mark.parametrize("answers", [1, 5, 6, 12, 25, 40])
def test_a_store_that_stalls_is_given_up_and_what_may_be_left_is_named(small, answers):
    small.manners = Manners(answers=answers)
    begun = time.monotonic()
    found = probe(small.url, **QUICK)
    assert time.monotonic() - begun < 15
    assert found.complete is False
    assert set(small.objects) <= set(found.leftovers)


def test_the_next_probe_removes_what_a_stalled_one_could_not(small, monkeypatch):
    small.manners = Manners(answers=12)
    left = probe(small.url, **QUICK).leftovers
    assert left
    assert small.objects
    # The process that wrote them still runs, and might need them; a while later it can't.
    monkeypatch.setattr(probe_names, "_ABANDONED_SECONDS", 0)
    small.manners = Manners()
    assert probe(small.url).leftovers == []
    assert small.objects == {}


def test_the_time_of_all_requests_is_bounded(small, monkeypatch):
    monkeypatch.setattr(under_test, "_SECONDS", 1.0)
    small.manners = Manners(delay=0.15)
    found = probe(small.url)
    assert found.complete is False
    assert len(small.requests) < 25
    assert (found.leftovers, small.objects) == ([], {})


class Waiting:
    """A hand whose store waits for ever for a trailer, and answers all else, or nothing any more."""

    def __init__(self, answers):
        self.client = SimpleNamespace(meta=SimpleNamespace(endpoint_url="https://s3.example.com"))
        self._answers = answers

    def put(self, key, body, **arguments):
        if "ChecksumAlgorithm" in arguments:
            raise StoreSilentError
        return Reply(True)

    def read(self, key, body, **arguments):
        return Reply(True)

    def ask(self, method, **arguments):
        if not self._answers:
            raise StoreSilentError
        return Reply(True)


def test_a_store_that_waits_for_another_trailer_does_not_take_it():
    found = Checksums()
    try_checksums(Waiting(answers=True), probe_names.Names("accounts/", "backups/"), found)
    assert (found.header_crc32, found.trailer_crc32) == (True, False)
    found = Checksums()
    with pytest.raises(StoreSilentError):
        try_checksums(Waiting(answers=False), probe_names.Names("accounts/", "backups/"), found)
    assert (found.header_crc32, found.trailer_crc32) == (True, None)


@pytest.mark.parametrize(
    ("host", "path", "virtual"),
    [("localhost", True, True), ("127.0.0.1", True, None)],
)
def test_addressing(small, monkeypatch, host, path, virtual):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda name, *others, **more: resolve(name.replace("media.", ""), *others, **more)
    )
    plain = small.answer

    def answer(seen):
        if seen.headers["host"].startswith("media."):
            seen = type(seen)(seen.method, f"/media{seen.path}", seen.query, seen.headers, seen.body)
        return plain(seen)

    small.answer = answer
    found = probe(small.url.replace("127.0.0.1", host)).addressing
    assert (found.path, found.virtual) == (path, virtual)


def test_a_name_that_nobody_knows_is_no_address(small, monkeypatch):
    resolve = socket.getaddrinfo

    def unknown(name, *others, **more):
        if str(name).startswith("media."):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(name, *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = probe(small.url.replace("127.0.0.1", "localhost"))
    assert (found.addressing.path, found.addressing.virtual) == (True, False)
    assert found.complete is True


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"public_prefix": ""}, "public_prefix"),
        ({"public_prefix": "/accounts"}, "/accounts"),
        ({"private_prefix": "a//b"}, "a//b"),
        ({"public_prefix": "backups"}, "hold one another"),
        ({"public_prefix": "media/", "private_prefix": "media/backups/"}, "hold one another"),
        ({"key_prefix": "/media"}, "key_prefix"),
        ({"cors_origin": "https://a.example/b"}, "cors_origin"),
    ],
)
def test_places_that_can_not_be(params, says):
    with pytest.raises(under_test.PlacesError, match=says):
        under_test.places_from({**DEFAULTS, **params})


@pytest.mark.parametrize("option", ["public_url", "cors_origin"])
def test_addresses_that_can_not_be(option):
    with pytest.raises(AddressError, match=option):
        under_test.places_from({**DEFAULTS, option: "files.example.com"})


def test_places():
    given = {"key_prefix": "media", "public_url": "https://files.example.com/x/", "cors_origin": "https://a.example/"}
    assert under_test.places_from({**DEFAULTS, **given}) == under_test.Places(
        "media/", "accounts/", "backups/", "https://files.example.com/x", "https://a.example"
    )
    # `accounts` and `accounts-old` are two folders.
    assert under_test.places_from({**DEFAULTS, "private_prefix": "accounts-old"}).private_prefix == "accounts-old/"


DEFAULTS = {
    "key_prefix": "",
    "public_prefix": "accounts/",
    "private_prefix": "backups/",
    "public_url": None,
    "cors_origin": None,
}
