# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Combines everything that is known about a host's Mastodon instance."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import (
    compose,
    compose_environment,
    host,
    layout,
    units,
    variables,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.version import Version, parse_version

# A folder that Compose sets is one inside the container.
_STORAGE_PREFIXES = ("AWS_", "AZURE_", "S3_", "SWIFT_")


def discover(root: str | None, all_units: t.Sequence[units.Unit], *, media_root: str | None = None) -> dict[str, t.Any]:
    """Return everything about an instance, as mastodon_instance_info documents it.

    Args:
        root: The instance's folder, or None to look for it.
        all_units: All services of the host.
        media_root: The folder of the media, or None for what Mastodon's settings say.

    Raises:
        DiscoveryError: There is no instance, there are several and none was named, it can't be read, or media_root is
            not an absolute path.
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
        variables.ProcessVariables(unit.name, host.unit_layers(unit, env_file), dotenv)
        for unit in web_units + sidekiq_units
    ]
    compose_files = _compose_files(root)
    managed_by = _managed_by(root, own_units)
    # Without units the dotenv files are all there is; in a container they become its environment, unless Compose sets
    # another value.
    overrides = _compose_layers(compose_files) if managed_by == "docker" else []
    process = processes[0] if processes else variables.ProcessVariables("", [*overrides, *dotenv], ())
    effective = process.effective()

    media_root = _media_root(root, effective.get("PAPERCLIP_ROOT_PATH"), media_root)
    web_url, web_socket = layout.web_address(web.command if web else "", process.inherited())
    texts = [text for _path, text in compose_files]
    version = _version(root, texts, in_container=managed_by == "docker")
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
        "managed_by": managed_by,
        "env_file": env_file,
        "env_file_exists": os.path.exists(env_file),
        "env_files": [host.file_state(os.path.join(root, name)) for name in names],
        "media_root": media_root,
        "media_root_state": host.folder_state(media_root),
        "media_mounts": [
            {"source": mount.source, "path": mount.path}
            for mount in dict.fromkeys(mount for text in texts for mount in compose.media_mounts(text, root))
        ],
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
    """Return the folder of the instance: the given one, or the only one that runs, is set up to run, or exists.

    Raises:
        DiscoveryError: None is found, or more than one.
    """
    if root is not None:
        root = os.path.normpath(root)
        has_env_file = os.path.exists(os.path.join(root, ".env.production"))
        if not os.path.isabs(root) or not (_is_instance(root) or has_env_file):
            raise host.DiscoveryError(
                f"root: {root} is not the folder of a Mastodon instance: it has neither {layout.VERSION_FILE} nor "
                ".env.production. Give the absolute path of the folder that holds .env.production, usually "
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
            raise host.DiscoveryError(f"This host has several Mastodon instances: {names}. Set root to one of them.")
        if found:
            return next(iter(found.values()))
    raise host.DiscoveryError(
        "No Mastodon instance was found: no systemd unit runs puma or sidekiq from a folder with "
        f"{layout.VERSION_FILE}, and there is none in {', '.join(layout.WELL_KNOWN_ROOTS)}. Set root to its folder."
        + host.become_hint()
    )


def _compose_layers(compose_files: t.Sequence[tuple[str, str]]) -> list[dict[str, variables.Value]]:
    """Return what `environment:` in each Compose file sets for storage, in order of precedence."""
    return [
        {
            name: variables.Value(setting.value, "compose", path, setting.line)
            for name, setting in compose_environment.environment_of_mastodon(text).items()
            if name.startswith(_STORAGE_PREFIXES)
        }
        for path, text in reversed(compose_files)
    ]


def _version(root: str, compose_texts: t.Sequence[str], *, in_container: bool) -> Version | None:
    """Return the version of the source, or that of the image if the source is missing or not what runs."""
    source = parse_version(host.read_text(os.path.join(root, layout.VERSION_FILE)))
    image = next(filter(None, map(compose.image_version, reversed(compose_texts))), None)
    return image or source if in_container else source or image


def _is_instance(path: str) -> bool:
    if os.path.isfile(os.path.join(path, layout.VERSION_FILE)):
        return True
    return os.path.exists(os.path.join(path, ".env.production")) and _runs_in_compose(path)


def _runs_in_compose(root: str) -> bool:
    return any(compose.runs_mastodon(text) for _path, text in _compose_files(root))


def _compose_files(root: str) -> list[tuple[str, str]]:
    """Return paths and texts of the Compose file in a folder and of its override, if they exist."""
    found = []
    for names in (compose.COMPOSE_FILES, compose.OVERRIDE_FILES):
        files = ((path, host.read_text(path)) for path in (os.path.join(root, name) for name in names))
        found += [(path, text) for path, text in files if text][:1]
    return found


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
    # Mastodon's source tree contains a Compose file. If it was built on the host, it also has assets.
    built = os.path.isdir(os.path.join(root, "public", "packs"))
    has_source = os.path.isfile(os.path.join(root, layout.VERSION_FILE))
    return layout.managed_by(
        os.path.realpath(root),
        [unit.command for unit in own_units],
        nixos=os.path.exists("/etc/NIXOS"),
        yunohost=os.path.isdir("/etc/yunohost"),
        compose=not native and not (built and has_source) and _runs_in_compose(root),
    )


def _media_root(root: str, configured: variables.Value | None, given: str | None) -> str:
    if given is not None:
        if not os.path.isabs(given):
            raise host.DiscoveryError(
                f"media_root: {given!r} is not an absolute path. Write it from the root, such as /srv/media."
            )
        return os.path.normpath(given)
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
