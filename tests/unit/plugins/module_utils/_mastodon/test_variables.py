# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import variables as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.variables import ProcessVariables, Value


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("AWS_ACCESS_KEY_ID", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_SESSION_TOKEN", True),
        ("SWIFT_PASSWORD", True),
        ("SWIFT_TEMP_URL_KEY", True),
        ("AZURE_STORAGE_ACCESS_KEY", True),
        ("CACHE_BUSTER_SECRET", True),
        ("CACHE_BUSTER_SECRET_HEADER", False),
        ("S3_KEY_PREFIX", False),
        ("S3_BUCKET", False),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", False),
    ],
)
def test_secrets(name, secret):
    assert under_test.is_tracked(name)
    assert under_test.is_secret(name) is secret


@pytest.mark.parametrize("name", ["DB_PASS", "SECRET_KEY_BASE", "SMTP_PASSWORD", "PATH", "XS3_BUCKET"])
def test_other_variables_are_not_tracked(name):
    assert not under_test.is_tracked(name)


def test_the_first_source_wins_even_with_an_empty_value():
    process = ProcessVariables(
        "web.service",
        environment=(
            {"A": Value("", "environment_file", "/e", 1)},
            {"A": Value("x", "unit"), "B": Value("unit", "unit")},
        ),
        dotenv=({"B": Value("local", "dotenv", "/l", 1)}, {"C": Value("file", "dotenv", "/f", 2)}),
    )
    assert {name: value.value for name, value in process.effective().items()} == {"A": "", "B": "unit", "C": "file"}
    assert process.inherited() == {"A": "", "B": "unit"}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("S3_BUCKET", "media", {"value": "media", "secret": False, "empty": False, "dynamic": False}),
        ("S3_PERMISSION", "", {"value": "", "secret": False, "empty": True, "dynamic": False}),
        ("AWS_SECRET_ACCESS_KEY", "hidden", {"value": None, "secret": True, "empty": False, "dynamic": False}),
        ("S3_BUCKET", None, {"value": None, "secret": False, "empty": False, "dynamic": True}),
        ("S3_ENDPOINT", "https://me:pw@s3.example", {"value": "https://********@s3.example", "secret": False}),
    ],
)
def test_results_for_the_user(name, value, shown):
    report = under_test.report(name, Value(value, "dotenv", "/f", 3))
    assert {key: report[key] for key in shown} == shown
    assert (report["source"], report["path"], report["line"]) == ("dotenv", "/f", 3)


def test_shadowed_variables_with_their_sources_and_units():
    hidden = Value("other", "drop_in", "/d.conf", 4)
    written = Value("mine", "dotenv", "/env", 1, hides_env_file=False)
    local = Value("local", "dotenv", "/env.local", 2)
    processes = [
        ProcessVariables(
            "web.service",
            ({"S3_BUCKET": hidden, "PORT": Value("3000", "unit"), "DB_PASS": Value("x", "unit")},),
            ({"S3_REGION": local}, {"S3_BUCKET": written, "S3_ENABLED": written}),
        ),
        ProcessVariables("a.service", ({"S3_BUCKET": hidden},), ({"S3_REGION": local}, {"S3_BUCKET": written})),
    ]
    found = under_test.shadowed(processes)
    assert [(entry["name"], entry["place"]["value"], entry["units"]) for entry in found] == [
        ("S3_BUCKET", "other", ["web.service", "a.service"]),
        ("S3_REGION", "local", ["web.service", "a.service"]),
    ]
    assert [entry["message"] for entry in found] == [
        "S3_BUCKET (Environment= in /d.conf line 4 of web.service, a.service)",
        "S3_REGION (dotenv file /env.local line 2)",
    ]


def test_an_overridden_source_is_not_reported():
    first, second = Value("1", "command"), Value("2", "environment_file", "/e", 1)
    (entry,) = under_test.shadowed([ProcessVariables("web.service", ({"S3_BUCKET": first}, {"S3_BUCKET": second}))])
    assert entry["message"] == "S3_BUCKET (ExecStart= of web.service)"


def test_differences_between_units():
    one, other = Value("one", "unit", "/u", 1), Value("other", "unit", "/v", 1)
    same_elsewhere = Value("same", "dotenv", "/f", 9)
    processes = [
        ProcessVariables("web.service", ({"S3_BUCKET": one, "S3_REGION": Value("same", "unit"), "PORT": one},)),
        ProcessVariables(
            "sidekiq.service",
            ({"S3_BUCKET": other, "S3_ENABLED": Value("true", "unit")},),
            ({"S3_REGION": same_elsewhere},),
        ),
    ]
    found = under_test.differences(processes)
    values = {entry["name"]: {unit: has and has["value"] for unit, has in entry["units"].items()} for entry in found}
    assert values == {
        "S3_BUCKET": {"web.service": "one", "sidekiq.service": "other"},
        "S3_ENABLED": {"web.service": None, "sidekiq.service": "true"},
    }
    assert found[0]["units"]["web.service"]["path"] == "/u"


def test_an_empty_variable_differs_from_an_absent_one():
    processes = [ProcessVariables("a", ({"S3_PERMISSION": Value("", "unit")},)), ProcessVariables("b")]
    assert [entry["name"] for entry in under_test.differences(processes)] == ["S3_PERMISSION"]


COMMAND = (
    "/usr/bin/env S3_BUCKET=b AWS_SECRET_ACCESS_KEY=hidden DB_PASS='also hidden' "
    '/bin/sh -c "S3_REGION=r bundle exec puma"'
)


def test_variables_of_a_command_line():
    assert under_test.command_assignments(COMMAND) == {
        "S3_BUCKET": "b",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "S3_REGION": "r",
    }


def test_secrets_in_a_command_line_are_masked():
    masked = under_test.masked_command(COMMAND + " OTP_SECRET=third")
    assert "hidden" not in masked
    assert "third" not in masked
    assert "S3_BUCKET=b" in masked
