"""A Chromium with the console: the fixture open_console, and what its tests look for on every page.

Screenshots go to tests/e2e/screenshots (git-ignored), for people to look at.
"""

import re
from pathlib import Path

import pytest_asyncio

from servers import find_chromium

SCREENSHOTS = Path(__file__).parent / "screenshots"
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
WIDE, PHONE = 1280, 390
KEY = "sesame-open-up"
LOCKED = f"auth: {{ api_keys: [{KEY}] }}\n"
UNTIL_MS = 15_000


@pytest_asyncio.fixture
async def open_console():
    """open_console(server, route) gives a page; it must not log an error before the test's end."""
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=UNTIL_MS)
    problems = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_ARGS)

        async def start(server, route="#/", width=WIDE, scheme="light", locale="en-US", allow=""):
            context = await browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale)
            page = await context.new_page()
            page.set_default_timeout(UNTIL_MS)

            def note(text):
                if not (allow and re.search(allow, text)):
                    problems.append(text)

            page.on("pageerror", lambda error: note(str(error)))
            page.on("console", lambda m: note(m.text) if m.type in ("error", "warning") else None)
            await page.goto(f"{server.url}/{route}")
            return page

        yield start
        await browser.close()
    assert not problems, problems


async def shoot(page, name):
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=SCREENSHOTS / f"console-{name}.png", full_page=True)


async def wait_live(page):
    """Connected; and where events are shown, the server has confirmed what is followed."""
    from playwright.async_api import expect

    await expect(page.locator(".state")).to_have_class(re.compile(r"\bconnected"))
    events = page.locator(".live .events")
    if await events.count():
        await expect(events).to_have_attribute("data-following", re.compile("."))


def event_rows(page):
    return page.get_by_role("list", name=re.compile("Live events|Eventos ao vivo")).locator(
        "> li.event")


async def no_sideways_scroll(page):
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
