# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a switch is asked to do, and what it did."""

from __future__ import annotations

import enum
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment


class Phase(enum.Enum):
    """A part of a switch.

    QUIESCE: Sidekiq finishes its jobs and takes no new ones; what they wrote is sent.
    CONFIGURE: Sidekiq stops, and the env file changes.
    RESTART: web restarts, the last files are sent, and Sidekiq starts.
    UNDO: the env file and the services become what they were before.
    """

    QUIESCE = "quiesce"
    CONFIGURE = "configure"
    RESTART = "restart"
    UNDO = "undo"


class Copy(enum.Enum):
    """Which copy of the env file an undo restores.

    BEFORE: that from before the switch.
    LAST: that from before the last edit.
    """

    BEFORE = "before"
    LAST = "last"


class SwitchError(Exception):
    """A step failed. The text says why."""


class SwitchFailedError(Exception):
    """A switch failed.

    Attributes:
        undone: The previous state was restored.
        interfered: Services or files were changed before it failed.
    """

    def __init__(self, text: str, *, undone: bool, interfered: bool) -> None:
        super().__init__(text)
        self.undone = undone
        self.interfered = interfered


@dataclass(frozen=True)
class Settings:
    """What a switch is about.

    Attributes:
        state_dir: Folder of the record and the copies of the env file.
        bucket: The bucket's name.
        key_prefix: What all keys begin with.
        exposure: How objects are made readable for everybody.
        root: The instance's folder.
        env_file: Its env file.
        domain: Its LOCAL_DOMAIN, or an empty string.
        web_units: systemd units of web.
        sidekiq_units: systemd units of Sidekiq.
        restart_command: Restarts everything in place of the units, or an empty string.
        web_url: Where web answers.
        web_socket: The Unix socket on which it listens, or an empty string.
        quiesce_timeout: Seconds that Sidekiq's jobs may take.
        health_timeout: Seconds until web has to answer.
        fallback_file: While it exists, a web server serves from disk what the bucket lacks; or an empty string.
        restore: What an undo of an earlier switch restores; None if nothing was edited.
        before_edit: The moment before that edit.
    """

    state_dir: str
    bucket: str
    key_prefix: str
    exposure: str | None
    root: str
    env_file: str
    domain: str

    web_units: tuple[str, ...]
    sidekiq_units: tuple[str, ...]
    restart_command: str
    web_url: str
    web_socket: str
    quiesce_timeout: int
    health_timeout: int
    fallback_file: str = ""
    restore: Copy | None = None
    before_edit: Moment | None = None

    def copy(self, which: Copy) -> str:
        """Return the path of a copy of the env file."""
        return os.path.join(self.state_dir, f"{self.bucket}.env.{which.value}")


@dataclass
class Progress:
    """What a switch has done so far.

    Attributes:
        phases: The phases that are done.
        steps: Name and seconds of each step.
        rounds: Results of the syncs.
        warnings: What the syncs warned of.
        edited: Names in the env file that were added, updated or removed.
        restore: What an undo has to restore.
        before_edit: The moment before the edit.
        quieted: Sidekiq may be quiet or stopped.
        restarted: The services were restarted.
        settings_from: The moment after the edit, from which on all processes have the new settings.
        seconds_without_sidekiq: From the stop of Sidekiq to its start.
        seconds_to_last_file: From the end of the last old web process to the end of the final sync.
    """

    phases: list[str] = field(default_factory=list)
    steps: list[dict[str, t.Any]] = field(default_factory=list)
    rounds: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    restore: Copy | None = None
    before_edit: Moment | None = None
    quieted: bool = False
    restarted: bool = False
    settings_from: Moment | None = None
    seconds_without_sidekiq: float | None = None
    seconds_to_last_file: float | None = None
