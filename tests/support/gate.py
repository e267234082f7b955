"""Looks for things that must not be in the collection.

These are paths of one machine, hosts of package registries, very long files, and modules outside the action group.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 400
# Where there is no other word: a Gemfile's source, the image in Mastodon's own compose file, and podman's name of
# Debian's.
ALLOWED = re.compile(r"^source 'https://rubygems\.org'$|image: ghcr\.io/mastodon/|docker\.io/library/")
LONG_BY_NATURE = (
    *("LICENSE", "CHANGELOG.md", "changelogs/changelog.yaml", "tests/support/requirements/"),
    "roles/mastodon_s3/meta/argument_specs.yml",  # it is the role's documentation
)
# What Ansible wants a module to say of itself in its own file.
MODULE_DOCUMENTATION = re.compile(r'^(?:DOCUMENTATION|EXAMPLES|RETURN) = r""".*?^"""$', re.MULTILINE | re.DOTALL)
REGISTRIES = (
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|proxy\.golang|crates\.io|maven\.org|deb\.debian\.org|rubygems\.org"
    r"|docker\.io|ghcr\.io|quay\.io|registry\.access\.redhat"
)
TOOL_VENDORS = r"anthropic|claude|openai|chatgpt|copilot|co-authored-by|generated (with|by) (an? )?(ai|llm)"
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.])/work/|/root/\.pyenv|/home/[a-z]+/\.pyenv"),
    "the host of a package registry": re.compile(REGISTRIES),
    "a word that speaks of how this was written": re.compile(TOOL_VENDORS, re.IGNORECASE),
    "a conflict marker": re.compile(r"^(<<<<<<<|>>>>>>>) "),
}


def complaints(path: str) -> list[str]:
    """Return the faults of one file."""
    try:
        text = (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    lines = text.splitlines()
    length = len(MODULE_DOCUMENTATION.sub("", text).splitlines()) if path.startswith("plugins/modules/") else len(lines)
    found = [
        f"{path}:{number}: {what}: {line.strip()[:120]}"
        for number, line in enumerate(lines, 1)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(line) and not ALLOWED.search(line)
    ]
    if length > LONGEST and not path.startswith(LONG_BY_NATURE):
        found.append(f"{path}: {length} lines, more than {LONGEST}: split it")
    return found


def ungrouped_modules() -> list[str]:
    """Return modules that are missing in the action group `all`, and names in it that are not modules."""
    text = (ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8")
    grouped = set(re.findall(r"^    - (\w+)$", text, re.MULTILINE))
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__"}
    return [f"meta/runtime.yml: {name}: not both in its group and in plugins/modules" for name in grouped ^ modules]


def main() -> int:
    """Check all files that git tracks or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    own = Path(__file__).resolve().relative_to(ROOT)
    paths = [path for path in listing.split("\0") if path and path != str(own) and (ROOT / path).is_file()]
    found = [complaint for path in paths for complaint in complaints(path)] + ungrouped_modules()
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
