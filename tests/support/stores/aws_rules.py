"""The rules of Amazon S3 for ACLs, object ownership and public access that other stores do not implement.

Sources: the AWS pages "Controlling ownership of objects and disabling ACLs" and "Blocking public access", and the error
codes of its API reference. Messages that name accounts at AWS are shortened.
"""

from __future__ import annotations

import dataclasses
import typing as t
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
ENFORCED = "BucketOwnerEnforced"
_OWNERSHIPS = (ENFORCED, "BucketOwnerPreferred", "ObjectWriter")
_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")
_PUBLIC_GROUPS = ("global/AllUsers", "global/AuthenticatedUsers")


@dataclasses.dataclass(frozen=True)
class Call:
    """A request, with its target split into parts, and header names in lower case."""

    method: str
    target: str
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def bucket(self) -> str:
        """The bucket's name, or an empty string."""
        return self._path.partition("/")[0]

    @property
    def key(self) -> str:
        """The object's key, or an empty string."""
        return self._path.partition("/")[2]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query string."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def is_signed(self) -> bool:
        """Whether the request has a signature, valid or not."""
        return "authorization" in self.headers or "X-Amz-Signature" in self.query

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.target).path).lstrip("/")

    @property
    def sets_public_acl(self) -> bool:
        """Whether an ACL in a header or the body grants something to everybody, or to all AWS accounts."""
        grants = [value for name, value in self.headers.items() if name.startswith("x-amz-grant-")]
        if "acl" in self.query and self.method == "PUT":
            grants.append(self.body.decode("utf-8", "replace"))
        named = any(group in grant for group in _PUBLIC_GROUPS for grant in grants)
        return named or self.headers.get("x-amz-acl") in _PUBLIC_ACLS

    @property
    def sets_acl(self) -> bool:
        """Whether the request sets an ACL other than full control for the bucket's owner."""
        if "acl" in self.query and self.method == "PUT":
            return True
        canned = self.headers.get("x-amz-acl", "bucket-owner-full-control") != "bucket-owner-full-control"
        return canned or any(name.startswith("x-amz-grant-") for name in self.headers)


@dataclasses.dataclass(frozen=True)
class Answer:
    """A response of the proxy itself. It is an error if it has a code."""

    status: int
    code: str = ""
    message: str = ""
    body: bytes = b""

    def content(self) -> bytes:
        """The body of the response."""
        if not self.code:
            return self.body
        root = ET.Element("Error")
        ET.SubElement(root, "Code").text = self.code
        ET.SubElement(root, "Message").text = self.message
        return ET.tostring(root, encoding="utf-8", xml_declaration=True)


@dataclasses.dataclass(frozen=True)
class BucketSettings:
    """A bucket's ownership and public access block. None: not configured. The defaults are those since April 2023."""

    ownership: str | None = ENFORCED
    blocks: t.Mapping[str, bool] | None = dataclasses.field(default_factory=lambda: dict.fromkeys(BLOCKS, True))

    @property
    def enforced(self) -> bool:
        """Whether ACLs are disabled."""
        return self.ownership == ENFORCED

    def blocks_now(self, name: str) -> bool:
        """Whether one of the four blocks is on."""
        return bool(self.blocks and self.blocks[name])


def at_creation(call: Call) -> BucketSettings | Answer:
    """Return the settings of a bucket that will be created, or the error."""
    ownership = call.headers.get("x-amz-object-ownership", ENFORCED)
    if ownership not in _OWNERSHIPS:
        return Answer(400, "InvalidArgument", "Invalid x-amz-object-ownership header")
    settings = BucketSettings(ownership)
    if call.headers.get("x-amz-acl", "private") != "private":
        if settings.enforced:
            message = f"Bucket cannot have ACLs set with ObjectOwnership's {ENFORCED} setting"
            return Answer(400, "InvalidBucketAclWithObjectOwnership", message)
        if call.sets_public_acl:
            return Answer(403, "AccessDenied", "Access Denied")
    return settings


def refusal(settings: BucketSettings, call: Call) -> Answer | None:
    """Return the error for a refused write, or None."""
    if call.method not in ("PUT", "POST"):
        return None
    sub = call.query
    if "acl" in sub or call.key:
        if settings.enforced and call.sets_acl:
            return Answer(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
        if settings.blocks_now("BlockPublicAcls") and call.sets_public_acl:
            return Answer(403, "AccessDenied", "Access Denied")
    return None


def own_answer(settings: BucketSettings, call: Call) -> tuple[Answer, BucketSettings] | None:
    """Return the response to a request about ownership or blocks, with the new settings. None for other requests."""
    if call.key:
        return None
    if "ownershipControls" in call.query:
        return _ownership(settings, call)
    if "publicAccessBlock" in call.query:
        return _blocks(settings, call)
    return None


def _ownership(settings: BucketSettings, call: Call) -> tuple[Answer, BucketSettings]:
    if call.method == "DELETE":
        return Answer(204), dataclasses.replace(settings, ownership=None)
    if call.method == "PUT":
        wanted = _texts(call.body).get("ObjectOwnership", "")
        if wanted not in _OWNERSHIPS:
            return _malformed(), settings
        return Answer(200), dataclasses.replace(settings, ownership=wanted)
    if settings.ownership is None:
        return Answer(404, "OwnershipControlsNotFoundError", "The bucket ownership controls were not found"), settings
    root = ET.Element("OwnershipControls", xmlns=XMLNS)
    ET.SubElement(ET.SubElement(root, "Rule"), "ObjectOwnership").text = settings.ownership
    return Answer(200, body=ET.tostring(root, encoding="utf-8", xml_declaration=True)), settings


def _blocks(settings: BucketSettings, call: Call) -> tuple[Answer, BucketSettings]:
    if call.method == "DELETE":
        return Answer(204), dataclasses.replace(settings, blocks=None)
    if call.method == "PUT":
        texts = _texts(call.body)
        if not set(texts) <= {*BLOCKS, "PublicAccessBlockConfiguration"} or not texts:
            return _malformed(), settings
        return Answer(200), dataclasses.replace(
            settings, blocks={name: texts.get(name, "").lower() == "true" for name in BLOCKS}
        )
    if settings.blocks is None:
        message = "The public access block configuration was not found"
        return Answer(404, "NoSuchPublicAccessBlockConfiguration", message), settings
    root = ET.Element("PublicAccessBlockConfiguration", xmlns=XMLNS)
    for name, value in settings.blocks.items():
        ET.SubElement(root, name).text = str(value).lower()
    return Answer(200, body=ET.tostring(root, encoding="utf-8", xml_declaration=True)), settings


def _malformed() -> Answer:
    return Answer(400, "MalformedXML", "The XML you provided was not well-formed or did not validate")


def _texts(body: bytes) -> dict[str, str]:
    """Return the text of all elements, by name without namespace."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - from our own tests
    except ET.ParseError:
        return {}
    return {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()}


def owner_only(acl: bytes) -> bytes:
    """Return the ACL that is shown if ACLs are disabled: only the owner has full control."""
    ET.register_namespace("", XMLNS)
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root = ET.fromstring(acl)  # noqa: S314 - the store's own answer
    space = root.tag.rpartition("}")[0] + "}" if "}" in root.tag else ""
    owner = root.findtext(f"{space}Owner/{space}ID")
    grants = root.find(f"{space}AccessControlList")
    if grants is not None:
        for grant in list(grants):
            if grant.findtext(f"{space}Grantee/{space}ID") != owner:
                grants.remove(grant)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def location(region: str) -> bytes:
    """Return a bucket's region as AWS does, empty for us-east-1. RGW returns its zone group instead."""
    root = ET.Element("LocationConstraint", xmlns=XMLNS)
    root.text = None if region == "us-east-1" else region
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
