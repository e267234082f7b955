# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides from the facts why a media URL does not work, and what to do. Pure.

The first cause explains what visitors see. Further ones are faults of their own, which would show after it is gone.
"""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.facts import Facts, Hop, Place
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import StoreProblem
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import (
    CERTIFICATE_OF_OTHER_HOST,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import no_answer

_READABLE = (200, 206, 416)
_REDIRECTS = (301, 302, 303, 307, 308)
# Headers in which caches say that they gave an old answer
_CACHE_HEADERS = ("x-cache", "x-cache-status", "x-proxy-cache", "cf-cache-status", "x-cached")
_CORS = "access-control-allow-origin"
_MIGRATE = "run the migrate playbook, which sends it"
_HIDDEN = " (the store shows visitors the same answer for an object that does not exist and one they may not read)"


def causes(facts: Facts) -> list[StoreProblem]:
    """Return the causes, the decisive one first; none if nothing is wrong."""
    decisive = _unreachable(facts) or _elsewhere(facts) or _refused(facts)
    found = [decisive] if decisive else []
    return [*found, *_of_response(facts), *_of_site(facts)]


def _cause(code: str, message: str, remedy: str) -> StoreProblem:
    return StoreProblem(code, f"{message}.", f"{remedy[0].upper()}{remedy[1:]}.")


def _unreachable(facts: Facts) -> StoreProblem | None:
    last = facts.hops[-1]
    if last.status is not None:
        return None
    host = urlsplit(last.url).hostname or ""
    if last.reason == CERTIFICATE_OF_OTHER_HOST and "." in facts.bucket and host.startswith(f"{facts.bucket}."):
        return _cause(
            "DotInBucketName",
            f"The name of the bucket {facts.bucket} has a dot, so the store's certificate does not cover {host}",
            "use a host of your own (mastodon_s3_alias_host), addresses with the bucket in the path, or a bucket"
            " without a dot in its name",
        )
    what, remedy = no_answer(last.reason, urlsplit(last.url).netloc)
    return _cause(last.reason, f"{last.url} can't be fetched: {what}", remedy)


def _elsewhere(facts: Facts) -> StoreProblem | None:
    first, last = facts.hops[0], facts.hops[-1]
    if facts.target.place is Place.ELSEWHERE:
        return _cause(
            "OtherServer",
            f"{facts.target.url} is neither below the public address of the bucket nor below the site's old addresses",
            "check the URL. If another server hosts the file, only its administrator can help. If this Mastodon shows"
            " the URL, its settings name a wrong host: run the verify playbook",
        )
    if last.status in _REDIRECTS:
        return _redirected(facts, last)
    if facts.target.place is Place.OLD and first.status not in _REDIRECTS:
        if first.status in _READABLE and not facts.host.switched:
            return None
        what = "serves it from disk, where deleted and suspended media still exist"
        return _cause(
            "OldAddressNotRedirected",
            f"{first.url} is an address from before the switch, and the web server"
            f" {what if first.status in _READABLE else f'answers {first.status}'}"
            f"{'. It should redirect to the media host' if facts.host.switched else ''}",
            "run the media_server playbook, or redirect these addresses on the web server to the media host yourself"
            if facts.host.switched
            else "see that the web server serves the folder of the media below this address",
        )
    return None


def _redirected(facts: Facts, last: Hop) -> StoreProblem:
    if last.reason in ("PermanentRedirect", "TemporaryRedirect") or "x-amz-bucket-region" in last.headers:
        region = last.headers.get("x-amz-bucket-region", "")
        return _cause(
            "WrongRegion",
            f"{last.url} belongs to another region than that of the bucket{f', which is {region}' if region else ''}",
            "correct mastodon_s3_region and mastodon_s3_hostname, or the address to which the proxy of the media host"
            " leads",
        )
    target = last.headers.get("location", "nowhere")
    return _cause(
        "Redirects",
        f"{facts.target.url} still redirects after {len(facts.hops)} requests, to {target}, so other servers give up",
        "correct the redirect on that web server: it must lead straight to the object",
    )


def _refused(facts: Facts) -> StoreProblem | None:
    last = facts.hops[-1]
    if last.status in _READABLE and not facts.page:
        return None
    if facts.store is not None:
        return facts.store
    found = facts.found
    if found.other_key:
        return _wrong_key(facts)
    if found.exists is False:
        return _missing(facts)
    if facts.page:
        return _other_content(facts)
    if found.exists:
        return _unreadable(facts)
    return _cause(
        last.reason or f"HTTP{last.status}",
        f"{last.url} answers {last.status} ({last.reason}), and the instance's key can't find out whether the object"
        " exists",
        "give the key the permission s3:ListBucket on the bucket, and run this again",
    )


def _other_content(facts: Facts) -> StoreProblem:
    last = facts.hops[-1]
    return _cause(
        "AliasPointsElsewhere",
        f"{last.url} answers with a web page, although the object is in the bucket: another server answers there",
        f"point {urlsplit(last.url).netloc} to the bucket, by its DNS entry or by the rule of its proxy",
    )


def _wrong_key(facts: Facts) -> StoreProblem:
    wrong, right = facts.target.object_key, facts.found.other_key
    if wrong in ("", f"{facts.bucket}/{right}"):
        what = "lacks the bucket" if not wrong else "has the bucket in its path, which this host adds itself"
        return _cause(
            "BucketInPath",
            f"{facts.target.url} {what}. The object {right} is in the bucket",
            "correct mastodon_s3_hostname or mastodon_s3_alias_host, or the rule of the proxy of the media host:"
            " S3_HOSTNAME is followed by the bucket's name, and S3_ALIAS_HOST is not",
        )
    return _cause(
        "KeyPrefix",
        f"{facts.target.url} asks for the key {wrong}, but the object has the key {right}",
        "the prefix must be in the address exactly once: correct mastodon_s3_key_prefix (S3_KEY_PREFIX), or the rule of"
        " the proxy of the media host",
    )


def _missing(facts: Facts) -> StoreProblem:
    host, last = facts.host, facts.hops[-1]
    where = "The object is not in the bucket" + (_HIDDEN if last.status == 403 else "")
    if host.on_disk and host.left_out:
        return _cause(
            "NeverSent",
            f"{where}. The file is on disk, but was not sent: {host.left_out}",
            "change the variable that leaves it out if it has to be public, and run the migrate playbook. Private files"
            " are left out on purpose",
        )
    if host.on_disk and host.sent and host.switched:
        return _cause(
            "DeletedByMastodon",
            f"{where}. It was sent, and deleted from the bucket after the switch, by Mastodon or by hand. The file on"
            " disk is an old copy",
            "nothing, if the post or the account was deleted. Otherwise find out what deletes objects, for example a"
            " lifecycle rule",
        )
    if host.on_disk:
        after = " since the switch: a process with old settings wrote it" if host.switched else ""
        return _cause(
            "OnlyOnDisk",
            f"{where}. The file is only on disk{after}",
            (f"restart Mastodon's processes, and {_MIGRATE}" if host.switched else _MIGRATE),
        )
    if host.sent:
        return _cause(
            "DeletedByMastodon",
            f"{where}, and the file is no longer on disk. It was there during the copy, so it was deleted since then",
            "nothing, if the post or the account was deleted",
        )
    return _cause(
        "Unknown",
        f"{where}, and there is no such file on disk. It was lost before the copy, or deleted",
        "media of other servers can be fetched again with tootctl media refresh, or tootctl accounts refresh for"
        " avatars. A file of this server has to come from a backup",
    )


def _unreadable(facts: Facts) -> StoreProblem:
    last, direct, found = facts.hops[-1], facts.direct, facts.found
    said = f"{last.url} answers {last.status}" + (f" ({last.reason})" if last.reason else "")
    if facts.private_folder:
        return _cause(
            "PrivateFolder",
            f"{said}, because this folder is private: account archives must not be public",
            "nothing: users download their archives from signed addresses, which Mastodon makes for them",
        )
    if direct is not None and direct.status in _READABLE:
        return _stale(facts) if _is_cached(last) else _proxy_fault(facts, said)
    if found.readable is False and facts.acls:
        if facts.host.private:
            return _cause(
                "PrivateObject",
                f"{said}, because the object is private, as the file on disk is. Mastodon does that when it suspends an"
                " account",
                "nothing, if the account is suspended. Mastodon makes the media public again when it is restored",
            )
        return _cause(
            "AclIsPrivate",
            f"{said}, because the ACL of the object does not let everybody read it. Either Mastodon has suspended the"
            " account since the copy, or it runs with a wrong S3_PERMISSION",
            "nothing, if the account is suspended. Otherwise see that S3_PERMISSION is public-read, and run the verify"
            " playbook",
        )
    if found.blocked:
        return _cause(
            "PublicAccessBlock",
            f"{said}, because the public access block of the bucket is active: {', '.join(found.blocked)}",
            "set mastodon_s3_manage_ownership to true and run the migrate playbook, or remove the block yourself",
        )
    if last.status is not None and last.status >= 500:
        return _proxy_fault(facts, said)
    return _cause(
        "PolicyDenies",
        f"{said}, although the object is in the bucket: no policy or ACL lets everybody read it, or one denies it",
        "run the migrate playbook with the tag mastodon_s3_probe, which sets the bucket's policy. If that does not"
        " help, look for a Deny statement in the policy and for a public access block of the whole account",
    )


def _is_cached(hop: Hop) -> bool:
    words = " ".join(hop.headers.get(name, "") for name in _CACHE_HEADERS).lower()
    return "hit" in words or "stale" in words or hop.headers.get("age", "0").strip() not in ("", "0")


def _stale(facts: Facts) -> StoreProblem:
    last = facts.hops[-1]
    return _cause(
        "CachedAnswer",
        f"{last.url} answers {last.status} from a cache, although the store has the object and lets everybody read it",
        "remove this address from the cache of the proxy or CDN. Let it cache only answers with status 200",
    )


def _proxy_fault(facts: Facts, said: str) -> StoreProblem:
    host = urlsplit(facts.hops[-1].url).netloc
    return _cause(
        "AliasPointsElsewhere",
        f"{said}, although the store has the object"
        + (" and lets everybody read it" if facts.direct and facts.direct.status in _READABLE else ""),
        f"see that {host} leads to the bucket {facts.bucket} with the same path, by its DNS entry or the rule of its"
        " proxy, and read the log of that server",
    )


def _of_response(facts: Facts) -> t.Iterator[StoreProblem]:
    last = facts.hops[-1]
    if last.status not in _READABLE or facts.page or facts.target.place is Place.ELSEWHERE:
        return
    yield from _type_fault(facts, last.headers.get("content-type", "").partition(";")[0].strip().lower())
    allowed = last.headers.get(_CORS, "")
    if facts.origin and "," in allowed:
        yield _cause(
            "CorsTwice",
            f"{last.url} has the header Access-Control-Allow-Origin more than once ({allowed}), which browsers refuse",
            "send it from the store or from the proxy, but not from both",
        )
    elif facts.origin and allowed not in ("*", facts.origin):
        yield _cause(
            "CorsMissing",
            f"{last.url} has no header Access-Control-Allow-Origin that lets pages of {facts.origin} use it, so players"
            f" and scripts can't{f': it is {allowed}' if allowed else ''}",
            "set it in the bucket (mastodon_s3_cors_origins) or in the proxy in front of it",
        )


def _type_fault(facts: Facts, shown: str) -> t.Iterator[StoreProblem]:
    if facts.expected_type is None or shown == facts.expected_type:
        return
    stored = facts.found.content_type
    yield _cause(
        "WrongContentType",
        f"{facts.hops[-1].url} has the content type {shown or 'none'}, but a file of this name is {facts.expected_type}"
        + ("" if stored is None else f". In the bucket it is {stored}"),
        "correct the proxy of the media host, which changes it"
        if stored == facts.expected_type
        else "run the migrate playbook with mastodon_s3_repair set to true, which corrects the headers of objects",
    )


def _of_site(facts: Facts) -> t.Iterator[StoreProblem]:
    site = facts.site
    if facts.target.place is Place.BUCKET and site is not None and site.allows is False:
        host = urlsplit(facts.target.url).netloc
        yield _cause(
            "PolicyBlocksMedia",
            f"The content security policy of {site.url} does not let browsers load media from {host}:"
            f" {'; '.join(site.blocked)}",
            "if Mastodon sends it, restart its web process, or correct S3_ALIAS_HOST and S3_HOSTNAME. If a web server"
            f" in front of it does, add {host} to these directives there. Browsers keep an old policy for up to a week",
        )
