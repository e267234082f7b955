"""The changelog, and what a release takes from it."""

from __future__ import annotations

import pytest
import release
import yaml

ROOT = release.ROOT
VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASES = yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))["releases"]


def content():
    names = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - {"__init__"}
    names |= {path.name.partition(".")[0] for path in (ROOT / "playbooks").glob("*.yml")}
    return sorted(names | {path.parent.parent.name for path in (ROOT / "roles").glob("*/tasks/main.yml")})


def test_the_changelog_names_every_module_role_and_playbook():
    """From a release on, and until the version in galaxy.yml is raised: what is newer is named by the next release."""
    if VERSION not in RELEASES:
        assert list((ROOT / "changelogs" / "fragments").glob("*.yml")), "a new version without a fragment"
        return
    text = CHANGELOG.replace("\\", "")
    missing = [name for name in content() if f"* fediverse.mastodon_s3.{name} - " not in text]
    assert missing == [], "add them to changelogs/changelog.yaml and run `antsibull-changelog generate`"


def test_the_notes_of_a_release_are_its_section_and_no_other():
    text = '# Notes\n\n<a id="v0-2-0"></a>\n## v0\\.2\\.0\n\nnew\n\n<a id="v0-1-0"></a>\n## v0\\.1\\.0\n\nold\n'
    assert release.notes(text, "0.2.0") == "new\n"
    assert release.notes(text, "0.1.0") == "old\n"
    with pytest.raises(ValueError, match=r"no section v0\.3\.0"):
        release.notes(text, "0.3.0")
