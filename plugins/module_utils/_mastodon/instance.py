# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts together what is known about the one Mastodon instance of a host."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import (
    host,
    layout,
    units,
    variables,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.version import parse_version


def discover(root: str | None, all_units: t.Sequence[units.Unit]) -> dict[str, t.Any]:
    """Return everything about an instance, as mastodon_instance_info documents it.

    Args:
        root: The instance's folder, or None to look for it.
        all_units: All services of the host.

    Raises:
        DiscoveryError: There is no instance, there are several and none was named, or it can't be read.
    """
    root = choose_root(root, all_units)
    own_units = units_of(root, all_units)
    web_units, sidekiq_units = units.in_use(own_units, "web"), units.in_use(own_units, "sidekiq")
    web = web_units[0] if web_units else None

    rails_env = web.environment.get("RAILS_ENV", "production") if web else "production"
    names = layout.env_file_names(rails_env)
    env_file = os.path.join(root, f".env.{rails_env}")
    dotenv = host.dotenv_layers(root, names, env_file)
    processes = [
        variables.Process(unit.name, host.unit_layers(unit, env_file), dotenv) for unit in web_units + sidekiq_units
    ]
    # Without units the dotenv files are all there is; in a container they become its environment.
    process = processes[0] if processes else variables.Process("", dotenv, ())
    effective = process.effective()

    media_root = _media_root(root, effective.get("PAPERCLIP_ROOT_PATH"))
    web_url, web_socket = layout.web_address(web.command if web else "", process.inherited())
    version = parse_version(host.read_text(os.path.join(root, layout.VERSION_FILE)))
    domain = _value(effective, "LOCAL_DOMAIN")
    return {
        "root": root,
        "version": {
            "full": version.full if version else None,
            "string": version.string if version else None,
            "major": version.major if version else None,
            "minor": version.minor if version else None,
            "patch": version.patch if version else None,
            "prerelease": version.prerelease if version else None,
            "metadata": version.metadata if version else None,
        },
        "managed_by": _managed_by(root, own_units),
        "env_file": env_file,
        "env_file_exists": os.path.exists(env_file),
        "env_files": [host.file_state(os.path.join(root, name)) for name in names],
        "media_root": media_root,
        "media_root_state": host.folder_state(media_root),
        "media_url_path": _value(effective, "PAPERCLIP_ROOT_URL") or "/system",
        "domain": domain,
        "web_domain": _value(effective, "WEB_DOMAIN") or domain,
        "web_url": web_url,
        "web_socket": web_socket,
        "web_units": [unit.name for unit in web_units],
        "sidekiq_units": [unit.name for unit in sidekiq_units],
        "units": [_unit_result(unit, env_file) for unit in own_units],
        "variables": {
            name: {**variables.report(name, value), "unit": process.unit or None}
            for name, value in sorted(effective.items())
            if variables.is_tracked(name)
        },
        "shadowed": variables.shadowed(processes or [process]),
        "differences": variables.differences(processes),
    }


def choose_root(root: str | None, all_units: t.Sequence[units.Unit]) -> str:
    """Return the folder of the instance: the given one, or the only one that runs, or is set up to run, or is there.

    Raises:
        DiscoveryError: None is found, or more than one.
    """
    if root is not None:
        root = os.path.normpath(root)
        if not os.path.isabs(root) or not _is_instance(root):
            raise host.DiscoveryError(
                f"root: {root} is not the folder of a Mastodon instance: it has neither {layout.VERSION_FILE} nor a "
                "compose file with a .env.production. Give the folder that holds .env.production, usually "
                f"/home/mastodon/live.{host.become_hint()}"
            )
        return root
    started = [unit for unit in all_units if unit.kind != "other" and unit.root]
    for candidates in (
        [unit.root for unit in started if unit.active],
        [unit.root for unit in started],
        list(layout.WELL_KNOWN_ROOTS),
    ):
        found = {os.path.realpath(path): path for path in reversed(candidates) if _is_instance(path)}
        if len(found) > 1:
            names = ", ".join(sorted(found.values()))
            raise host.DiscoveryError(f"This host has several Mastodon instances: {names}. Name one of them with root.")
        if found:
            return next(iter(found.values()))
    raise host.DiscoveryError(
        "No Mastodon instance was found: no systemd unit runs puma or sidekiq from a folder with "
        f"{layout.VERSION_FILE}, and there is none in {', '.join(layout.WELL_KNOWN_ROOTS)}. Name its folder with root."
        + host.become_hint()
    )


def _is_instance(path: str) -> bool:
    if os.path.isfile(os.path.join(path, layout.VERSION_FILE)):
        return True
    return os.path.exists(os.path.join(path, ".env.production")) and _runs_in_compose(path)


def _runs_in_compose(root: str) -> bool:
    return any(layout.runs_mastodon(host.read_text(os.path.join(root, name))) for name in layout.COMPOSE_FILES)


def units_of(root: str, all_units: t.Sequence[units.Unit]) -> list[units.Unit]:
    """Return the units that run from a folder, by kind, the active ones first, then by name."""
    real_root = os.path.realpath(root)
    below = tuple({f"{root}/", f"{real_root}/"})
    own = [
        unit
        for unit in all_units
        if unit.load_state == "loaded"
        and ((unit.root and os.path.realpath(unit.root) == real_root) or any(path in unit.command for path in below))
    ]
    return sorted(own, key=lambda unit: (units.KINDS.index(unit.kind), not unit.active, unit.name))


def _managed_by(root: str, own_units: t.Sequence[units.Unit]) -> str | None:
    native = any(unit.kind in ("web", "sidekiq") for unit in own_units)
    # The source tree of Mastodon brings a compose file; one that was built on the host has its assets too.
    built = os.path.isdir(os.path.join(root, "public", "packs"))
    has_source = os.path.isfile(os.path.join(root, layout.VERSION_FILE))
    return layout.managed_by(
        os.path.realpath(root),
        [unit.command for unit in own_units],
        nixos=os.path.exists("/etc/NIXOS"),
        yunohost=os.path.isdir("/etc/yunohost"),
        compose=not native and not (built and has_source) and _runs_in_compose(root),
    )


def _media_root(root: str, configured: variables.Value | None) -> str:
    if configured is not None and configured.value is None:
        raise host.DiscoveryError(
            f"PAPERCLIP_ROOT_PATH ({configured.place()}) refers to other variables or runs a command, so the folder of "
            "the media is not known. Write the path out there."
        )
    return layout.media_root(root, configured.value if configured else None)


def _value(effective: t.Mapping[str, variables.Value], name: str) -> str | None:
    found = effective.get(name)
    return found.value if found else None


def _unit_result(unit: units.Unit, env_file: str) -> dict[str, t.Any]:
    real_env_file = os.path.realpath(env_file)
    files = []
    for entry in unit.environment_files:
        paths = host.matching(entry.path)
        files.append(
            {
                "path": entry.path,
                "optional": entry.optional,
                "exists": bool(paths),
                "is_env_file": any(os.path.realpath(path) == real_env_file for path in paths),
            }
        )
    return {
        "name": unit.name,
        "kind": unit.kind,
        "active": unit.active,
        "enabled": unit.enabled,
        "command": variables.masked_command(unit.command),
        "user": unit.user or None,
        "umask": unit.umask,
        "environment": sorted(unit.environment),
        "environment_files": files,
        "main_pid": unit.main_pid or None,
        "pids": host.process_ids(unit),
        "fragment_path": unit.fragment_path or None,
        "drop_ins": list(unit.drop_ins),
        "timeout_stop": unit.timeout_stop,
        "needs_daemon_reload": unit.needs_daemon_reload,
    }
