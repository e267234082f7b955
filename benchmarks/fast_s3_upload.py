"""Sends a tree with fast-s3, a library that has no command. It reads its task as JSON from standard input.

fast-s3 can set a content type, but neither an ACL nor a cache header.
"""

from __future__ import annotations

import json
import mimetypes
import os
import sys

from fast_s3 import Uploader  # type: ignore[import-not-found,unused-ignore]


def main() -> int:
    """Send the tree. Return 0 if the store accepted all files."""
    task = json.load(sys.stdin)
    src = task.pop("src")
    by_type: dict[str | None, list[str]] = {}
    for folder, _folders, names in os.walk(src):
        for name in names:
            by_type.setdefault(mimetypes.guess_type(name)[0], []).append(os.path.join(folder, name))
    with Uploader(**task) as uploader:
        for content_type, paths in by_type.items():
            uploader.queue_upload(paths, [path[len(src) + 1 :] for path in paths], content_type)
        results = uploader.await_upload()
    failures = [result.exception for result in results if result.exception is not None]
    print(*failures[:3], sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
