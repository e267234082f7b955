# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which cause follows from which facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.causes import causes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.facts import (
    Facts,
    Hop,
    HostFacts,
    ObjectFacts,
    Place,
    Target,
    UrlError,
    checked,
    target,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import StoreProblem
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.content_security_policy import SitePolicy

KEY = "accounts/avatars/a.png"
URL = f"https://files.example/{KEY}"
OLD = f"https://social.example/system/{KEY}"
STORE = f"https://s3.example/media/{KEY}"
FINE = {"content-type": "image/png", "access-control-allow-origin": "*"}
THERE = ObjectFacts(True, "image/png", readable=True, blocked=())
GONE = ObjectFacts(False)
MOVED = HostFacts(on_disk=True, sent=True, switched=True)
PRIVATE = ObjectFacts(True, "image/png", readable=False)
RIGHT = Facts(
    Target(URL, Place.BUCKET, KEY),
    "media",
    hops=(Hop(URL, 200, "", FINE),),
    origin="https://social.example",
    expected_type="image/png",
    direct=Hop(STORE, 200, "", FINE),
    found=THERE,
    host=MOVED,
    site=SitePolicy("https://social.example/", 200, "", allows=True),
)


def facts(status=200, reason="", headers=None, *, place=Place.BUCKET, url=URL, before=(), **others):
    """The facts of a URL where nothing is wrong, except for the response and what else is given."""
    last = Hop(url, status, reason, FINE if headers is None and status == 200 else headers or {})
    asked = Target(before[0].url if before else url, place, "" if place is Place.ELSEWHERE else KEY)
    return replace(RIGHT, **{"target": asked, "hops": (*before, last), **others})


def unreached(code, **others):
    return facts(None, code, **others)


DENIED = {"status": 403, "reason": "AccessDenied"}
MISSING = {"status": 404, "reason": "NoSuchKey"}
REFUSED = Hop(STORE, 403, "AccessDenied")
STALE = {**MISSING, "headers": {"x-cache-status": "HIT"}}
EXCLUDED = HostFacts(True, left_out="its folder is excluded")
DOTTED = f"https://media.example.s3.amazonaws.com/{KEY}"
REDIRECT = Hop(OLD, 301, "HTTP301", {"location": URL})
CASES = {
    "fine": (facts(), [], ""),
    "fine, by a redirect from the old address": (facts(place=Place.OLD, before=(REDIRECT,)), [], ""),
    "no DNS entry": (unreached("NameNotResolved"), ["NameNotResolved"], "files.example has no DNS entry"),
    "nothing listens": (unreached("ConnectionRefused"), ["ConnectionRefused"], "nothing listens there"),
    "no answer": (unreached("TimedOut"), ["TimedOut"], "firewall"),
    "expired": (unreached("CertificateExpired"), ["CertificateExpired"], "Renew it"),
    "private authority": (unreached("CertificateNotTrusted"), ["CertificateNotTrusted"], "browsers trust"),
    "other certificate": (unreached("CertificateOfOtherHost"), ["CertificateOfOtherHost"], "Get one for files.example"),
    "a dot in the bucket's name": (
        unreached("CertificateOfOtherHost", url=DOTTED, bucket="media.example"),
        ["DotInBucketName"],
        "media.example has a dot",
    ),
    "another server": (
        facts(place=Place.ELSEWHERE, url="https://other.example/a.png"),
        ["OtherServer"],
        "only its administrator",
    ),
    "an old address that is not redirected": (
        facts(404, "HTTP404", place=Place.OLD, url=OLD),
        ["OldAddressNotRedirected"],
        "answers 404. It should redirect to the media host",
    ),
    "an old address from the disk": (
        facts(place=Place.OLD, url=OLD),
        ["OldAddressNotRedirected"],
        "serves it from disk, where deleted and suspended media still exist. It should redirect to the media host",
    ),
    "too many redirects": (facts(302, "HTTP302", {"location": OLD}), ["Redirects"], f"to {OLD}"),
    "another region": (
        facts(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        ["WrongRegion"],
        "which is eu-west-1",
    ),
    "a web page instead": (facts(page=True), ["AliasPointsElsewhere"], "Point files.example to the bucket"),
    "another bucket behind the alias": (
        facts(404, "NoSuchBucket"),
        ["AliasPointsElsewhere"],
        "answers 404 (NoSuchBucket), although the store has the object and lets everybody read it",
    ),
    "a broken proxy": (facts(502, "HTTP502", direct=None), ["AliasPointsElsewhere"], "read the log of that server"),
    "a cached 404": (facts(**STALE), ["CachedAnswer"], "from a cache"),
    "a cached 404 by its age": (facts(404, "NoSuchKey", {"age": "31"}), ["CachedAnswer"], "with status 200"),
    "the bucket is missing in the path": (
        facts(**DENIED, target=Target(URL, Place.BUCKET, ""), found=replace(GONE, other_key=KEY)),
        ["BucketInPath"],
        "lacks the bucket",
    ),
    "the bucket is there twice": (
        facts(**MISSING, target=Target(URL, Place.BUCKET, f"media/{KEY}"), found=replace(GONE, other_key=KEY)),
        ["BucketInPath"],
        "has the bucket in its path",
    ),
    "no key prefix": (
        facts(**MISSING, found=replace(GONE, other_key=f"live/{KEY}")),
        ["KeyPrefix"],
        f"asks for the key {KEY}, but the object has the key live/{KEY}",
    ),
    "an archive": (facts(**DENIED, private_folder=True), ["PrivateFolder"], "signed addresses"),
    "a suspended account": (
        facts(**DENIED, found=PRIVATE, direct=REFUSED, host=replace(MOVED, private=True)),
        ["PrivateObject"],
        "suspends an account",
    ),
    "a private ACL": (facts(**DENIED, found=PRIVATE, direct=REFUSED), ["AclIsPrivate"], "S3_PERMISSION is public-read"),
    "a policy": (facts(**DENIED, found=PRIVATE, direct=REFUSED, acls=False), ["PolicyDenies"], "Deny statement"),
    "a public access block": (
        facts(**DENIED, direct=REFUSED, found=replace(THERE, blocked=("block_public_policy",))),
        ["PublicAccessBlock"],
        "block_public_policy",
    ),
    "never sent": (facts(**MISSING, found=GONE, host=EXCLUDED), ["NeverSent"], "not sent: its folder is excluded."),
    "only on disk, before the switch": (
        facts(**MISSING, found=GONE, host=HostFacts(True, sent=False, switched=False)),
        ["OnlyOnDisk"],
        "only on disk. Run the migrate playbook",
    ),
    "only on disk, after the switch": (
        facts(**MISSING, found=GONE, host=HostFacts(True, sent=False, switched=True)),
        ["OnlyOnDisk"],
        "a process with old settings wrote it",
    ),
    "a 403 that is a missing object": (
        facts(**DENIED, found=GONE, host=MOVED),
        ["DeletedByMastodon"],
        "not in the bucket (the store shows visitors the same answer",
    ),
    "deleted in both places": (
        facts(**MISSING, found=GONE, host=HostFacts(False, sent=True, switched=True)),
        ["DeletedByMastodon"],
        "no longer on disk",
    ),
    "never seen": (
        facts(**MISSING, found=GONE, host=HostFacts(False, sent=False, switched=True)),
        ["Unknown"],
        "tootctl media refresh",
    ),
    "a store that refuses the key": (
        facts(**DENIED, store=StoreProblem("InvalidAccessKeyId", "The key is unknown.", "Create one.")),
        ["InvalidAccessKeyId"],
        "The key is unknown. Create one.",
    ),
    "nothing is known": (facts(**DENIED, found=ObjectFacts()), ["AccessDenied"], "s3:ListBucket"),
    "a wrong type in the bucket": (
        facts(headers={**FINE, "content-type": "text/plain"}, found=replace(THERE, content_type="text/plain")),
        ["WrongContentType"],
        "mastodon_s3_repair",
    ),
    "a wrong type of the proxy": (
        facts(headers={**FINE, "content-type": "application/octet-stream; x=1"}),
        ["WrongContentType"],
        "In the bucket it is image/png. Correct the proxy",
    ),
    "no CORS, and a policy": (
        facts(headers={"content-type": "image/png"}, site=SitePolicy("p", 200, "", False, (), ("img-src 'self'",))),
        ["CorsMissing", "PolicyBlocksMedia"],
        "lets pages of https://social.example use it",
    ),
    "CORS twice": (
        facts(headers={**FINE, "access-control-allow-origin": "*, *"}),
        ["CorsTwice"],
        "more than once (*, *)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cause(case):
    given, codes, said = CASES[case]
    found = causes(given)
    assert [cause.code for cause in found] == codes
    text = " ".join(f"{cause.message} {cause.remedy}" for cause in found)
    assert said in text
    for cause in found:
        assert cause.message.endswith(".")
        assert cause.remedy.endswith(".")
        assert cause.remedy[0].isupper()


def parts(url, prefix="", public="https://files.example"):
    found = target(
        checked(url),
        bucket="media",
        key_prefix=prefix,
        public_url=public,
        old_urls=["https://social.example/system"],
    )
    return found.place.value, found.object_key, found.other_keys


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        (f"{URL}?X-Amz-Signature=abc", {}, ("bucket", KEY, ())),
        ("https://files.example/a%20b%2Bc.png", {}, ("bucket", "a b+c.png", ())),
        (OLD, {"prefix": "live/"}, ("old", f"live/{KEY}", ())),
        (URL, {"prefix": "live/"}, ("bucket", KEY, (f"live/{KEY}",))),
        (
            f"https://files.example/live/live/{KEY}",
            {"prefix": "live/"},
            ("bucket", f"live/live/{KEY}", (f"live/live/live/{KEY}", f"live/{KEY}")),
        ),
        (f"https://files.example/media/{KEY}", {}, ("bucket", f"media/{KEY}", (KEY,))),
        (f"https://s3.example/{KEY}", {"public": "https://s3.example/media"}, ("bucket", "", (KEY,))),
        ("https://social.example/@somebody", {}, ("elsewhere", "", ())),
        ("https://social.example/systematic/a.png", {}, ("elsewhere", "", ())),
        ("https://files.example.evil/a.png", {}, ("elsewhere", "", ())),
    ],
)
def test_what_a_url_stands_for(url, options, expected):
    assert parts(url, **options) == expected


@pytest.mark.parametrize(
    "url",
    [
        "files.example/a",
        "file:///etc/passwd",
        "https://",
        "https://u:secret@files.example/a",
        "https://a b/c",
        "https://ä/",
        "https://files.example/a\nb",
        "https://files.example:x/",
        f"https://files.example/{'a' * 5000}",
    ],
)
def test_what_is_no_url_of_media_is_refused(url):
    with pytest.raises(UrlError) as caught:
        checked(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", ["../.env.production", "a/%2e%2e/b", "a//b", "a/./b", "a%0Ab", "%00"])
def test_a_path_that_leads_outside_is_refused(path):
    with pytest.raises(UrlError, match="a path that no media can have"):
        parts(f"https://files.example/{path}")
