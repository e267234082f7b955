"""What Amazon S3 says about ACLs, ownership and public access, as far as a store that knows none of it must be helped.

Sources: AWS' pages "Controlling ownership of objects and disabling ACLs" and "Blocking public access", and the error
codes of its API reference. Messages are short where AWS' name accounts.
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
    """A request, with its target taken apart and the names of its headers in lower case."""

    method: str
    target: str
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def bucket(self) -> str:
        """The bucket's name, or an empty text."""
        return self._path.partition("/")[0]

    @property
    def key(self) -> str:
        """The object's key, or an empty text."""
        return self._path.partition("/")[2]

    @property
    def query(self) -> dict[str, str]:
        """The words after the question mark."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def is_signed(self) -> bool:
        """Whether somebody says who it is, truly or not."""
        return "authorization" in self.headers or "X-Amz-Signature" in self.query

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.target).path).lstrip("/")

    @property
    def sets_public_acl(self) -> bool:
        """Whether a header or a body asks that everybody, or everybody with an account, may do something."""
        grants = [value for name, value in self.headers.items() if name.startswith("x-amz-grant-")]
        if "acl" in self.query and self.method == "PUT":
            grants.append(self.body.decode("utf-8", "replace"))
        named = any(group in grant for group in _PUBLIC_GROUPS for grant in grants)
        return named or self.headers.get("x-amz-acl") in _PUBLIC_ACLS

    @property
    def sets_acl(self) -> bool:
        """Whether it asks for any ACL other than that the bucket's owner has full control."""
        if "acl" in self.query and self.method == "PUT":
            return True
        canned = self.headers.get("x-amz-acl", "bucket-owner-full-control") != "bucket-owner-full-control"
        return canned or any(name.startswith("x-amz-grant-") for name in self.headers)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is said without asking the store behind. An error where there is a code."""

    status: int
    code: str = ""
    message: str = ""
    body: bytes = b""

    def content(self) -> bytes:
        """The body as it is sent."""
        if not self.code:
            return self.body
        root = ET.Element("Error")
        ET.SubElement(root, "Code").text = self.code
        ET.SubElement(root, "Message").text = self.message
        return ET.tostring(root, encoding="utf-8", xml_declaration=True)


@dataclasses.dataclass(frozen=True)
class Settings:
    """A bucket's ownership and blocks; None: there is no such configuration. New ones are as since April 2023."""

    ownership: str | None = ENFORCED
    blocks: t.Mapping[str, bool] | None = dataclasses.field(default_factory=lambda: dict.fromkeys(BLOCKS, True))

    @property
    def enforced(self) -> bool:
        """Whether ACLs are switched off."""
        return self.ownership == ENFORCED

    def blocks_now(self, name: str) -> bool:
        """Whether one of the four blocks is on."""
        return bool(self.blocks and self.blocks[name])


def at_creation(call: Call) -> Settings | Answer:
    """The settings of a bucket that is about to be created, or the refusal."""
    ownership = call.headers.get("x-amz-object-ownership", ENFORCED)
    if ownership not in _OWNERSHIPS:
        return Answer(400, "InvalidArgument", "Invalid x-amz-object-ownership header")
    settings = Settings(ownership)
    if call.headers.get("x-amz-acl", "private") != "private":
        if settings.enforced:
            message = f"Bucket cannot have ACLs set with ObjectOwnership's {ENFORCED} setting"
            return Answer(400, "InvalidBucketAclWithObjectOwnership", message)
        if call.sets_public_acl:
            return Answer(403, "AccessDenied", "Access Denied")
    return settings


def refusal(settings: Settings, call: Call) -> Answer | None:
    """Why a write is refused, or None."""
    if call.method not in ("PUT", "POST"):
        return None
    sub = call.query
    if "acl" in sub or call.key:
        if settings.enforced and call.sets_acl:
            return Answer(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
        if settings.blocks_now("BlockPublicAcls") and call.sets_public_acl:
            return Answer(403, "AccessDenied", "Access Denied")
    return None


def own_answer(settings: Settings, call: Call) -> tuple[Answer, Settings] | None:
    """The answer to a request for ownership or blocks, with the settings after it, or None for any other request."""
    if call.key:
        return None
    if "ownershipControls" in call.query:
        return _ownership(settings, call)
    if "publicAccessBlock" in call.query:
        return _blocks(settings, call)
    return None


def _ownership(settings: Settings, call: Call) -> tuple[Answer, Settings]:
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


def _blocks(settings: Settings, call: Call) -> tuple[Answer, Settings]:
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
    """All elements' texts by their names, without the names' spaces."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - from our own tests
    except ET.ParseError:
        return {}
    return {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()}


def owner_only(acl: bytes) -> bytes:
    """An ACL as it is shown where ACLs are switched off: the owner has full control, and that is all."""
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
    """A bucket's region as it is told: nothing for the oldest one. RGW names its zone group instead."""
    root = ET.Element("LocationConstraint", xmlns=XMLNS)
    root.text = None if region == "us-east-1" else region
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
