# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter unsafe_nginx_values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: unsafe_nginx_values
short_description: Find values that must not be written into nginx's configuration
version_added: 0.1.0
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - A semicolon, a brace, a line break, a quote or a dollar sign in a value could end a directive of nginx, add others
    or insert a variable. No value that this filter accepts contains one of them.
  - Everything that is not known to be harmless is refused.
options:
  _input:
    description: The values by name. An empty value is accepted.
    type: dict
    required: true
  kinds:
    description:
      - What each of these names stands for. Names that are not in O(_input) are ignored.
      - >-
        V(host) is a host name, V(url) an address with V(http) or V(https), without credentials, query and slash at the
        end, V(path) an absolute path, V(key) a path without a slash at either end, V(secret) a secret, which is not
        repeated in the message, V(header) the name of an HTTP header, V(word) a word such as a region, V(size) a size
        such as V(10g), and V(resolver) an IP address, which may have a port.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Stop at a dangerous value
  ansible.builtin.assert:
    that: unsafe | length == 0
    fail_msg: "{{ unsafe }}"
  vars:
    unsafe: "{{ {'domain': 'a.example; }'} | fediverse.mastodon_s3.unsafe_nginx_values({'domain': 'host'}) }}"
    # => ["domain is 'a.example; }'. Set it to a host name such as media.example.com, without scheme, port and path."]
"""

RETURN = r"""
_value:
  description: A sentence for each value that is refused, in the order of O(kinds).
  type: list
  elements: str
"""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_IPV6 = r"\[[0-9A-Fa-f:.]+\]"
_PORT = r"(?::[0-9]{1,5})?"
_NAME = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._@+~-]+"
_KEY = rf"{_NAME}(?:/{_NAME})*"

_RULES: Mapping[str, tuple[str, str]] = {
    "host": (_HOST, "a host name such as media.example.com, without scheme, port and path"),
    "url": (
        rf"https?://(?:{_HOST}|{_IPV6}){_PORT}(?:/{_KEY})?",
        "an address such as https://media.example.com, without a slash at the end",
    ),
    "path": (rf"/{_KEY}", "an absolute path of letters, digits and the characters . _ @ + ~ -"),
    "key": (_KEY, "a path of letters, digits and the characters . _ @ + ~ -, without a slash at either end"),
    "secret": (r"[A-Za-z0-9/+=._~-]+", "letters, digits and the characters / + = . _ ~ -"),
    "header": (r"[A-Za-z][A-Za-z0-9-]*", "the name of an HTTP header of letters, digits and hyphens"),
    "word": (r"[A-Za-z0-9][A-Za-z0-9._-]*", "a word of letters, digits and the characters . _ -"),
    "size": (r"[1-9][0-9]*[kKmMgG]?", "a size such as 512m or 10g"),
    "resolver": (rf"(?:[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}|{_IPV6}){_PORT}", "an IP address such as 192.0.2.53"),
}


def unsafe_nginx_values(values: Mapping[str, Any], kinds: Mapping[str, str]) -> list[str]:
    """Return a sentence for each value that must not be written into nginx's configuration.

    Args:
        values: The values by name. A list stands for its items.
        kinds: What each name stands for, a key of the rules.
    """
    problems = []
    for name, kind in kinds.items():
        value = values.get(name)
        for item in value if isinstance(value, list) else [value]:
            if item is None or item == "":
                continue
            pattern, wanted = _RULES[kind]
            # Not match and `$`, which ignores a line break at the end.
            if not isinstance(item, str) or not re.fullmatch(pattern, item, re.ASCII):
                shown = "has characters that nginx could misread" if kind == "secret" else f"is {str(item)!r}"
                problems.append(f"{name} {shown}. Set it to {wanted}.")
    return problems


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by its name."""
        return {"unsafe_nginx_values": unsafe_nginx_values}
