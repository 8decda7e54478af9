"""Event streams with a real EventSource (npm eventsource), with curl, and by hand."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import jwt
import pytest

from servers import environment

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = f"""
auth: {{ hmac_secret: "{SECRET}" }}
namespaces:
  "": {{ history: 100 }}
  short: {{ history: 3 }}
  live: {{ history: 0 }}
  closed: {{ history: 100, subscribe: false }}
"""
JS = os.path.join(os.path.dirname(__file__), "js")


def token(sub="ana", **claims):
    return jwt.encode({"sub": sub, "exp": int(time.time()) + 600, **claims}, SECRET, "HS256")


@pytest.fixture
def server(start_recado):
    return start_recado(CONFIG)


class Lines:
    """A program that prints lines."""

    def __init__(self, *command, cwd=None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, text=True, cwd=cwd,
                                        env=environment())
        self.timer = threading.Timer(60, self.process.kill)
        self.timer.start()

    def next(self):
        line = self.process.stdout.readline()
        assert line, "it printed no more"
        return line.rstrip("\r\n")

    def until(self, pattern):
        while True:
            line = self.next()
            if re.search(pattern, line):
                return line

    def end(self):
        self.timer.cancel()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def run_lines():
    running = []

    def run(*command, cwd=None):
        running.append(Lines(*command, cwd=cwd))
        return running[-1]

    yield run
    for lines in running:
        lines.end()


@pytest.fixture
def event_source(run_lines):
    return lambda url, count: run_lines("node", "sse.mjs", url, str(count), cwd=JS)


@pytest.fixture
def curl(run_lines):
    return lambda *arguments: run_lines("curl", "-sN", "--max-time", "60", *arguments)


def test_event_source(server, event_source):
    source = event_source(server.url + "/events?channel=a", 3)
    assert source.next() == "open"  # before there is any event
    server.publish("a", {"n": 1})
    server.publish("a", "x", type="done")
    one, two = json.loads(source.next()), json.loads(source.next())
    assert (one["type"], json.loads(one["data"])) == ("message", {"n": 1})
    assert (two["type"], json.loads(two["data"])) == ("done", "x")
    assert re.fullmatch("[0-9a-f]{8}:1", one["id"]) and two["id"] == one["id"][:9] + "2"


@pytest.mark.parametrize("channels", ["a", "a&channel=b"])
def test_event_source_misses_nothing(server, event_source, channels):
    """Every open stream is cut by the server again and again while events are published."""
    source = event_source(f"{server.url}/events?channel={channels}&token={token()}", 40)
    assert source.next() == "open"
    for n in range(40):
        server.publish("ab"[n % 2] if "b" in channels else "a", n)
        if n % 10 == 5:
            server.api("disconnect", {"user": "ana"})
    got = []
    while len(got) < 40:
        line = source.next()
        if line.startswith("{"):
            event = json.loads(line)
            assert event["type"] == "message", event
            got.append(int(event["data"]))
    assert got == list(range(40)) if "b" not in channels else sorted(got) == list(range(40))


def test_event_source_is_told_what_cannot_be_had(server, event_source):
    for n in range(9):
        server.publish("short:a", n)
    source = event_source(f"{server.url}/events?channel=short:a&last_event_id=0000000a:1", 2)
    assert source.next() == "open"
    reset = json.loads(source.next())
    assert (reset["type"], json.loads(reset["data"])["offset"]) == ("recado-reset", 9)
    server.publish("short:a", "next")
    assert json.loads(json.loads(source.next())["data"]) == "next"


def test_an_unreadable_position_is_not_a_fresh_start(server, curl):
    for last in ("%zz", "9" * 5000):
        stream = curl(f"{server.url}/events?channel=a&last_event_id={last}")
        assert stream.until("^event") == "event: recado-reset"


def test_curl(server, curl):
    stream = curl("-i", server.url + "/events?channel=a,live:b&type=x&type=y")
    assert stream.next() == "HTTP/1.1 200 OK"
    assert stream.until("Content-Type") == "Content-Type: text/event-stream; charset=utf-8"
    stream.until("^id: ")
    server.publish("a", 0, type="z")
    server.post("/api/publish", '{"channel":"a","type":"x","data":{"two":\n"lines"}}')
    assert stream.until("^event|^data") == "event: x"
    assert [stream.next(), stream.next(), stream.next()] == [
        'data: {"two":', 'data: "lines"}', ""]
    server.publish("live:b", 1, type="y")
    assert re.fullmatch("id: [0-9a-f]{8}:2,-", stream.next())


def test_http_1_0(server, curl):
    stream = curl("-i", "--http1.0", server.url + "/events?channel=a")
    assert "chunked" not in stream.until("Connection").lower()
    stream.until("^id: ")
    server.publish("a", 1)
    assert stream.until("^data") == "data: 1"


@pytest.mark.parametrize("path, headers, status, word", [
    ("/events", {}, 400, "channel"),
    ("/events?channel=", {}, 400, "channel"),
    ("/events?channel=a%20b", {}, 400, "channel"),
    ("/events?channel=" + "x" * 300, {}, 400, "channel"),
    ("/events?" + "&".join(f"channel=c{n}" for n in range(65)), {}, 400, "channel"),
    ("/events?channel=a&channel=" + "x" * 5000 + "&channel=b", {}, 400, "channel: too long"),
    ("/events?channel=a&channel=%zz", {}, 400, "channel: too long, or not well"),
    ("/events?channel=a&type=%00", {}, 400, "type: too long, or not well"),
    ("/events?channel=a&%74oken=%zz", {}, 400, "token"),
    ("/events?channel=closed:a", {}, 403, "channel"),
    ("/events?channel=*", {}, 403, "channel"),
    ("/events?channel=a&token=nonsense", {}, 401, ""),
    ("/events?channel=a&token=" + "x" * 9000, {}, 400, "token"),
    ("/events?channel=a", {"Authorization": "Bearer x.y.z"}, 401, ""),
    ("/events?channel=a", {"Origin": "https://elsewhere.example"}, 403, "Origin"),
])
def test_refusals(server, path, headers, status, word):
    got, _, body = server.get(path, headers)
    error = json.loads(body)["error"]
    assert got == status and word in error["message"] and error["code"] > 0


def test_token_names_channels(server, curl):
    named = token(subs={"closed:a": {}})
    stream = curl(f"{server.url}/events?token={named}")
    stream.until("^id: ")
    server.publish("closed:a", 1)
    assert stream.until("^data") == "data: 1"
    stream = curl("-H", f"Authorization: Bearer {named}", f"{server.url}/events?channel=closed:a")
    stream.until("^id: ")
    server.publish("closed:a", 2)
    assert stream.until("^data") == "data: 2"


def test_tenants_are_apart(server, curl):
    stream = curl(f"{server.url}/events?channel=a&token={token(org='one')}")
    stream.until("^id: ")
    server.publish("a", "theirs")
    server.publish("a", "ours", tenant="one")
    assert stream.until("^data") == 'data: "ours"'


def test_heartbeat(start_recado, curl):
    server = start_recado("sse: { heartbeat: 100ms }\n")
    assert curl(server.url + "/events?channel=a").until("^:") == ":"
