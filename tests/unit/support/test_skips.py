# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A skipped test fails under CI, in whatever way it is skipped."""

from __future__ import annotations

import re
from pathlib import Path

import environments
import pytest
import skips

pytest_plugins = ["pytester"]

TESTS = Path(__file__).resolve().parents[2]
WAYS = {
    "mark": "@pytest.mark.skip(reason='WHY')\ndef test_it(): pass",
    "condition": "@pytest.mark.skipif(True, reason='WHY')\ndef test_it(): pass",
    "call": "def test_it(): pytest.skip('WHY')",
    "import": "def test_it(): pytest.importorskip('no_such_module', reason='WHY')",
    "fixture": "@pytest.fixture\ndef lacking(): pytest.skip('WHY')\ndef test_it(lacking): pass",
    "end_of_fixture": "@pytest.fixture\ndef late():\n    yield\n    pytest.skip('WHY')\ndef test_it(late): pass",
    "subtest": "def test_it(subtests):\n    with subtests.test('one'): pytest.skip('WHY')",
    "expected_failure": "@pytest.mark.xfail(reason='WHY')\ndef test_it(): assert False",
    "file": "pytest.skip('WHY', allow_module_level=True)\ndef test_it(): pass",
    "import_of_file": "pytest.importorskip('no_such_module', reason='WHY')\ndef test_it(): pass",
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n    def test_it(self): self.skipTest('WHY')",
}


@pytest.fixture
def project(pytester, monkeypatch):
    """Runs all WAYS in a project with the conftest.py of tests/, and returns what was printed for each that failed."""
    (pytester.path / "conftest.py").symlink_to(TESTS / "conftest.py")
    pytester.makepyfile(**{f"test_{way}": f"import pytest\n{text}" for way, text in WAYS.items()})

    def failed(ci):
        monkeypatch.setenv("CI", ci)
        ended = pytester.runpytest_inprocess("-p", "no:xdist", "-rfE", "--continue-on-collection-errors")
        summary = [line for line in ended.outlines if line.startswith(("FAILED ", "ERROR ", "SUBFAILED"))]
        return {way for way in WAYS if any(f"test_{way}.py" in line for line in summary)}, ended

    return failed


def test_skipped_tests_fail_in_ci(project):
    failed, ended = project("1")
    assert failed == set(WAYS)
    assert ended.ret != 0
    ended.stdout.fnmatch_lines(["*skipped, which counts as a failure while CI is set: *WHY*"])


def test_skipped_tests_are_allowed_outside_ci(project):
    failed, ended = project("")
    assert failed == set()
    assert ended.ret == 0
    assert ended.parseoutcomes() == {"passed": 2, "skipped": 9, "xfailed": 1}


def test_listed_tests_may_be_skipped_in_ci(project, monkeypatch):
    monkeypatch.setattr(skips, "ALLOWED", {"test_call.py::test_it": "for this test"})
    assert project("1")[0] == set(WAYS) - {"call"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("0", False), ("false", False), ("False", False), ("1", True), ("true", True), ("woodpecker", True)],
)
def test_values_of_the_variable_ci(monkeypatch, value, expected):
    monkeypatch.setenv("CI", value)
    assert environments.in_ci() is expected


def test_ci_is_checked_in_one_place():
    own = {Path(environments.__file__), Path(__file__)}
    scripts = {path for folder in ("tests", "molecule", "benchmarks") for path in (TESTS.parent / folder).rglob("*.py")}
    assert own < scripts
    assert [path for path in scripts - own if re.search(r"""["']CI["']""", path.read_text(encoding="utf-8"))] == []


def test_listed_tests_exist():
    assert [name for name in skips.ALLOWED if not (TESTS.parent / name.partition("::")[0]).exists()] == []
    assert all(skips.ALLOWED.values()), "each needs a reason"
