# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders of _s3 and _sync use one another in one direction only, and none has too many files."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils import _s3, _sync

# The folders, and the files beside them. Each may use only those before it.
ORDER = {
    "_s3": ["http", "connection", "objects", "bucket", "probe"],
    "_sync": [
        *("model", "rules", "settings", "tree", "store", "journal", "content", "processes", "report", "feed"),
        *("plan", "senders", "execution", "transfer", "progress", "audit", "options", "connect"),
        *("sync_round", "engine"),
    ],
}
ROOTS = {"_s3": Path(_s3.__file__).parent, "_sync": Path(_sync.__file__).parent}
MOST_FILES = 13  # about a dozen, and __init__


def files_of(package, name):
    """Return the files of a folder, or the one file of this name."""
    place = ROOTS[package] / name
    return list(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def imported(package, path):
    """Return what a file imports from its package: names of folders, and of files beside them."""
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    inner = f".{package}."
    return {module.partition(inner)[2].partition(".")[0] for module in modules if inner in module}


@pytest.mark.parametrize("package", ORDER)
def test_each_file_has_a_place_in_the_order(package):
    root = ROOTS[package]
    found = {path.relative_to(root).parts[0] for path in root.rglob("*.py")} - {"__init__.py"}
    assert {name.removesuffix(".py") for name in found} == set(ORDER[package])


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, names in ORDER.items() for name in names])
def test_each_uses_those_before_it_only(package, name):
    files = files_of(package, name)
    used = set().union(*(imported(package, path) for path in files))
    assert used <= set(ORDER[package][: ORDER[package].index(name) + 1])
    assert len(files) <= MOST_FILES
    assert used or name == "model", "or nothing was found"


def test_http_knows_neither_boto3_nor_ansible():
    for path in files_of("_s3", "http"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith(("boto", "ansible.")) for name in names), path
