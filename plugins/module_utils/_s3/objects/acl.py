# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the ACL of an object grants to the public. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.xml import root_of

_EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
_EVERY_ACCOUNT = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
_READS = {"READ", "FULL_CONTROL"}
_CHANGES = {"WRITE", "WRITE_ACP", "FULL_CONTROL"}
# Grantees other than the owner: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
_CANNED: dict[tuple[tuple[t.Any, t.Any], ...], str] = {(): "private", ((_EVERYBODY, "READ"),): "public-read"}


class Acl(t.NamedTuple):
    """What an ACL grants beyond single accounts.

    Attributes:
        readable: Everybody can read the object.
        changeable: Everybody, or every account of the provider, can change the ACL or more.
        closed: It grants nothing to everybody or to every account of the provider.
        canned: The equivalent canned ACL, C(private) or C(public-read); None if there is none.
    """

    readable: bool
    changeable: bool
    closed: bool
    canned: str | None = None


def acl_of(answer: t.Mapping[str, t.Any]) -> Acl:
    """Return what a response to GetObjectAcl, in boto3's form, grants."""
    owner = (answer.get("Owner") or {}).get("ID")
    grants = [(grant.get("Grantee") or {}, grant.get("Permission")) for grant in answer.get("Grants") or []]
    others = [(who.get("URI"), right) for who, right in grants if owner is None or who.get("ID") != owner]
    open_grants = [(group, right) for group, right in others if group in (_EVERYBODY, _EVERY_ACCOUNT)]
    return Acl(
        readable=any(group == _EVERYBODY and right in _READS for group, right in open_grants),
        changeable=any(right in _CHANGES for _group, right in open_grants),
        closed=not open_grants,
        canned=_CANNED.get(tuple(others)),
    )


def parsed(answer: bytes) -> dict[str, t.Any]:
    """Return a response to GetObjectAcl in boto3's form.

    Raises:
        ValueError: It is not such a response.
    """
    root = root_of(answer, "AccessControlPolicy")
    if root.find("{*}AccessControlList") is None:
        raise ValueError("no ACL, but a policy without a list of grants")
    return {
        "Owner": {"ID": root.findtext("{*}Owner/{*}ID")},
        "Grants": [
            {
                "Grantee": {"ID": grant.findtext("{*}Grantee/{*}ID"), "URI": grant.findtext("{*}Grantee/{*}URI")},
                "Permission": grant.findtext("{*}Permission"),
            }
            for grant in root.iterfind("{*}AccessControlList/{*}Grant")
        ],
    }
