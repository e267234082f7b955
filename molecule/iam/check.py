"""Checks user, key, bucket and objects in moto with boto3.

Usage: check.py FOLDER URL KEPT
KEPT: whether the key must be the same as in an earlier check. Prints counts. Fails with a list of all faults.
"""

from __future__ import annotations

import json
import sys
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from media import MEDIA
from web import read_env

BUCKET = "mastodon-iam"
USER = "mastodon-mastodon-iam"
_TOO_MUCH = {"s3:PutBucketPolicy", "s3:DeleteBucket", "s3:CreateBucket"}
_PUBLIC_GROUP = "http://acs.amazonaws.com/groups/global/AllUsers"


def client(service: str, url: str) -> t.Any:
    """Return an administrator's client."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="checking",
        aws_secret_access_key="checking",
    )


def identity_faults(folder: Path, url: str, env: dict[str, str], *, kept: bool) -> list[str]:
    """Return the faults of user, policy and key."""
    iam = client("iam", url)
    faults = []
    users = [user["UserName"] for user in iam.list_users()["Users"]]
    if users != [USER]:
        faults.append(f"users are {users}")
    keys = [(key["AccessKeyId"], key["Status"]) for key in iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]]
    if keys != [(env.get("AWS_ACCESS_KEY_ID"), "Active")]:
        faults.append(f"the user's keys are {keys}, the env file has {env.get('AWS_ACCESS_KEY_ID')}")
    if len(env.get("AWS_SECRET_ACCESS_KEY", "")) < 20:
        faults.append("the env file has no secret key")
    seen = folder / "key.seen"
    if kept and seen.exists() and seen.read_text(encoding="utf-8") != env["AWS_ACCESS_KEY_ID"]:
        faults.append("a key that worked was replaced")
    if not kept and seen.read_text(encoding="utf-8") == env["AWS_ACCESS_KEY_ID"]:
        faults.append("a key whose secret is lost was kept")
    seen.write_text(env["AWS_ACCESS_KEY_ID"], encoding="utf-8")
    attached = iam.list_attached_user_policies(UserName=USER)["AttachedPolicies"]
    if attached or iam.list_groups_for_user(UserName=USER)["Groups"]:
        faults.append("the user has more than its own policy")
    names = iam.list_user_policies(UserName=USER)["PolicyNames"]
    if len(names) != 1:
        return [*faults, f"the user's policies are {names}"]
    allowed = {f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"}
    for statement in iam.get_user_policy(UserName=USER, PolicyName=names[0])["PolicyDocument"]["Statement"]:
        actions, resources = (
            {value} if isinstance(value, str) else set(value) for value in (statement["Action"], statement["Resource"])
        )
        if not resources <= allowed:
            faults.append(f"the policy reaches {sorted(resources - allowed)}")
        if any("*" in action for action in actions) or actions & _TOO_MUCH:
            faults.append(f"the policy allows {sorted(actions)}")
    return faults


def bucket_faults(url: str) -> list[str]:
    """Return the faults of the bucket's settings."""
    s3 = client("s3", url)
    faults = []
    if s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] != "eu-central-1":
        faults.append("the bucket is in another region")
    rules = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    if rules != [{"ObjectOwnership": "BucketOwnerPreferred"}]:
        faults.append(f"ownership is {rules}")
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    if {name for name, closed in block.items() if closed} != {"BlockPublicPolicy", "RestrictPublicBuckets"}:
        faults.append(f"the public access block is {block}")
    grants = s3.get_bucket_acl(Bucket=BUCKET)["Grants"]
    if any(grant["Grantee"].get("URI") for grant in grants):
        faults.append(f"the bucket's ACL opens it: {grants}")
    return faults


def status_for_anybody(url: str, key: str) -> int:
    """Return the response to a request without credentials."""
    try:
        with urllib.request.urlopen(f"{url}/{BUCKET}/{key}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def wanted(folder: Path) -> dict[str, bool | None]:
    """Return each key with whether everybody may read it. None: it must not be in the bucket."""
    tampered = folder / "tampered.json"
    return MEDIA | (json.loads(tampered.read_text(encoding="utf-8")) if tampered.exists() else {})


def object_faults(url: str, media: dict[str, bool | None]) -> list[str]:
    """Return the faults of the objects."""
    s3 = client("s3", url)
    there = {found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    faults = [f"{key} is in the bucket" for key in there if media.get(key) is None]
    for key, public in media.items():
        if public is None:
            continue
        if key not in there:
            faults.append(f"{key} is missing")
            continue
        grants = s3.get_object_acl(Bucket=BUCKET, Key=key)["Grants"]
        opened = any(grant["Grantee"].get("URI") == _PUBLIC_GROUP and grant["Permission"] == "READ" for grant in grants)
        if opened != public or (status_for_anybody(url, key) == 200) != public:
            faults.append(f"{key}: everybody can read it is {opened}, and should be {public}")
    return faults


def main() -> None:
    """Run all checks and print the result."""
    folder, url, kept = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "true"
    env, media = read_env(folder / "live"), wanted(folder)
    faults = identity_faults(folder, url, env, kept=kept) + bucket_faults(url) + object_faults(url, media)
    first = (folder / "env.first").read_text(encoding="utf-8")
    if not (folder / "live" / ".env.production").read_text(encoding="utf-8").startswith(first):
        faults.append("lines of the env file that are not ours were touched")
    status = (folder / "live" / ".env.production").stat()
    if status.st_mode & 0o7777 != 0o640:
        faults.append("the env file has another mode")
    if (folder / "live" / "web.pid").stat().st_mtime < status.st_mtime:
        faults.append("the web process is older than the env file")
    if "AKIASTORAGE" in str(env) or "AKIAIDENTITY" in str(env):
        faults.append("an administrator's key is in the env file")
    output = (folder / "ansible.log").read_text(encoding="utf-8")
    secrets = [env.get("AWS_SECRET_ACCESS_KEY") or "no secret", "secret-of-the-storage", "secret-of-the-identity"]
    faults += ["a secret is in Ansible's output"] * sum(secret in output for secret in secrets)
    if faults:
        sys.exit("\n".join(faults))
    kinds = list(media.values())
    counts = {name: kinds.count(kind) for name, kind in (("public", True), ("private", False), ("left out", None))}
    print(json.dumps({**counts, "keys": 1}))


if __name__ == "__main__":
    main()
