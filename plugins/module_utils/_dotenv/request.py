# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checked options of the module `env_file`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError, DotenvValueError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.quoting import check_name, quote
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.ownership import parse_access
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import KEEP, Access

# MAX_ARG_STRLEN of Linux (execve(2)): no service starts with a longer variable in its environment.
_MOST_BYTES = 128 * 1024


@dataclass(frozen=True)
class Request:
    """The module's options.

    Attributes:
        values: Value by name, of plain variables and secrets, the plain ones first.
        plain: Names of the plain variables, and of the absent ones.
        secrets: Value by name of the secrets.
        access: Owner, group and mode.
    """

    path: str
    values: dict[str, str]
    plain: tuple[str, ...]
    secrets: dict[str, str]
    absent: tuple[str, ...]
    comment_out: bool
    create: bool
    backup: bool
    validate: str | None
    access: Access


def request(params: Mapping[str, Any]) -> Request:
    """Check the module's parameters. All problems with names and values are reported at once.

    Raises:
        DotenvError: Names every invalid variable, with reason and remedy; never a value.
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
        f"{name} is to be both set and removed; name it once" for name in absent if name in {**variables, **secrets}
    ]
    if not params["path"]:
        faults.append("path is empty; set it to the dotenv file")
    if params["validate"] is not None and "%s" not in params["validate"]:
        faults.append("validate must contain %s in place of the file's path")
    access = KEEP
    try:
        access = parse_access(params["owner"], params["group"], params["mode"])
    except FileError as error:
        faults.append(str(error))
    if faults:
        raise DotenvError("; ".join(faults))
    return Request(
        path=params["path"],
        values=values,
        plain=(*variables, *absent),
        secrets={name: values[name] for name in secrets},
        absent=absent,
        comment_out=params["removal"] == "comment",
        create=params["create"],
        backup=params["backup"],
        validate=params["validate"],
        access=access,
    )


def _check_length(name: str, value: str) -> None:
    if len(f"{name}={value}".encode()) >= _MOST_BYTES:
        raise DotenvValueError(
            f"the value of {name} is too long: a process accepts less than {_MOST_BYTES // 1024} KiB; use a shorter one"
        )


def _text(name: str, value: Any) -> str:
    """Return the text for a YAML value, if it is unambiguous."""
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
    raise DotenvValueError(f"the value of {name} is not a string, but a {type(value).__name__}; give one string")
