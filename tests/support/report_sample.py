"""What a migration has found, for tests of its report: a server of 62 GB that was copied in two nights."""

from __future__ import annotations

import typing as t
from pathlib import Path

import jinja2

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._report import figures
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._report_page import page

TEMPLATES = Path(__file__).resolve().parents[2] / "roles" / "mastodon_s3" / "templates"
REASONS = {"filtered": "excluded by mastodon_s3_exclude, or hidden", "symlink": "symbolic links"}
FOLDERS = {
    "accounts/avatars": (2_140, 310_200_000, 3),
    "accounts/headers": (1_020, 402_000_000, 1),
    "backups": (12, 2_100_000_000, 12),
    "cache/accounts": (310_400, 9_870_000_000, 0),
    "cache/custom_emojis": (48_100, 1_190_000_000, 0),
    "cache/media_attachments": (291_800, 38_700_000_000, 0),
    "cache/preview_cards": (120_900, 5_310_000_000, 0),
    "custom_emojis/images": (640, 14_000_000, 0),
    "media_attachments/files": (38_200, 7_900_000_000, 41),
    "site_uploads/files": (6, 4_800_000, 0),
}


def _night(started: int, seconds: int, speed: int) -> dict[str, t.Any]:
    """Return a run whose speed grows at first and is uneven later."""
    points, sent = [], 0.0
    for number in range(1, 41):
        pace = min(1.0, 0.35 + number / 12) * (1 - 0.3 * ((number * 7) % 5) / 5)
        sent += seconds / 40 * speed * pace
        points.append([seconds / 40 * number, round(sent / 80_000), round(sent)])
    return {
        "began": started,
        "seconds": float(seconds),
        "files": round(sent / 80_000),
        "bytes": round(sent),
        "points": points,
    }


def found(**changes: t.Any) -> dict[str, t.Any]:
    """Return the input of the filter migration_report."""
    files = sum(amount[0] for amount in FOLDERS.values())
    names = ("files", "bytes", "private")
    return {
        "host": "social.example",
        "site": "social.example",
        "written": "2026-11-30T03:52:10Z",
        "store": {"provider": "aws", "endpoint": "", "region": "eu-central-1"},
        "state": "switched",
        "since": "2026-11-30T03:41:02Z",
        "switched_now": True,
        "switch_seconds": 14,
        "final_actions": {"upload": {"count": 9, "bytes": 1_310_000}},
        "history": [_night(1_795_910_400, 9_900, 4_010_000), _night(1_795_996_800, 8_200, 4_800_000)],
        "comparison": {
            "counts": {
                "files": files,
                "bytes": sum(amount[1] for amount in FOLDERS.values()),
                "present": files,
                "missing": 0,
                "size_differs": 0,
            },
            "folders": {name: dict(zip(names, amount)) for name, amount in FOLDERS.items()},
            "left_out": {"filtered": 31, "symlink": 2, "local_only": 0},
            "sampled": {
                "public": {
                    "requested": 100,
                    "readable": 100,
                    "unreadable": 0,
                    "wrong_type": 0,
                    "wrong_cache_header": 0,
                },
                "private": {"requested": 57, "denied": 57, "readable": 0, "unanswered": 0},
            },
            "listable": False,
        },
        "sent": {"counts": {"files": 9, "missing": 0}, "sampled": {"public": {"unreadable": 0}}},
        "proof": {"verdict": "proven", "processes": 6, "uploads_at_the_media_host": 38, "doubts": []},
        "prices": {
            "currency": "USD",
            "storage_gb_month": 0.023,
            "put_per_1000": 0.005,
            "transfer_out_gb": 0.09,
            "monthly_transfer_out_gb": 40,
        },
        "steps": [
            {"when": True, "title": "Look at the site", "text": "Post a picture.", "command": ""},
            {
                "when": True,
                "title": "Check again at any time",
                "text": "Nothing is changed by it.",
                "command": "ansible-playbook -i inventory.yml fediverse.mastodon_s3.verify"
                " -e mastodon_s3_hosts=social.example",
            },
        ],
        **changes,
    }


def report(previous: str = "", **changes: t.Any) -> dict[str, t.Any]:
    """Return the report, as the role writes it."""
    facts = {
        "bucket": "social-example-media",
        "key_prefix": "",
        "media_url": "https://files.social.example",
        "media_root": "/home/mastodon/live/public/system",
        "exposure": "acl",
        "warnings": [],
        "state": "switched",
        "mastodon_version": "4.4.2",
    }
    own = {name: changes.pop(name) for name in list(changes) if name in facts}
    return {**facts, **figures(found(**changes), previous), **own}


def words(shown: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the words of the page of a report."""
    return page(shown, REASONS)


def rendered(texts: dict[str, t.Any]) -> str:
    """Return the page with these words."""
    environment = jinja2.Environment(  # noqa: S701 - the template escapes everything itself, as Ansible does not
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.j2").render(page=texts)


def html(shown: dict[str, t.Any]) -> str:
    """Return the page of a report."""
    return rendered(words(shown))
