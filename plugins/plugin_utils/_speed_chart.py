# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the bars of a chart are: how fast a copy went, from the beginning to the end of all of its runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._progress import duration, size

# Of the drawing, in its own units. The page scales it.
WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 4, 12, 28
MOST_BARS = 64
_LEAST_BARS = 6
# Between two runs, so that nobody takes them for one.
_PAUSE_SECONDS = 600
# A run that sent less than this part of the largest one is not shown.
_SMALL_SHARE = 50
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def speed_chart(runs: Sequence[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """Return the chart of these runs, as `s3_sync` returns them in `history`; None if they were too short for one.

    Rounds that only sent what had changed since are left out: they say nothing of the speed.
    """
    largest = max((run["bytes"] for run in runs), default=0)
    runs = [run for run in runs if run["bytes"] * _SMALL_SHARE >= largest]
    curve = _curve(runs)
    total, most = curve[-1]
    bars = min(int(total), MOST_BARS)
    if bars < _LEAST_BARS or most <= 0:
        return None
    width = total / bars
    speeds = [(_at(curve, (column + 1) * width) - _at(curve, column * width)) / width for column in range(bars)]
    step, top = _scale(max(speeds))
    divisor, unit = next((each for each in _UNITS if top >= each[0]), _UNITS[-1])
    across, up = (WIDTH - _LEFT - _RIGHT) / bars, HEIGHT - _TOP - _BOTTOM
    base = HEIGHT - _BOTTOM
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "base": base,
        "labels": _LEFT - 8,
        "times_y": HEIGHT - 6,
        "bars": [
            {
                "x": round(_LEFT + column * across + across * 0.1, 1),
                "y": round(base - speed / top * up, 1),
                "width": round(across * 0.8, 1),
                "height": round(speed / top * up, 1),
            }
            for column, speed in enumerate(speeds)
        ],
        "pauses": [round(_LEFT + at / total * across * bars, 1) for at in _pauses(runs)],
        "unit": unit,
        "speeds": [
            {"y": round(y, 1), "text_y": round(y + 5, 1), "text": f"{number * step / divisor:g}"}
            for number in range(1, round(top / step) + 1)
            for y in (base - number * step / top * up,)
        ],
        "times": [
            {"x": round(_LEFT + at / total * across * bars, 1), "text": duration(at) if at else "0"}
            for at in _times(total)
        ],
        "average": size(most / total) + "/s",
        "fastest": size(max(speeds)) + "/s",
    }


def _curve(runs: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return points of seconds and bytes: all runs one after the other, without the time between them."""
    curve = [(0.0, 0.0)]
    for run in runs:
        seconds, sent = curve[-1]
        ends = [(point[0], point[2]) for point in run["points"]] + [(run["seconds"], run["bytes"])]
        for after, size_then in ends:
            point = (seconds + after, sent + size_then)
            if point[0] > curve[-1][0]:
                curve.append((point[0], max(point[1], curve[-1][1])))
    return curve


def _at(curve: Sequence[tuple[float, float]], seconds: float) -> float:
    """Return how many bytes had been sent by then."""
    for (before, sent), (after, sent_then) in zip(curve, curve[1:]):
        if seconds <= after:
            return sent + (sent_then - sent) * (seconds - before) / (after - before)
    return curve[-1][1]


def _pauses(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return after how many seconds of copying there was a pause."""
    found, seconds = [], 0.0
    for run, later in zip(runs, runs[1:]):
        seconds += run["seconds"]
        if later["began"] - run["began"] - run["seconds"] > _PAUSE_SECONDS:
            found.append(seconds)
    return found


def _scale(most: float) -> tuple[float, float]:
    """Return a round step of the axis of speeds, and the end of the axis, at most four steps away."""
    step = 1.0
    while True:
        for factor in (1, 2, 2.5, 5):
            if most <= 4 * step * factor:
                steps = next(number for number in range(1, 5) if most <= number * step * factor)
                return step * factor, steps * step * factor
        step *= 10


def _times(total: float) -> list[float]:
    """Return a few round moments."""
    step = next((each for each in _TIME_STEPS if total / each <= 6), _TIME_STEPS[-1] * max(int(total / 518400), 1))
    return [number * step for number in range(int(total / step) + 1)]
