"""Writes files that are older than the minimum age."""

from __future__ import annotations

import os
import time

OLD = time.time() - 3600


class Writer:
    """An object with a folder `src` to write files in."""

    def write(self, key, content=b"x", mode=0o644):
        """Write a file, and return its path."""
        path = self.src / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, (OLD, OLD))
        return path
