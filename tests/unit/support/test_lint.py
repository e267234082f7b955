"""The lists of linters that must agree."""

from __future__ import annotations

import lint
import pytest
import yaml


@pytest.fixture
def hooks():
    text = (lint.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    return {hook["id"]: hook for repository in yaml.safe_load(text)["repos"] for hook in repository["hooks"]}


def test_pre_commit_runs_what_make_lint_and_make_types_run(hooks):
    assert set(hooks) == {*lint.DEFAULT, "mypy"}
    for name, hook in hooks.items():
        assert hook["entry"] == f"python3 tests/support/lint.py {name}"


def test_pre_commit_downloads_nothing(hooks):
    text = (lint.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert [repository["repo"] for repository in yaml.safe_load(text)["repos"]] == ["local"]
    assert {hook["language"] for hook in hooks.values()} == {"system"}
