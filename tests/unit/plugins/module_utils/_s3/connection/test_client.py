# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import client as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    BadCredentialsError,
    ConnectionFailedError,
    WrongRegionError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptions,
    ConnectionOptionsError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate

KEYS = {"access_key": "AKIA", "secret_key": "secret"}


@pytest.fixture(autouse=True)
def no_outside_configuration(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_region_falls_back_to_the_default_chain_and_then_to_us_east_1(monkeypatch):
    assert under_test.s3_client(ConnectionOptions(**KEYS)).meta.region_name == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert under_test.s3_client(ConnectionOptions(**KEYS)).meta.region_name == "eu-west-3"
    assert under_test.s3_client(ConnectionOptions(region="eu-north-1", **KEYS)).meta.region_name == "eu-north-1"


def test_endpoint_addressing_retries_and_pool():
    client = under_test.s3_client(
        ConnectionOptions(endpoint_url="https://fsn1.example.com", addressing_style="path", **KEYS),
        max_pool_connections=32,
    )
    assert client.meta.endpoint_url == "https://fsn1.example.com"
    assert client.meta.config.s3["addressing_style"] == "path"
    assert client.meta.config.retries["mode"] == "standard"
    assert client.meta.config.max_pool_connections == 32
    assert "fediverse.mastodon_s3" in client.meta.config.user_agent


def test_path_style_puts_the_bucket_into_the_path():
    client = under_test.s3_client(
        ConnectionOptions(endpoint_url="https://fsn1.example.com", addressing_style="path", **KEYS)
    )
    url = client.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": "a"})
    assert url.startswith("https://fsn1.example.com/media/a?")


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_checksum_options_are_passed_to_a_botocore_that_knows_them(checksums):
    config = under_test.s3_client(ConnectionOptions(checksums=checksums, **KEYS)).meta.config
    if "request_checksum_calculation" in Config.OPTION_DEFAULTS:
        assert config.request_checksum_calculation == checksums
        assert config.response_checksum_validation == checksums
    else:
        assert not hasattr(config, "request_checksum_calculation")


def test_checksum_options_are_not_passed_to_an_old_botocore(monkeypatch):
    known = {name: default for name, default in Config.OPTION_DEFAULTS.items() if "_checksum_" not in name}

    passed = {}

    class OldConfig(Config):
        OPTION_DEFAULTS = known

        def __new__(cls, **arguments):
            passed.update(arguments)
            return Config(**arguments)

    monkeypatch.setattr(under_test, "Config", OldConfig)
    under_test.s3_client(ConnectionOptions(checksums="when_supported", **KEYS))
    assert "retries" in passed
    assert not [name for name in passed if "_checksum_" in name]


def test_aws_config_wins_and_keeps_the_rest():
    client = under_test.s3_client(
        ConnectionOptions(aws_config={"connect_timeout": 3, "s3": {"payload_signing_enabled": False}}, **KEYS)
    )
    assert client.meta.config.connect_timeout == 3
    assert client.meta.config.s3["addressing_style"] == "auto"
    assert client.meta.config.s3["payload_signing_enabled"] is False


@pytest.mark.parametrize(
    ("aws_config", "named"),
    [
        ({"no_such_option": 1}, "no_such_option"),
        ({"s3": "path"}, "s3 must be a dictionary"),
        ({"s3": {"addressing_style": "sideways"}}, "sideways"),
        ({"retries": {"mode": "never"}}, "never"),
        ({"retries": 3}, "aws_config"),
        ({"retries": {"total_max_attempts": 0}}, "max_attempts"),
        ({"connect_timeout": "5"}, "connect_timeout must be a number; write it without quotes"),
        ({"max_pool_connections": "5"}, "max_pool_connections must be a whole number"),
        ({"proxies": "http://proxy"}, "proxies must be a dictionary"),
        ({"user_agent": 5}, "endpoint_url or aws_config is not accepted"),
    ],
)
def test_a_wrong_aws_config_is_refused(aws_config, named):
    with pytest.raises(ConnectionOptionsError, match=named):
        under_test.s3_client(ConnectionOptions(aws_config=aws_config, **KEYS))


def redirecting(web, location, **headers):
    web.answer = lambda method, path, sent: (301, {"Location": location, **headers}, b"")
    return under_test.s3_client(ConnectionOptions(endpoint_url=web.url, addressing_style="path", **KEYS))


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://s3.example.com/media?policy", "redirects to https://s3.example.com;"),
        ("https://user:secret@s3.example.com/", "redirects to https://s3.example.com;"),
        ("/elsewhere", "redirects to another path;"),
    ],
)
def test_a_redirect_that_is_not_s3s_own_is_told_at_once(web, location, named):
    client = redirecting(web, location)
    with pytest.raises(ConnectionFailedError, match=named) as caught:
        client.get_bucket_policy(Bucket="media")
    assert "secret" not in str(caught.value)
    assert len(web.requests) == 1
    assert (caught.value.code, caught.value.status) == ("Redirect", 301)
    assert caught.value.remedy == "set endpoint_url to the store itself"
    assert str(caught.value).endswith("set endpoint_url to the store itself (HTTP 301).")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_each_way_to_redirect_is_told(web, status):
    client = redirecting(web, "https://s3.example.com/")
    web.answer = lambda method, path, sent: (status, {"Location": "https://s3.example.com/"}, b"")
    with pytest.raises(ConnectionFailedError) as caught:
        client.head_bucket(Bucket="media")
    assert caught.value.status == status


def test_a_redirect_with_an_error_code_of_s3_is_left_to_botocore(web):
    client = redirecting(web, "https://s3.example.com/")
    body = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
    moved = (301, {"Location": "https://s3.example.com/"}, body)
    # botocore asks where the bucket is by HEAD.
    web.answer = lambda method, path, sent: (404, {}, b"") if method == "HEAD" else moved
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket="media")
    assert caught.value.response["Error"]["Code"] == "PermanentRedirect"


def test_a_redirect_to_another_region_is_left_to_botocore(web):
    client = redirecting(web, "https://s3.example.com/", **{"x-amz-bucket-region": "eu-west-1"})
    with pytest.raises(ClientError) as caught:
        client.head_bucket(Bucket="media")
    assert isinstance(translate(caught.value, "HeadBucket"), WrongRegionError)


def test_a_missing_profile_is_named():
    with pytest.raises(BadCredentialsError, match="nobody"):
        under_test.s3_client(ConnectionOptions(profile="nobody"))


def test_without_boto3_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(under_test, "_IMPORT_ERROR", "No module named 'boto3'")
    with pytest.raises(under_test.Boto3MissingError, match="python3-boto3"):
        under_test.s3_client(ConnectionOptions())
    assert under_test.boto_versions() == {}


def test_versions_are_reported():
    assert sorted(under_test.boto_versions()) == ["boto3_version", "botocore_version"]


@pytest.mark.parametrize(
    ("validate", "bundle", "verify"), [(True, None, True), (False, "/ca.pem", False), (True, "/ca.pem", "/ca.pem")]
)
def test_certificates(monkeypatch, validate, bundle, verify):
    seen = {}

    class Session:
        region_name = None

        def __init__(self, **_arguments):
            pass

        def client(self, _name, **arguments):
            seen.update(arguments)
            return MagicMock()

    monkeypatch.setattr(under_test.boto3.session, "Session", Session)
    under_test.s3_client(ConnectionOptions(validate_certs=validate, ca_bundle=bundle, **KEYS))
    assert seen["verify"] == verify


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize(
    ("origin", "value"),
    [
        ("environment", "hunter2\n"),
        ("environment", "h\u00fcnter2"),
        ("environment", "hun\x01ter2"),
        ("profile", "h\u00fcnter2"),
        ("profile", "hun\x01ter2"),
    ],
)
def test_keys_that_botocore_finds_and_that_can_not_be_sent(monkeypatch, tmp_path, variable, value, origin):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "t", variable: value}
    options = ConnectionOptions(profile="p" if origin == "profile" else None)
    lines = "".join(f"{name.lower()} = {text}\n" for name, text in keys.items())
    (tmp_path / "credentials").write_text(f"[p]\n{lines}", encoding="utf-8")
    for name, text in keys.items() if origin == "environment" else ():
        monkeypatch.setenv(name, text)
    for ask in (under_test.s3_client, under_test.credentials):
        with pytest.raises(ConnectionOptionsError, match=variable) as caught:
            ask(options)
        assert "ter2" not in str(caught.value)
    under_test.unsigned_s3_client(options)


@pytest.mark.parametrize(
    "proxy",
    ["http://user:hunter2@127.0.0.1:9", "socks5://user:hunter2@127.0.0.1:9"],
)
def test_a_proxys_password_is_not_in_an_error(proxy):
    settings = {"proxies": {"http": proxy}, "retries": {"total_max_attempts": 1}}
    client = under_test.s3_client(ConnectionOptions(endpoint_url="http://127.0.0.1:9", aws_config=settings, **KEYS))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - botocore has many
        client.list_buckets()
    message = str(translate(caught.value, "ListBuckets"))
    assert "ter2" not in message
    assert "user" not in message


@pytest.mark.parametrize(
    "proxies",
    [
        {"http": ["http://user:hunter2@x"]},
        {"https": None},
        {"https": "http://user:hunter2/x@127.0.0.1"},
        {"https": "http://user:x/hunter2@127.0.0.1"},
        {"https": "http://user:hunter2@[::1"},
        {"https": "http://user@127.0.0.1:hunter2"},
        "http://user:hunter2@x",
    ],
)
def test_odd_proxies_are_refused_and_not_repeated(proxies):
    with pytest.raises(ConnectionOptionsError, match="aws_config: proxies must") as caught:
        under_test.s3_client(ConnectionOptions(aws_config={"proxies": proxies}, **KEYS))
    assert "hunter2" not in str(caught.value)


def test_a_proxys_password_of_the_environment_is_not_in_an_error(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://user:hunter2/x@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    settings = {"retries": {"total_max_attempts": 1}}
    client = under_test.s3_client(ConnectionOptions(endpoint_url="http://127.0.0.2:9", aws_config=settings, **KEYS))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - botocore has many
        client.list_buckets()
    assert "hunter2" not in str(translate(caught.value, "ListBuckets"))
