"""Ways through the console: dialogs and the focus, what is counted, what charts write on their axes,
and what a person who types something wrong is told. A real Chromium on a real server."""

import json
import re

import pytest

from console_page import PHONE, WIDE, open_console, shoot, wait_live  # noqa: F401
from test_console_chat import chat, composer, finished, say  # noqa: F401
from test_console_work import add_approval, add_run, back_end, tell  # noqa: F401

pytestmark = pytest.mark.release  # the page is the same whatever serves it

# Every text that a chart draws, with what of it is outside of its canvas.
WATCH_CANVAS = """() => {
    window.drawn = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
        const { a, d, e, f } = this.getTransform();
        const box = this.measureText(text);
        const left = e + a * (x - box.actualBoundingBoxLeft);
        const right = e + a * (x + box.actualBoundingBoxRight);
        const top = f + d * (y - box.actualBoundingBoxAscent);
        const bottom = f + d * (y + box.actualBoundingBoxDescent);
        const cut = left < -1 || top < -1 || right > this.canvas.width + 1 || bottom > this.canvas.height + 1;
        window.drawn.push({ text, cut });
        return draw.call(this, text, x, y, ...more);
    };
}"""


async def open_schedule_dialog(page):
    await page.get_by_role("button", name="New schedule").click()
    return page.get_by_role("dialog")


# What is counted, and who decided.


async def test_one_is_not_written_as_many(recado, open_console):
    from playwright.async_api import expect

    for locale, one, two, session in (
            ("en-US", "1 of 1 event", "2 of 2 events", "1 of 1 session"),
            ("pt-BR", "1 de 1 evento", "2 de 2 eventos", "1 de 1 sessão")):
        page = await open_console(recado, locale=locale)
        await wait_live(page)
        await expect(page.locator("ol.events")).to_have_attribute("data-following", "*")
        count = page.locator("[data-figure=events]")
        recado.publish("demo:a", {"n": 1})
        await expect(count).to_have_text(one)
        recado.publish("demo:a", {"n": 2})
        await expect(count).to_have_text(two)
        await page.goto(f"{recado.url}/#/sessions")
        await expect(page.locator(".note").first).to_have_text(session)
        await page.context.close()
