"""Ways through the console: dialogs and the focus, what is counted, what charts write on their axes,
and what a person who types something wrong is told. A real Chromium on a real server."""

import json
import re
import time

import jwt
import pytest

from console_page import KEY, PHONE, WIDE, open_console, shoot, wait_live  # noqa: F401
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


# Dialogs.


async def test_a_dialog_goes_with_its_page(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/schedules")
    await wait_live(page)
    dialog = await open_schedule_dialog(page)
    await expect(dialog).to_be_visible()
    await page.evaluate("location.hash = '#/tasks'")
    await expect(page.get_by_role("heading", name="Tasks", level=1)).to_be_focused()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("button", name="New task").click()  # nothing stands in its way
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Schedules", level=1)).to_be_focused()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("button", name="Access").click()
    await page.evaluate("location.hash = '#/logs'")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_question_over_a_conversation_goes_with_it(recado, open_console):
    from playwright.async_api import expect

    one, two = (json.loads(recado.post("/api/chat/conversations", {"title": title})[2])["id"]
                for title in ("One", "Two"))
    page = await open_console(recado, f"#/chat/{one}")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("One")
    await page.evaluate(f"location.hash = '#/chat/{two}'")
    await expect(page.get_by_role("heading", name="Two", level=1)).to_be_focused()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert recado.get(f"/api/chat/conversations/{one}")[0] == 200


async def test_a_closed_dialog_gives_the_focus_back(recado, open_console):
    from playwright.async_api import expect

    tell(recado, "/api/schedules", {"id": "audit", "name": "Audit", "interval": "1d",
                                    "url": "http://127.0.0.1:9/"})
    page = await open_console(recado, "#/schedules")
    await wait_live(page)
    start = page.get_by_role("button", name="New schedule")
    await start.press("Enter")
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(start).to_be_focused()
    await expect(page.get_by_role("dialog")).to_have_count(0)

    # The button that asked is drawn anew while the question stands.
    remove = page.get_by_role("button", name="Delete: Audit")
    await remove.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    tell(recado, "/api/schedules/audit/pause", {})
    await expect(page.locator("[data-state=paused]")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(remove).to_be_focused()


async def test_the_focus_stays_where_rows_are_drawn_anew(recado, open_console):
    from playwright.async_api import expect

    add_approval(recado, "p1", "pay")
    page = await open_console(recado, "#/approvals")
    await wait_live(page)
    note = page.get_by_label("Note for pay")
    await note.press_sequentially("go head")
    for _ in range(4):
        await note.press("ArrowLeft")
    add_approval(recado, "p2", "send")
    await expect(page.locator("[data-approval=p2]")).to_be_visible()
    await expect(note).to_be_focused()
    await page.keyboard.type("a")
    await expect(note).to_have_value("go ahead")
    # The button is gone: the next one is not pressed by whoever presses twice.
    approve = page.get_by_role("button", name="Approve: pay")
    await approve.press("Enter")
    await expect(page.locator("[data-approval=p1]")).to_have_count(0)
    await expect(page.get_by_role("heading", name="Approvals", level=1)).to_be_focused()
    assert json.loads(recado.get("/api/approvals/p2")[2])["status"] == "pending"


# Charts.


@pytest.mark.parametrize("width,scheme,locale", [
    (WIDE, "light", "en-US"), (PHONE, "dark", "pt-BR"), (PHONE, "light", "en-US"),
])
async def test_no_label_of_a_chart_is_cut(recado, open_console, width, scheme, locale):
    from playwright.async_api import expect

    for n in range(3):
        add_run(recado, f"run {n}")
    page = await open_console(recado, "#/monitor", width=width, scheme=scheme, locale=locale, allow="503")
    await page.add_init_script(f"({WATCH_CANVAS})()")
    for route in ("monitor", "runs", ""):
        await page.goto(f"{recado.url}/#/{route}")
        await page.reload()
        await wait_live(page)
        await expect(page.locator("canvas").first).to_be_visible()
        if route == "monitor":
            points = page.locator(".plots")
            await expect(points).to_have_attribute("data-points", re.compile("^[2-9]$"))
        await page.wait_for_function("window.drawn.length > 3")
        drawn = await page.evaluate("window.drawn")
        assert [d["text"] for d in drawn if d["cut"]] == [], route
    assert any(re.search(r"\d", d["text"]) for d in drawn)


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


async def test_a_decision_without_a_token_says_whose_it_is(recado, open_console):
    from playwright.async_api import expect

    for id in ("said", "unsaid", "here"):
        add_approval(recado, id, id)
    tell(recado, "/api/approvals/said/approve", {"by": "ana"})
    tell(recado, "/api/approvals/unsaid/approve", {})
    add_approval(recado, "late", "late", expires_in="1s")
    page = await open_console(recado, "#/approvals")
    await page.get_by_role("button", name="Deny: here").click()
    rows = page.get_by_role("table", name="Decided").get_by_role("row")

    def by(action):
        return rows.filter(has=page.get_by_role("cell", name=action, exact=True)).locator("[data-title=By]")

    await expect(by("said")).to_have_text("ana")
    await expect(by("unsaid")).to_have_text("without a name")
    await expect(by("here")).to_have_text("console")
    assert json.loads(recado.get("/api/approvals/here")[2])["decided_by"] == "console"
    await expect(by("late")).to_have_text("nobody: its time was up")


# Settings of a conversation.


async def test_a_refused_setting_is_told_at_its_field(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("words")
    page = await open_console(server, "#/chat", allow="400")
    await wait_live(page)
    await page.get_by_text("Model and settings").click()
    temperature = page.get_by_label("Temperature")
    await temperature.fill("99")
    await say(page, "Hello")
    await expect(temperature).to_have_attribute("aria-invalid", "true")
    await expect(temperature).to_have_value("99")
    await expect(temperature).to_be_focused()
    await expect(page.get_by_role("alert").filter(has_text="must be a number from 0 to 10")).to_be_visible()
    await expect(composer(page)).to_have_value("Hello")
    assert json.loads(server.get("/api/chat/conversations")[2])["total"] == 0  # nothing was begun
    await temperature.fill("warm")
    await expect(page.get_by_role("alert").filter(has_text="must be")).to_have_count(0)
    await composer(page).press("Enter")
    await expect(temperature).to_have_attribute("aria-invalid", "true")
    await temperature.fill("0.5")
    await page.get_by_label("Most tokens").fill("1.5")
    await composer(page).press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="not a whole number")).to_be_visible()
    await page.get_by_label("Most tokens").fill("50")
    await composer(page).press("Enter")
    await expect(finished(page)).to_have_count(1)
    asked = upstream.requests[-1].body
    assert (asked["temperature"], asked["max_tokens"]) == (0.5, 50)


# Schedules.


async def test_a_schedule_is_changed_and_says_what_came_of_it(recado, back_end, open_console):
    from playwright.async_api import expect

    url = f"http://127.0.0.1:{back_end.server_port}/audit"
    tell(recado, "/api/schedules", {"id": "audit", "name": "Audit", "display_name": "Silva",
                                    "interval": "1d", "url": url})
    tell(recado, "/api/schedules", {"id": "broken", "name": "Broken", "cron": "0 3 * * *",
                                    "url": "http://127.0.0.1:9/"})
    page = await open_console(recado, "#/schedules", allow="400")
    await wait_live(page)
    row = page.get_by_role("row").filter(has_text="Silva")
    run = row.get_by_role("button", name="Run now: Silva")
    back_end.gate.clear()
    await run.press("Enter")
    await expect(row.locator("[data-state=running]").first).to_be_visible()
    await expect(run).to_be_disabled()
    await expect(run).to_be_focused()
    back_end.gate.set()
    await expect(row.locator("[data-state=success]")).to_be_visible()
    await expect(run).to_be_focused()
    await row.locator(".output summary").click()
    await expect(row.get_by_role("group", name="Output: Silva")).to_have_text("all is well")
    broken = page.get_by_role("row").filter(has_text="Broken")
    await broken.get_by_role("button", name="Run now: Broken").click()
    await expect(broken.locator(".error")).to_be_visible()
    await expect(row.get_by_role("group", name="Output: Silva")).to_be_visible()  # still open
    await expect(row.locator("[data-title='Next run'] time").first).to_have_text(re.compile("^in "))

    await row.get_by_role("button", name="Edit: Silva").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Name")).to_have_value("Silva")
    await expect(dialog.get_by_label("Rhythm")).to_have_value("1d")
    await expect(dialog.get_by_label("URL")).to_have_value(url)
    await dialog.get_by_label("Rhythm").fill("often")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("interval")
    await expect(dialog.get_by_role("button", name="Save")).to_be_focused()
    await dialog.get_by_label("Rhythm").fill("0 9 * * MON")
    await dialog.get_by_label("Name").fill("Souza")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row").filter(has_text="Souza")).to_contain_text("0 9 * * MON")
    kept = json.loads(recado.get("/api/schedules/audit")[2])
    assert (kept["name"], kept["display_name"], kept["interval"], kept["cron"], kept["url"]) == (
        "Audit", "Souza", None, "0 9 * * MON", url)

    edit = page.get_by_role("button", name="Edit: Souza")
    await expect(edit).to_be_focused()
    await edit.press("Enter")
    await dialog.get_by_label("Calls").select_option("model")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("A prompt is needed")
    await dialog.get_by_label("Prompt").fill("Sum up the week")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row").filter(has_text="Souza")).to_contain_text("Sum up the week")
    kept = json.loads(recado.get("/api/schedules/audit")[2])
    assert (kept["kind"], kept["url"], kept["prompt"]) == ("model", None, "Sum up the week")


# An answer as it is written.


FROM_END = "e => e.scrollHeight - e.scrollTop - e.clientHeight"


async def test_a_growing_answer_is_followed_until_the_reader_looks_back(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("gate?n=400")
    page = await open_console(server, "#/chat/new", width=PHONE)
    await wait_live(page)
    await say(page, "Tell me everything\n" * 40)
    answer = page.locator(".message.theirs .markdown")
    scroll = page.locator(".scroll")
    at_end = f"() => ({FROM_END})(document.querySelector('.scroll')) < 3"
    for n in (60, 100, 140):
        upstream.release(n)
        await expect(answer).to_contain_text(f"{n - 1}")
    await expect(answer).to_contain_text("299")
    await page.wait_for_function(at_end)
    await expect(page.get_by_role("button", name="To the newest")).to_be_hidden()

    # A little up is enough, and what comes then does not move the text under the reader's eyes.
    await scroll.hover()
    await page.mouse.wheel(0, -15)
    await page.wait_for_function(f"() => !({at_end})()")
    top = await scroll.evaluate("e => e.scrollTop")
    upstream.release(60)
    await expect(answer).to_contain_text("359")
    assert await scroll.evaluate("e => e.scrollTop") == top
    await page.get_by_role("button", name="To the newest").click()
    await page.wait_for_function(at_end)
    upstream.release(40)
    await expect(finished(page)).to_have_count(1)
    await page.wait_for_function(at_end)


async def test_an_answer_keeps_its_numbers_and_columns(chat, open_console):
    from playwright.async_api import expect

    server = chat("echo")
    page = await open_console(server, "#/chat/new")
    await wait_live(page)
    await composer(page).fill("3. three\n4. four\n\n| name | total |\n|---|---:|\n| a | 12 |")
    assert await composer(page).evaluate("e => e.scrollHeight <= e.clientHeight")  # all of it is seen
    await page.get_by_role("button", name="Send").click()
    await expect(finished(page)).to_have_count(1)
    answer = page.locator(".message.theirs .markdown")
    await expect(answer.locator("ol")).to_have_attribute("start", "3")
    await expect(answer.get_by_role("cell", name="12")).to_have_css("text-align", "right")
    await expect(answer.get_by_role("cell", name="a", exact=True)).to_have_css("text-align", "start")


async def test_who_writes_goes_on_writing(chat, open_console):
    """The place to write has the focus in a new conversation, and after its first message too."""
    from playwright.async_api import expect

    server = chat("words")
    page = await open_console(server, "#/chat")
    await wait_live(page)
    await page.get_by_role("link", name="New conversation").click()
    await expect(composer(page)).to_be_focused()
    await composer(page).press_sequentially("Hello")
    await composer(page).press("Enter")
    await expect(finished(page)).to_have_count(1)
    await expect(composer(page)).to_be_focused()
    await page.keyboard.type("And then?")
    await page.keyboard.press("Enter")
    await expect(finished(page)).to_have_count(2)


async def test_what_was_typed_waits_in_its_conversation(chat, open_console):
    from playwright.async_api import expect

    server = chat(url="http://127.0.0.1:9/v1")
    one, two = (json.loads(server.post("/api/chat/conversations", {"title": title})[2])["id"]
                for title in ("One", "Two"))
    page = await open_console(server, f"#/chat/{one}")
    await wait_live(page)
    await say(page, "Is anybody there?")
    again = page.get_by_role("button", name="Ask again")
    await expect(again).to_be_visible()
    await composer(page).fill("meant for One")
    await again.click()
    await expect(page.locator(".message.mine")).to_have_count(2)
    await expect(composer(page)).to_have_value("meant for One")
    await page.get_by_role("link", name=re.compile("Two")).click()
    await expect(page.get_by_role("heading", name="Two", level=1)).to_be_visible()
    await expect(composer(page)).to_have_value("")
    await page.get_by_role("link", name="Tasks").click()
    await expect(page.get_by_text("No tasks yet")).to_be_visible()
    await page.evaluate(f"location.hash = '#/chat/{one}'")
    await expect(composer(page)).to_have_value("meant for One")


async def test_who_asks_too_early_is_told_so(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("gate?n=3")
    made = json.loads(server.post("/api/chat/conversations", {
        "title": "One", "model": "gate?n=3", "system_prompt": "Be brief"})[2])["id"]
    page = await open_console(server, f"#/chat/{made}")
    await wait_live(page)
    await page.get_by_text("Model and settings").click()
    await expect(page.get_by_label("Model", exact=True)).to_have_attribute("placeholder", "gate?n=3")
    await expect(page.get_by_label("System prompt")).to_have_attribute("placeholder", "Be brief")
    await say(page, "First")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await say(page, "Second")
    early = page.get_by_text("The answer is still being written")
    await expect(early).to_be_visible()
    await expect(composer(page)).to_have_value("Second")
    upstream.release(10)
    await expect(finished(page)).to_have_count(1)
    await expect(early).to_be_hidden()
    await composer(page).press("Enter")
    await expect(page.locator(".message.mine")).to_have_count(2)
    upstream.release(10)
    await expect(finished(page)).to_have_count(2)


# A server that is away.


async def test_rows_stay_while_the_server_is_away(start_recado, open_console):
    from playwright.async_api import expect

    recado = start_recado()
    add_run(recado, "audit")
    tell(recado, "/api/orquestrador/tasks", {"title": "Import"})
    page = await open_console(recado, "#/tasks", allow="ERR_|WebSocket|50[0-9]")
    await wait_live(page)
    card = page.locator(".task-card")
    await expect(card).to_contain_text("Import")
    recado.stop()
    await page.get_by_role("searchbox", name="Search").fill("imp")  # asks anew
    trouble = page.locator(".trouble")
    await expect(trouble).to_contain_text("The server does not answer")
    await expect(card).to_contain_text("Import")
    await expect(page.locator(".state")).not_to_have_class(re.compile(r"\bconnected"))
    await trouble.get_by_role("button", name="Try again").click()
    await expect(trouble).to_be_visible()
    recado.start()
    await expect(trouble).to_be_hidden()  # by itself, once the page is connected again
    await expect(card).to_contain_text("Import")
    await wait_live(page)


async def test_a_page_that_was_not_there_comes_with_the_server(start_recado, open_console):
    from playwright.async_api import expect

    recado = start_recado()
    page = await open_console(recado, allow="ERR_|WebSocket|50[0-9]")
    await wait_live(page)
    recado.stop()
    await page.evaluate("location.hash = '#/tasks'")
    await expect(page.get_by_text("This page could not be loaded.")).to_be_visible()
    recado.start()
    await expect(page.get_by_text("No tasks yet")).to_be_visible()


# Access.


async def test_a_token_alone_is_told_what_it_does_not_open(start_recado, open_console):
    from playwright.async_api import expect

    secret = "k" * 40
    recado = start_recado(f"auth: {{ api_keys: [{KEY}], hmac_secret: {secret} }}\n")
    token = jwt.encode({"sub": "ana", "exp": int(time.time()) + 600}, secret, "HS256")
    page = await open_console(recado, allow="401|403|WebSocket")
    await page.get_by_label("Token (JWT)").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    banner = page.locator(".banner")
    await expect(banner).to_have_text(re.compile("^Signed in with a token: .* ask for an API key"))
    await page.goto(f"{recado.url}/#/tasks")  # which a token opens
    await expect(page.get_by_text("No tasks yet")).to_be_visible()
    await expect(banner).to_be_hidden()
    await page.goto(f"{recado.url}/#/sessions")
    await expect(page.locator(".trouble")).to_contain_text("This needs an API key.")
    await page.goto(f"{recado.url}/#/approvals")
    tell(recado, "/api/approvals", {"id": "p1", "action": "pay"}, key=KEY)
    await page.get_by_role("button", name="Approve: pay").click()
    await expect(page.locator("[data-title=By]")).to_have_text("ana")


# A store that is away.


@pytest.fixture
def database():
    from test_durable import Database

    server = Database("postgres")
    yield server
    server.end()


async def test_a_store_that_is_away_is_told_on_every_page(start_recado, database, open_console):
    import asyncio

    from playwright.async_api import expect

    recado = start_recado(f"store: '{database.url}'")
    tell(recado, "/api/orquestrador/tasks", {"title": "Import"})
    page = await open_console(recado, "#/tasks", allow="503")
    await wait_live(page)
    await expect(page.locator(".task-card")).to_have_count(1)
    await asyncio.to_thread(database, "stop")
    await page.get_by_label("Status of Import").select_option("executing")
    await expect(page.get_by_role("alert").filter(has_text="Failed:").first).to_be_visible()
    await page.get_by_role("button", name="New task").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Title").fill("Kept words")
    await dialog.get_by_role("button", name="Create").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Failed:")
    await expect(dialog.get_by_label("Title")).to_have_value("Kept words")
    for route in ("runs", "approvals", "chat"):
        await page.goto(f"{recado.url}/#/{route}")
        await expect(page.get_by_text(re.compile("^Failed:")).first).to_be_visible()
        await expect(page.get_by_text("Loading…")).to_have_count(0)
        await shoot(page, f"{route}-store-away-wide-light-en")
    await page.goto(f"{recado.url}/#/tasks")
    await expect(page.locator(".trouble")).to_be_visible()
    await page.get_by_role("button", name="Try again").click()
    await asyncio.to_thread(database, "start")
    await expect(page.locator(".task-card")).to_have_count(1, timeout=60_000)
    await expect(page.locator(".trouble")).to_be_hidden()
