# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attributes that every module of the collection states, and the ones that some share."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts for `extends_documentation_fragment`; `support` is left to the module where it differs."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: >-
      Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled/queried by the module has not changed in a relevant way.
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: posix
"""

    # To be used together with the standard fragment.
    ACTIONGROUP_ALL = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/fediverse.mastodon_s3.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - fediverse.mastodon_s3.all
"""

    # To be used together with the standard fragment, by every module that takes the connection options.
    ACTIONGROUP_S3 = r"""
options: {}
attributes:
  action_group:
    description: >-
      Use C(group/fediverse.mastodon_s3.all) or C(group/fediverse.mastodon_s3.s3) in C(module_defaults) to set defaults
      for this module.
    support: full
    membership:
      - fediverse.mastodon_s3.all
      - fediverse.mastodon_s3.s3
"""

    # To be used together with the standard fragment.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""
