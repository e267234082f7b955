# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an instance keeps its files, by the rules of Mastodon's own code; nothing is read from disk here."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.units import option_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mountinfo import at_and_below

# Where guides, packages and the container image put Mastodon.
WELL_KNOWN_ROOTS = (
    "/home/mastodon/live",
    "/opt/mastodon",
    "/opt/mastodon/live",
    "/srv/mastodon/live",
    "/srv/mastodon",
    "/var/lib/mastodon/live",
    "/var/www/mastodon/live",
    "/var/www/mastodon",
    "/mastodon",
)
VERSION_FILE = "lib/mastodon/version.rb"

_CONTAINER_RUN = re.compile(r"(?:^|[\s/])(?:docker|docker-compose|podman|podman-compose|nerdctl)(?=\s|$)")


def env_file_names(rails_env: str) -> tuple[str, ...]:
    """Return the dotenv files of a Rails environment, in order of precedence (dotenv's `lib/dotenv/rails.rb`)."""
    names = (f".env.{rails_env}.local", ".env.local", f".env.{rails_env}", ".env")
    return tuple(name for name in names if not (rails_env == "test" and name == ".env.local"))


def media_root(root: str, configured: str | None) -> str:
    """Return the media folder for a value of PAPERCLIP_ROOT_PATH; None if it is not set.

    `:rails_root` in it is the folder of the instance. A relative path starts there too, as Mastodon's processes run in
    it (Mastodon's `config/initializers/paperclip.rb`).
    """
    path = "public/system" if configured is None else configured.replace(":rails_root", root)
    # Mastodon joins with a slash, so that an empty value is the file system's root.
    return os.path.normpath(os.path.join(root, path or "/"))


def web_address(command: str, environment: t.Mapping[str, str]) -> tuple[str, str | None]:
    """Return the address of the web process on its own host, and its UNIX socket if it has one.

    Puma's options override SOCKET, BIND and PORT, which Mastodon's `config/puma.rb` reads.

    Args:
        command: Command line of the web process.
        environment: Variables of its process environment; dotenv files are read too late to matter.
    """
    bind = option_of(command, "-b", "--bind")
    port = option_of(command, "-p", "--port")
    if bind is None and port is None and environment.get("SOCKET"):
        return "http://localhost", environment["SOCKET"]
    if bind is not None and bind.startswith("unix://"):
        return "http://localhost", bind[len("unix://") :].split("?", 1)[0]
    host = environment.get("BIND", "127.0.0.1")
    number = port or environment.get("PORT", "3000")
    if bind is not None:
        found = re.match(r"(?:tcp|ssl)://(\[[^\]]+\]|[^:/?]+)(?::(\d+))?", bind)
        host, number = (found[1], found[2] or number) if found else (host, number)
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}.get(host, host)  # noqa: S104 (no socket is bound)
    return f"http://{host if ':' not in host or host.startswith('[') else f'[{host}]'}:{number}", None


def managed_by(root: str, commands: t.Sequence[str], nixos: bool, yunohost: bool, compose: bool) -> str | None:
    """Return what manages an instance and may overwrite its settings: nixos, yunohost, docker; None for nothing.

    Args:
        root: Folder of the instance, with symbolic links resolved.
        commands: Command lines of its units.
        nixos: The host runs NixOS.
        yunohost: The host runs YunoHost.
        compose: A Compose file in the folder runs Mastodon, and no unit runs it from the folder itself.
    """
    if root.startswith("/nix/store/") or any("/nix/store/" in command for command in commands):
        return "nixos"
    if nixos and not commands:
        return "nixos"
    if yunohost and root.startswith("/var/www/"):
        return "yunohost"
    if compose or any(_CONTAINER_RUN.search(command) for command in commands):
        return "docker"
    return None


def mount_of(mountinfo: str, path: str) -> dict[str, str]:
    """Return the mount point and file system of a path, from the text of `/proc/self/mountinfo`.

    Args:
        mountinfo: The text; see the manual page proc(5).
        path: An absolute path without symbolic links.
    """
    lines = mountinfo.encode(errors="surrogateescape").split(b"\n")
    mount, _below = at_and_below(lines, os.fsencode(path))
    return {} if mount is None else {"mount_point": os.fsdecode(mount.point), "file_system": mount.kind}
