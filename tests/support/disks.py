"""Real file systems for tests: each in a file on a loop device, or in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

MIB = 1024 * 1024
SIZES = {"ext4": 32 * MIB, "xfs": 320 * MIB, "btrfs": 128 * MIB}
_QUIET = {"ext4": ["-q", "-F"], "xfs": ["-q"], "btrfs": ["-q"]}


def lacking(kind):
    """Return what this machine lacks for a file system, None if nothing."""
    if os.geteuid() != 0:
        return "this test needs root"
    if kind != "tmpfs" and shutil.which(f"mkfs.{kind}") is None:
        return f"this test needs mkfs.{kind}"
    return None


@contextlib.contextmanager
def mounted(kind, folder, *options):
    """Mount a new file system at a folder, which is created; at the end it is gone."""
    folder.mkdir()
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    else:
        image = folder.with_name(f"{folder.name}.{kind}")
        with open(image, "wb") as file:
            file.truncate(SIZES[kind])
        subprocess.run([f"mkfs.{kind}", *_QUIET[kind], str(image)], check=True, capture_output=True)
        command = ["mount", "-t", kind, "-o", "loop", *options, str(image), str(folder)]
    subprocess.run(command, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
