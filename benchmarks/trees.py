"""Creates trees of files, either with Mastodon's layout or with all files in one folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

_POOL_BYTES = 32 * 1024 * 1024
_LARGEST_BYTES = 32 * 1024 * 1024
_SIGMA = 1.35  # of the logarithm of sizes: half of the files have less than 40 % of the mean
_CACHED_FOLDERS = 10_000  # a limit, so that a tree of millions needs little memory
_TYPES = ("jpg", "jpg", "jpg", "png", "png", "webp", "gif", "mp4")
_FIRST_ID = 109_000_000_000_000_000
# An id is a time in milliseconds, shifted by 16 bits. On average there is a new one every 20 seconds.
_ID_STEP = 20_000 << 16


class Built(NamedTuple):
    """The size of a tree."""

    files: int
    bytes: int
    folders: int


def build(root: Path, files: int, mean_bytes: int, *, flat: bool = False, seed: int = 1) -> Built:
    """Create a tree below `root`, which must not exist. The same arguments create the same tree.

    Mastodon splits ids of 18 digits into folders of three digits, which makes 3.5 folders per file. File sizes have a
    lognormal distribution.
    """
    chance = random.Random(seed)
    pool = memoryview(chance.randbytes(_POOL_BYTES + _LARGEST_BYTES)) if mean_bytes else memoryview(b"")
    median = mean_bytes / 2.718281828 ** (_SIGMA**2 / 2)
    written = folders = count = 0
    made: set[str] = set()
    number = _FIRST_ID
    while count < files:
        number += chance.randrange(2 * _ID_STEP)
        digits = f"{number:018}"
        place = "cache/media_attachments/files"
        if not flat:
            place += "".join(f"/{digits[start : start + 3]}" for start in range(0, 18, 3))
        for style in ("original", "small")[: chance.choice((1, 2))]:
            if count == files:
                break
            folder = place if flat else f"{place}/{style}"
            folders += _make_folders(root, folder, made)
            size = min(int(chance.lognormvariate(0, _SIGMA) * median), _LARGEST_BYTES)
            start = chance.randrange(_POOL_BYTES)
            name = f"{chance.getrandbits(64):016x}.{chance.choice(_TYPES)}"
            with (root / folder / name).open("wb") as file:
                file.write(pool[start : start + size])
            written += size
            count += 1
    return Built(count, written, folders)


def _make_folders(root: Path, folder: str, made: set[str]) -> int:
    """Create a folder and its parents. Return how many were created."""
    if folder in made:
        return 0
    above, slash, _name = folder.rpartition("/")
    if slash:
        number = _make_folders(root, above, made)
    else:
        root.mkdir(parents=True, exist_ok=True)
        number = 0
    if len(made) > _CACHED_FOLDERS:
        made.clear()
    made.add(folder)
    try:
        (root / folder).mkdir()
    except FileExistsError:  # created before the cache was cleared
        return number
    return number + 1
