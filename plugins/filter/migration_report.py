# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter fediverse.mastodon_s3.migration_report."""

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_report
short_description: Put the figures of a migration's report together
description:
  - Turns the results of the phases of a migration into the figures of its report, such as the files of each folder, the
    checks with their results, and the monthly cost. Names of private files are not part of it.
  - What a later run does not know, such as the length of the switch, comes from the report before it.
author: fediverse.mastodon_s3 contributors (@fediverse)
positional: _input, previous
options:
  _input:
    description:
      - What the run has found. It needs C(host), C(written) (the time as ISO 8601 in UTC), C(store) and C(steps) (each
        with C(when), C(title), C(text) and C(command)).
      - The results C(comparison), C(sent), C(history) and C(final_actions) of the modules
        M(fediverse.mastodon_s3.s3_sync_info) and M(fediverse.mastodon_s3.s3_sync), C(proof), C(prices), C(site),
        C(state), C(since), C(switched_now) and C(switch_seconds) may be missing or empty.
    type: dict
    required: true
  previous:
    description: The content of the report before this one. If it is empty or not a report, it is not used.
    type: str
    default: ""
seealso:
  - plugin: fediverse.mastodon_s3.report_page
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Put the figures together
  ansible.builtin.set_fact:
    report: "{{ found | fediverse.mastodon_s3.migration_report(lookup('ansible.builtin.file', 'media.report.json')) }}"
"""

RETURN = r"""
_value:
  description: The figures, with C(moved), C(copy), C(switch), C(checks), C(left_out), C(private), C(cost) and others.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._report import figures


def migration_report(found: Mapping[str, Any], previous: str = "") -> dict[str, Any]:
    """Return the figures of a report, as documented above."""
    try:
        return figures(found, previous)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"migration_report: its input can't be used: {error!r}") from error


class FilterModule:
    """Filters of the role mastodon_s3."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"migration_report": migration_report}
