# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which digests go with files, and what is sent again, by what a store makes of them."""

from __future__ import annotations

import pytest
from fake_s3_server import Behaviour, reset_before, status, wrong_etag
from worker_world import CHECKSUM

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")]


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.mark.parametrize("number", [1, 2])
def test_a_store_that_does_not_repeat_checksums_gets_md5(make_world, number):
    world = make_world(number)
    for each in range(100):
        world.write(f"accounts/{each}.png", b"%d" % each)
    assert world.sync().error is None
    assert world.digests()["content-md5"] == 100
    # Each worker asks once. One that had nothing to do did not.
    assert 1 <= world.digests()[CHECKSUM] <= number


def test_a_store_that_repeats_checksums_gets_them(world):
    world.server.behaviour.repeats_checksums = True
    for number in range(300):
        world.write(f"accounts/{number}.png", b"%d" % number)
    # Few at once, so that the first answer comes before most files are begun.
    result = world.sync(concurrency=4).as_dict()
    assert result["uploads_by"] == {"fast": 300, "boto3": 0}
    assert world.digests()[CHECKSUM] > 250
    assert world.digests()["content-md5"] < 50


def test_what_a_checksum_does_not_prove_is_sent_again(world):
    world.server.behaviour.repeats_checksums = True
    world.server.faults_of_keys = {f"accounts/{number}.png": wrong_etag for number in range(200, 205)}
    for number in range(100, 300):
        world.write(f"accounts/{number}.png", b"%d" % number)
    result = world.sync(concurrency=4).as_dict()
    assert result["failures"] == []
    assert result["uploads_by"] == {"fast": 195, "boto3": 5}
    assert result["retries"] == {"changed": 5}
    assert world.bodies() == {f"accounts/{number}.png": b"%d" % number for number in range(100, 300)}
    sent = world.server.sent_headers
    assert "content-md5" not in sent["accounts/199.png"]


@pytest.mark.parametrize("number", [400, 501])
def test_a_store_that_refuses_checksums_gets_md5_the_fast_way(world, number):
    world.server.behaviour.refuse = {f"PUT {CHECKSUM}": number}
    for each in range(100):
        world.write(f"accounts/{each}.png", b"%d" % each)
    result = world.sync().as_dict()
    assert result["failures"] == []
    assert result["uploads_by"] == {"fast": 100, "boto3": 0}
    assert result["retries"] == {}
    assert world.digests() == {"content-md5": 100}
    # Each worker that had something to do asked once.
    assert 101 <= result["requests"]["PutObject"] <= 102
    assert result["requests"]["PutObject"] == len(world.server.puts())


def test_a_store_that_refuses_a_checksum_later_on_gets_md5_from_then_on(make_world):
    world = make_world(1)
    world.server.behaviour.repeats_checksums = True
    world.server.faults_of_keys = {"accounts/150.png": status(501)}
    for number in range(100, 200):
        world.write(f"accounts/{number}.png", b"%d" % number)
    result = world.sync(concurrency=4).as_dict()
    assert result["uploads_by"] == {"fast": 100, "boto3": 0}
    assert result["requests"]["PutObject"] == 101
    sent = world.server.sent_headers
    assert CHECKSUM in sent["accounts/149.png"]
    assert all("content-md5" in sent[f"accounts/{number}.png"] for number in (150, *range(160, 200)))


def test_what_is_asked_is_asked_again_where_the_answer_is_lost(make_world):
    world = make_world(1)
    world.server.behaviour.repeats_checksums = True
    world.server.faults_of_keys = {"accounts/100.png": reset_before}
    for number in range(100, 400):
        world.write(f"accounts/{number}.png", b"%d" % number)
    result = world.sync(concurrency=4).as_dict()
    assert result["uploads_by"] == {"fast": 299, "boto3": 1}
    assert world.digests()[CHECKSUM] > 250


@pytest.mark.parametrize("repeats", [True, False])
def test_a_store_whose_etags_are_no_digests_is_not_sent_again_what_it_has(world, repeats):
    world.server.behaviour = Behaviour(repeats_checksums=repeats, etag_is_md5=False)
    keys = [f"accounts/{number}.png" for number in range(100)]
    for key in keys:
        world.write(key, key.encode())
    result = world.sync(concurrency=4).as_dict()
    assert result["uploads_by"] == {"fast": 100, "boto3": 0}
    assert (world.digests()["content-md5"] < 50) is repeats
    for key in keys:
        (world.src / key).chmod(0o640)
        (world.src / key).chmod(0o644)
    world.write(keys[0], b"A" + keys[0][1:].encode())  # as large and as old as it was
    world.server.requests.clear()
    world.workers.close()
    world.workers = Workers(1, world.store)
    report = world.sync()
    assert report.error is None
    assert report.as_dict()["actions"]["upload"]["count"] == 1
    assert world.server.puts() == keys[:1]
    assert world.bodies()[keys[0]] == b"A" + keys[0][1:].encode()
