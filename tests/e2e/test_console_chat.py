"""Conversations in the console: a real Chromium, a real server, and a model that speaks the real
protocol."""

import json
import re

import pytest

from console_page import (  # noqa: F401
    KEY, PHONE, WIDE, no_sideways_scroll, open_console, shoot, wait_live)
from servers import free_port
from upstream import text

pytestmark = pytest.mark.release  # the page is the same whatever serves it

MARKDOWN = """# Plan

Some **bold** text, `code` and a [link](https://example.com/docs).

```python
print("hello")  # in a line that is so long that it has to scroll sideways inside its own box, always
```

| channel | events |
|---|---:|
| orders:7 | 12 |

- one
- two

<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>

Inline <b onclick="x()">markup</b>, ![a picture](https://example.com/p.png), [bad](javascript:alert(1))"""


@pytest.fixture
def chat(start_recado, upstream):
    """A server whose model is the upstream: chat("gate?n=4", config="...")."""
    def start(script="words", config="", url=None):
        upstream.script = script
        return start_recado(f"llm: {{url: \"{url or upstream.url}\", retries: 0}}\n" + config)
    return start


def composer(page):
    return page.get_by_role("textbox", name=re.compile("^(Message|Mensagem)$"))


def answers(page):
    return page.locator(".message.theirs")


def finished(page):
    return page.locator(".message.theirs[data-state=complete]")


async def say(page, message):
    await composer(page).fill(message)
    await composer(page).press("Enter")


async def test_first_message_makes_a_conversation_and_its_answer_streams(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("gate?n=6")
    page = await open_console(server, "#/chat")
    await wait_live(page)
    await expect(page.get_by_text("No conversations yet")).to_be_visible()
    await shoot(page, "chat-empty-wide-light-en")
    await say(page, "Tell me about orders\nand totals")
    await expect(page).to_have_url(re.compile(r"#/chat/\d+$"))
    await expect(page.locator(".message.mine")).to_have_text(re.compile("Tell me about orders"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Tell me about orders")
    await expect(page.get_by_text("Waiting for the model…")).to_be_visible()
    for n in range(1, 6):
        upstream.release()
        await expect(answers(page).locator(".markdown")).to_contain_text(f"{n - 1}")
    await expect(answers(page)).to_have_attribute("data-state", "streaming")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await shoot(page, "chat-streaming-wide-light-en")
    upstream.release(10)
    await expect(finished(page)).to_have_count(1)
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    entry = page.get_by_role("link", name=re.compile("Tell me about orders"))
    await expect(entry).to_have_attribute("aria-current", "page")
    said = await page.locator("p[aria-live]").inner_text()
    assert said.startswith("Answer: 0Olá")


async def test_reload_in_the_middle_goes_on(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("gate?n=8")
    page = await open_console(server, "#/chat")
    await wait_live(page)
    await say(page, "Hello")
    upstream.release(3)
    markdown = answers(page).locator(".markdown")
    await expect(markdown).to_contain_text("2 ação")
    await page.reload()
    await expect(markdown).to_contain_text("2 ação")
    await expect(answers(page)).to_have_attribute("data-state", "streaming")
    other = await open_console(server, page.url.split("/", 3)[3])  # a second reader comes late
    await expect(answers(other).locator(".markdown")).to_contain_text("2 ação")
    await wait_live(page)
    await wait_live(other)
    upstream.release(20)
    conversation = int(page.url.rsplit("/", 1)[1])
    for reader in (page, other):
        await expect(finished(reader)).to_have_count(1)
        shown = await answers(reader).locator(".markdown").inner_text()
        assert shown.split() == text(8).split()
        await expect(reader.locator(".message")).to_have_count(2)
    kept = json.loads(server.get(f"/api/chat/conversations/{conversation}/messages")[2])["messages"]
    assert kept[-1]["content"] == text(8)


async def test_stop_keeps_what_was_said(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("gate?n=50")
    page = await open_console(server, "#/chat")
    await wait_live(page)
    await say(page, "Count to fifty")
    upstream.release(2)
    await expect(answers(page).locator(".markdown")).to_contain_text("1 mundo,")
    await page.get_by_role("button", name="Stop").click()
    await expect(answers(page).get_by_text("Stopped. What was said is kept.")).to_be_visible()
    await expect(answers(page)).to_have_attribute("data-state", "cancelled")
    await expect(composer(page)).to_be_focused()
    await page.reload()
    await expect(answers(page).locator(".markdown")).to_have_text(re.compile("0Olá1 mundo,"))
    await expect(answers(page).get_by_text("Stopped. What was said is kept.")).to_be_visible()


async def test_answer_is_markdown_and_never_markup(chat, open_console):
    from playwright.async_api import expect

    server = chat("echo")
    page = await open_console(server, "#/chat")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await wait_live(page)
    await composer(page).fill(MARKDOWN)
    await page.get_by_role("button", name="Send").click()
    await expect(finished(page)).to_have_count(1)
    answer = answers(page).locator(".markdown")
    await expect(answer.get_by_role("heading", name="Plan", level=3)).to_be_visible()
    await expect(answer.locator("strong")).to_have_text("bold")
    await expect(answer.get_by_role("cell", name="orders:7")).to_be_visible()
    await expect(answer.get_by_role("link", name="link")).to_have_attribute("rel", "noopener noreferrer")
    await expect(answer.get_by_role("link", name="a picture")).to_have_attribute(
        "href", "https://example.com/p.png")
    assert await answer.locator("img, script, b, [onclick], [onerror], [style]").count() == 0
    assert await answer.locator("a[href^=javascript]").count() == 0
    await expect(answer).to_contain_text("<img src=x onerror=")
    assert "owned" not in await page.title()
    await answer.get_by_role("button", name="Copy: python").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('print("hello")')
    await no_sideways_scroll(page)
    await shoot(page, "chat-markdown-wide-light-en")


async def test_model_that_is_down_is_said_kindly_and_asked_again(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat(url=f"http://127.0.0.1:{free_port()}/v1")
    page = await open_console(server, "#/chat")
    await wait_live(page)
    await say(page, "Is anybody there?")
    box = page.get_by_role("alert").filter(has_text="The model did not answer.")
    await expect(box).to_be_visible()
    await box.get_by_text("What to do").click()
    await expect(box).to_contain_text("llm.url")
    await shoot(page, "chat-model-down-wide-light-en")
    await box.get_by_role("button", name="Ask again").click()
    await expect(page.locator(".message.mine")).to_have_count(2)
    await expect(page.locator(".message[data-state=failed]")).to_have_count(2)


async def test_settings_are_said_to_the_model(chat, upstream, open_console):
    from playwright.async_api import expect

    server = chat("words")
    page = await open_console(server, "#/chat")
    await wait_live(page)
    await page.get_by_text("Model and settings").click()
    await page.get_by_label("Model", exact=True).fill("echo")
    await page.get_by_label("Temperature").fill("0,2")
    await page.get_by_label("Most tokens").fill("99")
    await page.get_by_label("System prompt").fill("Answer in verse")
    await say(page, "repeat me please")
    await expect(finished(page).locator(".markdown")).to_have_text("repeat me please")
    asked = upstream.requests[-1].body
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("echo", 0.2, 99)
    assert asked["messages"][0] == {"role": "system", "content": "Answer in verse"}


async def test_conversations_are_renamed_paged_and_deleted(chat, open_console):
    from playwright.async_api import expect

    server = chat("words?n=1")
    made = json.loads(server.post("/api/chat/conversations", {"title": "Long one"})[2])["id"]
    for n in range(30):
        status, _, body = server.post("/api/chat", {
            "conversation_id": made, "message": f"question {n}", "wait": True})
        assert status == 200, body
    page = await open_console(server, f"#/chat/{made}", allow="404")
    await wait_live(page)
    await expect(page.locator(".message")).to_have_count(50)
    await page.get_by_role("button", name="Earlier messages").click()
    await expect(page.locator(".message")).to_have_count(60)
    await expect(page.locator(".message").first).to_contain_text("question 0")
    await expect(page.get_by_role("button", name="Earlier messages")).to_be_hidden()

    await page.get_by_role("button", name="Rename").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Title").fill("Another name")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Another name")
    await expect(page.get_by_role("link", name=re.compile("Another name"))).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No conversations yet")).to_be_visible()
    assert server.get(f"/api/chat/conversations/{made}")[0] == 404


async def test_an_answer_goes_on_without_the_live_channel(chat, upstream, open_console):
    """A namespace that may not be followed: the stored text is asked for instead."""
    from playwright.async_api import expect

    config = f"auth: {{ api_keys: [{KEY}], require_token: true, hmac_secret: {'k' * 40} }}\n"
    server = chat("gate?n=4", config)
    page = await open_console(server, "#/chat", allow="401|403|WebSocket")
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("No conversations yet")).to_be_visible()
    await say(page, "Hello")
    await expect(page.locator(".message")).to_have_count(2)
    upstream.release(10)
    await expect(finished(page)).to_have_count(1)
    shown = await answers(page).locator(".markdown").inner_text()
    assert shown.split() == text(4).split()


@pytest.mark.parametrize("width,scheme,locale", [
    (WIDE, "dark", "pt-BR"), (PHONE, "light", "en-US"), (PHONE, "dark", "pt-BR"),
])
async def test_conversations_fit(chat, open_console, width, scheme, locale):
    from playwright.async_api import expect

    server = chat("echo")
    look = f"{'wide' if width == WIDE else 'phone'}-{scheme}-{locale[:2]}"
    page = await open_console(server, "#/chat", width=width, scheme=scheme, locale=locale)
    await wait_live(page)
    await shoot(page, f"chat-empty-{look}")
    if width == PHONE:
        await page.get_by_role("link", name=re.compile("New conversation|Nova conversa")).click()
    await composer(page).fill(MARKDOWN)
    await page.get_by_role("button", name=re.compile("^(Send|Enviar)$")).click()
    await expect(finished(page)).to_have_count(1)
    await no_sideways_scroll(page)
    await shoot(page, f"chat-{look}")
    if width == PHONE:
        await page.get_by_role("link", name=re.compile("← ")).click()
        await expect(page.locator(".entries li")).to_have_count(1)
        await shoot(page, f"chat-list-{look}")
