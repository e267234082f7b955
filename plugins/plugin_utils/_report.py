# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of a migration's report, from the results of its phases. Pure.

A later run knows neither how long the switch took nor how the copy went, so these come from the report before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Of the figures below. A report with another number is not used by the next one.
FORMAT = 1
GOOD, NOTE, BAD, UNKNOWN = "good", "note", "bad", "unknown"
_GIGABYTE = 1_000_000_000
# Why a comparison skips files that are in the bucket, or will be.
_NOT_COMPARED = ("too_new", "changed", "vanished")
_CACHE = "cache"
_ARCHIVES, _IMPORTS = "backups", "imports"


def figures(found: Mapping[str, Any], previous: str = "") -> dict[str, Any]:
    """Return the figures of a report.

    found: See the filter migration_report.
    previous: The report before this one, as it was written; empty, or anything else, if there is none.
    """
    before = _parsed(previous)
    comparison = _mapping(found.get("comparison"))
    counts = _mapping(comparison.get("counts"))
    checks = _checks(found, comparison) if counts else before.get("checks", [])
    moved = before.get("moved")
    if counts and (not moved or found.get("switched_now") or not _is_switched(found)):
        moved = _moved(found, comparison)
    left_out = before.get("left_out")
    if counts:
        found_out = _mapping(comparison.get("left_out"))
        left_out = {reason: number for reason, number in found_out.items() if reason not in _NOT_COMPARED}
    return {
        "format": FORMAT,
        "host": found["host"],
        "site": found.get("site") or found["host"],
        "written": found["written"],
        "store": found["store"],
        "moved": moved or None,
        "copy": _copy(found.get("history"), before.get("copy")),
        "switch": _switch(found, before.get("switch")),
        "checks": checks,
        "checked": found["written"] if counts else before.get("checked"),
        "left_out": left_out or {},
        "private": _private(moved, left_out),
        "cost": _cost(_mapping(found.get("prices")), moved) if found.get("prices") else None,
        "next_steps": [
            {part: str(step[part]) for part in ("title", "text", "command")} for step in found["steps"] if step["when"]
        ],
    }


def _parsed(previous: str) -> dict[str, Any]:
    try:
        found = json.loads(previous)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == FORMAT else {}


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _is_switched(found: Mapping[str, Any]) -> bool:
    return found.get("state") == "switched"


def _moved(found: Mapping[str, Any], comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is in the bucket, by folder: the first one, and in cache/ the one below it."""
    folders: dict[str, dict[str, int]] = {}
    for path, amount in _mapping(comparison.get("folders")).items():
        parts = path.split("/")
        name = "/".join(parts[:2]) if parts[0] == _CACHE else parts[0]
        sums = folders.setdefault(name, {"files": 0, "bytes": 0, "private": 0})
        for kind in sums:
            sums[kind] += int(amount.get(kind, 0))
    cached = [amount for name, amount in folders.items() if name.partition("/")[0] == _CACHE]
    return {
        "at": found["written"],
        "files": int(comparison["counts"]["files"]),
        "bytes": int(comparison["counts"]["bytes"]),
        "cached": {kind: sum(amount[kind] for amount in cached) for kind in ("files", "bytes")},
        "folders": folders,
    }


def _copy(history: Any, before: Any) -> Any:
    """Return the runs of s3_sync that sent something."""
    if not history:
        return before
    return {
        "files": sum(run["files"] for run in history),
        "bytes": sum(run["bytes"] for run in history),
        "seconds": round(sum(run["seconds"] for run in history), 1),
        "runs": history,
    }


def _switch(found: Mapping[str, Any], before: Any) -> Any:
    """Return what the last switch was like: how long jobs waited, and what the final sync sent."""
    seconds = found.get("switch_seconds")
    if seconds is None:
        return before
    sent = _mapping(_mapping(found.get("final_actions")).get("upload"))
    return {
        "at": found.get("since") or found["written"],
        "seconds": seconds,
        "files": int(sent.get("count", 0)),
        "bytes": int(sent.get("bytes", 0)),
    }


def _private(moved: Any, left_out: Any) -> dict[str, int]:
    """Return numbers of private files. Nothing here names one."""
    folders = _mapping(_mapping(moved).get("folders"))
    private = {name: int(amount["private"]) for name, amount in folders.items() if amount["private"]}
    return {
        "archives": private.pop(_ARCHIVES, 0),
        "imports": private.pop(_IMPORTS, 0),
        "media": sum(private.values()),
        "local_only": int(_mapping(left_out).get("local_only", 0)),
    }


def _cost(prices: Mapping[str, Any], moved: Any) -> dict[str, Any]:
    """Return what the store is expected to cost, in the currency of the prices."""
    amount = _mapping(moved)
    gigabytes = int(amount.get("bytes", 0)) / _GIGABYTE
    traffic = float(prices["monthly_transfer_out_gb"])
    storage = gigabytes * float(prices["storage_gb_month"])
    transfer = traffic * float(prices["transfer_out_gb"])
    return {
        "currency": str(prices["currency"]),
        "gigabytes": round(gigabytes, 3),
        "price_of_a_gigabyte": float(prices["storage_gb_month"]),
        "storage": round(storage, 4),
        "traffic_gigabytes": traffic,
        "price_of_traffic": float(prices["transfer_out_gb"]),
        "traffic": round(transfer, 4),
        "month": round(storage + transfer, 4),
        "writing_once": round(int(amount.get("files", 0)) / 1000 * float(prices["put_per_1000"]), 4),
    }


def _checks(found: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what was checked, with the result of each: good, note, bad or unknown."""
    counts = comparison["counts"]
    sampled = _mapping(comparison.get("sampled"))
    public, private = _mapping(sampled.get("public")), _mapping(sampled.get("private"))
    skipped = sum(_number(_mapping(comparison.get("left_out")), reason) for reason in _NOT_COMPARED)
    checks = [_present(counts, skipped, switched=_is_switched(found)), _sizes(counts, switched=_is_switched(found))]
    checks += _sample("public", public, "readable", _number(public, "unreadable"))
    checks += _headers(public)
    checks += _sample("private", private, "denied", _number(private, "readable") + _number(private, "unanswered"))
    checks.append(_listing(comparison.get("listable")))
    checks += _sent(_mapping(found.get("sent")))
    checks += _proof(_mapping(found.get("proof")))
    return checks


def _present(counts: Mapping[str, Any], skipped: int, *, switched: bool) -> dict[str, str]:
    missing = _number(counts, "missing")
    text = f"{_number(counts, 'present'):,} of {_number(counts, 'files'):,} files"
    if skipped:
        text += f"; {skipped:,} more were changing, and were not compared"
    if missing and switched:
        text += f"; the other {missing:,} were sent once, and have been deleted in the bucket since the switch"
    return {"check": "present", "result": GOOD if not missing else NOTE if switched else BAD, "text": text}


def _sizes(counts: Mapping[str, Any], *, switched: bool) -> dict[str, str]:
    differs = _number(counts, "size_differs")
    text = f"{differs:,} differ" if differs else f"all {_number(counts, 'present'):,} are equal"
    if differs and switched:
        text += ", because Mastodon has replaced them since the switch"
    return {"check": "sizes", "result": GOOD if not differs else NOTE if switched else BAD, "text": text}


def _sample(kind: str, sample: Mapping[str, Any], good: str, wrong: int) -> list[dict[str, str]]:
    requested = _number(sample, "requested")
    if not requested:
        return []
    return [
        {
            "check": kind,
            "result": NOTE if wrong else GOOD,
            "text": f"{_number(sample, good):,} of {requested:,} requests without credentials were"
            f" {'answered' if kind == 'public' else 'refused'}",
        }
    ]


def _headers(public: Mapping[str, Any]) -> list[dict[str, str]]:
    readable = _number(public, "readable")
    if not readable:
        return []
    wrong = _number(public, "wrong_type") + _number(public, "wrong_cache_header")
    return [
        {
            "check": "headers",
            "result": BAD if wrong else GOOD,
            "text": f"{wrong:,} of {readable:,} are wrong" if wrong else f"right in all {readable:,} responses",
        }
    ]


def _listing(listable: Any) -> dict[str, str]:
    if listable is None:
        return {"check": "listing", "result": UNKNOWN, "text": "no clear answer"}
    text = "everybody can list it" if listable else "the list is refused"
    return {"check": "listing", "result": BAD if listable else GOOD, "text": text}


def _sent(sent: Mapping[str, Any]) -> list[dict[str, str]]:
    counts = _mapping(sent.get("counts"))
    if not counts:
        return []
    public = _mapping(_mapping(sent.get("sampled")).get("public"))
    doubtful = _number(counts, "missing") + _number(public, "unreadable")
    text = f"{_number(counts, 'files'):,} files, each checked"
    if doubtful:
        text += f"; {doubtful:,} are gone or can't be read by visitors"
    return [{"check": "sent", "result": NOTE if doubtful else GOOD, "text": text}]


def _proof(proof: Mapping[str, Any]) -> list[dict[str, str]]:
    verdict = proof.get("verdict")
    if not verdict:
        return []
    text = f"{_number(proof, 'processes'):,} processes use the new settings"
    urls = _number(proof, "uploads_at_the_media_host")
    if urls:
        text += f", and the API names {urls:,} media at the new address"
    return [
        {
            "check": "proof",
            "result": GOOD if verdict == "proven" else UNKNOWN,
            "text": text if verdict == "proven" else "not proven: " + "; ".join(map(str, proof.get("doubts", []))),
        }
    ]


def _number(found: Mapping[str, Any], name: str) -> int:
    return int(found.get(name) or 0)
