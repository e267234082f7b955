# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.fediverse.mastodon_s3.plugins.filter.name_variables import FilterModule, name_variables
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import (
    diagnosis,
    error_codes,
    options,
)

ROLE = Path(__file__).resolve().parents[4] / "roles" / "mastodon_s3"
NAMES = yaml.safe_load((ROLE / "vars" / "main" / "options.yml").read_text(encoding="utf-8"))
ADMIN = NAMES["__mastodon_s3_admin_options"]
INSTANCE = NAMES["__mastodon_s3_instance_options"]
SYNC = yaml.safe_load((ROLE / "vars" / "main" / "sync.yml").read_text(encoding="utf-8"))
ROUND = yaml.safe_load((ROLE / "tasks" / "round.yml").read_text(encoding="utf-8"))[0]["fediverse.mastodon_s3.s3_sync"]
MEANINGS = sorted(
    {f"{meaning.fault}; {meaning.remedy}" for meaning in error_codes.MEANINGS.values()}
    | {diagnosis.wrong_region("a-1", "b-2").remedy, diagnosis.tls_expected("X").remedy}
)
UNAMBIGUOUS = set(options.connection_argument_spec()) - {"bucket", "region", "profile", "checksums"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Check access_key.", "Check A."),
        ("set access_key and secret_key", "set A and S"),
        ("Set region: eu-west-3", "Set R: eu-west-3"),
        ("set region and endpoint_url to match", "set R and E to match"),
        ("set endpoint_url and region to match", "set E and R to match"),
        ("region 'x y' is not a region's name", "R 'x y' is not a region's name"),
        ("bucket 'X' is not a bucket's name", "B 'X' is not a bucket's name"),
        ("the bucket does not exist; check bucket and endpoint_url", "the bucket does not exist; check B and E"),
        ("check the key's permissions on this bucket", "check the key's permissions on this bucket"),
        (
            "the region or the endpoint is not that of the bucket",
            "the region or the endpoint is not that of the bucket",
        ),
        ("mastodon_access_key and access_keys stay", "mastodon_access_key and access_keys stay"),
        ("profile and access_key are both set; use one of them", "P and A are both set; use one of them"),
        ("credentials_file and profile are both set", "credentials_file and P are both set"),
        (
            "profile, access_key and secret_key are all set; set profile, or set the others",
            "P, A and S are all set; set P, or set the others",
        ),
        ("the profile and the region are good", "the profile and the region are good"),
        ("root: /x is not a folder; run it as root", "T: /x is not a folder; run it as root"),
        ("endpoint_url 'https://access_key.example'", "E 'https://access_key.example'"),
    ],
)
def test_replaces_options_but_not_common_words(text, result):
    names = {
        "access_key": "A",
        "secret_key": "S",
        "region": "R",
        "endpoint_url": "E",
        "bucket": "B",
        "profile": "P",
        "root": "T",
    }
    if "access_key.example" in text:
        names.pop("access_key")
    assert FilterModule().filters()["name_variables"](text, names) == result


@pytest.mark.parametrize("meaning", MEANINGS)
def test_every_store_message_names_variables_only(meaning):
    """So that whoever writes a new one learns that the role does not know the option."""
    result = name_variables(meaning, ADMIN)
    left = {name for name in UNAMBIGUOUS if re.search(rf"(?<![\w.-]){name}(?![\w-])", result)}
    assert left == set(), result
    assert not re.search(r"\b(?:[Ss]et|[Cc]heck) (?:region|bucket|profile)\b", result)


def test_the_named_variables_exist():
    described = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    known = set(described["argument_specs"]["main"]["options"])
    for names in (value for value in NAMES.values() if not isinstance(value, str)):
        variables = {word for value in names.values() for word in re.findall(r"\bmastodon_s3_\w+", value)}
        assert variables
        assert variables <= known


def test_an_empty_tree_names_the_variable_that_allows_it():
    said = "src /x contains no file for the bucket. If this is a new server without media, set allow_empty=true"
    assert name_variables(said, INSTANCE) == (
        "mastodon_s3_media_root /x contains no file for the bucket. If this is a new server without media,"
        " set mastodon_s3_new_server=true"
    )


def test_every_option_of_a_round_has_a_variable():
    taken = {
        option: variable[1]
        for option, value in [*SYNC["__mastodon_s3_sync"].items(), *ROUND.items()]
        if (variable := re.fullmatch(r"\{\{ (mastodon_s3_\w+)( \| default\(omit, true\))? \}\}", str(value)))
    }
    assert len(taken) > 5
    assert {option: INSTANCE.get(option) for option in taken} == taken


def test_all_modules_use_the_action_plugin():
    """All modules, through the action in meta/runtime.yml or their own action."""
    runtime = yaml.safe_load((ROLE.parents[1] / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    routed = {
        name
        for name, entry in runtime["plugin_routing"]["modules"].items()
        if entry == {"action_plugin": "fediverse.mastodon_s3.variable_names"}
    }
    assert routed | {"s3_sync"} == set(runtime["action_groups"]["all"])


def test_values_that_are_not_strings_are_refused():
    with pytest.raises(AnsibleFilterError, match="needs a string"):
        name_variables(5, {})
