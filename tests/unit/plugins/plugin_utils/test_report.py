# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of a report, its words, and its chart. What a browser shows is in tests/browser."""

from __future__ import annotations

import json
import re

import pytest
import report_sample
from ansible.errors import AnsibleFilterError

from ansible_collections.fediverse.mastodon_s3.plugins.filter.migration_report import migration_report
from ansible_collections.fediverse.mastodon_s3.plugins.filter.report_page import report_page
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._speed_chart import HEIGHT, MOST_BARS, speed_chart

FOUND = report_sample.found()
LATER = {
    "switched_now": False,
    "switch_seconds": None,
    "history": [],
    "final_actions": {},
    "written": "2027-01-01T00:00:00Z",
}


def checks(**changes):
    made = migration_report(report_sample.found(**changes))["checks"]
    return {check["check"]: (check["result"], check["text"]) for check in made}


def compared(*, counts=(), public=(), private=(), **changes):
    before = FOUND["comparison"]
    return {
        **before,
        "counts": {**before["counts"], **dict(counts)},
        "sampled": {
            "public": {**before["sampled"]["public"], **dict(public)},
            "private": {**before["sampled"]["private"], **dict(private)},
        },
        **changes,
    }


def test_the_sums_are_those_of_the_folders():
    moved = migration_report(FOUND)["moved"]
    assert (moved["files"], moved["bytes"]) == (813_218, 65_801_000_000)
    assert moved["cached"] == {"files": 771_200, "bytes": 55_070_000_000}
    assert moved["folders"]["accounts"] == {"files": 3160, "bytes": 712_200_000, "private": 4}
    assert moved["folders"]["cache/accounts"]["files"] == 310_400


def test_private_files_are_counted_and_never_named():
    private = migration_report(FOUND)["private"]
    assert private == {"archives": 12, "imports": 0, "media": 45, "local_only": 0}


def test_what_a_month_costs():
    cost = migration_report(FOUND)["cost"]
    assert cost["storage"] == pytest.approx(65.801 * 0.023, abs=1e-4)
    assert cost["month"] == pytest.approx(65.801 * 0.023 + 40 * 0.09, abs=1e-4)
    assert cost["writing_once"] == pytest.approx(813.218 * 0.005, abs=1e-4)
    assert migration_report(report_sample.found(prices={}))["cost"] is None


def test_a_later_run_keeps_what_only_the_switch_knew():
    first = migration_report(FOUND)
    few = compared(
        counts={"files": 3, "bytes": 30, "present": 3}, folders={"accounts/avatars": {"files": 3, "bytes": 30}}
    )
    later = migration_report(report_sample.found(**LATER, comparison=few), json.dumps(first))
    for part in ("moved", "copy", "switch", "private", "cost"):
        assert later[part] == first[part]
    assert later["written"] == later["checked"] == "2027-01-01T00:00:00Z"
    assert later["checks"][0]["text"] == "3 of 3 files"


def test_a_run_without_a_comparison_keeps_the_last_checks():
    first = migration_report(FOUND)
    later = migration_report(report_sample.found(**LATER, comparison={}, sent={}, proof={}), json.dumps(first))
    assert (later["checks"], later["left_out"]) == (first["checks"], first["left_out"])
    assert later["checked"] == FOUND["written"]


def test_before_the_switch_each_run_counts_again():
    first = migration_report(report_sample.found(state="copying", switched_now=False, switch_seconds=None))
    more = compared(counts={"files": 9})
    later = migration_report(report_sample.found(**LATER, state="copying", comparison=more), json.dumps(first))
    assert later["moved"]["files"] == 9
    assert later["switch"] is None


@pytest.mark.parametrize("previous", ["", "{", "[]", "7", '{"format": 0, "moved": {"files": 5}}', "[" * 3000])
def test_a_report_that_is_none_is_not_used(previous):
    assert migration_report(FOUND, previous) == migration_report(FOUND)


def test_an_input_without_a_host_is_an_error():
    with pytest.raises(AnsibleFilterError, match="'host'"):
        migration_report({})
    with pytest.raises(AnsibleFilterError, match="report_page"):
        report_page({}, {})


def test_results_say_what_went_well_and_what_did_not():
    good = checks()
    assert {result for result, _text in good.values()} == {"good"}
    assert list(good) == ["present", "sizes", "public", "headers", "private", "listing", "sent", "proof"]
    assert checks(state="copying", comparison=compared(counts={"missing": 2}))["present"][0] == "bad"
    gone = checks(comparison=compared(counts={"missing": 2, "present": 7, "files": 9}))["present"]
    assert gone[0] == "note"
    assert gone[1].startswith("7 of 9 files; the other 2 were sent once")
    assert checks(comparison=compared(counts={"size_differs": 1}))["sizes"][0] == "note"
    assert checks(comparison=compared(public={"unreadable": 1, "readable": 99}))["public"][0] == "note"
    assert checks(comparison=compared(public={"wrong_type": 1}))["headers"] == ("bad", "1 of 100 are wrong")
    assert checks(comparison=compared(private={"unanswered": 1}))["private"][0] == "note"
    assert "private" not in checks(comparison=compared(private={"requested": 0}))
    assert checks(comparison=compared(listable=None))["listing"][0] == "unknown"
    assert checks(comparison=compared(listable=True))["listing"][0] == "bad"
    assert checks(sent={"counts": {"files": 3, "missing": 1}})["sent"][0] == "note"
    assert checks(proof={"verdict": "not proven", "doubts": ["one is hidden"]})["proof"] == (
        "unknown",
        "not proven: one is hidden",
    )


def test_files_that_are_changing_are_not_left_out():
    report = migration_report(
        report_sample.found(comparison=compared(left_out={"too_new": 2, "changed": 1, "symlink": 4}))
    )
    assert report["left_out"] == {"symlink": 4}
    assert report["checks"][0]["text"] == "813,218 of 813,218 files; 3 more were changing, and were not compared"


def test_only_steps_that_apply_are_shown():
    one = {"title": "d", "text": "", "command": ""}
    made = migration_report(report_sample.found(steps=[{**one, "when": False}, {**one, "when": True}]))
    assert made["next_steps"] == [one]


def test_the_page_says_it_in_words():
    page = report_page(report_sample.report(), report_sample.REASONS)
    assert [figure["value"] for figure in page["figures"]] == ["65.8 GB", "14 s", "8 of 8", "5.11 USD"]
    assert page["written"] == "30 November 2026, 03:52 UTC"
    assert page["left_out"][0] == {"files": "31", "why": "excluded by mastodon_s3_exclude, or hidden"}
    assert "9 files (1.3 MB), written since the last round, were sent" in page["switch"]["sent"]
    small = report_sample.report(prices={**FOUND["prices"], "storage_gb_month": 1e-6, "monthly_transfer_out_gb": 0})
    assert report_page(small, {})["cost"]["month"] == "under 0.01 USD"


@pytest.mark.parametrize(
    ("state", "kind"), [("switched", "good"), ("rolled_back", "note"), ("copying", "note"), ("configuring", "bad")]
)
def test_the_state_is_shown(state, kind):
    assert report_page(report_sample.report(state=state), {})["status"]["kind"] == kind


def runs_of(*seconds, speed=1000):
    return [
        {"began": number * 100_000, "seconds": float(each), "files": 1, "bytes": each * speed, "points": []}
        for number, each in enumerate(seconds)
    ]


def test_a_chart_of_a_steady_copy_is_flat():
    chart = speed_chart(runs_of(100))
    assert len({column["height"] for column in chart["bars"]}) == 1
    assert len(chart["bars"]) == MOST_BARS
    assert (chart["average"], chart["fastest"], chart["unit"]) == ("1.0 kB/s", "1.0 kB/s", "kB")
    assert [time["text"] for time in chart["times"]] == ["0", "30 s", "1 min", "1 min 30 s"]


@pytest.mark.parametrize("speed", [1, 7, 999, 4_100_000, 123_456_789, 9_000_000_000])
@pytest.mark.parametrize("seconds", [6, 59, 3601, 200_000, 3_000_000])
def test_bars_stay_inside_and_the_axes_have_a_few_round_steps(speed, seconds):
    chart = speed_chart(runs_of(seconds, speed=speed))
    assert all(0 < column["height"] <= HEIGHT for column in chart["bars"])
    assert all(column["y"] >= 11.9 for column in chart["bars"])
    assert 1 <= len(chart["speeds"]) <= 4
    assert max(column["height"] for column in chart["bars"]) > HEIGHT / 4
    assert 2 <= len(chart["times"]) <= 8
    assert all(time["x"] <= chart["right"] + 0.1 for time in chart["times"])


def test_a_chart_of_two_nights_has_a_pause_where_the_second_begins():
    chart = speed_chart(runs_of(100, 300))
    (pause,) = chart["pauses"]
    assert pause == pytest.approx(chart["left"] + (chart["right"] - chart["left"]) / 4, abs=1)


def test_small_rounds_after_the_copy_are_not_in_the_chart():
    chart = speed_chart([*runs_of(100), {**runs_of(50)[0], "bytes": 10}])
    assert len({column["height"] for column in chart["bars"]}) == 1


def test_a_copy_of_moments_has_no_chart():
    assert speed_chart(runs_of(3)) is None
    assert speed_chart([]) is None
    assert speed_chart(runs_of(20, speed=0)) is None


def test_the_template_escapes_everything():
    template = (report_sample.TEMPLATES / "report.html.j2").read_text(encoding="utf-8")
    shown = re.findall(r"{{(.*?)}}", template)
    assert len(shown) > 50
    assert [each for each in shown if not re.fullmatch(r" [a-z_.]+ \| e ", each)] == []
    assert not re.search(r"\|\s*safe\b|autoescape", template)
