"""The console in a real Chromium: what a newcomer and an operator see and do."""

import json
import re

import pytest

from console_page import (  # noqa: F401
    KEY, LOCKED, PHONE, WIDE, event_rows, no_sideways_scroll, open_console, shoot, wait_live)

pytestmark = pytest.mark.release  # the page is the same whatever serves it

# The host.


def test_page_has_a_strict_policy_and_is_complete(recado):
    status, headers, body = recado.get("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    names = re.findall(r'(?:src|href)="(/[^"]+)"', body.decode())
    assert len(names) >= 3
    for name in names:
        assert recado.get(name)[0] == 200, name


def test_files_are_cached_by_content_and_sent_compressed(recado):
    name = re.search(r'src="(/assets/[^"]+\.js)"', recado.get("/")[2].decode())[1]
    status, headers, plain = recado.get(name)
    assert status == 200 and "immutable" in headers["Cache-Control"]
    assert headers["Content-Type"].startswith("text/javascript")
    assert recado.get(name, {"If-None-Match": headers["ETag"]})[0] == 304
    _, packed_headers, packed = recado.get(name, {"Accept-Encoding": "gzip"})
    assert packed_headers["Content-Encoding"] == "gzip"
    assert len(packed) < 150 * 1024 < len(plain)
    status, headers, _ = recado.get("/")
    assert "immutable" not in headers.get("Cache-Control", "")
    assert recado.get("/", {"If-None-Match": headers["ETag"]})[0] == 304


# The overview.


async def test_newcomer_publishes_and_sees_the_event(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    await expect(page.get_by_text("Listening. Nothing was published yet.")).to_be_visible()
    commands = await page.locator(".live .command code").all_inner_texts()
    assert commands[0].startswith(f"curl {recado.url}/api/publish")
    assert commands[1].startswith(f"recado publish --server {recado.url} --channel demo:hello")
    await shoot(page, "empty-wide-light-en")

    recado.publish("orders:7", {"total": 1.5, "note": "<b>bold</b>"}, type="order.paid")
    row = event_rows(page).first
    await expect(row).to_contain_text("orders:7")
    await expect(row).to_contain_text("order.paid")
    await expect(row).to_contain_text('<b>bold</b>')  # text, not markup
    await row.get_by_role("button").click()
    await expect(row.locator("pre")).to_contain_text('"total": 1.5')
    await expect(page.get_by_role("status").filter(has_text="orders:7")).to_have_count(1)
    await shoot(page, "overview-wide-light-en")


async def test_shown_curl_command_works_as_it_is(recado, open_console):
    import subprocess

    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    command = await page.locator(".live .command code").first.inner_text()
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "result" in json.loads(done.stdout), done
    await expect(event_rows(page).first).to_contain_text("Hello from Recado")


async def test_button_of_the_empty_state_sends_the_event(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    await page.get_by_role("button", name="Send this event now").click()
    await expect(event_rows(page)).to_have_count(1)
    await expect(event_rows(page).first).to_contain_text("demo:hello")


async def test_figures_come_from_the_metrics(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    await expect(page.locator("[data-figure=sessions]")).not_to_have_text("0")
    await expect(page.locator("[data-figure=memory]")).to_contain_text("MiB")
    await expect(page.locator(".figure").first.locator(".note")).to_contain_text("native")
    for n in range(20):
        recado.publish("load:1", {"n": n})
    await expect(page.locator("[data-figure=latency]")).to_contain_text(re.compile("µs|ms"))
    chart = page.get_by_role("img", name=re.compile("^Sessions: now"))
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(page.get_by_role("meter").first).to_have_attribute("aria-valuenow", re.compile(r"\d"))


async def test_filters_and_pause(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    for n in range(3):
        recado.publish("a:1", {"n": n}, type="tick")
        recado.publish("b:2", {"word": f"pear{n}"}, type="tock")
    rows = event_rows(page)
    await expect(rows).to_have_count(6)
    await page.get_by_role("searchbox", name="Filter channel").fill("a:*")
    await expect(rows).to_have_count(3)
    await page.get_by_role("searchbox", name="Filter channel").fill("")
    await page.get_by_role("searchbox", name="Filter type").fill("tock")
    await page.get_by_role("searchbox", name="Filter text").fill("PEAR1")
    await expect(rows).to_have_count(1)
    await page.get_by_role("searchbox", name="Filter text").fill("nowhere")
    await expect(page.get_by_text("No event matches the filter.")).to_be_visible()
    await page.get_by_role("searchbox", name="Filter text").fill("")
    await page.get_by_role("searchbox", name="Filter type").fill("")

    await page.get_by_role("button", name="Pause").click()
    recado.publish("c:3", {"late": True})
    resume = page.get_by_role("button", name="Resume (1 new)")
    await expect(resume).to_be_visible()
    await expect(rows).to_have_count(6)
    await resume.click()
    await expect(rows).to_have_count(7)
    await expect(rows.first).to_contain_text("c:3")
    await page.get_by_role("button", name="Clear").click()
    await expect(rows).to_have_count(0)


async def test_follows_one_namespace(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    follow = page.get_by_role("combobox", name="Follow")
    await follow.fill("project:*")
    await follow.press("Enter")
    await expect(page.locator("[data-following='project:*']")).to_have_count(1)
    recado.publish("other:1", {"n": 1})
    recado.publish("project:9", {"n": 2})
    await expect(event_rows(page)).to_have_count(1)
    await expect(event_rows(page).first).to_contain_text("project:9")


async def test_comes_back_after_a_restart_of_the_server(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, allow="Failed to load resource|WebSocket connection")
    await wait_live(page)
    recado.stop()
    await expect(page.get_by_text("The server does not answer. Trying again…")).to_be_visible()
    recado.start()
    await wait_live(page)
    await expect(page.get_by_text("The server does not answer. Trying again…")).to_be_hidden()
    recado.publish("back:1", {"again": True})
    await expect(event_rows(page).first).to_contain_text("back:1")


# Publishing.


async def test_publish_form_checks_and_publishes(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/publish")
    await wait_live(page)
    form = page.get_by_role("region", name="Publish")
    channel = form.get_by_label("Channel")
    await expect(channel).to_be_focused()
    data = form.get_by_label("Data (JSON)")
    await data.fill('{\n  "n": tru\n}')
    await expect(form.get_by_text(re.compile("^Line 2, column "))).to_be_visible()
    await expect(data).to_have_attribute("aria-invalid", "true")
    await form.get_by_role("button", name="Publish", exact=True).click()
    await expect(data).to_be_focused()
    await expect(event_rows(page)).to_have_count(0)

    await data.fill('{"n":1.0,"big":12345678901234567890}')
    await channel.fill("form:1")
    await form.get_by_label("Type (optional)").fill("typed")
    await data.press("Control+Enter")
    await expect(form.get_by_role("status")).to_contain_text("Published on form:1")
    await expect(event_rows(page).first).to_contain_text("typed")
    await form.get_by_text("The same from a terminal").click()
    await expect(form.locator("code").first).to_contain_text('"big":12345678901234567890')
    await shoot(page, "publish-wide-light-en")


async def test_publish_form_shows_the_servers_refusal(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, "#/publish")
    form = page.get_by_role("region", name="Publish")
    await form.get_by_label("Channel").fill("x" * 5000)
    await form.get_by_role("button", name="Publish", exact=True).click()
    await expect(form.locator(".outcome.error")).to_contain_text("Failed:")


# Channels and sessions.


async def test_channel_list_and_history(start_recado, open_console):
    from playwright.async_api import expect

    recado = start_recado("namespaces:\n  room: { history: 100, ttl: 1h, presence: true }\n")
    page = await open_console(recado)
    await wait_live(page)
    follow = page.get_by_role("combobox", name="Follow")
    await follow.fill("room:blue, room:red")
    await follow.press("Enter")
    await expect(page.locator("[data-following='room:blue room:red']")).to_have_count(1)
    for n in range(60):
        recado.publish("room:blue", {"n": n}, type="said")

    await page.get_by_role("link", name="Channels").click()
    await expect(page.get_by_role("heading", name="Channels")).to_be_focused()
    row = page.get_by_role("row").filter(has_text="room:blue")
    await expect(row.get_by_role("cell").nth(1)).to_have_text("1")
    await page.get_by_role("searchbox", name="Channel pattern").fill("*:red")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("row").filter(has_text="room:blue")).to_have_count(0)
    await expect(page.get_by_role("row").filter(has_text="room:red")).to_have_count(1)
    await page.get_by_role("searchbox", name="Channel pattern").fill("room")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("link", name="Open room", exact=True)).to_have_attribute(
        "href", "#/channels/room")
    await page.get_by_role("searchbox", name="Channel pattern").fill("")
    await page.get_by_role("button", name="Show").click()
    await shoot(page, "channels-wide-light-en")

    await page.get_by_role("link", name="room:blue").click()
    await expect(page.get_by_role("heading", name="room:blue")).to_be_focused()
    history = page.get_by_role("list", name="History").locator("> li")
    await expect(history).to_have_count(50)
    await expect(history.first).to_contain_text('{"n":59}')
    await expect(history.first).to_contain_text("said")
    await page.get_by_role("button", name="Older events").click()
    await expect(history).to_have_count(60)
    await expect(history.last).to_contain_text('{"n":0}')
    await expect(page.get_by_text(re.compile("^1 client, "))).to_be_visible()
    await shoot(page, "channel-wide-light-en")
    await page.get_by_role("button", name="Publish here").click()
    await expect(page.get_by_role("region", name="Publish").get_by_label("Channel")).to_have_value(
        "room:blue")


async def test_disconnects_a_session(recado, open_console):
    from playwright.async_api import expect

    victim = await open_console(recado, allow="WebSocket")
    await wait_live(victim)
    page = await open_console(recado, "#/sessions")
    await wait_live(page)
    buttons = page.get_by_role("button", name=re.compile("^Disconnect anonymous"))
    await expect(buttons).to_have_count(2)
    mine = page.get_by_role("row").filter(has_text="this page")
    other = page.get_by_role("row").filter(has=buttons).filter(has_not_text="this page")
    await expect(mine).to_have_count(1)
    await shoot(page, "sessions-wide-light-en")
    await other.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    await other.get_by_role("button").click()
    await dialog.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_text("was disconnected.")).to_be_visible()
    await expect(victim.locator(".state")).to_have_class(re.compile("refused|disconnected"))
    await expect(mine).to_have_count(1)


# Access.


async def test_api_key_unlocks_and_is_kept_in_the_tab(start_recado, open_console):
    from playwright.async_api import expect

    recado = start_recado(LOCKED)
    page = await open_console(recado, allow="401|403|WebSocket")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await shoot(page, "sign-in-wide-light-en")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Enter an API key or a token")).to_be_visible()
    await page.get_by_label("API key").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("The server refused this.")).to_be_visible()
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("[data-figure=memory]")).to_contain_text("MiB")
    await wait_live(page)
    command = await page.locator(".live .command code").first.inner_text()
    assert "$RECADO_API_KEY" in command and KEY not in command
    await page.get_by_role("button", name="Send this event now").click()
    await expect(event_rows(page).first).to_contain_text("demo:hello")

    await page.reload()
    await expect(page.locator("[data-figure=memory]")).to_contain_text("MiB")
    await page.get_by_role("button", name="Access").click()
    await page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


# Looks, languages, keyboard and screen readers.


@pytest.mark.parametrize("width,scheme,locale", [
    (WIDE, "dark", "pt-BR"), (PHONE, "light", "pt-BR"), (PHONE, "dark", "en-US"),
])
async def test_every_view_fits(recado, open_console, width, scheme, locale):
    from playwright.async_api import expect

    page = await open_console(recado, width=width, scheme=scheme, locale=locale)
    await wait_live(page)
    look = f"{'wide' if width == WIDE else 'phone'}-{scheme}-{locale[:2]}"
    await no_sideways_scroll(page)
    await shoot(page, f"empty-{look}")
    recado.publish("project:PROJ-001", {"story": "S-1", "status": "done", "by": "ana " * 40},
                   type="story.updated")
    await event_rows(page).first.get_by_role("button").click()
    await no_sideways_scroll(page)
    await shoot(page, f"overview-{look}")
    for view in ("channels", "sessions", "channels/project%3APROJ-001"):
        await page.goto(f"{recado.url}/#/{view}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.get_by_text(re.compile("Loading…|Carregando…"))).to_have_count(0)
        await no_sideways_scroll(page)
        await shoot(page, f"{view.split('%')[0].replace('/', '-')}-{look}")


async def test_language_follows_the_browser_and_the_toggle(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, locale="pt-BR")
    await expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    await expect(page.get_by_role("link", name="Visão geral")).to_be_visible()
    await page.get_by_role("button", name="EN: switch to English").click()
    await expect(page.get_by_role("link", name="Overview")).to_be_visible()
    await expect(page.get_by_role("button", name="PT: mudar para português")).to_be_focused()
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("lang", "en")


async def test_theme_follows_the_system_and_the_toggle(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado, scheme="dark")
    body = page.locator("body")
    await expect(body).to_have_css("background-color", "rgb(17, 23, 22)")
    await page.get_by_role("button", name="Theme: as the system").click()
    await expect(body).to_have_css("background-color", "rgb(246, 245, 241)")
    await page.reload()
    await expect(body).to_have_css("background-color", "rgb(246, 245, 241)")
    await page.get_by_role("button", name="Theme: light").click()
    await expect(body).to_have_css("background-color", "rgb(17, 23, 22)")


async def test_landmarks_names_and_keyboard(recado, open_console):
    from playwright.async_api import expect

    page = await open_console(recado)
    await wait_live(page)
    for role in ("banner", "main"):
        await expect(page.get_by_role(role)).to_have_count(1)
    await expect(page.get_by_role("navigation", name="Main")).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    unnamed = await page.evaluate("""() =>
        [...document.querySelectorAll('button, input, textarea, a')].filter((e) =>
            !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
            .map((e) => e.outerHTML)""")
    assert unnamed == []
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Overview")).to_be_focused()
    await page.get_by_role("link", name="Sessions").focus()
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Sessions")).to_be_focused()
    await expect(page.get_by_role("link", name="Sessions")).to_have_attribute(
        "aria-current", "page")
