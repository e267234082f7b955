# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was asked of the module `env_file`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError, DotenvValueError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.quoting import check_name, quote

# MAX_ARG_STRLEN of Linux (execve(2)): with more in its environment no service starts.
_MOST_BYTES = 128 * 1024


@dataclass(frozen=True)
class Request:
    """The module's options: `values` are plain variables and secrets, the plain ones first."""

    path: str
    values: dict[str, str]
    absent: tuple[str, ...]
    comment_out: bool
    create: bool
    backup: bool
    validate: str | None


def request(params: Mapping[str, Any]) -> Request:
    """Check the module's parameters; all that is wrong with names and values is told at once.

    Raises:
        DotenvError: Names every variable that can't be taken, with reason and remedy; never a value.
    """
    variables = params["variables"]
    secrets = params["secrets"]
    absent = tuple(dict.fromkeys(params["absent"]))
    faults = []
    values = {}
    for option, given in (("variables", variables), ("secrets", secrets)):
        for name, value in given.items():
            try:
                check_name(name)
                values[name] = _text(name, value)
                quote(name, values[name])
                _check_length(name, values[name])
            except DotenvValueError as error:
                faults.append(f"{option}: {error}")
    for name in absent:
        try:
            check_name(name)
        except DotenvValueError as error:
            faults.append(f"absent: {error}")
    faults += [f"{name} is both in variables and in secrets; name it once" for name in variables if name in secrets]
    faults += [
        f"{name} is both to be set and absent; name it once" for name in absent if name in {**variables, **secrets}
    ]
    if not params["path"]:
        faults.append("path is empty; it has to name the dotenv file")
    if params["validate"] is not None and "%s" not in params["validate"]:
        faults.append("validate has to hold %s where the path of the file goes")
    if faults:
        raise DotenvError("; ".join(faults))
    return Request(
        path=params["path"],
        values=values,
        absent=absent,
        comment_out=params["removal"] == "comment",
        create=params["create"],
        backup=params["backup"],
        validate=params["validate"],
    )


def _check_length(name: str, value: str) -> None:
    if len(f"{name}={value}".encode()) >= _MOST_BYTES:
        raise DotenvValueError(
            f"the value of {name} is longer than a process can be given: {_MOST_BYTES // 1024} KiB; choose another one"
        )


def _text(name: str, value: Any) -> str:
    """Return the text that stands for a YAML value, where there is no doubt which."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if value is None:
        raise DotenvValueError(f'the value of {name} is null; use "" for an empty value, or list {name} in absent')
    if isinstance(value, float):
        raise DotenvValueError(
            f"the value of {name} is a number with a fraction, which YAML may have changed; quote it"
        )
    raise DotenvValueError(
        f"the value of {name} is no string but a {type(value).__name__}; a variable holds one string"
    )
