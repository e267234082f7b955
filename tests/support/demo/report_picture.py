"""Migrates a larger sample server, and takes the README's picture of the report that this writes.

Needs a Chromium, which is installed if this is Debian and the user is root, and takes some minutes.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import environments
from PIL import Image  # type: ignore[import-not-found, unused-ignore]
from playwright.sync_api import sync_playwright
from stores.model import ProgramMissingError, StoreError
from stores.packages import chromium

from demo import __main__ as demo

PICTURE = environments.ROOT / "docs" / "images" / "report.webp"
# So many that the copy takes long enough for a chart.
CACHED = 6000
PRICES = {
    "currency": "EUR",
    "storage_gb_month": 0.02,
    "put_per_1000": 0.005,
    "transfer_out_gb": 0.01,
    "monthly_transfer_out_gb": 40,
}
_WIDTH, _SCALE, _COLOURS = 820, 1.5, 64


def take(page: Path, picture: Path, program: Path) -> None:
    """Take a picture of a report, from its top to the end of the chart."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=sandbox)
        tab = browser.new_page(
            viewport={"width": _WIDTH, "height": 900}, device_scale_factor=_SCALE, color_scheme="light"
        )
        tab.goto(page.as_uri())
        end = tab.evaluate("document.querySelector('section[aria-labelledby=switch]').getBoundingClientRect().top")
        shown = tab.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": _WIDTH, "height": end})
        browser.close()
    with Image.open(io.BytesIO(shown)) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    few.convert("RGB").save(picture, lossless=True, quality=100, method=6)


def main() -> int:
    """Run the demo and take the picture. Return the exit status."""
    try:
        program = chromium()
        demo.demo(cached=CACHED, more={"mastodon_s3_prices": PRICES})
    except (demo.DemoError, ProgramMissingError, StoreError) as error:
        print(f"report-picture: {error}", file=sys.stderr)
        return 1
    take(demo.REPORTS / f"demo.{demo.REPORT}", PICTURE, program)
    print(f"report-picture: {PICTURE.relative_to(environments.ROOT)}: {PICTURE.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
