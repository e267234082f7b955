"""Deletes one public object and makes another private, as Mastodon does after the switch. Records both for check.py.

Usage: tamper.py FOLDER URL
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from check import BUCKET, client
from media import MEDIA


def main() -> None:
    """Change two avatars in the bucket. Their files on disk stay the same."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    deleted, closed = [key for key in MEDIA if key.startswith("accounts/avatars/")][:2]
    s3 = client("s3", url)
    s3.delete_object(Bucket=BUCKET, Key=deleted)
    s3.put_object_acl(Bucket=BUCKET, Key=closed, ACL="private")
    for key in (deleted, closed):
        mode = (folder / "live" / "public" / "system" / key).stat().st_mode
        if not mode & 0o044:
            sys.exit(f"{key} is not public on disk")
    (folder / "tampered.json").write_text(json.dumps({deleted: None, closed: False}), encoding="utf-8")


if __name__ == "__main__":
    main()
