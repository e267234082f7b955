"""Starts one Chromium for all tests. It can reach nothing but what the tests open."""

from __future__ import annotations

import os

import pytest
from environments import CACHE, in_ci
from playwright.sync_api import sync_playwright
from stores import ProgramMissingError
from stores.packages import chromium

PICTURES = CACHE / "browser"


@pytest.fixture(scope="session")
def browser():
    """A Chromium of this machine."""
    try:
        program = chromium()
    except ProgramMissingError as error:
        if in_ci():
            raise
        pytest.skip(str(error))
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(program), args=sandbox)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pictures():
    """The folder for pictures of pages."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES
