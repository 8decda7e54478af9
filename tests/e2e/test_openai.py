"""/v1 with OpenAI's own clients, in front of a model's server that does everything wrong that one
can do; answers that are messages of a channel, and outlive their readers."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time

import jwt
import openai
import pytest

from hostile import until
from servers import ROOT, environment
from upstream import Upstream, text, tokens

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "the-key-of-the-back-end"
USER = [{"role": "user", "content": "olá, mundo"}]
TYPE = {"Content-Type": "application/json"}


def config(upstream, more="", **llm):
    settings = {"url": upstream.url, "retry_pause": "10ms", **llm}
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in settings.items())
    return f"loops: 2\nllm:\n{lines}namespaces:\n  answer: {{ history: 100 }}\n{more}"


@pytest.fixture
def server(start_recado, upstream):
    return start_recado(config(upstream))


def client_of(server, key="none", **more):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60, **more)


def stream_text(client, model, **more):
    chunks = client.chat.completions.create(model=model, messages=USER, stream=True, **more)
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def asked(model, stream=True):
    return json.dumps({"model": model, "stream": stream, "messages": USER})


def post(address, model, stream=True, path="/v1/chat/completions", body=None, **headers):
    """(status, headers, body) with nothing between."""
    wire = http.client.HTTPConnection(address, timeout=60)
    with contextlib.closing(wire):
        wire.request("POST", path, body or asked(model, stream), {**TYPE, **headers})
        answer = wire.getresponse()
        return answer.status, answer.headers, answer.read()


def history(server, channel, tenant="default", **headers):
    status, _, answer = server.post(
        "/api/history", {"channel": channel, "tenant": tenant, "limit": 100}, headers=headers)
    assert status == 200, answer
    return [p["data"] for p in json.loads(answer)["result"]["publications"]]


class Events:
    """An event stream, read by hand."""

    def __init__(self, server, channel, since=None):
        self.wire = http.client.HTTPConnection(server.address, timeout=60)
        headers = {"Last-Event-ID": since} if since else {}
        self.wire.request("GET", f"/events?channel={channel}", headers=headers)
        self.answer = self.wire.getresponse()
        assert self.answer.status == 200

    def next(self):
        """(type, id, data) of the next event."""
        event = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            event[name] = value
        return (event.get("event"), event.get("id"), json.loads(event["data"])) \
            if "data" in event else self.next()

    def read_answer(self):
        """Everything up to the final message; checks that text so far and tail fit together."""
        events, said, seq = [], None, None
        while True:
            kind, _, data = event = self.next()
            events.append(event)
            if kind == "chat:append":
                assert data["seq"] == seq + 1
                said, seq = said + data["text"], data["seq"]
            elif kind == "chat:message":
                if data["state"] != "streaming":
                    assert said is None or data["content"] == said
                    return events, data
                said, seq = data["content"], data["seq"]

    def close(self):
        self.wire.close()


# ---- OpenAI's clients ----


def test_a_stream(server, upstream):
    assert stream_text(client_of(server), "words?n=20") == text(20)
    assert stream_text(client_of(server), "words?n=9&cut=7&crlf=1&comments=1&escaped=1") == text(9)


def test_a_whole_answer(server, upstream):
    answer = client_of(server).chat.completions.create(model="words", messages=USER)
    assert answer.choices[0].message.content == text(8)
    assert answer.usage.completion_tokens == 8


def test_completions_embeddings_and_models(server, upstream):
    client = client_of(server)
    assert client.completions.create(model="words", prompt="x").choices[0].text == text(8)
    said = client.completions.create(model="words?n=3", prompt="x", stream=True)
    assert "".join(c.choices[0].text for c in said) == text(3)
    vectors = client.embeddings.create(model="words", input=["a"], encoding_format="float")
    assert vectors.data[0].embedding == [0.25, -0.5, 1.0]
    assert [m.id for m in client.models.list()] == ["llama-3.2-3b-instruct", "org/words", "echo"]
    assert client.models.retrieve("echo").id == "echo"
    assert client.models.retrieve("org/words").id == "org/words"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_the_page_about_models_is_true(server, upstream):
    page = (ROOT / "docs" / "models.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(programs) == 2
    program = "\n".join(programs) + "\nassert since.endswith(':1'), since\n"
    done = subprocess.run([sys.executable, "-c", program.replace("127.0.0.1:8000", server.address)],
                          env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == 2 * text(8), done.stderr
    assert [m["content"] for m in history(server, "answer:42")] == 2 * [text(8)]


def test_an_answer_is_no_longer_than_is_said(start_recado, upstream):
    """A model's server that sends and sends costs no more memory than that; a long stream is no long answer."""
    server = start_recado(config(upstream, answer_max="2KiB"))
    status, _, answer = post(server.address, "words?n=1000", stream=False)
    assert status == 502 and json.loads(answer)["error"]["code"] == "too_long"
    status, _, answer = post(server.address, "huge?bytes=20000000")
    assert b"too_long" in answer and len(answer) < 10000
    assert len(stream_text(client_of(server), "words?n=1000")) > 4096
    assert post(server.address, "words", stream=False)[0] == 200


def test_no_path_leads_out_of_v1(server, upstream):
    calls = upstream.calls
    for path in ("/v1/models/../../secret", "/v1/models/%2e%2e/%2e%2e/secret", "/v1/models/..",
                 "/v1/files", "/v1/chat"):
        assert server.get(path)[0] == 404
    assert upstream.calls == calls


def test_requests_go_on_byte_for_byte(start_recado, upstream):
    server = start_recado(config(upstream, api_key="the-model's-key",
                                 more=f"auth: {{ api_keys: [{KEY}] }}\n"))
    body = b'{ "model":"words", "stream" : false,\n "x": 1.0e0, "messages":[],"y":"\\u00e9 \xc3\xa9" }'
    status, _, answer = post(server.address, None, body=body, Authorization=f"Bearer {KEY}")
    assert status == 200, answer
    request = upstream.requests[-1]
    assert request.raw == body and request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer the-model's-key"
    assert request.headers["content-type"] == "application/json"
    assert KEY not in str(request)


@pytest.mark.parametrize("model", [
    "words", "words?crlf=1&comments=1", "words?cut=1&n=2", "words?usage=1&split=1&space=0", "json",
    "html", "error", "garbage", "words?done=0&finish=0", "fail?status=400", "fail?body=plain"])
def test_answers_come_back_as_they_are(server, upstream, model):
    plain = f"127.0.0.1:{upstream.port}"
    status, headers, direct = post(plain, model)
    number = re.compile(rb"chatcmpl-\d+")
    passed, got, through = post(server.address, model)
    assert passed == status
    assert got["Content-Type"].split(";")[0] == headers["Content-Type"].split(";")[0]
    assert number.sub(b"", through) == number.sub(b"", direct)


def test_the_client_in_javascript(server, upstream, start_node):
    page = start_node("answer.mjs", server.url, "answer:js", "gate?n=8")
    where = page.next()
    assert where["channel"] == "answer:js" and where["offset"] == "0"
    assert re.fullmatch("[0-9a-f]{8}", where["epoch"])
    upstream.release(3)
    assert [page.next()["token"] for _ in range(3)] == tokens(8)[:3]
    page.say("leave")
    event = page.next()
    assert event["type"] == "chat:message" and event["data"]["state"] == "streaming"
    assert event["data"]["content"] == text(3)
    upstream.release(5)
    said = event["data"]["content"]
    while (event := page.next())["type"] == "chat:append":
        said += event["data"]["text"]
    assert said == text(8)
    assert event["data"]["state"] == "complete" and event["data"]["content"] == text(8)
    assert event["id"] == f"{where['epoch']}:1"


# ---- what goes wrong ----


@pytest.mark.parametrize("model, kind, code", [
    ("fail?status=401", openai.AuthenticationError, "invalid_api_key"),
    ("fail?status=404", openai.NotFoundError, "model_not_found"),
    ("fail?status=429&retry_after=7", openai.RateLimitError, "rate_limit_exceeded"),
    ("fail?status=500", openai.InternalServerError, None),
    ("close", openai.InternalServerError, "broken"),
])
def test_errors_are_the_models_own(server, upstream, model, kind, code):
    for stream in (False, True):
        with pytest.raises(kind) as raised:
            client_of(server).chat.completions.create(model=model, messages=USER, stream=stream)
        assert raised.value.code == code
        assert raised.value.response.headers.get("Retry-After") == ("7" if "429" in model else None)
    assert upstream.calls == 2  # who passes on does not try again


def test_a_models_server_that_is_down(server, upstream):
    upstream.stop()
    with pytest.raises(openai.InternalServerError) as raised:
        client_of(server).chat.completions.create(model="words", messages=USER)
    assert raised.value.status_code == 502 and raised.value.code == "down"
    assert "cannot be reached" in raised.value.message
    upstream.start()
    assert stream_text(client_of(server), "words") == text(8)


def test_no_model_is_configured(start_recado):
    server = start_recado("llm: { url: '' }\n")
    status, _, answer = post(server.address, "words")
    assert status == 503 and json.loads(answer)["error"]["code"] == "no_model"


@pytest.mark.parametrize("model, stream, settings", [
    ("silent", False, {"timeout": "300ms"}), ("silent", True, {"timeout": "300ms"}),
    ("words?first=60", True, {"idle_timeout": "300ms"}),
    ("words?delay=0.02&n=5000", True, {"answer_timeout": "1s"})])
def test_silence_ends(start_recado, upstream, model, stream, settings):
    server = start_recado(config(upstream, **settings))
    with pytest.raises(openai.APIError) as raised:
        for _ in client_of(server).chat.completions.create(model=model, messages=USER,
                                                           stream=stream):
            pass
    assert raised.value.code == "timeout"
    upstream.wait(lambda u: u.under_way == 0)


@pytest.mark.parametrize("model, settings, code", [
    ("drop?n=5", {}, "broken"), ("stall?n=5", {"idle_timeout": "500ms"}, "timeout")])
def test_a_stream_that_breaks_off_says_so(start_recado, upstream, model, settings, code):
    server = start_recado(config(upstream, **settings))
    said = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in client_of(server).chat.completions.create(model=model, messages=USER,
                                                               stream=True):
            said.append(chunk.choices[0].delta.content or "")
    assert "".join(said) == text(5)
    assert raised.value.code == code


def test_a_request_that_cannot_be_passed_on(server, upstream):
    status, _, answer = post(server.address, None, body=b" ")
    assert status == 200  # it is the model's server's to judge
    status, _, answer = server.post("/v1/chat/completions", b"")
    assert status == 400 and json.loads(answer)["error"]["code"] == "invalid_body"
    assert server.get("/v1/chat/completions")[0] == 405


# ---- turns ----


def ask_in_thread(pool, server, model, **headers):
    return pool.submit(post, server.address, model, **headers)


@pytest.mark.parametrize("count, fat", [(1, 1500000), (100, 30000)])
def test_a_burst_does_not_lose_its_reader(server, count, fat):
    """More at once than may wait for a client."""
    status, _, body = post(server.address, f"words?n={count}&fat={fat}")
    assert status == 200 and body.rstrip().endswith(b"[DONE]")
    assert len(body) > count * fat and body.count(b'"content"') >= count


def test_so_many_at_once_and_the_others_wait(start_recado, upstream):
    server = start_recado(config(upstream, concurrency=2, queue_max=4))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        first = [ask_in_thread(pool, server, "gate?n=1") for _ in range(2)]
        upstream.wait(lambda u: u.under_way == 2)
        waiting = [ask_in_thread(pool, server, "gate?n=1") for _ in range(3)]
        until("three wait", lambda: b"recado_llm_waiting 3\n" in server.get("/metrics")[2])
        status, headers, answer = post(server.address, "gate?n=1")
        assert status == 503 and headers["Retry-After"] == "1"
        assert json.loads(answer)["error"]["code"] == "busy"
        assert upstream.calls == 2
        other = ask_in_thread(pool, server, "gate?n=1", **{"X-Recado-Tenant": "other"})
        until("four wait", lambda: b"recado_llm_waiting 4\n" in server.get("/metrics")[2])
        assert server.get("/v1/models")[0] == 200  # this waits for no turn
        upstream.release(6)
        assert all(f.result()[0] == 200 for f in [*first, *waiting, other])
    assert upstream.calls == 7 and upstream.under_way_max <= 3  # the list of models is one
    figures = server.get("/metrics")[2].decode()
    assert "recado_llm_under_way 0\n" in figures and "recado_llm_waiting 0\n" in figures
    assert 'recado_llm_failures_total{reason="busy"} 1\n' in figures


def test_one_who_waits_too_long_is_told(start_recado, upstream):
    server = start_recado(config(upstream, concurrency=1, queue_timeout="200ms"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = ask_in_thread(pool, server, "gate?n=1")
        upstream.wait(lambda u: u.under_way == 1)
        status, _, answer = post(server.address, "words")
        assert status == 503 and json.loads(answer)["error"]["code"] == "busy"
        upstream.release(1)
        assert first.result()[0] == 200


def test_who_leaves_the_line_takes_nobodys_place(start_recado, upstream):
    server = start_recado(config(upstream, concurrency=1))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = ask_in_thread(pool, server, "gate?n=1")
        upstream.wait(lambda u: u.under_way == 1)
        gone = http.client.HTTPConnection(server.address)
        gone.request("POST", "/v1/chat/completions", asked("words"), TYPE)
        until("one waits", lambda: b"recado_llm_waiting 1\n" in server.get("/metrics")[2])
        gone.close()
        until("none waits", lambda: b"recado_llm_waiting 0\n" in server.get("/metrics")[2])
        upstream.release(1)
        assert first.result()[0] == 200
    assert upstream.calls == 1


async def read_stream(address, model):
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
    body = asked(model).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: "
                 b"application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    answer = await reader.read()
    writer.close()
    said = [json.loads(line[6:]) for line in answer.split(b"\n")
            if line.startswith(b"data: {")]
    assert answer.endswith(b"data: [DONE]\n\n")
    return "".join(c["choices"][0]["delta"].get("content", "") for c in said)


async def test_a_thousand_streams_at_once(start_recado, upstream):
    count, n = 1000, 5
    server = start_recado(config(upstream, concurrency=count))
    streams = [asyncio.create_task(read_stream(server.address, f"gate?n={n}"))
               for _ in range(count)]
    await asyncio.to_thread(upstream.wait, lambda u: u.under_way == count)
    upstream.release(count * n)
    assert set(await asyncio.gather(*streams)) == {text(n)}
    assert upstream.under_way_max == count
    figures = server.get("/metrics")[2].decode()
    assert f"recado_llm_answers_total {count}\n" in figures


# ---- readers that leave ----


def leave_after(server, model, count, **headers):
    """Reads so many tokens, and goes."""
    client = client_of(server, default_headers=headers)
    raw = client.chat.completions.with_raw_response.create(model=model, messages=USER, stream=True)
    stream, said = raw.parse(), []
    for chunk in stream:
        said.append(chunk.choices[0].delta.content or "")
        if len([s for s in said if s]) == count:
            break
    stream.close()
    return raw.headers, "".join(said)


def test_without_a_channel_the_answer_ends_with_its_reader(server, upstream):
    upstream.release(2)
    assert leave_after(server, "gate?n=8", 2)[1] == text(2)
    upstream.wait(lambda u: u.cancelled == 1)
    gone = http.client.HTTPConnection(server.address)
    gone.request("POST", "/v1/chat/completions", asked("gate", stream=False), TYPE)
    upstream.wait(lambda u: u.under_way == 1)
    gone.close()
    upstream.wait(lambda u: u.cancelled == 2)
    until("both are counted", lambda: b"recado_llm_cancelled_total 2\n" in server.get("/metrics")[2])


def test_with_a_channel_it_goes_on(server, upstream):
    before = Events(server, "answer:1")
    upstream.release(2)
    headers, said = leave_after(server, "gate?n=8", 2, **{"X-Recado-Channel": "answer:1"})
    assert headers["X-Recado-Channel"] == "answer:1" and headers["X-Recado-Offset"] == "0"
    assert said == text(2)
    late = Events(server, "answer:1")
    since = f"{headers['X-Recado-Epoch']}:{headers['X-Recado-Offset']}"
    resumed = Events(server, "answer:1", since)
    kind, number, data = late.next()
    assert kind == "chat:message" and number.endswith(":0")  # its offset is yet to come
    assert data["state"] == "streaming" and data["content"] == text(2)
    assert data["model"] == "gate?n=8" and data["role"] == "assistant"
    upstream.release(6)
    for events in (before, resumed):
        seen, last = events.read_answer()
        assert last["state"] == "complete" and last["content"] == text(8)
        assert last["finish_reason"] == "stop" and last["id"] == data["id"]
        assert seen[-1][1] == f"{headers['X-Recado-Epoch']}:1"
    kept = history(server, "answer:1")
    assert [(m["id"], m["state"], m["content"]) for m in kept] == [(data["id"], "complete", text(8))]
    assert upstream.cancelled == 0
    after = Events(server, "answer:1", since)  # all is there, once
    assert after.read_answer()[1] == kept[0]
    for events in (before, late, resumed, after):
        events.close()


def test_a_whole_answer_is_a_message_as_well(server, upstream):
    client = client_of(server, default_headers={"X-Recado-Channel": "answer:2"})
    for n in (0, 1):
        raw = client.chat.completions.with_raw_response.create(model="words", messages=USER)
        assert raw.headers["X-Recado-Offset"] == str(n)
        answer = raw.parse()
        kept = history(server, "answer:2")
        assert len(kept) == n + 1
        assert kept[n]["id"] == answer.id and kept[n]["content"] == text(8)
        assert kept[n]["tokens_in"] == 11 and kept[n]["tokens_out"] == 8


def test_each_failure_keeps_what_was_said(server, upstream):
    for model, said, why in [
            ("drop?n=3", text(3), "the model's answer broke off"),
            ("error?n=3", text(3), "the model's server failed: the GPU ran out of memory"),
            ("garbage?n=3", text(3), "what answers is not a model"),
            ("words?n=3&done=0&finish=0", text(3), "the model's answer broke off")]:
        channel = f"answer:{model.partition('?')[0]}"
        status, headers, _ = post(server.address, model, **{"X-Recado-Channel": channel})
        assert status == 200 and headers["X-Recado-Channel"] == channel
        [kept] = history(server, channel)
        assert kept["state"] == "failed" and kept["content"] == said
        assert kept["error"].startswith(why), kept


def test_what_is_no_answer_is_no_message(server, upstream):
    for model in ("fail?status=429", "html", "close"):
        status, headers, _ = post(server.address, model, **{"X-Recado-Channel": "answer:none"})
        assert status == {"html": 200, "close": 502}.get(model, 429)
        assert "X-Recado-Channel" not in headers
    assert history(server, "answer:none") == []


def cancel(server, channel, expected, tenant="default"):
    status, _, answer = server.post("/api/chat/cancel", {"channel": channel, "tenant": tenant})
    assert status == 200 and json.loads(answer) == {"cancelled": expected}, answer


@pytest.mark.parametrize("stream", [True, False])
def test_who_cancels_keeps_what_was_said(server, upstream, stream):
    wire = http.client.HTTPConnection(server.address, timeout=60)
    wire.request("POST", "/v1/chat/completions", asked("gate?n=8", stream),
                 {**TYPE, "X-Recado-Channel": "answer:1"})
    upstream.release(3)
    if stream:
        answer, said = wire.getresponse(), b""
        while said.count(b'"content"') < 4:
            said += answer.read1()
    upstream.wait(lambda u: u.under_way == 1)
    cancel(server, "answer:2", 0)
    cancel(server, "answer:1", 0, tenant="other")
    cancel(server, "answer:1", 1)
    upstream.wait(lambda u: u.cancelled == 1)
    if stream:
        assert b'"code":"cancelled"' in answer.read()
        until("the message ends", lambda: history(server, "answer:1"))
        [kept] = history(server, "answer:1")
        assert kept["state"] == "cancelled" and kept["content"] == text(3)
    else:
        assert json.loads(wire.getresponse().read())["error"]["code"] == "cancelled"
        assert history(server, "answer:1") == []  # nothing had been said
    cancel(server, "answer:1", 0)


def test_a_server_that_ends_keeps_what_was_said(start_recado, upstream):
    settings = "  kept: { history: 10, durable: true }\nshutdown: { drain: 300ms }\n"
    server = start_recado(config(upstream, settings))
    upstream.release(3)
    wire = http.client.HTTPConnection(server.address, timeout=60)
    wire.request("POST", "/v1/chat/completions", asked("gate?n=8"),
                 {**TYPE, "X-Recado-Channel": "kept:1"})
    answer = wire.getresponse()
    said = b""
    while said.count(b"content") < 4:
        said += answer.read1()
    server.process.send_signal(signal.SIGTERM)
    said += answer.read()
    assert b'"code":"ending"' in said and b"the server is shutting down" in said
    server.process.wait(30)
    server.stop()
    server.start()
    [kept] = history(server, "kept:1")
    assert kept["state"] == "failed" and kept["content"] == text(3)
    assert kept["error"] == "the server is shutting down"


# ---- who may ----


def token(sub="ana", **claims):
    return jwt.encode({"sub": sub, "exp": int(time.time()) + 600, **claims}, SECRET, "HS256")


@pytest.fixture
def guarded(start_recado, upstream):
    more = (f"  open: {{ history: 10, publish: true }}\n  user: {{ history: 10, publish: true }}\n"
            f"auth: {{ hmac_secret: {SECRET}, api_keys: [{KEY}] }}\n")
    return start_recado(config(upstream, more))


def test_keys_and_tokens(guarded, upstream):
    for key in (KEY, token()):
        assert stream_text(client_of(guarded, key), "words") == text(8)
    for headers in ({"X-API-Key": KEY}, {"Authorization": f"apikey {KEY}"}):
        assert post(guarded.address, "words", **headers)[0] == 200
    calls = upstream.calls
    expired = token(exp=int(time.time()) - 60)
    for key in ("none", "the-key-of-the-back-en", token()[:-2], expired, "a.b.c"):
        with pytest.raises(openai.AuthenticationError) as raised:
            stream_text(client_of(guarded, key), "words")
        assert raised.value.code in ("invalid_api_key", "invalid_token")
    assert post(guarded.address, "words")[0] == 401
    assert guarded.get("/v1/models")[0] == 401
    assert upstream.calls == calls


def test_pages_of_others_may_not(server, guarded):
    for one in (server, guarded):
        status, _, answer = post(one.address, "words", Origin="https://elsewhere.example",
                                 Authorization=f"Bearer {KEY}")
        assert status == 403 and json.loads(answer)["error"]["code"] == "origin_not_allowed"
    status, _, answer = post(server.address, "words", Host="rebound.example")
    assert status == 403 and json.loads(answer)["error"]["code"] == "host_not_allowed"


def test_channels_of_clients(guarded):
    def write(key, channel):
        return post(guarded.address, "words?n=1", Authorization=f"Bearer {key}",
                    **{"X-Recado-Channel": channel})
    assert write(KEY, "answer:1")[0] == 200
    assert write(token(), "open:1")[0] == 200
    assert write(token(), "user:ana")[0] == 200
    for channel in ("answer:1", "user:bia"):
        status, _, answer = write(token(), channel)
        assert status == 403 and json.loads(answer)["error"]["code"] == "channel_not_allowed"
    for channel in ("open:*", "a b", "x" * 300):
        assert write(KEY, channel)[0] == 400


def test_nothing_crosses_a_tenant(guarded):
    key = {"X-API-Key": KEY}
    for tenant in ("acme", "other"):
        headers = {**key, "X-Recado-Tenant": tenant, "X-Recado-Channel": "open:1"}
        assert post(guarded.address, "words?n=1", **headers)[0] == 200
    status, _, _ = post(guarded.address, "words?n=1", Authorization=f"Bearer {token(org='acme')}",
                        **{"X-Recado-Channel": "open:1", "X-Recado-Tenant": "other"})
    assert status == 200  # a token's tenant is the one
    assert len(history(guarded, "open:1", "acme", **key)) == 2
    assert len(history(guarded, "open:1", "other", **key)) == 1
    assert history(guarded, "open:1", **key) == []


def test_embeddings_are_no_messages(server):
    status, _, answer = post(server.address, "words", path="/v1/embeddings",
                             **{"X-Recado-Channel": "answer:1"})
    assert status == 400 and json.loads(answer)["error"]["code"] == "invalid_channel"
