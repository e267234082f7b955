# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter fediverse.mastodon_s3.iam_keys."""

from __future__ import annotations

DOCUMENTATION = r"""
name: iam_keys
short_description: Decide which access keys of an IAM user to keep, create and delete
description:
  - Decides from the access keys of an IAM user, and from what the env file of Mastodon holds, whether a new key is
    needed and which keys can be deleted.
  - A run that was killed between the creation of a key and the edit of the env file leaves a key whose secret nobody
    knows. IAM allows two keys for each user.
author: fediverse.mastodon_s3 contributors (@fediverse)
positional: _input
options:
  _input:
    description: The access keys of the user, with C(access_key_id) and C(status).
    type: list
    elements: dict
    required: true
  in_env_file:
    description: The ID of the access key in the env file. Empty if there is none.
    type: str
    required: true
  has_secret:
    description: Whether the env file has a secret key as well.
    type: bool
    required: true
  own_user:
    description: Whether the user was created for this instance, so that nothing else uses its keys.
    type: bool
    required: true
  source_of_truth:
    description: See RV(fediverse.mastodon_s3.migration_state#module:source_of_truth).
    type: str
    required: true
  restart_due:
    description: See RV(fediverse.mastodon_s3.migration_state#module:restart_due).
    type: bool
    required: true
seealso:
  - plugin: fediverse.mastodon_s3.migration_state
    plugin_type: module
"""

EXAMPLES = r"""
- name: Decide which keys can be deleted
  ansible.builtin.set_fact:
    keys: >-
      {{ found.access_keys | fediverse.mastodon_s3.iam_keys(in_env_file='AKIA1', has_secret=true, own_user=true,
         source_of_truth='bucket', restart_due=false) }}
"""

RETURN = r"""
_value:
  description: What to do with the keys.
  type: dict
  contains:
    create:
      description: Whether a new key is needed, because the env file has none that works.
      type: bool
    unused:
      description: IDs of keys that nothing uses, which can be deleted before a new key is created.
      type: list
      elements: str
    after_restart:
      description: IDs of keys that can be deleted once all services use the key in the env file.
      type: list
      elements: str
    in_use:
      description: IDs of other keys that a running service may use.
      type: list
      elements: str
    unclear:
      description: Whether a new key is needed, but there is no room for it, since both keys may be in use.
      type: bool
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

_LIMIT = 2


def iam_keys(
    keys: Sequence[Mapping[str, Any]],
    *,
    in_env_file: str,
    has_secret: bool,
    own_user: bool,
    source_of_truth: str,
    restart_due: bool,
) -> dict[str, Any]:
    """Return what to do with the access keys of an IAM user, as documented above."""
    try:
        active = {key["access_key_id"] for key in keys if key["status"] == "Active"}
        names = [str(key["access_key_id"]) for key in keys]
    except (KeyError, TypeError):
        raise AnsibleFilterError("iam_keys needs a list of access keys with access_key_id and status") from None
    works = has_secret and in_env_file in active
    others = [name for name in names if not (works and name == in_env_file)]
    if own_user and source_of_truth == "disk":
        in_use = []  # Mastodon does not use a key yet.
    elif own_user and not restart_due and in_env_file:
        # All services read the env file after its last edit, so they have the key that it names.
        in_use = [name for name in others if name == in_env_file]
    else:
        in_use = others
    return {
        "create": not works,
        "unused": [name for name in others if name not in in_use],
        "after_restart": in_use if own_user else [],
        "in_use": in_use,
        "unclear": not works and len(in_use) >= _LIMIT,
    }


class FilterModule:
    """Filters of the role mastodon_s3."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"iam_keys": iam_keys}
