# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repeats the module s3_sync until it is time to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.utils.display import Display

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._progress import duration
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._waiting import (
    SHORTEST_PAUSE_SECONDS,
    Condition,
    Look,
    missed,
    next_moment,
    pause_after,
)

display = Display()

_LOOK_FOR_FILE_SECONDS = 10.0


class Rounds:
    """Runs of the module, every few minutes, until a condition is met."""

    def __init__(
        self,
        waited_for: Condition,
        host: str,
        run_module: Callable[[], dict[str, Any]],
        look: Callable[[Condition], Optional[Look]],
        show: Callable[[str], None],
    ) -> None:
        """Prepare the rounds.

        Args:
            waited_for: What ends them.
            host: Its name, for the question.
            run_module: Runs the module and returns its result.
            look: Returns what a look at the host shows, or None while it can't be reached.
            show: Shows a line.
        """
        self._waited_for, self._host = waited_for, host
        self._run_module, self._look, self._show = run_module, look, show
        self._moment: Optional[datetime] = None

    def run(self) -> dict[str, Any]:
        """Run the module every few minutes until it is time to go on, and then a last time."""
        changed, pause = False, SHORTEST_PAUSE_SECONDS
        if self._waited_for.file:
            self._show_wait(f"until {self._waited_for.file} exists on the host")
        while True:
            try:
                due = self._asked(pause) if self._waited_for.asks else self._due(pause)
            except AnsiblePromptNoninteractive:
                return {
                    "failed": True,
                    "changed": changed,
                    "msg": "There is no terminal to ask on. Use one, or set repeat_until to a time of day or a file",
                }
            if due is False:
                return {"changed": changed, "stopped": "declined", "msg": "The question was answered with no"}
            began = time.monotonic()
            result = self._run_module() if due else self._run_that_may_fail()
            changed = changed or bool(result.get("changed"))
            if due or result.get("stopped"):
                return {**result, "changed": changed}
            if result.get("failed"):
                self._show(f"this round failed, and the next one tries again: {result.get('msg', '')}")
            pause = pause_after(time.monotonic() - began)

    def _run_that_may_fail(self) -> dict[str, Any]:
        """Run the module. A host that can't be reached now may be reached in the next round."""
        try:
            return self._run_module()
        except AnsibleConnectionFailure as error:
            return {"failed": True, "msg": str(error)}

    def _asked(self, seconds: float) -> Optional[bool]:
        """Ask on the terminal whether to go on; return None if there is no answer in time.

        Raises:
            AnsiblePromptNoninteractive: There is no terminal, or Ansible runs in the background.
        """
        end = time.monotonic() + seconds
        question = (
            f"[{self._host}] The copy is up to date, and changes are sent every {duration(seconds)}. Go on now? Type"
            " yes, or no to end here, and press Enter:"
        )
        while time.monotonic() < end:
            try:
                answer = display.prompt_until(question, seconds=max(1, round(end - time.monotonic())))
            except AnsiblePromptInterrupt:
                return False
            if answer.strip().lower() in (b"yes", b"no"):
                return bool(answer.strip().lower() == b"yes")
        return None

    def _due(self, seconds: float) -> Optional[bool]:
        """Wait for the file or the time of day; return None if neither came in time."""
        end = time.monotonic() + seconds
        while True:
            look = self._look(self._waited_for)
            rest = _LOOK_FOR_FILE_SECONDS
            if look is not None and self._waited_for.file and look.file_found:
                return True
            if look is not None and not self._waited_for.file:
                if self._moment is not None and look.now >= self._moment and not missed(self._moment, look.now):
                    return True
                rest = self._seconds_to_moment(look)
            left = end - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, max(rest, 1.0)))

    def _seconds_to_moment(self, look: Look) -> float:
        """Return how far the moment is. Say when it is, the first time and after it was missed."""
        if self._moment is None or look.now >= self._moment:
            if self._moment is not None:
                self._show(f"{self._moment:%H:%M} {look.zone} was missed by more than an hour")
            self._moment = next_moment(self._waited_for, look.now)
            left = duration((self._moment - look.now).total_seconds())
            self._show_wait(f"until {self._moment:%Y-%m-%d %H:%M} {look.zone} on the host, in {left}")
        return (self._moment - look.now).total_seconds()

    def _show_wait(self, until: str) -> None:
        self._show(f"waiting {until}; the bucket is kept up to date, and an interruption does no harm")
