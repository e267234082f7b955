# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects import acl as under_test

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
GROUPS = "http://acs.amazonaws.com/groups/global"
OWNER = '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>1</ID></Grantee>'


def answer(*grants, namespace=NAMESPACE):
    told = "".join(
        f"<Grant>{OWNER if who is None else f'<Grantee><URI>{GROUPS}/{who}</URI></Grantee>'}"
        f"<Permission>{right}</Permission></Grant>"
        for who, right in ((None, "FULL_CONTROL"), *grants)
    )
    return (
        f'<?xml version="1.0"?><AccessControlPolicy {namespace}><Owner><ID>1</ID></Owner>'
        f"<AccessControlList>{told}</AccessControlList></AccessControlPolicy>"
    ).encode()


@pytest.mark.parametrize("namespace", ["", NAMESPACE])
@pytest.mark.parametrize(
    ("grants", "readable", "changeable", "closed", "canned"),
    [
        ([], False, False, True, "private"),
        ([("AllUsers", "READ")], True, False, False, "public-read"),
        ([("AllUsers", "FULL_CONTROL")], True, True, False, None),
        ([("AllUsers", "READ"), ("AllUsers", "WRITE")], True, True, False, None),
        ([("AllUsers", "READ_ACP")], False, False, False, None),
        ([("AuthenticatedUsers", "READ")], False, False, False, None),
        ([("AuthenticatedUsers", "WRITE_ACP")], False, True, False, None),
    ],
)
def test_what_everybody_is_granted(namespace, grants, readable, changeable, closed, canned):
    found = under_test.acl_of(under_test.parsed(answer(*grants, namespace=namespace)))
    assert found == under_test.Acl(readable, changeable, closed, canned)


def grant(right, **grantee):
    return {"Grantee": grantee, "Permission": right}


MINE = grant("FULL_CONTROL", ID="1", Type="CanonicalUser")
EVERYBODY = grant("READ", Type="Group", URI=f"{GROUPS}/AllUsers")


def test_boto3_says_the_same():
    found = under_test.acl_of({"Owner": {"ID": "1"}, "Grants": [MINE, EVERYBODY]})
    assert found == under_test.Acl(readable=True, changeable=False, closed=False, canned="public-read")


@pytest.mark.parametrize(
    ("owner", "grants", "canned"),
    [
        ({"ID": "1"}, [MINE, grant("READ", ID="2")], None),
        ({"ID": "1"}, [MINE, EVERYBODY, grant("READ", ID="2")], None),
        # Who owns an object that comes without its owner can't be told: what it is granted may be another's.
        ({}, [MINE], None),
        ({}, [], "private"),
        ({}, [EVERYBODY], "public-read"),
    ],
)
def test_a_canned_acl_grants_nothing_to_other_accounts(owner, grants, canned):
    assert under_test.acl_of({"Owner": owner, "Grants": grants}).canned == canned


@pytest.mark.parametrize("said", [b"", b"<html><body>", b"<html/>", b"<AccessControlPolicy/>"])
def test_what_is_no_acl_grants_nothing_but_an_error(said):
    with pytest.raises(ValueError, match="no "):
        under_test.parsed(said)
