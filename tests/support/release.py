"""Writes version and changelog of a release, and its notes into .cache/release-notes.md.

Usage: release.py VERSION
"""

from __future__ import annotations

import re
import subprocess
import sys

import environments

ROOT = environments.ROOT
NOTES = environments.CACHE / "release-notes.md"


def notes(changelog: str, version: str) -> str:
    """Return the section of a version, without its heading.

    Raises:
        ValueError: The changelog has no such section.
    """
    heading = f"## v{version}".replace(".", "\\.") + "\n"
    if heading not in changelog:
        raise ValueError(f"CHANGELOG.md has no section v{version}")
    after = changelog.partition(heading)[2]
    return re.split(r'^(?:<a id="v[^"]*"></a>\n)?## v', after, maxsplit=1, flags=re.MULTILINE)[0].strip() + "\n"


def main() -> int:
    """Write version, changelog and notes. A version that is already in the changelog is not changed."""
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", version):
        print("release.py: which version? For example: make release VERSION=0.2.0", file=sys.stderr)
        return 2
    try:
        for need in ("venv", "collections"):
            environments.ensure(need)
    except environments.SetupError as error:
        return environments.complain("release.py", error)
    galaxy = ROOT / "galaxy.yml"
    text = galaxy.read_text(encoding="utf-8")
    galaxy.write_text(re.sub(r"^version: .*$", f"version: {version}", text, flags=re.MULTILINE), encoding="utf-8")
    if f"\n  {version}:\n" not in (ROOT / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"):
        program = environments.CACHE / "venv" / "bin" / "antsibull-changelog"
        inside = environments.CACHE / "collections" / "ansible_collections" / "fediverse" / "mastodon_s3"
        if subprocess.run([program, "release", "--version", version], cwd=inside, check=False).returncode:
            return 1
    NOTES.write_text(notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version), encoding="utf-8")
    print(f"release.py: galaxy.yml and CHANGELOG.md are at {version}; its notes are in {NOTES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
