"""What `make setup` makes of the machine: its Pythons, its certificate authorities, folders of another user."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import environments
import pytest
import pythons
import workspace


@pytest.fixture
def open_folder():
    """Make a folder that every user may enter, as pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    for folder in (path, *path.glob("*"), *path.glob("*/*")):
        if folder.is_dir():
            folder.chmod(0o755)
    shutil.rmtree(path)


@contextlib.contextmanager
def as_an_ordinary_user():
    """Give up root's right to enter every folder."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


def program(folder, name, text):
    folder.mkdir()
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def test_unreadable_folders_on_path_are_skipped(open_folder, monkeypatch):
    program(open_folder / "closed", "python3.77", "echo 3.77").parent.chmod(0)
    wanted = program(open_folder / "open", "python3.77", "echo 3.77")
    monkeypatch.setenv("PATH", f"{open_folder}/closed:{open_folder}/open")
    monkeypatch.setenv("PYENV_ROOT", f"{open_folder}/closed/pyenv")
    with as_an_ordinary_user():
        assert pythons.installed_python("3.77") == wanted


@pytest.mark.parametrize("text", ["exit 1", "echo 3.76", "printf '\\377'"], ids=["broken", "another", "no text"])
def test_a_program_that_is_not_the_requested_python_is_skipped(tmp_path, monkeypatch, text):
    program(tmp_path / "bin", "python3.77", text)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert pythons.installed_python("3.77") is None


SHOWN = ("UV_SYSTEM_CERTS", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
SHOW = f"import os; print(*(os.environ.get(name, '-') for name in {SHOWN!r}))"


@pytest.mark.parametrize("present", [True, False])
def test_programs_that_download_trust_the_certificate_authorities_of_the_system(tmp_path, monkeypatch, present):
    bundle = tmp_path / "authorities.pem"
    if present:
        bundle.touch()
    monkeypatch.setattr(workspace, "CERTIFICATE_BUNDLES", (str(tmp_path / "elsewhere.pem"), str(bundle)))
    monkeypatch.setattr(workspace, "LOGS", tmp_path)
    for name in SHOWN:
        monkeypatch.delenv(name, raising=False)
    shown = workspace.run("x", sys.executable, "-c", SHOW)
    assert shown == (f"1 {bundle} {bundle}" if present else "- - -")


def test_what_the_user_set_about_certificates_takes_precedence(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "CERTIFICATE_BUNDLES", (__file__,))
    monkeypatch.setattr(workspace, "LOGS", tmp_path)
    for name, value in zip(SHOWN, "0ab"):
        monkeypatch.setenv(name, value)
    assert workspace.run("x", sys.executable, "-c", SHOW) == "0 a b"


def test_a_cache_of_another_user_is_an_error_that_names_the_remedy(open_folder, monkeypatch):
    monkeypatch.setattr(environments, "CACHE", open_folder)
    monkeypatch.setattr(workspace, "CACHE", open_folder)
    monkeypatch.setattr(environments, "LOGS", open_folder / "logs")
    monkeypatch.setitem(environments.COMPONENTS, "x", environments.Component("a test", (), (), lambda name: None))
    open_folder.chmod(0o555)
    with as_an_ordinary_user(), pytest.raises(environments.SetupError, match=rf"sudo rm -r {open_folder}"):
        environments.ensure("x")
    open_folder.chmod(0o755)
    environments.ensure("x")
    assert (open_folder / "stamps" / "x").is_file()
