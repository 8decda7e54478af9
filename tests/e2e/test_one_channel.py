"""One channel space: an event is published once, and clients of all five systems, a Centrifuge SDK
and an EventSource receive it, each in its own envelope and with the same data."""

import json
import os
import queue
import re
import subprocess
import threading
import time

import jwt
import pytest

from conftest import JS
from servers import environment

SECRET = "0123456789abcdef0123456789abcdef"
TENANT = "acme"
CONVERSATION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CHANNEL = f"conversation:{CONVERSATION}"
TYPE = "message:new"
CONFIG = f"""
auth: {{ hmac_secret: "{SECRET}", default_tenant: {TENANT} }}
loops: 2
"""

# As a back end writes it: bytes that a parse and a rewrite would change.
DATA = ('{ "id":"m-1",  "content": {"text":"olá \\u00e7 \\ud83d\\ude00"}, "n": 1.50, '
        '"list":[1,2 ,null] }')

# Who knows conversations as they are; the others are told by the back end what to follow.
TOLD = ("orquestrador", "agents", "plataforma", "conductor")
EVERYBODY = {*TOLD, "pytake", "centrifuge", "eventsource"}

ISO_MS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ISO_US = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"


class Crowd:
    """The clients, in one program of their own."""

    def __init__(self, options):
        self.process = subprocess.Popen(
            ["node", os.path.join(JS, "one_channel.mjs"), json.dumps(options)], cwd=JS,
            env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def next(self, seconds=30):
        line = self.lines.get(timeout=seconds)
        assert line, "the clients have ended"
        assert line.startswith("{"), line
        return json.loads(line)

    def hear(self, count):
        """{who: what it got}: each once."""
        got = {}
        for _ in range(count):
            line = self.next()
            assert line["who"] not in got, f"twice: {line}"
            got[line["who"]] = line["got"]
        return got

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        rest = [line for line in iter(self.lines.get, "")]
        assert not rest, rest


@pytest.fixture
def server(start_recado):
    return start_recado(CONFIG)


@pytest.fixture
def crowd(server):
    token = jwt.encode({"sub": "ana", "organization_id": TENANT, "exp": int(time.time()) + 600},
                       SECRET, "HS256")
    clients = Crowd({"base": server.url, "tenant": TENANT, "token": token,
                     "conversation": CONVERSATION, "type": TYPE})
    assert clients.next() == {"ready": True}
    yield clients
    if clients.process.poll() is None:
        clients.end()


def publish(server, data, **more):
    """The body is written by hand, so that the data is sent byte for byte."""
    head = json.dumps({"channel": CHANNEL, "type": TYPE, **more})
    status, _, answer = server.post("/api/publish", f'{head[:-1]}, "data": {data}}}')
    assert status == 200 and b"error" not in answer, answer


def tell(server, verb):
    """Server-side subscriptions: the back end says which client follows what."""
    sessions = server.api("sessions", {})["result"]["sessions"]
    for dialect in TOLD:
        clients = [s["client"] for s in sessions if s["dialect"] == dialect]
        assert len(clients) == 1, sessions
        answer = server.api(verb, {"channel": CHANNEL, "client": clients[0], "user": ""})
        assert answer == {"result": {}}, f"{dialect}: {answer}"


def subscribers(server):
    channels = server.api("channels", {"tenant": TENANT})["result"]["channels"]
    return channels.get(CHANNEL, {}).get("num_clients", 0)


def wait_for_subscribers(server, count):
    end = time.monotonic() + 20
    while subscribers(server) != count:
        assert time.monotonic() < end, f"{subscribers(server)} of {count} follow the channel"
        time.sleep(0.02)


def envelope(text, head, tail):
    """The text is head, the data as it was published, and a tail that matches."""
    assert text.startswith(head + DATA), text
    rest = text[len(head) + len(DATA):]
    found = re.fullmatch(tail, rest)
    assert found, f"{rest} is not {tail}"
    return found


def test_everybody_hears_it_in_his_own_words(server, crowd):
    wait_for_subscribers(server, len(EVERYBODY) - len(TOLD))
    tell(server, "subscribe")
    wait_for_subscribers(server, len(EVERYBODY))
    before = time.time()
    publish(server, DATA)
    got = crowd.hear(len(EVERYBODY))
    after = time.time()
    assert set(got) == EVERYBODY

    data = json.loads(DATA)
    assert got["orquestrador"] == f'{{"type":"{TYPE}","data":{DATA}}}'
    envelope(got["agents"], f'{{"type":"{TYPE}","data":', rf',"timestamp":"{ISO_MS}"}}')
    envelope(got["plataforma"], f'{{"type":"{TYPE}","data":',
             rf',"timestamp":"{ISO_US}","message_id":"[0-9a-f]{{8}}"}}')
    found = envelope(got["conductor"], f'{{"type":"{TYPE}","data":',
                     r',"timestamp":(?P<time>\d+\.\d+)}')
    assert before - 1 <= float(found["time"]) <= after + 1
    assert got["pytake"] == {"event": TYPE, "args": [data]}
    assert got["centrifuge"] == {"data": data, "tags": {"type": TYPE}}
    assert got["eventsource"] == DATA

    # And who is told to leave hears no more, while the others go on.
    tell(server, "unsubscribe")
    wait_for_subscribers(server, len(EVERYBODY) - len(TOLD))
    publish(server, '{"id":"m-2"}')
    assert set(crowd.hear(3)) == EVERYBODY - set(TOLD)
    crowd.end()


def test_nobody_hears_what_another_tenant_is_told(server, crowd):
    tell(server, "subscribe")
    wait_for_subscribers(server, len(EVERYBODY))
    publish(server, '{"secret":true}', tenant="elsewhere")
    publish(server, DATA)
    for got in crowd.hear(len(EVERYBODY)).values():
        assert "secret" not in json.dumps(got)
    crowd.end()
