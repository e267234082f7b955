# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes of answers that MinIO never gives."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio import admin as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio.identity import Wanted
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import ConnectionFailedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from raw_server import RawServer, plain

POLICY = {"Version": "2012-10-17", "Statement": []}
ANSWERS = {
    "bytes": plain(200, {}, b"\xff\xfe{}"),
    "packed": plain(200, {"Content-Encoding": "gzip"}, gzip.compress(b"{}")),
    "endless number": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    "bytes of an error": plain(403, {}, b"\xff\xfe{}"),
}


# The package minio is on controllers only.
if under_test._IMPORT_ERROR is None:

    @pytest.mark.parametrize("kind", ANSWERS)
    def test_an_answer_that_can_not_be_read_is_one_clear_error(kind):
        def answer(line, _request):
            line.send(ANSWERS[kind])
            return False

        server = RawServer(answer)
        try:
            admin = under_test.Admin(ConnectionOptions(endpoint_url=server.url), ("AKID", "secret-key", None))
            with pytest.raises(ConnectionFailedError, match="not MinIO"):
                admin.read(Wanted("mastodon", "media", POLICY, "another-secret"))
        finally:
            server.close()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("user_info", {"memberOf": True}),
        ("policy_info", {"Statement": None}),
        ("policy_info", {"Statement": ["x"]}),
        ("get_policy_entities", {"policyMappings": True}),
        ("get_policy_entities", {"policyMappings": "x"}),
    ],
)
def test_what_answers_in_another_form_is_not_minio(monkeypatch, method, answer):
    answers = {"user_info": {}, "policy_info": {}, "get_policy_entities": {}, method: answer}
    monkeypatch.setattr(under_test.Admin, "_do", lambda _self, asked, *_expected, **_given: json.dumps(answers[asked]))
    admin = under_test.Admin.__new__(under_test.Admin)
    with pytest.raises(ConnectionFailedError, match="not MinIO"):
        admin.read(Wanted("mastodon", "mastodon-media"))
