"""Conversations with a model that speaks the real protocol over real HTTP: the orchestrator's page,
/api/chat, native rpc, and what readers of the conversation's channel are told, whenever they come."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import sqlite3
import threading
import time

import jwt
import pytest
import websockets

from test_durable import Database
from upstream import text

SECRET = "0123456789abcdef0123456789abcdef"
APOLOGY = "Desculpe, não consegui gerar uma resposta."
DOWN = "Erro ao processar mensagem: Error: Falha ao gerar resposta com streaming"


@pytest.fixture
def chat(start_recado, upstream):
    """A server whose model is the upstream: chat(script="gate?n=4", config="...")."""
    def start(script="words", config="", url=None, llm=""):
        upstream.script = script
        return start_recado(f"loops: 2\nllm: {{url: \"{url or upstream.url}\", retries: 0{llm}}}\n"
                            + config)
    return start


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


# ---- the orchestrator's page ----

class Page:
    """A socket of the orchestrator's page."""

    def __init__(self, ws):
        self.ws = ws

    async def say(self, type, **data):
        await self.ws.send(json.dumps({"type": type, "data": data} if data else {"type": type}))

    async def hear(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), 60))

    async def until(self, type, **data):
        """The frames up to the one of this type whose data holds these."""
        heard = []
        while True:
            frame = await self.hear()
            heard.append(frame)
            if frame["type"] == type and all(frame["data"].get(k) == v for k, v in data.items()):
                return heard

    async def answer(self):
        """All frames of one answer, the question's message first."""
        return await self.until("chat:message", role="assistant")


def chunks(frames):
    return "".join(f["data"]["chunk"] for f in frames if f["type"] == "chat:streaming")


async def open_page(server):
    return Page(await websockets.connect(server.ws("/ws"), max_size=None))


async def history(server, **data):
    page = await open_page(server)
    await page.say("chat:history", **{"conversationId": 1, **data})
    frame = await page.hear()
    await page.ws.close()
    assert frame["type"] == "chat:history", frame
    return frame["data"]


async def test_the_whole_sequence(chat, upstream):
    server = chat("words?n=8&cut=3")
    page = await open_page(server)
    await page.say("chat:send", message="Olá, tudo bem?", conversationId=1)
    frames = await page.answer()
    question, parts, done, message = frames[0], frames[1:-2], frames[-2], frames[-1]
    assert question["type"] == "chat:message" and question["data"]["role"] == "user"
    assert question["data"]["content"] == "Olá, tudo bem?"
    assert parts and all(f["type"] == "chat:streaming" and f["data"]["done"] is False for f in parts)
    assert done == {"type": "chat:streaming", "data": {"chunk": "", "done": True}}
    assert message["data"]["content"] == chunks(frames) == text(8)
    assert set(message["data"]) == {"id", "role", "content", "timestamp"}
    assert message["data"]["id"] != question["data"]["id"]
    for frame in (question, message):
        time.strptime(frame["data"]["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert await history(server) == [question["data"], message["data"]]


async def test_what_the_model_is_told(chat, upstream):
    server = chat("words?n=1")
    page = await open_page(server)
    for i in range(7):
        await page.say("chat:send", message=f"pergunta {i}")
        await page.answer()
    body = upstream.requests[-1].body
    assert body["model"] == "llama-3.2-3b-instruct" and body["stream"] is True
    assert body["temperature"] == 0.7 and body["max_tokens"] == 1024
    [message] = body["messages"]
    assert message["role"] == "user"
    lines = [line for line in message["content"].splitlines()
             if line.startswith(("user: ", "assistant: "))]
    assert len(lines) == 10 and lines[-1] == "user: pergunta 6" and lines[0] == "assistant: 0Olá"
    assert "Orquestrador de IAs V3.0" in message["content"].splitlines()[0]
    assert "Nova Tarefa" in message["content"].splitlines()[-1]


async def test_other_commands_are_answered_meanwhile(chat, upstream):
    server = chat("gate?n=3")
    page = await open_page(server)
    await page.say("chat:send", message="a")
    upstream.release()
    await page.until("chat:streaming")
    await page.say("ping")
    assert await page.hear() == {"type": "pong"}
    upstream.release(2)
    assert chunks(await page.answer())


async def test_questions_of_a_session_are_asked_one_by_one(chat, upstream):
    server = chat("gate?n=2")
    page = await open_page(server)
    await page.say("chat:send", message="eins")
    await page.say("chat:send", message="zwei", conversationId=2)
    assert (await page.hear())["data"]["content"] == "eins"
    upstream.wait(lambda u: u.calls == 1)
    upstream.release(4)
    first = await page.answer()
    second = await page.answer()
    assert second[0]["data"]["content"] == "zwei"
    assert chunks(first) == chunks(second) == text(2)
    assert upstream.under_way_max == 1


async def test_answers_of_a_conversation_come_one_by_one(chat, upstream):
    server = chat("gate?n=2", "chat: {queue_max: 1}")
    pages = [await open_page(server) for _ in range(3)]
    await pages[0].say("chat:send", message="a")
    await pages[0].until("chat:message")
    await pages[1].say("chat:send", message="b")
    await pages[1].until("chat:message")
    await pages[2].say("chat:send", message="c")
    [refused] = await pages[2].until("error")
    assert "wait already" in refused["data"]["message"]
    upstream.release(4)
    await pages[0].answer()
    await pages[1].answer()
    assert upstream.under_way_max == 1
    assert [m["role"] for m in await history(server)] == ["user", "assistant", "user", "assistant"]


async def test_an_empty_answer(chat, upstream):
    server = chat("words?n=0")
    page = await open_page(server)
    await page.say("chat:send", message="a")
    frames = await page.answer()
    assert [f["type"] for f in frames] == ["chat:message", "chat:streaming", "chat:message"]
    assert frames[1]["data"] == {"chunk": "", "done": True}
    assert frames[2]["data"]["content"] == APOLOGY


@pytest.mark.parametrize("script", ["fail?status=500", "fail?status=429", "html", "close",
                                    "fail?status=401", "fail?status=404"])
async def test_a_model_that_fails_at_once(chat, upstream, script):
    server = chat(script)
    page = await open_page(server)
    await page.say("chat:send", message="a")
    frames = await page.until("error")
    assert [f["type"] for f in frames] == ["chat:message", "error"]
    assert frames[1]["data"]["message"] == DOWN
    assert [m["content"] for m in await history(server)] == ["a"]
    rows = messages(server, 1)
    assert [m["state"] for m in rows] == ["complete", "failed"] and rows[1]["error"]
    upstream.script = "words?n=2"
    await page.say("chat:send", message="b")
    assert chunks(await page.answer()) == text(2)


@pytest.mark.parametrize("script, llm", [("drop", ""), ("garbage", ""), ("error", ""),
                                         ("stall", ", idle_timeout: 500ms"),
                                         ("words?n=2&finish=0&done=0", "")])
async def test_a_model_that_fails_in_the_middle(chat, script, llm):
    server = chat(script, llm=llm)
    page = await open_page(server)
    await page.say("chat:send", message="a")
    frames = await page.until("error")
    assert frames[-1]["data"]["message"] == DOWN
    kept = messages(server, 1)[1]
    assert kept["state"] == "failed" and kept["error"]
    assert kept["content"] == chunks(frames) != ""


async def test_no_model_at_all(chat, upstream):
    upstream.stop()
    server = chat()
    page = await open_page(server)
    await page.say("chat:send", message="a")
    frames = await page.until("error")
    assert frames[-1]["data"]["message"] == DOWN


async def test_what_cannot_be_asked(chat):
    server = chat(config="chat: {message_max: 1KiB}")
    page = await open_page(server)

    async def refused(**data):
        await page.say("chat:send", **data)
        [frame] = await page.until("error")
        return frame["data"]["message"].removeprefix("Erro ao processar mensagem: Error: ")

    assert await refused(message="") == "message vazia, ou com um caractere nulo"
    assert await refused(message=5) == "message deve ser um texto"
    assert await refused(message="a", conversationId=-1) == "conversationId inválido"
    assert await refused(message="a", conversationId="x") == "conversationId inválido"
    assert await refused(message="a" * 1025) == "message é longa demais"
    await page.ws.send('{"type":"chat:send"}')
    [frame] = await page.until("error")
    assert frame["data"]["message"].startswith("Erro ao processar mensagem: TypeError")
    await page.ws.send('{"type":"chat:history"}')
    [frame] = await page.until("error")
    assert frame["data"]["message"].startswith("Erro ao buscar histórico: TypeError")
    assert await history(server) == []


async def test_the_history_has_a_limit(chat):
    server = chat("words?n=1")
    page = await open_page(server)
    for i in range(4):
        await page.say("chat:send", message=str(i), conversationId=0)  # false: the first
        await page.answer()
    assert [m["content"] for m in await history(server, limit=3)] == ["0Olá", "3", "0Olá"]
    assert len(await history(server, limit=0)) == 8
    ids = [m["id"] for m in await history(server)]
    assert ids == sorted(set(ids))


async def test_a_history_of_long_messages_does_not_end_its_reader(chat):
    server = chat("words?n=1", "client: {out_max: 64KiB}")
    for i in range(4):
        api(server, "/api/chat", {"message": str(i) * 12000, "wait": True})
    kept = await history(server)
    assert [m["content"][:4] for m in kept][-4:] == ["2222", "0Olá", "3333", "0Olá"]
    assert 4 <= len(kept) < 8
    ws = await native(server)
    got = await rpc(ws, "chat.history", {"conversation_id": 1})
    assert got["has_more"] and got["messages"][-1]["id"] == kept[-1]["id"]
    assert len(messages(server, 1)) == 8


async def test_health_tells_of_the_database(chat):
    server = chat()
    status, _, body = server.get("/api/health")
    assert status == 200 and json.loads(body)["database"] == "connected"


# ---- stopping ----

def api(server, path, body=None, status=200, method=None, headers=None):
    answer = server.post(path, body, headers) if body is not None and method is None else None
    if answer is None:
        from servers import open_url
        data = json.dumps(body).encode() if body is not None else None
        answer = open_url(server.url + path, data=data, method=method, headers=headers)
    assert answer[0] == status, (path, answer[0], answer[2])
    return json.loads(answer[2])


def messages(server, conversation, query=""):
    return api(server, f"/api/chat/conversations/{conversation}/messages{query}")["messages"]


async def native(server, **connect):
    ws = await websockets.connect(server.ws_url, max_size=None)
    await ws.send(json.dumps({"id": 1, "connect": connect}))
    await ws.recv()
    return ws


async def rpc(ws, method, data, id=7):
    await ws.send(json.dumps({"id": id, "rpc": {"method": method, "data": data}}))
    while True:
        for line in (await asyncio.wait_for(ws.recv(), 60)).splitlines():
            reply = json.loads(line)
            if reply.get("id") == id:
                return reply["rpc"]["data"] if "rpc" in reply else reply


@pytest.mark.parametrize("way", ["orquestrador", "rest", "native"])
async def test_stopping_keeps_what_was_said(chat, upstream, way):
    server = chat("gate?n=50")
    page = await open_page(server)
    await page.say("chat:send", message="a", conversationId=3)
    upstream.release(2)
    frames = await page.until("chat:streaming")
    while chunks(frames) != text(2):
        frames += await page.until("chat:streaming")
    if way == "orquestrador":
        await page.say("chat:cancel", conversationId=3)
        cancelled = (await page.until("chat:cancelled"))[-1]
        assert cancelled["data"] == {"conversationId": 3, "cancelled": 1}
    elif way == "rest":
        assert api(server, "/api/chat/cancel", {"conversation_id": 3}) == {"cancelled": 1}
    else:
        ws = await native(server)
        assert await rpc(ws, "chat.cancel", {"conversation_id": 3}) == {"cancelled": 1}
    frames = await page.answer()
    assert frames[-2]["data"] == {"chunk": "", "done": True}
    assert frames[-1]["data"]["content"] == text(2)
    upstream.wait(lambda u: u.cancelled == 1)
    [_, answer] = messages(server, 3)
    assert answer["state"] == "cancelled" and answer["content"] == text(2)
    assert api(server, "/api/chat/cancel", {"conversation_id": 3}) == {"cancelled": 0}


# ---- readers of the channel ----

class Reader:
    """A native subscriber of a conversation, who puts the answers together."""

    def __init__(self, stored=True):
        self.rows, self.seq, self.offsets, self.stored = {}, {}, [], stored

    def take(self, publication):
        data, type = publication["data"], publication.get("tags", {}).get("type")
        if type == "chat:append":
            assert "offset" not in publication
            assert data["seq"] == self.seq[data["id"]] + 1
            self.seq[data["id"]] = data["seq"]
            self.rows[data["id"]]["content"] += data["text"]
        elif type == "chat:message":
            before = self.rows.get(data["id"])
            assert before is None or data["content"] == before["content"]
            assert not self.stored or ("offset" in publication) == (data["state"] != "streaming")
            self.offsets += [publication["offset"]] if "offset" in publication else []
            self.rows[data["id"]], self.seq[data["id"]] = data, data.get("seq")

    async def join(self, server, channel, **params):
        self.ws = await native(server)
        await self.ws.send(json.dumps({"id": 2, "subscribe": {"channel": channel, **params}}))
        reply = None
        while reply is None:
            for line in (await asyncio.wait_for(self.ws.recv(), 60)).splitlines():
                message = json.loads(line)
                reply = message.get("subscribe", reply)
                assert "error" not in message, message
        for publication in reply.get("publications", []):
            self.take(publication)
        self.position = {k: reply.get(k) for k in ("offset", "epoch")}
        return self

    async def read(self, enough):
        while not enough(self):
            for line in (await asyncio.wait_for(self.ws.recv(), 60)).splitlines():
                push = json.loads(line).get("push")
                if push:
                    self.take(push["pub"])
        return self

    def last(self):
        return self.rows[max(self.rows)]


async def test_a_reload_in_the_middle(chat, upstream):
    server = chat("gate?n=8")
    page = await open_page(server)
    watcher = await Reader().join(server, "chat:1")
    await page.say("chat:send", message="a")
    upstream.release(3)
    heard = await page.until("chat:streaming")
    while chunks(heard) != text(3):
        heard += await page.until("chat:streaming")
    await page.ws.close()  # and the answer goes on
    await watcher.read(lambda r: len(r.rows) == 2 and r.last()["content"] == text(3))
    again = await Reader().join(server, "chat:1")
    assert again.last()["content"] == text(3) and again.last()["state"] == "streaming"
    upstream.release(2)
    await again.read(lambda r: r.last()["content"] == text(5))
    late = await Reader().join(server, "chat:1", recover=True, **watcher.position)
    upstream.release(3)
    for reader in (watcher, again, late):
        await reader.read(lambda r: r.last()["state"] == "complete")
        assert reader.last()["content"] == text(8)
    assert [m["content"] for m in await history(server)] == ["a", text(8)]
    kept = server.api("history", {"channel": "chat:1", "limit": 10})["result"]["publications"]
    assert [p["data"]["state"] for p in kept] == ["complete", "complete"]


def sse(server, path):
    """Opens an event stream: a function that gives the next event as (id, type, data)."""
    import urllib.request
    stream = urllib.request.urlopen(server.url + path, timeout=60)

    def next_event():
        id = type = None
        data = []
        for line in stream:
            line = line.decode().rstrip("\n")
            if line == "" and data:
                return id, type, json.loads("\n".join(data))
            field, _, value = line.partition(": ")
            if field == "id":
                id = value
            elif field == "event":
                type = value
            elif field == "data":
                data.append(value)
        return None
    return stream, next_event


async def test_an_event_stream_goes_on(chat, upstream):
    server = chat("gate?n=4")
    api(server, "/api/chat", {"message": "a"}, 202)
    upstream.release(2)
    upstream.wait(lambda u: u.tokens == 2)
    stream, next_event = sse(server, "/events?channel=chat:1")
    content = next_event()
    assert content[0].endswith(":1") and content[1] == "chat:message"  # where the stream stands
    said = content[2]["content"]
    assert text(2).startswith(said)
    upstream.release(2)
    while True:
        id, type, data = next_event()
        if type == "chat:message" and data["state"] != "streaming":
            break
        if type == "chat:append":
            said += data["text"]
    assert said == data["content"] == text(4) and id.endswith(":2")
    stream.close()


async def test_two_readers_of_a_fast_answer(chat, upstream):
    server = chat("words?n=400")
    readers = [await Reader().join(server, "chat:9") for _ in range(2)]
    row = api(server, "/api/chat", {"message": "schnell", "conversation_id": 9, "wait": True})
    for reader in readers:
        await reader.read(lambda r: len(r.rows) == 2 and r.last()["state"] == "complete")
        assert reader.last()["content"] == row["answer"]["content"] == text(400)


def record(server, upstream, channel, tenant="default"):
    """Begins an answer in a channel; ends it."""
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    c.request("POST", "/v1/chat/completions",
              json.dumps({"model": "gate?n=4", "stream": True,
                          "messages": [{"role": "user", "content": "a"}]}),
              {"X-Recado-Channel": channel, "X-Recado-Tenant": tenant})
    upstream.release(2)
    answer = c.getresponse()
    assert answer.status == 200, answer.read()
    until(lambda: shown(server, channel, tenant) == text(2))

    def end():
        upstream.release(2)
        answer.read()
        c.close()
    return end


def shown(server, channel, tenant):
    got = server.api("history", {"channel": channel, "limit": 1, "reverse": True, "tenant": tenant})
    publications = got["result"]["publications"]
    return publications and publications[0]["data"].get("content")


class Follower:
    """Of one answer, in words that every dialect has."""

    def __init__(self):
        self.content = self.state = None

    def hear(self, type, data):
        if type == "chat:message":
            assert self.content in (None, data["content"])
            self.content, self.state = data["content"], data["state"]
        elif type == "chat:append":
            self.content += data["text"]

    def is_whole(self):
        return self.state == "complete" and self.content == text(4)


async def test_a_late_joiner_with_a_native_library(chat, upstream):
    import centrifuge
    server = chat("gate?n=4")
    follower, seen = Follower(), asyncio.Queue()

    class Events(centrifuge.SubscriptionEventHandler):
        async def on_publication(self, context):
            follower.hear(context.pub.tags["type"], context.pub.data)
            seen.put_nowait(None)

    end = record(server, upstream, "chat:1")
    client = centrifuge.Client(server.ws_url)
    subscription = client.new_subscription("chat:1", events=Events())
    await client.connect()
    await subscription.subscribe()
    await asyncio.wait_for(seen.get(), 60)
    assert follower.content == text(2) and follower.state == "streaming"
    end()
    while not follower.is_whole():
        await asyncio.wait_for(seen.get(), 60)
    got = await client.rpc("chat.conversations", {})
    assert got.data["total"] == 0
    await client.disconnect()


def test_a_late_joiner_with_the_native_library_of_pages(chat, upstream, start_node):
    server = chat("gate?n=4")
    api(server, "/api/chat", {"message": "a"}, 202)
    upstream.release(2)
    until(lambda: shown(server, "chat:1", "default") == text(2))
    page = start_node("chat.mjs", server.ws_url)
    assert page.next() == {"so far": text(2)}
    upstream.release(6)
    assert page.next() == {"complete": text(4)}
    assert page.next() == {"complete": text(4)}
    assert page.next() == {"drawn": ["user", "assistant", "user", "assistant"]}


async def test_a_late_joiner_with_socket_io(chat, upstream):
    import socketio
    server = chat("gate?n=4")
    id = "7b0e2c1c-9a3d-4a0e-8a53-3a3f3f0c7b11"
    server.stop()
    server.config += f"auth: {{hmac_secret: \"{SECRET}\"}}\n"
    server.start()
    token = jwt.encode({"sub": "ana", "organization_id": "o1", "exp": int(time.time()) + 600},
                       SECRET, "HS256")
    end = record(server, upstream, f"conversation:{id}", "o1")
    follower, client = Follower(), socketio.AsyncClient()
    client.on("chat:message", lambda data: follower.hear("chat:message", data))
    client.on("chat:append", lambda data: follower.hear("chat:append", data))
    await client.connect(server.url, auth={"token": token})
    await client.emit("join_conversation", {"conversation_id": id})
    for _ in range(600):
        if follower.content is not None:
            break
        await asyncio.sleep(0.05)
    assert follower.content == text(2) and follower.state == "streaming"
    end()
    for _ in range(600):
        if follower.is_whole():
            break
        await asyncio.sleep(0.05)
    assert follower.is_whole()
    await client.disconnect()


@pytest.mark.parametrize("path, channel, tenant", [
    ("/ws/agents?organizationId=org-1", "agents", "org-1"),
    ("/ws/gamification", "gamification", "default"),
    ("/ws/project/PROJ-1", "project:PROJ-1", "default"),
])
async def test_a_late_joiner_of_an_application(chat, upstream, path, channel, tenant):
    server = chat("gate?n=4")
    end = record(server, upstream, channel, tenant)
    ws = await websockets.connect(server.ws(path))
    follower, types = Follower(), []
    while not follower.is_whole():
        frame = json.loads(await asyncio.wait_for(ws.recv(), 60))
        types.append(frame["type"])
        follower.hear(frame["type"], frame.get("data"))
        if end is not None and follower.content is not None:
            assert follower.content == text(2) and follower.state == "streaming"
            end = end()
    assert types[0] in ("connected", "connection")
    await ws.close()


# ---- HTTP and rpc ----

def test_a_question_over_http(chat, upstream):
    server = chat("gate?n=2")
    made = api(server, "/api/chat", {"message": "Hallo", "conversation_id": 5}, 202)
    assert made["conversation_id"] == 5 and made["channel"] == "chat:5"
    assert made["message"]["role"] == "user" and made["message"]["content"] == "Hallo"
    assert made["answer"]["state"] == "streaming" and made["answer"]["content"] == ""
    upstream.release(2)
    end = time.monotonic() + 60
    while (row := messages(server, 5)[1])["state"] == "streaming":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert row["content"] == text(2) and row["id"] == made["answer"]["id"]
    assert set(row) == {"id", "conversation_id", "role", "content", "state", "model", "error",
                        "tokens", "created_at", "updated_at"}


def test_a_stream_over_http(chat, upstream):
    import urllib.request
    server = chat("gate?n=3")
    body = json.dumps({"message": "a", "stream": True}).encode()
    stream = urllib.request.urlopen(urllib.request.Request(server.url + "/api/chat", body), timeout=60)
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    upstream.release(3)
    events = [dict(line.split(": ", 1) for line in event.splitlines())
              for event in stream.read().decode().split("\n\n") if event.startswith("event")]
    rows = [json.loads(e["data"]) for e in events]
    assert [e["event"] for e in events] == ["chat:message"] * 2 + ["chat:append"] * 3 + ["chat:message"]
    assert [r["role"] for r in (rows[0], rows[1])] == ["user", "assistant"]
    assert [r["seq"] for r in rows[2:5]] == [1, 2, 3]
    assert "".join(r["text"] for r in rows[2:5]) == rows[5]["content"] == text(3)
    assert rows[5] == messages(server, 1)[1] and rows[5]["state"] == "complete"


def test_a_stream_whose_reader_leaves(chat, upstream):
    import http.client
    server = chat("gate?n=3")
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    c.request("POST", "/api/chat", json.dumps({"message": "a", "stream": True}))
    assert c.getresponse().status == 200
    c.close()
    upstream.release(3)
    end = time.monotonic() + 60
    while messages(server, 1)[1]["state"] != "complete":
        assert time.monotonic() < end
        time.sleep(0.02)
    api(server, "/api/chat", {"message": "", "stream": True}, 400)


def test_settings_narrow_down(chat, upstream):
    server = chat("words?n=1&usage=1", llm=', system_prompt: "of the server", temperature: 0.3')
    made = api(server, "/api/chat/conversations",
               {"title": "T", "system_prompt": "of the conversation", "model": "mine"}, 201)
    id = made["id"]
    assert made["title"] == "T" and made["message_count"] == 0 and made["last_message"] is None
    row = api(server, "/api/chat", {"message": "a", "conversation_id": id, "wait": True})["answer"]
    assert row["state"] == "complete" and row["tokens"] == 1
    body = upstream.requests[-1].body
    assert body["model"] == "mine" and body["temperature"] == 0.3
    assert body["messages"] == [{"role": "system", "content": "of the conversation"},
                                {"role": "user", "content": "a"}]
    api(server, "/api/chat", {"message": "b", "conversation_id": id, "wait": True, "model": "other",
                              "temperature": 0, "max_tokens": 5, "system": "of the request"})
    body = upstream.requests[-1].body
    assert body["model"] == "other" and body["temperature"] == 0 and body["max_tokens"] == 5
    assert [m["content"] for m in body["messages"]] == ["of the request", "a", text(1), "b"]
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "user"]
    api(server, "/api/chat", {"message": "c", "conversation_id": 77, "wait": True})
    assert upstream.requests[-1].body["messages"][0]["content"] == "of the server"


def test_conversations(chat):
    server = chat("words?n=1")
    first = api(server, "/api/chat/conversations", {"title": "one"}, 201)
    api(server, "/api/chat", {"message": "x" * 300, "conversation_id": 40, "wait": True})
    second = api(server, "/api/chat/conversations", {}, 201)
    assert (first["id"], second["id"]) == (1, 41)
    got = api(server, "/api/chat/conversations?limit=2")
    assert got["total"] == 3 and [c["id"] for c in got["conversations"]] == [41, 40]
    rest = api(server, "/api/chat/conversations?limit=2&offset=2")
    assert [c["id"] for c in rest["conversations"]] == [1]
    talked = api(server, "/api/chat/conversations/40")
    assert talked["message_count"] == 2 and talked["last_message"] == text(1)
    changed = api(server, "/api/chat/conversations/40", {"title": "Título", "model": None},
                  method="PATCH")
    assert changed["title"] == "Título" and changed["model"] is None
    assert api(server, "/api/chat/conversations/40", method="DELETE") == {}
    api(server, "/api/chat/conversations/40", status=404)
    api(server, "/api/chat/conversations/40", {"title": "a"}, 404, "PATCH")
    assert messages(server, 40) == []
    for bad in ("/api/chat/conversations/x", "/api/chat/conversations/0",
                "/api/chat/conversations/1/nothing"):
        api(server, bad, status=404)


def kept(server, channel):
    got = server.api("history", {"channel": channel, "limit": -1})["result"]["publications"]
    return [p["data"]["content"] for p in got]


def test_a_conversation_that_is_deleted_leaves_nothing_in_its_channel(chat, upstream):
    server = chat()
    for conversation in range(1, 13):
        path = f"/api/chat/conversations/{conversation}"
        upstream.script = "words?n=1"
        api(server, f"{path}/messages", {"message": "a", "wait": True})
        upstream.script = "gate"
        for question in "bc":  # one is answered and one waits
            api(server, f"{path}/messages", {"message": question}, 202)
        assert api(server, path, method="DELETE") == {}
        assert kept(server, f"chat:{conversation}") == messages(server, conversation) == []
        upstream.script = "words?n=1"
        api(server, f"{path}/messages", {"message": "d", "wait": True})
        until(lambda n=conversation: len(kept(server, f"chat:{n}")) >= 2)
        assert kept(server, f"chat:{conversation}") == ["d", text(1)]


def test_questions_while_conversations_are_deleted(chat, upstream):
    server = chat("words?n=3&delay=0.002", "chat: {queue_max: 2}\n")
    path = "/api/chat/conversations/5"

    def ask(i):
        body = {"message": str(i), "wait": i % 3 == 0}
        return server.post(f"{path}/messages", body)[0]

    def delete(_):
        from servers import open_url
        return open_url(server.url + path, method="DELETE")[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda i: (delete if i % 5 == 4 else ask)(i), range(150)))
    assert set(got) <= {200, 202, 404, 503}
    until(lambda: ask(0) == 200)  # in the order of the questions: the others have their end
    there = [m["content"] for m in messages(server, 5, "?limit=500")]
    until(lambda: len(kept(server, "chat:5")) >= len(there))
    assert sorted(kept(server, "chat:5")) == sorted(there)


def test_a_crash_among_deletions_leaves_no_history_without_its_conversation(chat, upstream):
    from servers import open_url
    server = chat("words?n=1")
    for conversation in range(1, 61):
        api(server, "/api/chat", {"message": "a", "conversation_id": conversation, "wait": True})
    until(lambda: all(len(kept(server, f"chat:{c}")) == 2 for c in range(1, 61)))

    def delete_all():
        with contextlib.suppress(OSError, http.client.HTTPException):
            for conversation in range(1, 61):
                open_url(f"{server.url}/api/chat/conversations/{conversation}", method="DELETE")

    deleting = threading.Thread(target=delete_all)
    deleting.start()
    until(lambda: kept(server, "chat:7") == [])
    server.kill()
    deleting.join()
    server.start()
    there = {c["id"] for c in api(server, "/api/chat/conversations?limit=500")["conversations"]}
    for conversation in range(1, 61):
        if conversation not in there:
            assert kept(server, f"chat:{conversation}") == []
    for conversation in there:
        assert api(server, f"/api/chat/conversations/{conversation}", method="DELETE") == {}
        assert kept(server, f"chat:{conversation}") == []


def test_what_is_below_a_conversation_asks_and_stops_in_it(chat, upstream):
    server = chat("words?n=1")
    below = "/api/chat/conversations/7"
    api(server, f"{below}/messages", {"message": "a", "wait": True})
    assert [m["content"] for m in messages(server, 7)] == ["a", "0Olá"]
    upstream.script = "gate"
    got = api(server, f"{below}/messages", {"message": "b", "conversation_id": 7}, status=202)
    assert got["conversation_id"] == 7
    assert api(server, f"{below}/cancel", {})["cancelled"] == 1
    wrong = api(server, f"{below}/messages", {"message": "b", "conversation_id": 8}, status=400)
    assert "conversation_id" in wrong["error"]["message"]
    api(server, f"{below}/messages", {}, status=400)
    api(server, "/api/chat", {"message": "c", "conversation": 9}, status=202)
    assert len(messages(server, 9)) == 2
    api(server, below, {"message": "b"}, status=405)
    api(server, f"{below}/messages", method="DELETE", status=405)


def test_pages_of_messages(chat):
    server = chat("words?n=1")
    for i in range(4):
        api(server, "/api/chat", {"message": str(i), "wait": True})
    page = api(server, "/api/chat/conversations/1/messages?limit=3")
    assert [m["content"] for m in page["messages"]] == ["0Olá", "3", "0Olá"] and page["has_more"]
    before = page["messages"][0]["id"]
    rest = api(server, f"/api/chat/conversations/1/messages?before={before}")
    assert len(rest["messages"]) == 5 and not rest["has_more"]
    api(server, "/api/chat/conversations/1/messages?limit=501", status=400)


@pytest.mark.parametrize("body, what", [
    ({}, "message: is required"), ({"message": ""}, "message: is required"),
    ({"message": 1}, "message: must be a string"),
    ({"message": "a", "conversation_id": "1"}, "conversation_id"),
    ({"message": "a", "conversation_id": 0}, "conversation_id"),
    ({"message": "a", "temperature": "hot"}, "temperature"),
    ({"message": "a", "temperature": -1}, "temperature"),
    ({"message": "a", "max_tokens": 1.5}, "max_tokens"),
    ({"message": "a", "wait": 1}, "wait"), ({"message": "a\0b"}, "null character"),
    ([], "object"), ("{", "at byte"),
])
def test_bad_requests_are_answered(shared_recado, body, what):
    answer = api(shared_recado, "/api/chat", body, 400)
    assert what in answer["error"]["message"], answer


def test_a_full_queue_of_the_model(chat, upstream):
    server = chat("gate?n=1", llm=", concurrency: 1, queue_max: 1")
    for conversation in (1, 2):
        api(server, "/api/chat", {"message": "a", "conversation_id": conversation}, 202)
    end = time.monotonic() + 60
    while server.post("/api/chat", {"message": "a", "conversation_id": 3})[0] != 503:
        assert time.monotonic() < end
    upstream.release(100)


async def test_procedures_of_native_clients(chat, upstream):
    server = chat("words?n=2")
    ws = await native(server)
    made = await rpc(ws, "chat.send", {"message": "a", "wait": True})
    assert made["answer"]["content"] == text(2) and made["channel"] == "chat:1"
    got = await rpc(ws, "chat.history", {"conversation_id": 1, "limit": 1})
    assert [m["content"] for m in got["messages"]] == [text(2)] and got["has_more"]
    assert (await rpc(ws, "chat.conversations", {}))["total"] == 1
    refused = await rpc(ws, "chat.send", {})
    assert refused["error"]["code"] == 107 and "message" in refused["error"]["message"]
    assert (await rpc(ws, "chat.nothing", {}))["error"]["code"] == 104


async def test_native_clients_stop_what_they_name_and_nothing_else(chat, upstream):
    server = chat("gate?n=4")
    ws = await native(server)
    for conversation in (1, 2):
        await rpc(ws, "chat.send", {"message": "a", "conversation_id": conversation})
    for named, what in (({}, "conversation_id or channel"), ({"message_id": 2}, "conversation_id"),
                        ({"conversation_id": None}, "conversation_id or channel"),
                        ({"channel": "a:42"}, "POST /api/chat/cancel"),
                        ({"channel": "chat:0", "conversation_id": 1}, "POST /api/chat/cancel")):
        refused = await rpc(ws, "chat.cancel", named)
        assert refused["error"]["code"] == 107 and what in refused["error"]["message"], refused
    assert await rpc(ws, "chat.cancel", {"channel": "chat:2"}) == {"cancelled": 1}
    until(lambda: messages(server, 2)[-1]["state"] == "cancelled")
    assert messages(server, 1)[-1]["state"] == "streaming"
    api(server, "/api/chat/cancel", {"conversation_id": None}, 400)
    assert await rpc(ws, "chat.cancel", {"conversation_id": 1}) == {"cancelled": 1}


# ---- who may ----

def test_tenants_and_keys(chat):
    server = chat("words?n=1", f"auth: {{api_keys: [key], hmac_secret: \"{SECRET}\"}}\n"
                               "namespaces: {chat: {subscribe: true}}")

    def bearer(org, **claims):
        token = jwt.encode({"sub": "ana", "org": org, "exp": int(time.time()) + 600, **claims},
                           SECRET, "HS256")
        return {"Authorization": f"Bearer {token}"}

    key = {"X-API-Key": "key"}
    api(server, "/api/chat", {"message": "a"}, 401)
    api(server, "/api/chat/conversations", status=401)
    made = api(server, "/api/chat", {"message": "of a", "tenant": "a", "wait": True}, headers=key)
    assert made["answer"]["state"] == "complete"
    api(server, "/api/chat", {"message": "of b", "wait": True}, headers=bearer("b"))
    api(server, "/api/chat", {"message": "x", "tenant": "a"}, 403, headers=bearer("b"))
    for tenant in "ab":
        for headers, query in ((key, f"?tenant={tenant}"), (bearer(tenant), "")):
            got = api(server, f"/api/chat/conversations/1/messages{query}", headers=headers)
            assert got["messages"][0]["content"] == f"of {tenant}" and len(got["messages"]) == 2
    api(server, "/api/chat/conversations/1/messages?tenant=a", status=403, headers=bearer("b"))
    assert api(server, "/api/chat/cancel", {"conversation_id": 1}, headers=bearer("a"))
    expired = bearer("a", exp=int(time.time()) - 10)
    api(server, "/api/chat", {"message": "x"}, 401, headers=expired)


def test_namespaces_that_clients_may_not_follow(chat):
    server = chat("words?n=1", f"auth: {{hmac_secret: \"{SECRET}\"}}\n"
                               "namespaces: {chat: {subscribe: false}}")
    token = jwt.encode({"sub": "ana", "exp": int(time.time()) + 600}, SECRET, "HS256")
    api(server, "/api/chat", {"message": "x"}, 403, headers={"Authorization": f"Bearer {token}"})
    api(server, "/api/chat", {"message": "x"}, 202)


# ---- ends ----

def wait_until_saved(server, content, database=None):
    """The newest row says so on the disk: what a server answers is ahead of it."""
    newest = "SELECT content FROM recado_messages ORDER BY id DESC LIMIT 1"

    def saved():
        if database:
            return database.sql(newest).removesuffix("\n")
        with contextlib.closing(sqlite3.connect(f"file:{server.data}/recado.db?mode=ro", timeout=60,
                                                uri=True)) as db:
            return db.execute(newest).fetchone()[0]
    until(lambda: saved() == content)


async def test_a_crash_in_the_middle(chat, upstream):
    server = chat("gate?n=9")
    api(server, "/api/chat", {"message": "a"}, 202)
    upstream.release(4)
    wait_until_saved(server, text(4))
    server.kill()
    server.start()
    end = time.monotonic() + 60
    while (row := messages(server, 1)[1])["state"] == "streaming":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert row["state"] == "failed" and row["content"] == text(4) and row["error"]
    reader = await Reader().join(server, "chat:1", recover=True, offset=0, epoch="")
    await reader.read(lambda r: len(r.rows) == 2 and r.last()["state"] == "failed")
    assert reader.last()["content"] == text(4)
    upstream.script = "words?n=2"
    made = api(server, "/api/chat", {"message": "b", "wait": True})
    assert made["answer"]["content"] == text(2) and made["message"]["id"] > row["id"]


def test_an_end_in_the_middle(chat, upstream):
    server = chat("gate?n=9")
    api(server, "/api/chat", {"message": "a"}, 202)
    upstream.release(4)
    upstream.wait(lambda u: u.tokens == 4)
    time_of_tokens = time.monotonic() + 60
    while (api(server, "/api/history", {"channel": "chat:1", "limit": 9})["result"]
           ["publications"][-1]["data"]["content"] != text(4)):
        assert time.monotonic() < time_of_tokens
    server.stop()
    server.start()
    row = messages(server, 1)[1]
    assert row["state"] == "failed" and row["content"] == text(4) and "stopped" in row["error"]
    kept = api(server, "/api/history", {"channel": "chat:1", "limit": 9})["result"]["publications"]
    assert [p["data"]["state"] for p in kept] == ["complete", "failed"]
    assert kept[-1]["data"]["content"] == text(4)


async def test_a_restart_keeps_the_history(chat):
    server = chat("words?n=3")
    page = await open_page(server)
    await page.say("chat:send", message="antes")
    frames = await page.answer()
    before = await history(server)
    server.stop()
    server.start()
    assert await history(server) == before and before[-1] == frames[-1]["data"]


def test_many_questions_of_one_conversation(chat, upstream):
    """More than a channel has messages that are being written: the others come when they have ended."""
    server = chat("gate?n=1", "chat: {queue_max: 40}")
    made = [api(server, "/api/chat", {"message": str(i)}, 202)["answer"]["id"] for i in range(20)]
    upstream.release(20)
    until(lambda: [m["state"] for m in messages(server, 1)] == ["complete"] * 40)
    until(lambda: len(server.api("history", {"channel": "chat:1", "limit": 100})["result"]
                      ["publications"]) == 40)
    kept = server.api("history", {"channel": "chat:1", "limit": 100})["result"]["publications"]
    assert [p["data"]["id"] for p in kept if p["data"]["role"] == "assistant"] == made
    assert upstream.under_way_max == 1


def test_many_conversations_at_once(chat, upstream):
    server = chat("words?n=20&delay=0.01")
    answers = {}

    def ask(i):
        answers[i] = api(server, "/api/chat",
                         {"message": str(i), "conversation_id": i, "wait": True})["answer"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(1, 41)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    assert all(a["content"] == text(20) and a["state"] == "complete" for a in answers.values())
    assert len({a["id"] for a in answers.values()}) == 40


# ---- databases ----

@pytest.fixture(params=["mariadb", "postgres"])
def database(request):
    made = Database(request.param)
    yield made
    made.end()


async def test_a_database_that_goes_away_in_the_middle(chat, upstream, database):
    server = chat("gate?n=6", f"store: '{database.url}'")
    page = await open_page(server)
    await page.say("chat:send", message="a")
    upstream.release(2)
    heard = await page.until("chat:streaming")
    database("stop")
    upstream.release(1)
    until(lambda: json.loads(server.get("/api/health")[2])["database"] == "error")
    upstream.release(3)
    heard += await page.answer()
    assert chunks(heard) == heard[-1]["data"]["content"] == text(6)
    await page.say("chat:send", message="b")  # nothing is asked that could not be kept
    [refused] = await page.until("error")
    assert refused["data"]["message"].startswith("Erro ao processar mensagem: Error: ")
    assert upstream.calls == 1
    assert server.post("/api/chat", {"message": "c"})[0] == 503
    late = await Reader(stored=False).join(server, "chat:1")
    assert late.last()["state"] == "complete" and late.last()["content"] == text(6)
    database("start")
    until(lambda: server.get("/healthz/ready")[0] == 200)
    until(lambda: [m["state"] for m in messages(server, 1)] == ["complete", "complete"])
    assert messages(server, 1)[1]["content"] == text(6)
    await late.read(lambda r: r.offsets)  # and it gets its place in the history
    server.stop()
    server.start()
    assert [m["content"] for m in await history(server)] == ["a", text(6)]
    kept = api(server, "/api/history", {"channel": "chat:1", "limit": 9})["result"]["publications"]
    assert [p["data"]["content"] for p in kept] == ["a", text(6)]


async def test_conversations_on_every_database(chat, upstream, database):
    server = chat("words?n=5", f"store: '{database.url}'")
    page = await open_page(server)
    await page.say("chat:send", message="Olá 😀")
    frames = await page.answer()
    assert frames[-1]["data"]["content"] == text(5)
    upstream.script = "gate?n=5"
    api(server, "/api/chat", {"message": "b"}, 202)
    upstream.release(3)
    wait_until_saved(server, text(3), database)
    server.kill()
    server.start()
    until(lambda: messages(server, 1)[3]["state"] == "failed")
    got = api(server, "/api/chat/conversations/1/messages?limit=3")
    assert got["has_more"] and [m["content"] for m in got["messages"]] == [text(5), "b", text(3)]
    assert [m["content"] for m in await history(server)] == ["Olá 😀", text(5), "b", text(3)]
