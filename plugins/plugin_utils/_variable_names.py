# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names the role's variables in a module's error message, since the module knows only its own options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ROLE = "mastodon_s3"
# The role sets it, for all of its tasks or for some.
_VARIABLE = "__mastodon_s3_option_names"
_PLAIN_WORDS = ("bucket", "exclude", "name", "nice", "profile", "region", "root")
# Words in front of an option in a remedy, such as "set region and endpoint_url to match".
_BEFORE = re.compile(r"\b(?:set|check|in|and|or)\s+\Z", re.IGNORECASE)
# What follows an option that is set: "profile and access_key are both set".
_SET = re.compile(r"(?:(?:,| and) \w+)* (?:is|are)(?: both| all| not)* set\b")


def with_variable_names(result: dict[str, Any], task_vars: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """Return the result of a task. If it is a failed task of the role, its message names the role's variables.

    Args:
        result: What the module returned.
        task_vars: The variables of the task.
        templar: Resolves templates in them.
    """
    message = result.get("msg")
    # Variables of a role are also seen by other tasks of its play.
    in_role = str(task_vars.get("ansible_role_name") or "").endswith(_ROLE)
    if not result.get("failed") or not isinstance(message, str) or not in_role:
        return result
    changed = named(message, templar.template(task_vars.get(_VARIABLE, {})))
    if changed == message:
        return result
    # Ansible keeps the message a second time here, and prints that one.
    return {name: value for name, value in {**result, "msg": changed}.items() if name != "exception"}


def named(text: str, names: Mapping[str, str]) -> str:
    """Return a message with variable names in place of option names."""
    if not names:
        return text
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))

    def replaced(found: re.Match[str]) -> str:
        name = found[0]
        if name in _PLAIN_WORDS and not _is_an_option(text, found.start(), found.end()):
            return name
        return names[name]

    return re.sub(rf"(?<![\w.-])(?:{either})(?![\w-])", replaced, text)


def _is_an_option(text: str, start: int, end: int) -> bool:
    """Return whether a common word means the option of that name, as in "set region" or "region 'x'"."""
    before, after = text[:start], text[end:]
    if after.startswith((" '", ' "', ": ")) or _SET.match(after):
        return True
    verb = _BEFORE.search(before)
    if verb is None or re.match(r"\s+(?:name|of|is|does|has)\b", after):
        return False
    # With "and" or "or" the verb comes earlier, before other options.
    return verb.group().strip().lower() in ("set", "check") or bool(
        re.search(r"\b(?:set|check)\s+(?:[a-z_]+,?\s+)*(?:and|or)\s+\Z", before, re.IGNORECASE)
    )
