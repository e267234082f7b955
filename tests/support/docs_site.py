"""Builds the documentation as a website, in .cache/docs-site/html. Each warning is an error.

It needs no network: the labels of docs.ansible.com are derived from the installed ansible-core and collections, so that
wrong references are still noticed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import environments
import workspace

CACHE = environments.CACHE
SITE = CACHE / "docs-site"
BIN = CACHE / "venv" / "bin"
COLLECTION = "fediverse.mastodon_s3"
ANSIBLE = "https://docs.ansible.com/projects/ansible/devel/"
# Labels of Ansible that antsibull-docs puts into each collection's pages.
PAGES = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}
OPTION = re.compile(r"^  (\w+):$", re.MULTILINE)
CONF = f"""
intersphinx_mapping = {{"ansible_devel": ({ANSIBLE!r}, "ansible_devel.inv")}}
"""


def _modules(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield label and page of each module of a collection, and of each of its options."""
    for path in sorted(folder.glob("*.py")):
        page = f"collections/{name.replace('.', '/')}/{path.stem}_module.html#"
        label = f"ansible_collections.{name}.{path.stem}_module"
        options = path.read_text(encoding="utf-8").partition("\noptions:\n")[2]
        for word in (label, *(f"{label}__parameter-{option}" for option in OPTION.findall(options))):
            yield word, page + word.replace("_", "-")


def _inventory() -> bytes:
    """Return the inventory with which Sphinx finds the labels of another site (objects.inv, version 2)."""
    core = next(CACHE.glob("venv/lib/python3*/site-packages/ansible/modules"))
    amazon = CACHE / "collections" / "ansible_collections" / "amazon" / "aws" / "plugins" / "modules"
    labels = {**PAGES, **dict(_modules("ansible.builtin", core)), **dict(_modules("amazon.aws", amazon))}
    lines = "".join(f"{label} std:label -1 {page} {label}\n" for label, page in labels.items())
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: devel\n# The rest is compressed by zlib.\n"
    return head.encode() + zlib.compress(lines.encode())


def _run(*words: str) -> int:
    environment = {
        **os.environ,
        **workspace.BYTECODE,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(CACHE / "collections"),
        "ANSIBLE_HOME": str(CACHE / "ansible-home"),
    }
    return subprocess.run(words, cwd=SITE, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def main() -> int:
    """Build the site. Return the exit status."""
    try:
        for need in ("venv", "collections"):
            environments.ensure(need)
    except environments.SetupError as error:
        return environments.complain("docs_site.py", error)
    shutil.rmtree(SITE, ignore_errors=True)
    # antsibull-docs takes no folder that others may write to.
    (SITE / "rst").mkdir(parents=True, mode=0o755)
    current = ("--use-current", "--squash-hierarchy")
    names = ("--project", COLLECTION, "--title", COLLECTION, "--copyright", f"{COLLECTION} contributors")
    if _run("antsibull-docs", "sphinx-init", *current, "--dest-dir", str(SITE), *names, COLLECTION):
        return 1
    with (SITE / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write(CONF)
    (SITE / "rst" / "ansible_devel.inv").write_bytes(_inventory())
    options = ("--config-file", "antsibull-docs.cfg", "collection", *current, "--dest-dir", "rst", "--fail-on-error")
    if _run("antsibull-docs", *options, COLLECTION):
        return 1
    if _run("sphinx-build", "-q", "-n", "-W", "--keep-going", "-b", "html", "-c", ".", "rst", "html"):
        print("docs_site.py: Sphinx complained, see above", file=sys.stderr)
        return 1
    pages = sorted(path.stem for path in (SITE / "html").glob("*.html"))
    print(f"docs_site.py: {len(pages)} pages in {(SITE / 'html').relative_to(environments.ROOT)}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
