"""The page of a report in a real Chromium: it loads nothing, fits every screen, and can be read by everybody."""

from __future__ import annotations

import contextlib

import pytest
import report_sample
from axe_playwright_python.sync_playwright import Axe

HOSTILE = """'"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>{{ 7 * 7 }}&lt;"""
WIDTHS = {"phone": 360, "tablet": 700, "desktop": 1280}
SCHEMES = ("light", "dark")
# More than the window means that the page can be scrolled sideways.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
TOO_WIDE = """Array.from(document.querySelectorAll('.sheet *')).filter(each => !each.closest('svg')).filter(each =>
    each.getBoundingClientRect().right > document.querySelector('.sheet').getBoundingClientRect().right + 0.5
).map(each => each.outerHTML.slice(0, 100))"""


def with_hostile_texts(value, path=()):
    """Return the page's words with a hostile end to each, but for the names of classes and coordinates."""
    if isinstance(value, dict):
        return {
            name: each if name in ("kind", "result", "share", "chart") else with_hostile_texts(each, (*path, name))
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [with_hostile_texts(each, path) for each in value]
    return value + HOSTILE if isinstance(value, str) and value else value


@pytest.fixture
def show(browser, tmp_path):
    """Open a page, and return it with what it said and requested."""
    with contextlib.ExitStack() as stack:

        def show(html, **options):
            path = tmp_path / "report.html"
            path.write_text(html, encoding="utf-8")
            context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.said, page.requested = [], []
            page.on("console", lambda message: page.said.append(message.text))
            page.on("pageerror", lambda error: page.said.append(str(error)))
            page.on("request", lambda request: page.requested.append(request.url))
            page.goto(path.as_uri(), wait_until="networkidle")
            page.address = path.as_uri()
            return page

        yield show


@pytest.fixture(scope="module")
def full():
    return report_sample.report(warnings=["The store should run with S3_READ_TIMEOUT=20, because it is slow."])


def empty():
    """A report of a copy that has only begun, on a store without prices."""
    return report_sample.report(
        state="copying", comparison={}, history=[], sent={}, proof={}, prices={}, switch_seconds=None, steps=[]
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("screen", WIDTHS)
def test_the_page_loads_nothing_and_fits_the_screen(show, pictures, full, screen, scheme):
    page = show(report_sample.html(full), viewport={"width": WIDTHS[screen], "height": 800}, color_scheme=scheme)
    page.screenshot(path=pictures / f"report-{screen}-{scheme}.png", full_page=True)
    assert page.said == []
    assert page.requested == [page.address]
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate(TOO_WIDE) == []
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor").removeprefix("rgb(").split(",")[0]
    assert (int(colour) > 128) is (scheme == "light")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["full", "empty"])
def test_everybody_can_read_it(show, full, kind, scheme):
    page = show(report_sample.html(full if kind == "full" else empty()), color_scheme=scheme)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert len(results.response["passes"]) > 15, "or it did not look"
    assert page.evaluate("document.documentElement.lang") == "en"
    levels = page.evaluate("Array.from(document.querySelectorAll('h1, h2, h3')).map(each => each.localName).join('')")
    assert levels.startswith("h1h2")
    assert levels.count("h1") == 1


def test_hostile_texts_stay_texts(show, full):
    words = with_hostile_texts(report_sample.words(full))
    page = show(report_sample.rendered(words), viewport={"width": 360, "height": 800})
    assert page.title() == f"social.example{HOSTILE}: media in object storage"
    assert page.said == []
    assert page.requested == [page.address]
    assert page.evaluate("document.querySelectorAll('img, script, iframe, a, form').length") == 0
    harmless = show(report_sample.html(full))
    count = "document.querySelectorAll('*').length"
    assert page.evaluate(count) == harmless.evaluate(count)
    assert page.locator("h1").inner_text() == f"social.example{HOSTILE}"


def test_long_names_fit_a_small_screen(show):
    long = report_sample.report(
        site=".".join(["verylongname" * 5] * 3),
        bucket="b" * 63,
        key_prefix="p" * 200,
        media_root="/" + "folder" * 40,
        media_url=f"https://{'x' * 63}.{'y' * 63}.example",
        warnings=["w" * 300],
        steps=[{"when": True, "title": "t" * 90, "text": "s" * 90, "command": "ansible-playbook " + "c" * 400}],
    )
    page = show(report_sample.html(long), viewport={"width": 320, "height": 800})
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate(TOO_WIDE) == []


def test_it_can_be_printed(show, full, pictures):
    page = show(report_sample.html(full), viewport={"width": 673, "height": 900}, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate(OVERFLOW) == 0
    printed = page.pdf(path=pictures / "report.pdf", format="A4", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")


def test_the_chart_shows_both_nights(show, full):
    page = show(report_sample.html(full))
    assert page.locator(".chart rect").count() == 64
    assert page.locator(".chart .pause").count() == 1
    assert page.get_by_role("img", name="Speed of the copy over time").is_visible()
