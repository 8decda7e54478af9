"""Who reads the messages of a conversation and follows its channel, in either order, while an answer
is given: nothing is missing and nothing comes twice."""

import asyncio
import json

import pytest

from test_chat import Reader, api, chat, messages, native, rpc, until  # noqa: F401
from upstream import text


async def listed(server, way, conversation=1):
    if way == "rest":
        return api(server, f"/api/chat/conversations/{conversation}/messages")
    ws = await native(server)
    page = await rpc(ws, "chat.history", {"conversation_id": conversation})
    await ws.close()
    return page


async def wait_for_list(server, way, content):
    while True:
        page = await listed(server, way)
        if page["messages"][-1]["content"] == content:
            return page
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", ["rest", "native"])
async def test_a_list_in_the_middle_of_an_answer(chat, upstream, way):  # noqa: F811
    server = chat("gate?n=8")
    watcher = await Reader().join(server, "chat:1")
    made = api(server, "/api/chat", {"message": "a"}, 202)
    assert made["answer"]["seq"] == 0 and "seq" not in made["message"]
    upstream.release(3)
    await watcher.read(lambda r: len(r.rows) == 2 and r.last()["content"] == text(3))
    page = await listed(server, way)
    question, answer = page["messages"]
    assert answer["content"] == text(3) and answer["state"] == "streaming"
    assert answer["seq"] == watcher.seq[answer["id"]] and "seq" not in question
    reader = Reader()
    reader.rows = {m["id"]: m for m in page["messages"]}
    reader.seq = {m["id"]: m.get("seq") for m in page["messages"]}
    await reader.join(server, "chat:1", recover=True, offset=page["offset"], epoch=page["epoch"])
    upstream.release(5)
    for one in (reader, watcher):
        await one.read(lambda r: r.last()["state"] == "complete")
        assert one.last()["content"] == text(8)
    page = await listed(server, way)
    assert [m["content"] for m in page["messages"]] == ["a", text(8)]
    assert not any("seq" in m for m in page["messages"])


@pytest.mark.parametrize("way", ["rest", "native"])
async def test_what_comes_between_the_list_and_the_channel(chat, upstream, way):  # noqa: F811
    server = chat("words?n=2")
    api(server, "/api/chat", {"message": "a", "wait": True})
    page = await listed(server, way)
    api(server, "/api/chat", {"message": "b", "wait": True})
    reader = await Reader().join(server, "chat:1", recover=True, offset=page["offset"],
                                 epoch=page["epoch"])
    await reader.read(lambda r: len(r.rows) == 2 and r.last()["state"] == "complete")
    assert not reader.rows.keys() & {m["id"] for m in page["messages"]}
    assert [m["content"] for m in reader.rows.values()] == ["b", text(2)]


async def test_lists_while_tokens_come(chat, upstream):  # noqa: F811
    """Whatever moment a list is of: its text is that of its seq."""
    server = chat("words?n=300&delay=0.002")
    watcher = await Reader().join(server, "chat:1")
    api(server, "/api/chat", {"message": "a"}, 202)
    told = {0: ""}

    async def follow():
        while watcher.rows.get(2, {}).get("state") != "complete":
            for line in (await asyncio.wait_for(watcher.ws.recv(), 60)).splitlines():
                if push := json.loads(line).get("push"):
                    watcher.take(push["pub"])
                    if watcher.seq.get(2) is not None:
                        told[watcher.seq[2]] = watcher.rows[2]["content"]

    following, lists = asyncio.ensure_future(follow()), []
    while not following.done():
        lists.append((await asyncio.to_thread(messages, server, 1))[1])
        await asyncio.sleep(0)
    await following
    live = [m for m in lists if m["state"] == "streaming"]
    assert live
    for m in live:
        assert m["content"] == told[m["seq"]]
    assert [m["seq"] for m in live] == sorted(m["seq"] for m in live)


async def test_a_list_without_a_history(chat, upstream):  # noqa: F811
    """A channel that keeps nothing has no position, and its answers are live all the same."""
    server = chat("gate?n=2", "namespaces: {chat: {history: 0, durable: false}}")
    api(server, "/api/chat", {"message": "a"}, 202)
    upstream.release(1)
    page = await wait_for_list(server, "rest", text(1))
    assert page["messages"][1]["seq"] == 1 and "epoch" not in page
    upstream.release(1)
    until(lambda: messages(server, 1)[1]["state"] == "complete")


async def test_a_record_of_the_models_own_name(chat, upstream):  # noqa: F811
    """What /v1 writes into a conversation's channel is none of its messages."""
    from test_chat import record
    server = chat("gate?n=4")
    end = record(server, upstream, "chat:1")
    end()
    upstream.script = "words?n=1"
    api(server, "/api/chat", {"message": "a", "wait": True})
    assert [m["content"] for m in messages(server, 1)] == ["a", text(1)]


# ---- the lines that docs/chat.md gives to pages ----

class Lines:
    """They, told one thing after the other: what they make of it."""

    def __init__(self, start_node):
        self.node = start_node("chat_events.mjs")

    def hear(self, type, data):
        self.node.say([type, data])
        return self.node.next()


async def test_a_page_whose_first_word_is_an_append(chat, upstream, start_node):  # noqa: F811
    """As whoever follows chat:* hears it."""
    server = chat("gate?n=4")
    api(server, "/api/chat", {"message": "a"}, 202)
    upstream.release(2)
    page = await wait_for_list(server, "rest", text(2))
    lines, heard = Lines(start_node), []

    class Pattern(Reader):
        def take(self, publication):
            heard.append(publication["tags"]["type"])
            self.made = lines.hear(heard[-1], publication["data"])

    reader = await Pattern().join(server, "chat:*")
    upstream.release(2)
    id = page["messages"][1]["id"]
    await reader.read(lambda r: heard[-1:] == ["chat:message"])
    assert heard == ["chat:append", "chat:append", "chat:message"]
    assert reader.made == {str(id): text(4)}


def test_a_page_that_hears_lists_and_the_channel(start_node):
    lines = Lines(start_node)

    def message(content, seq=None, state="streaming"):
        return {"id": 2, "content": content, "state": state, **({} if seq is None else {"seq": seq})}

    assert lines.hear("chat:append", {"id": 2, "seq": 1, "text": "a"}) == {}
    assert lines.hear("put", message("a", 1)) == {"2": "a"}
    assert lines.hear("chat:append", {"id": 2, "seq": 1, "text": "a"}) == {"2": "a"}
    assert lines.hear("chat:message", message("ab", 2)) == {"2": "ab"}
    assert lines.hear("chat:append", {"id": 2, "seq": 3, "text": "c"}) == {"2": "abc"}
    assert lines.hear("put", message("a", 1)) == {"2": "abc"}
    assert lines.hear("put", message("abcd", 4)) == {"2": "abcd"}
    assert lines.hear("chat:append", {"id": 2, "seq": 4, "text": "d"}) == {"2": "abcd"}
    assert lines.hear("chat:message", message("abcde", 5, "complete")) == {"2": "abcde"}
    assert lines.hear("put", message("abcd", 4)) == {"2": "abcde"}
    assert lines.hear("put", message("abcde", state="complete")) == {"2": "abcde"}
