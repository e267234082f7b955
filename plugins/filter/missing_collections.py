# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter fediverse.mastodon_s3.missing_collections."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping

from ansible.utils.version import SemanticVersion

DOCUMENTATION = r"""
name: missing_collections
short_description: Find collections that are not installed or too old
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Looks for collections in the collections path of the running Ansible.
  - The version of a collection that was not installed, such as a checkout, is not known. It counts as new enough.
options:
  _input:
    description: Names of collections, each with the oldest version that is accepted.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Stop without amazon.aws
  ansible.builtin.assert:
    that: "{'amazon.aws': '10.1.1'} | fediverse.mastodon_s3.missing_collections == []"
"""

RETURN = r"""
_value:
  description: The names of the collections that are missing or too old.
  type: list
  elements: str
"""


def missing_collections(required: Mapping[str, str]) -> list[str]:
    """Return the names of the collections that are not installed or too old.

    Args:
        required: Names of collections, each with the oldest version that is accepted.
    """
    return [str(name) for name, oldest in required.items() if not _is_installed(str(name), str(oldest))]


def _is_installed(name: str, oldest: str) -> bool:
    try:
        spec = importlib.util.find_spec(f"ansible_collections.{name}")
    except ImportError:  # its namespace is missing too
        return False
    if spec is None:
        return False
    for folder in spec.submodule_search_locations or ():
        try:
            with open(os.path.join(folder, "MANIFEST.json"), encoding="utf-8") as manifest:
                version = json.load(manifest)["collection_info"]["version"]
            return bool(SemanticVersion(version) >= SemanticVersion(oldest))
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return True


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by its name."""
        return {"missing_collections": missing_collections}
