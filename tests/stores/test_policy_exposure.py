"""Whether a policy that the role calls private really is: visitors without credentials try, at each real store."""

from __future__ import annotations

import http.client
import json
import ssl
from urllib.parse import quote, urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import PolicyError, parse_policy
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy_setting import refuse_openings

STORES = ["minio", "rgw", "seaweedfs", "versitygw"]
SECRET = "backups/dumps/archive.zip"
PUBLIC = "accounts/avatar.png"
PROTECTED = ["backups/", "imports/"]


def statement(**parts):
    return {
        "Sid": "T",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::B/*",
        **parts,
    }


def renamed(**names):
    return {names.get(name, name): value for name, value in statement().items()}


def _principals():
    users = [
        *("*", "", "anonymous", "?", "guest", "123456789012", "000000000000", "arn:aws:iam:::root"),
        *("arn:aws-cn:iam:::root", "arn:aws:iam::*:root", "arn:aws:iam::123456789012:root", "arn:aws:iam:::user/*"),
        *("arn:aws:iam:::user/anonymous", "arn:aws-us-gov:iam:::user/anonymous", "arn:aws:iam:::user/bob", "arn:*"),
    ]
    forms = [*({"AWS": user} for user in users), "*", "", ["*"], {}, {"AWS": []}, {"*": "*"}, {"aws": "*"}]
    forms += [{kind: "*"} for kind in ("CanonicalUser", "Federated", "Service")]
    forms += [{"CanonicalUser": "0" * 64}, {"Service": "s3.amazonaws.com"}]
    forms += [{"AWS": user} for user in ("root", "bob", "minioadmin", "arn:aws:sts::123456789012:assumed-role/a/b")]
    forms += [{"Federated": "arn:aws:iam::123456789012:saml-provider/a"}]
    forms += [{"AWS": "arn:aws:iam:::user/bob", "aws": "*"}, {"AWS": ["arn:aws:iam:::user/bob", "*"]}]
    for form in forms:
        yield f"principal {form}", [statement(Principal=form)]
        yield f"listing by {form}", [statement(Principal=form, Action="s3:ListBucket", Resource="arn:aws:s3:::B")]
    without = {name: value for name, value in statement().items() if name != "Principal"}
    yield "no principal", [without]
    yield "NotPrincipal", [{**without, "NotPrincipal": {"AWS": "arn:aws:iam:::user/bob"}}]


def _elements():
    for name in ("Effect", "Principal", "Action", "Resource"):
        for other in (name.lower(), name.upper(), name.replace("s", "\u017f")):
            yield f"element {other}", [renamed(**{name: other})]
    narrow = statement(Resource="arn:aws:s3:::B/accounts/*")
    yield "resource and Resource", [{**narrow, "resource": "arn:aws:s3:::B/*"}]
    yield "principal beside Principal", [{**statement(Principal={"AWS": "arn:aws:iam:::user/bob"}), "principal": "*"}]
    yield "single statement", json.dumps({"Version": "2012-10-17", "Statement": statement()})
    yield "lower-case statement", json.dumps({"Version": "2012-10-17", "statement": [statement()]})
    both = {"Version": "2012-10-17", "Statement": [narrow], "statement": [statement()]}
    yield "statement beside Statement", json.dumps(both)
    twice = json.dumps({"Version": "2012-10-17", "Statement": [statement(Principal={"AWS": "123456789012"})]})
    yield "Principal twice", twice.replace('"Action"', '"Principal": "*", "Action"')
    named = statement(Condition={"StringEquals": {"aws:PrincipalAccount": "123456789012"}})
    yield "condition beside Condition", [{**named, "condition": {}}]
    yield "NotAction", [{**{k: v for k, v in statement().items() if k != "Action"}, "NotAction": "s3:PutObject"}]
    without = {name: value for name, value in statement().items() if name != "Resource"}
    yield "NotResource", [{**without, "NotResource": "arn:aws:s3:::B/accounts/*"}]
    yield "a Deny beside", [statement(), statement(Sid="D", Effect="Deny", Resource="arn:aws:s3:::B/backups/*")]
    yield (
        "a Deny that may not apply",
        [statement(), statement(Sid="D", Effect="Deny", Condition={"StringEquals": {"aws:Referer": "x"}})],
    )


def _actions_and_resources():
    objects = ["s3:*", "*", "s3:Get*", "S3:GETOBJECT", "s3:GetObjectVersion", "s3:?etObject", "s3:PutObject"]
    for action in (*objects, "s3:PutObjectAcl", "s3:DeleteObject", "s3:GetObjectAttributes"):
        yield f"action {action}", [statement(Action=action)]
    buckets = ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:List*", "s3:*"]
    for action in (*buckets, "s3:GetBucketLocation", "s3:ListenBucketNotification"):
        for place in ("B", "B/", "B*", "B/*"):
            yield f"{action} on {place}", [statement(Action=action, Resource=f"arn:aws:s3:::{place}")]
    for action in ("s3:GetObject", "s3:Get*", "s3:GetBucket*", "s3:GetObjectAcl", "s3:HeadBucket"):
        for place in ("B", "B/"):
            yield f"{action} on {place}", [statement(Action=action, Resource=f"arn:aws:s3:::{place}")]
    resources = [
        *(
            "B/backups/*",
            "B/?ackups/*",
            "B/*/archive.zip",
            "B/backups/*/",
            "B*backups/*",
            "B?backups/*",
            "*",
            "*/backups/*",
        ),
        *("B/accounts/../backups/*", "B/accounts/*/../../backups/*", "B/./backups/*", "B//backups/*", "B/backups//*"),
        *("/B/*", "B//*", "x/../B/*", "B/${aws:username}*", "B/${*}", "B/Backups/*", "B/%62ackups/*", "B/accounts/*"),
        *("B/accounts*", "B/accounts/", "B/b${aws:username, 'ack'}ups/*", "B\\/*", "B/accounts/%2e%2e/backups/*"),
    ]
    for resource in resources:
        yield f"resource {resource}", [statement(Resource=f"arn:aws:s3:::{resource}")]
    yield "resource in a list", [statement(Resource=["arn:aws:s3:::B/accounts/*", "arn:aws:s3:::B/a/../backups/*"])]


def _conditions():
    equal = {
        "aws:userid": ("", "AIDAEXAMPLE"),
        "aws:username": ("", "bob", "anonymous"),
        "aws:principaltype": ("Anonymous", "User"),
        "aws:PrincipalAccount": ("", "123456789012"),
        "aws:PrincipalArn": ("", "arn:aws:iam::123456789012:user/bob", "arn:aws:iam:::user/anonymous"),
        "aws:PrincipalOrgID": ("o-1",),
        "aws:SourceAccount": ("123456789012",),
        "aws:SourceVpce": ("vpce-1",),
        "aws:Referer": ("https://example.com",),
        "aws:UserAgent": ("visitor",),
        "s3:authType": ("", "REST-HEADER"),
        "s3:signatureversion": ("",),
        "s3:x-amz-content-sha256": ("UNSIGNED-PAYLOAD",),
        "s3:ExistingObjectTag/public": ("yes",),
        "s3:versionid": ("",),
        "jwt:sub": ("bob",),
        "ldap:user": ("bob",),
    }
    found = [("StringEquals", key, value) for key, values in equal.items() for value in values]
    found += [(f"{operator}", "aws:userid", "bob") for operator in ("StringNotEquals", "StringEqualsIfExists")]
    found += [(f"For{many}Values:StringEquals", "aws:userid", "bob") for many in ("All", "Any")]
    found += [("ForAllValues:StringEquals", "aws:PrincipalAccount", "123456789012")]
    found += [("StringEqualsIfExists", "aws:PrincipalAccount", "123456789012"), ("StringLike", "aws:userid", "*")]
    found += [("Null", key, yes) for key in ("aws:userid", "aws:PrincipalAccount") for yes in ("true", "false")]
    found += [("IpAddress", "aws:SourceIp", place) for place in ("0.0.0.0/0", "192.0.2.1/32")]
    found += [("NotIpAddress", "aws:SourceIp", "192.0.2.1/32"), ("Bool", "aws:SecureTransport", "true")]
    found += [("StringEquals", "aws:PrincipalAccount", []), ("StringEquals", "aws:userid", ["bob", ""])]
    for operator, key, value in found:
        yield f"{operator} {key} {value!r}", [statement(Condition={operator: {key: value}})]
    yield "no operator", [statement(Condition={})]
    yield "no key", [statement(Condition={"StringEquals": {}})]
    for prefix in ("backups/", ""):
        condition = {"StringEquals": {"s3:prefix": prefix}}
        listing = statement(Action="s3:ListBucket", Resource="arn:aws:s3:::B", Condition=condition)
        yield f"listing with prefix {prefix!r}", [listing]


POLICIES = dict([*_principals(), *_elements(), *_actions_and_resources(), *_conditions()])


class PolicyVisitor:
    """Sends requests without credentials over one connection, as they are, dots in the path included."""

    def __init__(self, store, bucket):
        url = urlsplit(store.endpoint_url)
        trust = ssl.create_default_context(cafile=store.ca_bundle)
        self._connection = http.client.HTTPSConnection(url.hostname, url.port, context=trust, timeout=30)
        self._bucket = bucket

    def succeeds(self, path, method="GET", **headers):
        self._connection.request(method, f"/{self._bucket}{path}", headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        return 200 <= answer.status < 300

    def reads_secrets(self, policy):
        """Whether one of a visitor's tricks shows a protected object or the keys of such, or changes one."""
        tricks = [{}, {"Referer": "https://example.com", "User-Agent": "visitor"}]
        tricks += [{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, {"X-Forwarded-For": "192.0.2.1"}]
        queries = ["", "?versionId=null"]
        for key, value in _claims(policy):
            queries += [f"?{name}={quote(value, safe='')}" for name in (key, key.lower())]
        return (
            any(self.succeeds(f"/{SECRET}", **trick) for trick in tricks)
            or any(self.succeeds(f"/{SECRET}{query}") for query in queries)
            or any(self.succeeds(f"/{detour}/{SECRET}") for detour in ("accounts/..", "", "."))
            or any(self.succeeds(f"?{q}") for q in ("list-type=2", "prefix=backups/", "versions", "uploads"))
            or self.succeeds("/backups/new.zip", "PUT", **{"Content-Length": "0"})
            or self.succeeds(f"/{SECRET}?acl", "PUT", **{"Content-Length": "0", "x-amz-acl": "public-read"})
            or self.succeeds("/imports/gone.csv", "DELETE")
        )


def _claims(policy):
    """What a condition asks for, as a visitor would say it of himself."""
    for each in policy if isinstance(policy, list) else ():
        for keys in (each.get("Condition") or {}).values():
            for key, value in keys.items():
                yield key.partition(":")[2], value if isinstance(value, str) else ""


def is_called_private(text, bucket):
    try:
        refuse_openings(parse_policy(text), bucket, PROTECTED)
    except PolicyError:
        return False
    return True


def prepared(store):
    bucket = new_bucket(store)
    for key in (SECRET, PUBLIC, "imports/list.csv"):
        store.client().put_object(Bucket=bucket, Key=key, Body=b"x")
    return bucket


def accepts(store, bucket, text):
    try:
        store.client().put_bucket_policy(Bucket=bucket, Policy=text)
    except (ClientError, BotoCoreError):
        return False
    return True


@pytest.mark.parametrize("kind", STORES)
def test_nobody_reads_under_a_policy_that_is_called_private(request, kind):
    store = request.getfixturevalue(kind)
    bucket = prepared(store)
    visitor = PolicyVisitor(store, bucket)
    leaks, accepted, opened = [], 0, 0
    for name, policy in POLICIES.items():
        text = policy if isinstance(policy, str) else json.dumps({"Version": "2012-10-17", "Statement": policy})
        text = text.replace("arn:aws:s3:::B", f"arn:aws:s3:::{bucket}").replace("/B/*", f"/{bucket}/*")
        if not accepts(store, bucket, text):
            continue
        accepted += 1
        if not visitor.reads_secrets(policy):
            continue
        opened += 1
        kept = store.client().get_bucket_policy(Bucket=bucket)["Policy"]
        leaks += [name for each in dict.fromkeys((text, kept)) if is_called_private(each, bucket)]
        # An ACL that a visitor set would outlive the policy.
        store.client().put_object(Bucket=bucket, Key=SECRET, Body=b"x")
    assert leaks == []
    # Otherwise the table, or the visitor, proves nothing.
    assert accepted > 60, accepted
    assert opened > 30, opened


@pytest.mark.parametrize("kind", STORES)
def test_the_policy_of_the_role_opens_what_is_public_and_nothing_else(request, kind):
    store = request.getfixturevalue(kind)
    bucket = prepared(store)
    folders = [f"arn:aws:s3:::{bucket}/{folder}/*" for folder in ("accounts", "cache", "site_uploads")]
    own = statement(Sid="FediverseMastodonS3PublicRead", Action=["s3:GetObject"], Resource=folders)
    text = json.dumps({"Version": "2012-10-17", "Statement": [own]})
    assert accepts(store, bucket, text)
    visitor = PolicyVisitor(store, bucket)
    assert visitor.succeeds(f"/{PUBLIC}")
    assert not visitor.reads_secrets([])
    assert is_called_private(text, bucket)
    assert is_called_private(store.client().get_bucket_policy(Bucket=bucket)["Policy"], bucket)
