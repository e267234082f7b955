# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe against a server that behaves as each test asks; what real stores do is looked at in tests/stores."""

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

from fake_s3_server import Behaviour, FakeS3Server

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import anonymous_checks
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import exposure as probe_exposure
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import names as probe_names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import probe as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import (
    Checksums,
    OperationResult,
    Reply,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import try_checksums
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe_client import StoreSilentError

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
    monkeypatch.setattr(anonymous_checks, "_CHECK_PAUSES", (0.0, 0.0))


@pytest.fixture
def server():
    running = FakeS3Server()
    yield running
    running.close()


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


def test_a_store_that_honours_acls_and_is_left_as_it_was(server):
    server.s3.put_object(Bucket="media", Key="accounts/avatar.png", Body=b"own", ACL="public-read")
    found = probe(server.url)
    assert found.complete is True
    assert (found.acl.verdict, found.acl.repair, found.acl.refused_for) == ("honoured", True, [])
    assert {name for name, result in found.operations.items() if not result.ok} == set()
    assert (found.open_to_everybody.public_prefix, found.open_to_everybody.private_prefix) == (False, False)
    assert found.leftovers == []
    assert server.s3.acls() == {"accounts/avatar.png": "public-read"}
    assert server.s3.objects["accounts/avatar.png"].body == b"own"
    assert server.s3.unfinished == []


@pytest.mark.parametrize(
    ("behaviour", "verdict", "repair", "public", "private"),
    [
        (Behaviour(acls=False), "ignored", False, False, False),
        (Behaviour(open_prefixes=("accounts/",)), "ignored", False, True, False),
        (Behaviour(open_prefixes=("accounts/", "backups/")), "ignored", False, True, True),
        (Behaviour(refuse={"PUT x-amz-acl": "NotImplemented"}), "unsupported", False, False, False),
        (Behaviour(refuse={"PUT x-amz-acl": "AccessDenied"}), "refused", False, False, False),
        (Behaviour(refuse={"PUT acl": "AccessDenied"}), "honoured", False, False, False),
        # A web server in front that has a page for everything does not count as open.
        (Behaviour(page=b"<html>Welcome</html>"), "honoured", True, False, False),
        (Behaviour(acls=False, page=b"<html>Welcome</html>"), "ignored", False, False, False),
    ],
)
def test_exposure(server, behaviour, verdict, repair, public, private):
    server.behaviour = behaviour
    found = probe(server.url)
    assert (found.acl.verdict, found.acl.repair) == (verdict, repair)
    assert (found.open_to_everybody.public_prefix, found.open_to_everybody.private_prefix) == (public, private)
    assert server.s3.objects == {}


def test_all_keys_lie_below_the_key_prefix(server):
    probe(server.url, under_test.Places("media/system/", "accounts/", "backups/"))
    keys = {seen.path for seen in server.requests if seen.method == "PUT"}
    folder = ".fediverse-mastodon-s3-probe/"
    assert keys
    assert all(
        key.startswith((f"/media/media/system/accounts/{folder}", f"/media/media/system/backups/{folder}"))
        for key in keys
    )


def test_the_public_address_is_looked_at_without_the_key_prefix(server, web):
    def answer(method, path, headers):
        stored = server.s3.objects.get(f"media/{path.lstrip('/')}")
        return (200, {"Access-Control-Allow-Origin": "*"}, stored.body) if stored else (404, {}, b"")

    web.answer = answer
    server.behaviour = Behaviour(acls=False)
    found = probe(server.url, under_test.Places("media/", "accounts/", "backups/", web.url))
    assert (found.open_to_everybody.public_prefix, found.open_to_everybody.private_prefix) == (True, True)
    assert found.open_to_everybody.list is False
    assert found.cors.allowed is True


def test_a_public_address_that_is_not_there_yet_changes_nothing(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    found = probe(server.url, under_test.Places("", "accounts/", "backups/", nobody))
    assert (found.acl.verdict, found.open_to_everybody.public_prefix) == ("honoured", False)
    assert found.complete is True


def test_each_batch_is_deleted_with_one_checksum_only(server):
    probe(server.url)
    batches = [seen for seen in server.requests if "delete" in seen.query]
    sums = [
        {name for name in seen.headers if name == "content-md5" or name.startswith("x-amz-checksum-")}
        for seen in batches
    ]
    assert sums == [{"content-md5"}, {"x-amz-checksum-crc32"}]
    md5 = base64.b64encode(hashlib.md5(batches[0].body, usedforsecurity=False).digest()).decode()
    assert batches[0].headers["content-md5"] == md5
    assert "content-md5" in batches[0].headers["authorization"]


def test_only_the_objects_for_it_have_a_checksum(server):
    probe(server.url)
    named = {
        seen.path.rpartition(".")[2]
        for seen in server.requests
        if seen.method == "PUT" and "x-amz-checksum-crc32" in seen.headers and "acl" not in seen.query
    }
    assert named == {"checksum"}


def test_a_store_that_says_one_thing_and_does_another(server):
    server.behaviour = Behaviour(keeps_deleted=True)
    found = probe(server.url)
    assert found.operations["delete_object"] == OperationResult(False, "StillThere")
    assert found.operations["delete_objects"] == OperationResult(False, "StillThere")
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
def test_what_is_refused_is_named_and_the_rest_goes_on(server, rule, name):
    server.behaviour = Behaviour(refuse={rule: "AccessDenied"})
    found = probe(server.url)
    assert found.operations[name] == OperationResult(False, "AccessDenied")
    assert found.complete is True
    # Cleaning is what else a store can refuse: then what is left is named.
    assert found.leftovers == sorted({*server.s3.objects, *server.s3.unfinished})
    assert bool(found.leftovers) is (rule == "DELETE")


def test_where_nothing_can_be_written_nothing_is_concluded(server):
    server.behaviour = Behaviour(refuse={"PUT": "AccessDenied"})
    found = probe(server.url)
    assert found.operations["put_object"] == OperationResult(False, "AccessDenied")
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
def test_a_store_that_stalls_is_given_up_and_what_may_be_left_is_named(server, answers):
    server.behaviour = Behaviour(answers=answers)
    begun = time.monotonic()
    found = probe(server.url, **QUICK)
    assert time.monotonic() - begun < 15
    assert found.complete is False
    assert set(server.s3.objects) <= set(found.leftovers)


def test_the_next_probe_removes_what_a_stalled_one_could_not(server, monkeypatch):
    server.behaviour = Behaviour(answers=12)
    left = probe(server.url, **QUICK).leftovers
    assert left
    assert server.s3.objects
    # The process that wrote them still runs, and might need them; a while later it can't.
    monkeypatch.setattr(probe_names, "_ABANDONED_SECONDS", 0)
    server.behaviour = Behaviour()
    assert probe(server.url).leftovers == []
    assert server.s3.objects == {}


def test_the_time_of_all_requests_is_bounded(server, monkeypatch):
    monkeypatch.setattr(under_test, "_SECONDS", 1.0)
    server.behaviour = Behaviour(delay=0.15)
    found = probe(server.url)
    assert found.complete is False
    assert len(server.requests) < 25
    assert (found.leftovers, server.s3.objects) == ([], {})


class Waiting:
    """A probe client whose store waits for ever for a trailer, and answers all else, or nothing any more."""

    def __init__(self, answers):
        self.boto3 = SimpleNamespace(meta=SimpleNamespace(endpoint_url="https://s3.example.com"))
        self._answers = answers

    def put(self, key, body, **arguments):
        if "ChecksumAlgorithm" in arguments:
            raise StoreSilentError
        return Reply(True)

    def read(self, key, body, **arguments):
        return Reply(True)

    def call(self, method, **arguments):
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
def test_addressing(server, monkeypatch, host, path, virtual):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda name, *others, **more: resolve(name.replace("media.", ""), *others, **more)
    )
    found = probe(server.url.replace("127.0.0.1", host)).addressing
    assert (found.path, found.virtual) == (path, virtual)


def test_a_name_that_nobody_knows_is_no_address(server, monkeypatch):
    resolve = socket.getaddrinfo

    def unknown(name, *others, **more):
        if str(name).startswith("media."):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(name, *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = probe(server.url.replace("127.0.0.1", "localhost"))
    assert (found.addressing.path, found.addressing.virtual) == (True, False)
    assert found.complete is True


def closed_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize(
    ("behaviour", "path", "code", "says", "remedy"),
    [
        (Behaviour(), "/media", None, None, None),
        (Behaviour(acls=False, open_prefixes=("social/accounts/",)), "/media", None, None, None),
        (Behaviour(acls=False), "/media", "AccessDenied", "the answer is 403", "Let everybody read"),
        (Behaviour(), "/another", "NoSuchBucket", "the answer is 404", "points to this bucket"),
        (
            Behaviour(acls=False, page=b"<html>hello"),
            "/media",
            "OtherContent",
            "an unrelated server answers",
            "Point 127.0.0.1",
        ),
    ],
)
def test_a_public_object_is_fetched_by_the_address_that_visitors_use(
    server, monkeypatch, behaviour, path, code, says, remedy
):
    monkeypatch.setattr(probe_exposure, "_ADDRESS_CHECK_PAUSES", (0.0, 0.0))
    server.behaviour = behaviour
    url = f"{server.url}{path}"
    places = under_test.Places("social/", "accounts/", "backups/", public_url=f"{url}/social")
    found = probe(server.url, places).media_address
    assert (found.url, found.readable) == (f"{url}/social", code is None)
    assert (found.problem and found.problem.code) == code
    if code:
        assert f"public address of the media would be {url}/social/, but {says}" in found.problem.message
        assert remedy in found.problem.remedy
    assert not server.s3.objects


def test_an_address_where_nothing_listens_is_named_and_asked_once(server):
    url = f"http://127.0.0.1:{closed_port()}"
    found = probe(server.url, PLACES._replace(public_url=url))
    assert found.complete is True
    assert (found.media_address.readable, found.media_address.problem.code) == (False, "ConnectionRefused")
    assert "nothing listens there" in found.media_address.problem.message
    assert len([seen for seen in server.requests if "address-1" in seen.path]) == 0


def test_an_address_that_opens_late_is_waited_for(server, monkeypatch):
    monkeypatch.setattr(probe_exposure, "_ADDRESS_CHECK_PAUSES", (0.0, 0.0, 0.0))
    server.behaviour = Behaviour(acls=False, open_prefixes=("accounts/.fediverse-mastodon-s3-probe/",))
    looked = server.answer

    def late(seen):
        refused = seen.method == "GET" and seen.path.endswith(("address-0", "address-1"))
        return (403, {}, b"<Error><Code>AccessDenied</Code></Error>") if refused else looked(seen)

    monkeypatch.setattr(server, "answer", late)
    assert probe(server.url, PLACES._replace(public_url=f"{server.url}/media")).media_address.readable is True


def test_without_an_address_none_is_fetched(server):
    assert probe(server.url).media_address is None
