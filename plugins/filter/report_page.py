# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter fediverse.mastodon_s3.report_page."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
short_description: Turn the figures of a migration's report into the words of its page
description:
  - Returns all words and numbers of the HTML page of a report as they are shown, and the coordinates of its chart. They
    are plain text, so the template has to escape them.
author: fediverse.mastodon_s3 contributors (@fediverse)
positional: _input, reasons
options:
  _input:
    description: What P(fediverse.mastodon_s3.migration_report#filter) returned, and facts about the instance.
    type: dict
    required: true
  reasons:
    description: Why files are left out, in words, by the names that M(fediverse.mastodon_s3.s3_sync_info) uses.
    type: dict
    required: true
seealso:
  - plugin: fediverse.mastodon_s3.migration_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write the page of a report
  ansible.builtin.template:
    src: report.html.j2
    dest: /root/report.html
    mode: "0600"
  vars:
    page: "{{ report | fediverse.mastodon_s3.report_page({'symlink': 'symbolic links'}) }}"
"""

RETURN = r"""
_value:
  description: The words of the page, by section.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._report_page import page


def report_page(report: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """Return the words of the page, as documented above."""
    try:
        return page(report, reasons)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"report_page: the report can't be used: {error!r}") from error


class FilterModule:
    """Filters of the role mastodon_s3."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"report_page": report_page}
