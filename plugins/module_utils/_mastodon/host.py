# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the facts about an instance from a host: units, files and their owners, mounts, processes. Changes nothing."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import stat
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvReadError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import read_bytes, read_document
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.systemd import (
    parse_environment_file,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import (
    layout,
    systemctl,
    systemd_files,
    units,
    variables,
)

# Runs a command and returns its status, output and error output.
Runner = t.Callable[[list[str]], tuple[int, str, str]]
Values = dict[str, variables.Value]

_CONTROL_GROUP_FOLDERS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
_UNITS_PER_CALL = 100
_MOST_CHARACTERS = 16 * 1024 * 1024


class DiscoveryError(Exception):
    """An instance can't be found or read; the text says why and what to do."""


def become_hint() -> str:
    """Return advice for users without root's rights, or an empty string."""
    return "" if os.geteuid() == 0 else " This task does not run as root; perhaps it lacks become: true."


def read_units(run: Runner, command: t.Sequence[str]) -> list[units.Unit]:
    """Return all services that systemd knows, running or not.

    Args:
        run: Runs a command.
        command: `systemctl`, with options that choose the service manager.

    Raises:
        DiscoveryError: systemctl failed.
    """
    names: list[str] = []
    for verb in (("list-units", "--all"), ("list-unit-files",)):
        output = _systemctl(run, [*command, *verb, "--type=service", "--plain", "--no-legend", "--no-pager", "--full"])
        names += systemctl.parse_units(output)
    found = {unit.name: unit for unit in show_units(run, command, systemctl.showable(names))}
    return [found[name] for name in sorted(found)]


def show_units(run: Runner, command: t.Sequence[str], names: t.Sequence[str]) -> list[units.Unit]:
    """Return the named services.

    Args:
        run: Runs a command.
        command: `systemctl`, with options that choose the service manager.
        names: Full names of units.

    Raises:
        DiscoveryError: systemctl failed.
    """
    found: list[units.Unit] = []
    for start in range(0, len(names), _UNITS_PER_CALL):
        some = names[start : start + _UNITS_PER_CALL]
        show = [*command, "show", "--no-pager", "--property=" + ",".join(systemctl.PROPERTIES), "--", *some]
        found += map(units.from_properties, systemctl.parse_show(_systemctl(run, show)))
    return found


def _systemctl(run: Runner, command: list[str]) -> str:
    status, output, error = run(command)
    if status != 0:
        shown = " ".join(command[:4])
        raise DiscoveryError(f"`{shown} ...` failed with status {status}: {error.strip()}{become_hint()}")
    return output


def process_ids(unit: units.Unit) -> list[int]:
    """Return the processes of a unit: those of its control group or, if that can't be read, its main process."""
    found: set[int] = {unit.main_pid} - {0}
    for folder in _CONTROL_GROUP_FOLDERS if unit.control_group.strip("/") else ():
        for path, _folders, files in os.walk(folder + unit.control_group):
            if "cgroup.procs" in files:
                found.update(int(word) for word in read_text(os.path.join(path, "cgroup.procs")).split())
    return sorted(found)


def read_text(path: str) -> str:
    """Return the text of a regular file, or an empty string if it can't be read or is something else.

    It may be in a folder of the service's account. So nothing is opened before it is known what it is: a FIFO would
    block, a device might be changed or never end.
    """
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return ""
        with open(f"/proc/self/fd/{found}", encoding="utf-8", errors="replace") as stream:
            return stream.read(_MOST_CHARACTERS)
    except OSError:
        return ""
    finally:
        os.close(found)


def unit_layers(unit: units.Unit, env_file: str) -> list[Values]:
    """Return the sources of a unit's process environment, in order of precedence.

    Args:
        unit: The unit.
        env_file: The dotenv file that will be edited; a unit may read this very file.

    Raises:
        DiscoveryError: A file that the unit reads exists, but can't be read.
    """
    command = {
        name: variables.Value(value, "command") for name, value in variables.command_assignments(unit.command).items()
    }
    layers = [command]
    for environment_file in reversed(unit.environment_files):
        paths = reversed(matching(environment_file.path))
        layers.extend(_environment_file_layer(path, env_file, unit.unset) for path in paths)
    layers.append(_environment_layer(unit))
    return layers


def matching(pattern: str) -> list[str]:
    """Return the files of an `EnvironmentFile=`, which may be a pattern."""
    return sorted(glob.glob(pattern)) or ([pattern] if os.path.lexists(pattern) else [])


def _environment_file_layer(path: str, env_file: str, unset: t.Container[str]) -> Values:
    try:
        data = read_bytes(path)[0]
    except DotenvReadError as error:
        raise DiscoveryError(f"{error}, though a systemd unit reads it.{become_hint()}") from error
    settings = parse_environment_file(data.decode("utf-8", "replace"))
    same = os.path.realpath(path) == os.path.realpath(env_file)
    return {
        name: variables.Value(setting.value, "environment_file", path, setting.line, hides_env_file=not same)
        for name, setting in settings.items()
        if name not in unset
    }


def _environment_layer(unit: units.Unit) -> Values:
    """Return the variables of Environment=, each with the last file and line that sets it."""
    places: dict[str, tuple[str, int | None]] = {}
    for path in (unit.fragment_path, *unit.drop_ins):
        lines = systemd_files.environment_lines(read_text(path)) if path else {}
        if "" in lines:
            places = {}
        places.update({name: (path, line) for name, line in lines.items()})
    layer: Values = {}
    for name, value in unit.environment.items():
        path, line = places.get(name, (unit.fragment_path, None))
        layer[name] = variables.Value(value, "drop_in" if path in unit.drop_ins else "unit", path, line)
    return layer


def dotenv_layers(root: str, names: t.Sequence[str], env_file: str) -> list[Values]:
    """Return the variables in each existing dotenv file, in the order of the names.

    Raises:
        DiscoveryError: A file exists, but can't be read.
    """
    layers: list[Values] = []
    hides = True
    for path in (os.path.join(root, name) for name in names):
        hides = hides and path != env_file
        if not os.path.exists(path):
            continue
        try:
            document = read_document(path)
        except DotenvReadError as error:
            raise DiscoveryError(f"{error}.{become_hint()}") from error
        layers.append(
            {
                name: variables.Value(found.value, "dotenv", path, found.line, hides_env_file=hides)
                for name, found in document.last().items()
            }
        )
    return layers


def file_state(path: str) -> dict[str, t.Any]:
    """Return whether a file or folder exists, its real path, and its owner (symbolic links are followed)."""
    state: dict[str, t.Any] = {"path": path, "exists": False, "real_path": os.path.realpath(path)}
    state.update(dict.fromkeys(("owner", "group", "mode"), None))
    try:
        status = os.stat(path)
    except OSError:
        return state
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return {**state, "exists": True, "owner": owner, "group": group, "mode": f"{stat.S_IMODE(status.st_mode):04o}"}


def folder_state(path: str) -> dict[str, t.Any]:
    """Return a folder's file_state with its mount, and whether it is empty (None if this is not known)."""
    state = file_state(path)
    mount = layout.mount_of(read_text("/proc/self/mountinfo"), state["real_path"])
    try:
        with os.scandir(path) as entries:
            empty: bool | None = not any(entry.name != ".gitkeep" for entry in entries)
    except FileNotFoundError:
        empty = True
    except OSError:
        empty = None
    return {
        **state,
        "empty": empty,
        "file_system": mount.get("file_system"),
        "mount_point": mount.get("mount_point"),
    }
