# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml

from ansible_collections.fediverse.mastodon_s3.plugins.doc_fragments.connection import ModuleDocFragment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    account_argument_spec,
    connection_argument_spec,
    connection_options,
)

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def refusal(**params):
    with pytest.raises(ConnectionOptionsError) as caught:
        connection_options(params)
    message = str(caught.value)
    assert SECRET not in message
    return message


def env_file(tmp_path, text):
    path = tmp_path / ".env.production"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_nothing_given_is_aws_with_the_default_chain():
    options = connection_options({})
    assert (options.endpoint_url, options.region, options.access_key, options.profile) == (None, None, None, None)
    assert options.validate_certs is True
    assert options.checksums == "when_required"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://fsn1.example.com", "https://fsn1.example.com"),
        ("https://fsn1.example.com/", "https://fsn1.example.com"),
        (" HTTPS://fsn1.example.com:9000/ ", "https://fsn1.example.com:9000"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("", None),
        (None, None),
    ],
)
def test_endpoint_accepted(given, kept):
    assert connection_options({"endpoint_url": given, "bucket": "media"}).endpoint_url == kept


def test_plain_http_with_keys_is_allowed():
    options = connection_options({"endpoint_url": "http://10.0.0.1:9000", "access_key": "AKIA", "secret_key": SECRET})
    assert options.secret_key == SECRET


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ("fsn1.example.com", "no scheme"),
        ("fsn1.example.com:9000", "no scheme"),
        ("ftp://fsn1.example.com", "neither https"),
        ("s3://media", "neither https"),
        ("https://", "no valid host"),
        ("https://:9000", "no valid host"),
        ("https://a b.example.com", "no valid host"),
        ("https://fsn1.example.com:port", "not a URL"),
        ("https://fsn1.example.com:99999", "not a URL"),
        ("https://fsn1.example.com:0", "no valid host"),
        ("https://[::1", "not a URL"),
        ("https://fsn1.example.com/media", "bucket's name belongs in bucket"),
        ("https://fsn1.example.com/media/", "endpoint_url is https://fsn1.example.com"),
        ("https://fsn1.example.com/other/path", "'https://fsn1.example.com/other/path' has a path; remove the path"),
        ("https://media.fsn1.example.com", "write https://fsn1.example.com,"),
        ("https://media.fsn1.example.com:9000", "write https://fsn1.example.com:9000,"),
        ("https://MEDIA.fsn1.example.com", "write https://fsn1.example.com,"),
        ("https://fsn1.example.com?x=1", "query or fragment"),
    ],
)
def test_endpoint_refused_by_name_with_the_remedy(endpoint, named):
    message = refusal(endpoint_url=endpoint, bucket="media")
    assert named in message
    assert "endpoint_url" in message


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://user:PW@fsn1.example.com",
        "user:PW@fsn1.example.com",
        "//user:PW@fsn1.example.com",
        "ftp://user:PW@fsn1.example.com",
        "https://user%3APW%40fsn1.example.com",
        "https://user:PW",
        "https://[PW",
        "https://fsn1.example.com?password=PW",
        "https://fsn1.example.com/?password=PW",
        "https://fsn1.example.com:9000/x?password=PW",
        "fsn1.example.com?password=PW",
        "https://fsn1.example.com#PW",
        "https://fsn1.example.com;password=PW",
        "https://fsn1.example.com/;password=PW",
        "https://fsn1.example.com/a@PW",
        "https://fsn1.example.com\nPW",
    ],
)
def test_a_password_in_the_endpoint_is_refused_and_not_repeated(endpoint):
    message = refusal(endpoint_url=endpoint.replace("PW", "hunter2"))
    assert "endpoint_url" in message
    assert "hunter2" not in message
    assert "user" not in message.replace("user name", "")


BAD_SECRETS = {
    "": "is empty",
    "  ": "is empty",
    "hunter2\n": "ends with a newline",
    "hunter2\r\n": "ends with a newline",
    "hun ter2": "has white space in it",
    "\thunter2": "has white space in it",
    "hun\u00a0ter2": "has white space in it",
    "hun\x00ter2": "has a control character in it",
    "hunter2\x7f": "has a control character in it",
    "hunter2\u200b": "has a character in it that is not ASCII",
    "h\u00fcnter2": "has a character in it that is not ASCII",
    "\u0445unter2": "has a character in it that is not ASCII",
}


@pytest.mark.parametrize("name", ["access_key", "secret_key", "session_token"])
@pytest.mark.parametrize(("value", "fault"), BAD_SECRETS.items())
def test_a_key_that_can_not_be_sent_is_refused_and_not_repeated(name, value, fault):
    if name == "session_token" and not value:
        fault, name = "is empty", "secret_key"  # an empty token counts as left out
    message = refusal(**{"access_key": "AKIA", "secret_key": SECRET, "session_token": "token", name: value})
    assert message.startswith(f"{name} {fault};")
    assert "unter" not in message
    assert "ter2" not in message
    assert message.isascii()


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize(
    ("value", "fault"), [item for item in BAD_SECRETS.items() if item[0].strip() and "\0" not in item[0]]
)
def test_a_key_of_a_file_that_can_not_be_sent_is_refused_and_not_repeated(tmp_path, variable, value, fault):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET, variable: value}
    path = tmp_path / ".env.production"
    path.write_bytes("".join(f'{name}="{text}"\n' for name, text in keys.items()).encode())
    message = refusal(credentials_file=str(path))
    assert message.startswith(f"credentials_file {path}: {variable} {fault}")
    assert "unter" not in message
    assert "ter2" not in message


def test_an_odd_profile_is_refused():
    assert "profile has a newline" in refusal(profile="minio\n")


def test_a_host_that_begins_with_the_buckets_name_is_taken_when_said_so():
    options = connection_options(
        {"endpoint_url": "https://media.example.com", "bucket": "media", "addressing_style": "path"}
    )
    assert options.endpoint_url == "https://media.example.com"


@pytest.mark.parametrize(
    ("endpoint", "style", "result"),
    [
        (None, "auto", "auto"),
        ("https://fsn1.example.com", "auto", "path"),
        ("https://s3.eu-central-1.amazonaws.com", "auto", "auto"),
        ("https://amazonaws.com.example.com", "auto", "path"),
        ("https://fsn1.example.com", "virtual", "virtual"),
        (None, "path", "path"),
    ],
)
def test_addressing_style(endpoint, style, result):
    assert connection_options({"endpoint_url": endpoint, "addressing_style": style}).addressing_style == result


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"access_key": "AKIA"}, "secret_key is not; set both"),
        ({"secret_key": SECRET}, "access_key is not; set both"),
        ({"access_key": "AKIA", "secret_key": ""}, "secret_key is empty"),
        ({"access_key": "", "secret_key": SECRET}, "access_key is empty"),
        ({"access_key": "AKIA", "secret_key": SECRET + "\n"}, "secret_key ends with a newline"),
        ({"access_key": "AK IA", "secret_key": SECRET}, "access_key has white space"),
        ({"session_token": SECRET}, "session_token is set and access_key is not"),
        (
            {"profile": "p", "access_key": "AKIA", "secret_key": SECRET},
            "profile, access_key and secret_key are all set",
        ),
        ({"profile": "p", "secret_key": SECRET}, "profile and secret_key are both set"),
        ({"profile": "p", "session_token": SECRET}, "profile and session_token are both set"),
        ({"profile": "p", "credentials_file": "/x"}, "credentials_file and profile are both set"),
        ({"secret_key": SECRET, "credentials_file": "/x"}, "credentials_file and secret_key are both set"),
        ({"region": "eu central"}, "region 'eu central'"),
        ({"region": "https://x"}, "region 'https://x'"),
    ],
)
def test_contradictions_are_refused(params, named):
    assert named in refusal(**params)


def test_credentials_file(tmp_path):
    path = env_file(tmp_path, f'S3_BUCKET=media\nAWS_ACCESS_KEY_ID="AKIA1"\nAWS_SECRET_ACCESS_KEY={SECRET}\n')
    options = connection_options({"credentials_file": path})
    assert (options.access_key, options.secret_key, options.session_token) == ("AKIA1", SECRET, None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "sets no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID=AKIA\n", "sets no AWS_SECRET_ACCESS_KEY;"),
        (f"AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY={SECRET}\n", "sets no AWS_ACCESS_KEY_ID;"),
        ("AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY=a$B\n", "without references like $NAME"),
        (f"# AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY={SECRET}\n", "sets no AWS_ACCESS_KEY_ID;"),
        (f"AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY='{SECRET} x'\n", "AWS_SECRET_ACCESS_KEY has white space"),
    ],
)
def test_credentials_file_without_the_variables_is_refused(tmp_path, text, named):
    path = env_file(tmp_path, text)
    message = refusal(credentials_file=path)
    assert path in message
    assert named in message


@pytest.mark.parametrize(
    "bucket", ["", "ab", "a/b", "../x", "s3://media", "arn:aws:s3:::media", "x" * 256, "ünï", "a b"]
)
def test_what_is_no_buckets_name_is_refused(bucket):
    assert f"bucket {bucket!r} is not a bucket's name" in refusal(bucket=bucket)


@pytest.mark.parametrize("bucket", ["media", "mastodon-media-1", "files.example.com", "Old_Bucket"])
def test_buckets_that_are_taken(bucket):
    assert connection_options({"bucket": bucket}).endpoint_url is None


def test_credentials_file_missing_or_a_folder_is_refused(tmp_path):
    missing = refusal(credentials_file=str(tmp_path / "none"))
    assert f"credentials_file (the env file on this host): {tmp_path}/none does not exist; check the path" in missing
    assert f"credentials_file (the env file on this host): {tmp_path} is a folder" in refusal(
        credentials_file=str(tmp_path)
    )


def test_ca_bundle_missing_is_refused(tmp_path):
    assert f"aws_ca_bundle {tmp_path}/ca.pem is not a file" in refusal(aws_ca_bundle=f"{tmp_path}/ca.pem")
    bundle = tmp_path / "ca.pem"
    for content in ("", "no certificate"):
        bundle.write_text(content, encoding="ascii")
        assert "holds no certificate" in refusal(aws_ca_bundle=str(bundle))


def test_repr_holds_no_secret():
    options = connection_options(
        {
            "access_key": "AKIA",
            "secret_key": SECRET,
            "session_token": "token-" + SECRET,
            "aws_config": {"proxies": {"https": f"http://u:{SECRET}@proxy"}},
        }
    )
    assert SECRET not in repr(options)
    assert SECRET not in str(options)
    assert "AKIA" in repr(options)


def test_doc_fragment_and_argument_spec_say_the_same():
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert sorted(documented) == sorted(account_argument_spec())
    documented.update(yaml.safe_load(ModuleDocFragment.S3)["options"])
    spec = connection_argument_spec()
    assert sorted(documented) == sorted(spec)
    for name, option in spec.items():
        for part in ("type", "default", "choices", "aliases"):
            assert documented[name].get(part) == option.get(part), (name, part)


def test_secret_options_are_masked():
    spec = connection_argument_spec()
    assert {name for name, option in spec.items() if option.get("no_log")} == {"secret_key", "session_token"}


@pytest.mark.parametrize("option", ["bucket", "region", "aws_ca_bundle"])
@pytest.mark.parametrize("address", ["https://AKID:hidden@media.example.com", "https://media.example.com/x?key=hidden"])
def test_a_password_in_an_address_in_the_wrong_option_is_not_repeated(option, address):
    message = refusal(**{option: address})
    assert option in message
    assert "media.example.com" in message
    assert "hidden" not in message
