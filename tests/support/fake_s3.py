"""A bucket in memory, with those methods of a boto3 client that the engine calls, and a hook for every call.

It simulates what a real server does not do on demand, such as failing, or a file that changes during a request.
tests/stores tests with real stores.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import typing as t
from types import SimpleNamespace

from botocore.exceptions import ClientError

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
MODIFIED = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)


@dataclasses.dataclass
class FakeObject:
    """An object, and every ACL that it has had."""

    body: bytes
    acl: str
    headers: dict[str, str]
    etag: str
    acls: list[str]


class FakeS3:
    """The client.

    `hook(operation, key)` is called before each operation on an object, and may raise what `error` returns; `list_hook`
    before each page of a listing. `page` is how many keys a page holds.
    """

    def __init__(self) -> None:
        self.objects: dict[str, FakeObject] = {}
        self.unfinished: list[str] = []
        self.parts: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.hook: t.Callable[[str, str], None] = lambda _operation, _key: None
        self.list_hook: t.Callable[[str, str], None] = lambda _operation, _key: None
        self.page = 3
        self.after: t.Callable[[str, str], None] = lambda _operation, _key: None
        self.meta = SimpleNamespace(
            config=SimpleNamespace(request_checksum_calculation="when_required"),
            events=SimpleNamespace(register=lambda *_arguments: None),
        )

    def error(self, code: str, status: int = 400, operation: str = "PutObject", message: str = "") -> ClientError:
        """Return an error as botocore raises it."""
        return ClientError(
            {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
        )

    def count(self, operation: str) -> int:
        """Return how often an operation was called."""
        return sum(1 for name, _key in self.calls if name == operation)

    def acls(self) -> dict[str, str]:
        """Return the ACL of each object."""
        return {key: stored.acl for key, stored in self.objects.items()}

    def _begin(self, operation: str, key: str) -> None:
        self.calls.append((operation, key))
        (self.list_hook if operation == "ListObjectsV2" else self.hook)(operation, key)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **arguments: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("PutObject", Key)
        md5 = hashlib.md5(Body, usedforsecurity=False)
        if "ContentMD5" in arguments and base64.b64decode(arguments["ContentMD5"]) != md5.digest():
            raise self.error("BadDigest")
        self._store(Key, Body, md5.hexdigest(), arguments)
        self.after("PutObject", Key)
        return {"ETag": f'"{md5.hexdigest()}"'}

    def upload_fileobj(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Fileobj: t.Any,  # noqa: N803
        ExtraArgs: dict[str, str],  # noqa: N803
        Config: t.Any,  # noqa: N803
    ) -> None:
        self._begin("UploadFileobj", Key)
        parts = list(iter(lambda: Fileobj.read(Config.multipart_chunksize), b""))
        digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        self._store(Key, b"".join(parts), etag, ExtraArgs)
        self.after("UploadFileobj", Key)

    def _store(self, key: str, body: bytes, etag: str, arguments: dict[str, str]) -> None:
        acl = arguments.get("ACL", "none")
        acls = [*self.objects[key].acls, acl] if key in self.objects else [acl]
        headers = {name: value for name, value in arguments.items() if name not in ("ACL", "ContentMD5")}
        self.objects[key] = FakeObject(body, acl, headers, etag, acls)

    def create_multipart_upload(self, *, Bucket: str, Key: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("CreateMultipartUpload", Key)
        self.unfinished.append(Key)
        return {"UploadId": f"of {Key}"}

    def upload_part(self, *, Bucket: str, Key: str, UploadId: str, Body: bytes) -> dict[str, t.Any]:  # noqa: N803
        """Take the only part."""
        self._begin("UploadPart", Key)
        self.parts[UploadId] = Body
        return {"ETag": f'"{hashlib.md5(Body, usedforsecurity=False).hexdigest()}"'}

    def complete_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("CompleteMultipartUpload", Key)
        self.unfinished.remove(Key)
        body = self.parts.pop(UploadId)
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        etag = f"{hashlib.md5(digest, usedforsecurity=False).hexdigest()}-1"
        self._store(Key, body, etag, {})
        return {"ETag": f'"{etag}"'}

    def list_multipart_uploads(self, *, Bucket: str, Prefix: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("ListMultipartUploads", Prefix)
        return {"Uploads": [{"Key": key, "UploadId": f"of {key}"} for key in self.unfinished if key.startswith(Prefix)]}

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("AbortMultipartUpload", Key)
        self.unfinished.remove(UploadId.removeprefix("of "))
        self.parts.pop(UploadId, None)
        return {}

    def put_object_acl(self, *, Bucket: str, Key: str, ACL: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("PutObjectAcl", Key)
        if Key not in self.objects:
            raise self.error("NoSuchKey", 404, "PutObjectAcl")
        self.objects[Key].acl = ACL
        self.objects[Key].acls.append(ACL)
        self.after("PutObjectAcl", Key)
        return {}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("HeadObject", Key)
        if Key not in self.objects:
            raise self.error("404", 404, "HeadObject", "Not Found")
        stored = self.objects[Key]
        return {"ETag": f'"{stored.etag}"', "ContentLength": len(stored.body), **stored.headers}

    def get_object_acl(self, *, Bucket: str, Key: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("GetObjectAcl", Key)
        if Key not in self.objects:
            raise self.error("NoSuchKey", 404, "GetObjectAcl")
        grants = [{"Grantee": {"ID": "owner"}, "Permission": "FULL_CONTROL"}]
        if self.objects[Key].acl == "public-read":
            grants.append({"Grantee": {"URI": EVERYBODY}, "Permission": "READ"})
        return {"Owner": {"ID": "owner"}, "Grants": grants}

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: dict[str, str],  # noqa: N803
        CopySourceIfMatch: str,  # noqa: N803
        MetadataDirective: str,  # noqa: N803
        **arguments: str,
    ) -> dict[str, t.Any]:
        self._begin("CopyObject", Key)
        assert MetadataDirective == "REPLACE"
        source = self.objects.get(CopySource["Key"])
        if source is None:
            raise self.error("NoSuchKey", 404, "CopyObject")
        if source.etag != CopySourceIfMatch:
            raise self.error("PreconditionFailed", 412, "CopyObject")
        etag = hashlib.md5(source.body, usedforsecurity=False).hexdigest()
        self._store(Key, source.body, etag, arguments)
        self.after("CopyObject", Key)
        return {"CopyObjectResult": {"ETag": f'"{etag}"'}}

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, t.Any]:  # noqa: N803
        self._begin("DeleteObject", Key)
        self.objects.pop(Key, None)
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, t.Any]) -> dict[str, t.Any]:  # noqa: N803
        errors = []
        self._begin("DeleteObjects", "")
        for name in Delete["Objects"]:
            try:
                self.hook("DeleteOneOfMany", name["Key"])
            except ClientError as error:
                errors.append({"Key": name["Key"], **error.response["Error"]})
            else:
                self.objects.pop(name["Key"], None)
        return {"Errors": errors}

    def list_objects_v2(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str = "",  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
        StartAfter: str = "",  # noqa: N803
        Delimiter: str = "",  # noqa: N803
    ) -> dict[str, t.Any]:
        self._begin("ListObjectsV2", Prefix)
        behind = max(ContinuationToken, StartAfter)
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > behind)
        if Delimiter:
            folders = {Prefix + key[len(Prefix) :].partition("/")[0] + "/" for key in keys if "/" in key[len(Prefix) :]}
            return {"CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)], "IsTruncated": False}
        found = [
            {
                "Key": key,
                "Size": len(self.objects[key].body),
                "ETag": f'"{self.objects[key].etag}"',
                "LastModified": MODIFIED,
            }
            for key in keys[: self.page]
        ]
        more = len(keys) > self.page
        return {
            "Contents": found,
            "IsTruncated": more,
            **({"NextContinuationToken": keys[self.page - 1]} if more else {}),
        }
