# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content import content as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

MIB = 1024 * 1024


@pytest.fixture
def tree(tmp_path):
    source = Source(str(tmp_path))
    yield tmp_path, source
    source.close()


def laid(folder, content, name="a"):
    path = folder / name
    path.write_bytes(content)
    status = path.stat()
    return Entry(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)


def md5(content):
    return hashlib.md5(content, usedforsecurity=False)


def in_parts(content, part):
    digests = [md5(content[start : start + part]).digest() for start in range(0, len(content), part)]
    return f"{md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def test_one_piece(tree):
    folder, source = tree
    entry = laid(folder, b"content" * 999)
    assert under_test.is_same(source, entry, md5(b"content" * 999).hexdigest())
    assert not under_test.is_same(source, entry, md5(b"Content" * 999).hexdigest())
    assert under_test.is_same(source, laid(folder, b"", "empty"), "d41d8cd98f00b204e9800998ecf8427e")


@pytest.mark.parametrize("part_mib", [5, 8, 15, 50])
def test_parts_of_usual_sizes(tree, part_mib):
    folder, source = tree
    content = os.urandom(MIB) * 13 + b"rest"
    entry = laid(folder, content)
    etag = in_parts(content, part_mib * MIB)
    assert under_test.is_same(source, entry, etag)
    with pytest.raises(under_test.ContentUnknownError, match="parts"):
        under_test.is_same(source, laid(folder, content[:-1] + b"!", "b"), etag)


@pytest.mark.parametrize("size", [1, 8 * 1024**2, 9 * 10**9, 10**12, 5 * 1024**4])
def test_parts_are_few_enough_for_every_store(size):
    part = under_test.part_bytes_of(size)
    assert -(-size // part) <= (1000 if size <= 250 * 1024**3 else 10_000)
    # It is kept in memory, and a file may be huge only in name.
    assert part <= 256 * MIB or -(-size // (256 * MIB)) > 10_000


def test_what_was_sent_in_parts_of_our_own_size_is_recognised(tree, monkeypatch):
    monkeypatch.setattr(under_test, "_MOST_PARTS", 3)
    content = b"x" * (25 * 1024**2)
    tree_folder, source = tree
    entry = laid(tree_folder, content)
    part = under_test.part_bytes_of(len(content))
    assert part not in under_test._USUAL_PARTS
    assert under_test.is_same(source, entry, in_parts(content, part))


def test_parts_of_an_odd_size_are_unknown(tree):
    folder, source = tree
    content = os.urandom(12 * MIB)
    with pytest.raises(under_test.ContentUnknownError, match="parts"):
        under_test.is_same(source, laid(folder, content), in_parts(content, 9 * MIB + 1))


@pytest.mark.parametrize(
    "etag", ["", "etag", "D41D8CD98F00B204E9800998ECF8427E", "0" * 32 + "-x", "0" * 32 + "-" + "9" * 5000]
)
def test_other_etags_are_unknown(tree, etag):
    folder, source = tree
    with pytest.raises(under_test.ContentUnknownError, match="not a digest"):
        under_test.is_same(source, laid(folder, b"x"), etag)


def test_a_file_that_changed_or_went_is_unknown(tree):
    folder, source = tree
    entry = laid(folder, b"x")
    right = md5(b"x").hexdigest()
    for changed in (entry._replace(size=2), entry._replace(mtime_ns=entry.mtime_ns - 1)):
        with pytest.raises(under_test.ContentUnknownError, match="changed"):
            under_test.is_same(source, changed, right)
    (folder / "a").unlink()
    with pytest.raises(under_test.ContentUnknownError, match="No such file"):
        under_test.is_same(source, entry, right)
    (folder / "a").symlink_to("/etc/passwd")
    with pytest.raises(under_test.ContentUnknownError, match="not a regular file"):
        under_test.is_same(source, entry, right)
