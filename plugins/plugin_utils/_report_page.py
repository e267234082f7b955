# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns the figures of a report into the words of its page. Pure; the template only adds the markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._progress import duration, size
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._report import BAD, GOOD, NOTE, UNKNOWN
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._speed_chart import speed_chart

_STATES = {
    "switched": (GOOD, "Mastodon uses the bucket"),
    "rolled_back": (NOTE, "Mastodon uses the disk again"),
    "configuring": (BAD, "A switch was interrupted"),
}
_COPIED = (NOTE, "Mastodon still uses the disk")
_WORDS = {GOOD: "Passed", NOTE: "Note", BAD: "Failed", UNKNOWN: "Unknown"}
_FOLDERS = {
    "accounts": "Avatars and headers of profiles",
    "backups": "Account archives",
    "cache/accounts": "Avatars and headers of profiles",
    "cache/custom_emojis": "Custom emojis",
    "cache/media_attachments": "Pictures, videos and sounds in posts",
    "cache/preview_cards": "Previews of links",
    "custom_emojis": "Custom emojis",
    "imports": "Uploaded lists",
    "media_attachments": "Pictures, videos and sounds in posts",
    "preview_card_providers": "Icons of link providers",
    "preview_cards": "Previews of links",
    "site_uploads": "Pictures of the site itself",
}
_CHECKS = {
    "present": "Every file on disk is in the bucket",
    "sizes": "Objects and files have the same size",
    "public": "Visitors can load public media",
    "headers": "Content type and cache header",
    "private": "Visitors can't load private media",
    "listing": "Nobody can list the bucket without credentials",
    "sent": "What was sent since the comparison before the switch",
    "proof": "Mastodon uses the bucket",
}
# Not from the locale of the controller, since the page is in English.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_EXPOSURES = {
    "acl": "Each object has an access control list. Only public media can be read without credentials.",
    "policy": (
        "The policy of the bucket opens only the folders of public media. Private files inside these folders stay on"
        " the disk."
    ),
    "open_bucket": "The whole bucket is public, so private files stay on the disk.",
}


def page(report: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """Return the words of the page.

    report: What the filter migration_report returned, with some facts about the instance.
    reasons: Why files are left out, in words.
    """
    kind, status = _STATES.get(str(report.get("state")), _COPIED)
    return {
        "site": str(report["site"]),
        "status": {"kind": kind, "text": status},
        "written": _moment(report["written"]),
        "figures": _figures(report),
        "moved": _moved(report.get("moved")),
        "speed": _speed(report.get("copy")),
        "switch": _switch(report.get("switch")),
        "checked": _moment(report.get("checked")),
        "checks": [
            {**check, "check": _CHECKS.get(check["check"], check["check"]), "word": _WORDS[check["result"]]}
            for check in report.get("checks") or []
        ],
        "left_out": _left_out(report["left_out"], reasons),
        "private": _private(report),
        "cost": _cost(report.get("cost")),
        "steps": report.get("next_steps") or [],
        "warnings": [str(warning) for warning in report.get("warnings") or []],
        "facts": _facts(report),
    }


def _figures(report: Mapping[str, Any]) -> list[dict[str, str]]:
    moved, switch, cost = report.get("moved"), report.get("switch"), report.get("cost")
    found = []
    if moved:
        found.append(_figure("Moved", size(moved["bytes"]), _several(moved["files"], "file", "files")))
    if switch:
        found.append(_figure("Switch", duration(switch["seconds"]), "jobs paused"))
    checks = report.get("checks") or []
    if checks:
        passed = sum(check["result"] == GOOD for check in checks)
        found.append(_figure("Checks", f"{passed} of {len(checks)}", "passed"))
    if cost and moved:
        found.append(_figure("Cost", _money(cost["month"], cost["currency"]), "a month, estimated"))
    return found


def _figure(label: str, value: str, note: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _moved(moved: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """Return the table of folders: those of this server first, then those that are copies of other servers' media."""
    if not moved:
        return None
    total = max(int(moved["bytes"]), 1)
    groups: list[dict[str, Any]] = [
        {"name": "Of this server", "rows": [], "files": 0, "bytes": 0},
        {"name": "Cached from other servers", "rows": [], "files": 0, "bytes": 0},
    ]
    for name, amount in sorted(moved["folders"].items(), key=lambda item: -item[1]["bytes"]):
        group = groups[name.partition("/")[0] == "cache"]
        group["files"] += amount["files"]
        group["bytes"] += amount["bytes"]
        group["rows"].append(
            {
                "folder": f"{name}/" if name else "(no folder)",
                "what": _FOLDERS.get(name, ""),
                "files": f"{amount['files']:,}",
                "size": size(amount["bytes"]),
                "share": round(100 * amount["bytes"] / total, 1),
            }
        )
    for group in groups:
        group["files"], group["size"] = f"{group['files']:,}", size(group.pop("bytes"))
    return {
        "groups": [group for group in groups if group["rows"]],
        "files": f"{moved['files']:,}",
        "size": size(moved["bytes"]),
        "at": _moment(moved["at"]),
    }


def _speed(copy: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    if not copy or not copy.get("runs"):
        return None
    runs, seconds = copy["runs"], max(float(copy["seconds"]), 0.1)
    return {
        "text": f"{_several(copy['files'], 'file', 'files')}, {size(copy['bytes'])}, in {duration(seconds)}"
        f" ({_several(len(runs), 'run', 'runs')}): {size(copy['bytes'] / seconds)} or"
        f" {copy['files'] / seconds:,.0f} files per second. The site stayed up.",
        "chart": speed_chart(runs),
    }


def _switch(switch: Optional[Mapping[str, Any]]) -> Optional[dict[str, str]]:
    if not switch:
        return None
    sent = f"{_several(switch['files'], 'file', 'files')} ({size(switch['bytes'])})"
    return {
        "seconds": duration(switch["seconds"]),
        "at": _moment(switch["at"]),
        "sent": f"{sent}, written since the last round, {'was' if switch['files'] == 1 else 'were'} sent"
        if switch["files"]
        else "no file had to be sent, since none was written after the last round",
    }


def _left_out(left_out: Mapping[str, int], reasons: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"files": f"{number:,}", "why": str(reasons.get(reason, reason.replace("_", " ")))}
        for reason, number in sorted(left_out.items(), key=lambda item: -item[1])
        if number
    ]


def _private(report: Mapping[str, Any]) -> dict[str, Any]:
    private = report["private"]
    kinds = (
        ("media", "Media of suspended users, and others that Mastodon has made private", "in the bucket, private"),
        ("archives", "Account archives", "in the bucket, private"),
        ("imports", "Uploaded lists", "in the bucket, private"),
        ("local_only", "Private files that the bucket could not keep private", "on the disk only"),
    )
    return {
        "how": _EXPOSURES.get(str(report.get("exposure")), ""),
        "rows": [
            {"what": what, "files": f"{private[kind]:,}", "where": where}
            for kind, what, where in kinds
            if private[kind]
        ],
    }


def _cost(cost: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    if not cost:
        return None
    currency = cost["currency"]
    rows = [
        {
            "what": "Storage",
            "amount": f"{cost['gigabytes']:,.2f} GB",
            "price": f"{cost['price_of_a_gigabyte']:g} per GB",
            "cost": _money(cost["storage"], currency),
        }
    ]
    if cost["traffic_gigabytes"]:
        rows.append(
            {
                "what": "Traffic to visitors",
                "amount": f"{cost['traffic_gigabytes']:,.0f} GB",
                "price": f"{cost['price_of_traffic']:g} per GB",
                "cost": _money(cost["traffic"], currency),
            }
        )
    return {
        "rows": rows,
        "month": _money(cost["month"], currency),
        "once": _money(cost["writing_once"], currency),
        "without_traffic": not cost["traffic_gigabytes"],
    }


def _facts(report: Mapping[str, Any]) -> list[dict[str, str]]:
    store = report["store"]
    found = (
        ("Host", report["host"]),
        ("Mastodon", report.get("mastodon_version")),
        ("Files on disk", report.get("media_root")),
        ("Bucket", report["bucket"] + (f", below {report['key_prefix']}/" if report.get("key_prefix") else "")),
        ("Store", " ".join(str(each) for each in (store.get("provider"), store.get("endpoint")) if each)),
        ("Region", store.get("region")),
        ("Address of the media", f"{report['media_url']}/"),
    )
    return [{"name": name, "value": str(value)} for name, value in found if value]


def _several(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _money(amount: float, currency: str) -> str:
    return f"under 0.01 {currency}" if 0 < amount < 0.01 else f"{amount:,.2f} {currency}"


def _moment(text: Any) -> str:
    """Return an ISO time in UTC as people write it; anything else as it is."""
    try:
        moment = datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - it says itself that it is UTC
    except ValueError:
        return str(text or "")
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"
