"""Durable channels: what was acknowledged is there after a crash, and a database that is away stops
nothing else.

RECADO_KILL_ROUNDS says how often the program is killed under load (100, and a twentieth of it with
each of the database servers).
"""

import asyncio
import contextlib
import glob
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from servers import ROOT, environment

JS_FOLDER = ROOT / "tests" / "e2e" / "js"
WITH_DATABASE = ROOT / "tests" / "battery" / "with-database"
KILL_ROUNDS = int(os.environ.get("RECADO_KILL_ROUNDS", 100))
KEPT = "namespaces:\n  kept: {durable: true, history: 1000000, history_bytes: 0, ttl: 0}\n" \
       "  swift: {durable: true, history: 1000000, history_bytes: 0, ttl: 0, ack: memory}\n"
NOT_STORED = 120


class Database:
    """A server of the tests' own, which ends with the test."""

    def __init__(self, kind):
        self.process = subprocess.Popen(
            [WITH_DATABASE, kind, "sh", "-c",
             'echo "$RECADO_STORE_URL"; echo "$RECADO_DATABASE"; exec cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.control = self.process.stdout.readline().strip()
        assert self.control, f"{kind} was not started: {self.process.wait()}"

    def __call__(self, word):
        subprocess.run([self.control, word], check=True, timeout=60, stdin=subprocess.DEVNULL)

    def sql(self, statement):
        return subprocess.run([self.control, "sql", statement], check=True, timeout=60, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture(params=["mariadb", "postgres"])
def database(request):
    database = Database(request.param)
    yield database
    database.end()


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def any_store(request):
    """(configuration, what lets go of it)"""
    if request.param == "sqlite":
        yield KEPT
        return
    database = Database(request.param)
    yield f"store: '{database.url}'\n{KEPT}"
    database.end()


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.02)
    return value


def result_of(answer):
    status, _, body = answer
    answer = json.loads(body)
    assert status == 200 and "error" not in answer, answer
    return answer["result"]


def publish(recado, channel, data):
    """Where it is now: {offset, epoch}."""
    return result_of(recado.post("/api/publish", {"channel": channel, "data": data}))


def history(recado, channel, since=None, limit=-1, reverse=False):
    """(events as {offset: data}, in their order; position)"""
    ask = {"channel": channel, "limit": limit, "reverse": reverse}
    if since:
        ask["since"] = since
    result = result_of(recado.post("/api/history", ask))
    offsets = [event["offset"] for event in result["publications"]]
    step = -1 if reverse else 1
    assert offsets == list(range(offsets[0], offsets[0] + step * len(offsets), step)) if offsets else True
    return ({event["offset"]: event["data"] for event in result["publications"]},
            {"offset": result["offset"], "epoch": result["epoch"]})


def whole_history(recado, channel):
    """In pages, as a back end that has been away would read it."""
    events, position = {}, None
    at = {"offset": 0, "epoch": ""}
    while True:
        page, position = history(recado, channel, at, limit=5000)
        events.update(page)
        if not page:
            return events, position
        at = {"offset": max(page), "epoch": position["epoch"]}


class Load:
    """Publishers that go on until they are told to stop, whatever they are answered."""

    def __init__(self, recado, publishers=4, channels=5, batch=20, namespace="kept"):
        self.recado, self.channels, self.batch, self.namespace = recado, channels, batch, namespace
        self.acknowledged = {}  # (channel, offset): data
        self.errors = {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.publish, args=(n,), daemon=True)
                        for n in range(publishers)]
        for thread in self.threads:
            thread.start()

    def publish(self, me):
        serial = 0
        connection = None
        while not self.stopping.is_set():
            try:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self.recado.port, timeout=30)
                commands = []
                for _ in range(self.batch):
                    serial += 1
                    commands.append({"publish": {
                        "channel": f"{self.namespace}:{serial % self.channels}",
                        "data": {"by": me, "serial": serial, "pad": "x" * 200}}})
                connection.request("POST", "/api/batch", json.dumps({"commands": commands}),
                                   {"Content-Type": "application/json"})
                replies = json.loads(connection.getresponse().read())["replies"]
                self.note(commands, replies)
            except (OSError, http.client.HTTPException, ValueError):
                connection = None
                time.sleep(0.005)

    def note(self, commands, replies):
        with self.lock:
            for command, reply in zip(commands, replies):
                publish = command["publish"]
                if "error" in reply:
                    code = reply["error"]["code"]
                    self.errors[code] = self.errors.get(code, 0) + 1
                    continue
                key = publish["channel"], reply["publish"]["offset"]
                assert key not in self.acknowledged, f"{key} was given twice"
                self.acknowledged[key] = publish["data"]

    def count(self):
        with self.lock:
            return len(self.acknowledged)

    def more(self, n):
        start = self.count()
        until(f"{n} more acknowledged", lambda: self.count() >= start + n)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def check(self):
        for number in range(self.channels):
            channel = f"{self.namespace}:{number}"
            events, position = whole_history(self.recado, channel)
            lost = {offset: data for (name, offset), data in self.acknowledged.items()
                    if name == channel and events.get(offset) != data}
            assert not lost, f"{channel} up to {position}: {len(lost)} lost, such as " \
                             f"{sorted(lost.items())[:2]}"


# ---- restarts and crashes ----


def test_a_restart_keeps_history_offset_and_epoch(start_recado, any_store):
    recado = start_recado(any_store)
    for n in range(250):
        result_of(recado.post("/api/publish", {
            "channel": "kept:a", "data": {"n": n, "text": "ação \U0001f600 \\u0000"}}))
    before = whole_history(recado, "kept:a")
    assert len(before[0]) == 250
    newest, _ = history(recado, "kept:a", limit=3, reverse=True)
    assert list(newest) == [250, 249, 248]
    recado.stop()
    recado.start()
    assert whole_history(recado, "kept:a") == before
    recado.kill()
    recado.start()
    events, position = whole_history(recado, "kept:a")
    assert (events, position["offset"]) == (before[0], 250)
    assert position["epoch"] != before[1]["epoch"]  # more may have been shown than was written
    assert history(recado, "kept:a", dict(before[1], offset=249))[0] == {250: before[0][250]}
    assert publish(recado, "kept:a", 1) == {"offset": 251, "epoch": position["epoch"]}
    result_of(recado.post("/api/history_remove", {"channel": "kept:a"}))
    recado.kill()
    recado.start()
    events, position = whole_history(recado, "kept:a")
    assert (events, position["offset"]) == ({}, 251)


@pytest.mark.timeout(1200)
def test_killed_under_load(start_recado, any_store):
    recado = start_recado(any_store)
    load = Load(recado)
    rounds = KILL_ROUNDS if "store:" not in any_store else max(3, KILL_ROUNDS // 20)
    for _ in range(rounds):
        load.more(400)
        recado.kill()
        recado.start()
    load.more(400)
    load.stop()
    load.check()
    assert not load.errors, load.errors


@pytest.mark.timeout(300)
def test_centrifuge_js_recovers_after_restarts(start_recado):
    recado = start_recado(KEPT)
    node = subprocess.Popen(["node", "durable.mjs", recado.ws_url, "kept:js"], cwd=JS_FOLDER,
                            env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    heard, states = [], []

    def read():
        for line in node.stdout:
            said = json.loads(line)
            (states if "subscribed" in said else heard).append(said)

    threading.Thread(target=read, daemon=True).start()
    until("subscribed", lambda: states)
    sent = 0
    for crash in (False, True, False):
        for _ in range(20):
            sent += 1
            result_of(recado.post("/api/publish", {"channel": "kept:js", "data": sent}))
        recado.kill() if crash else recado.stop()
        recado.start()
    until("everything", lambda: len(heard) >= sent)
    assert [event["offset"] for event in heard] == list(range(1, sent + 1))
    assert [event["data"] for event in heard] == list(range(1, sent + 1))
    again = [state for state in states if state["wasRecovering"]]
    assert again and all(state["recovered"] for state in again)
    node.stdin.close()
    node.wait(20)


def test_who_was_away_for_long_recovers_in_pieces(start_recado):
    """Far more than memory holds, and more than one answer holds; the others notice nothing."""
    import websockets

    recado = start_recado(KEPT)
    total = 12000
    for first in range(0, total, 1000):
        commands = [{"publish": {"channel": "kept:long", "data": {"n": n, "pad": "x" * 100}}}
                    for n in range(first + 1, first + 1001)]
        replies = json.loads(recado.post("/api/batch", {"commands": commands})[2])["replies"]
        assert not [reply for reply in replies if "error" in reply]
    epoch = history(recado, "kept:long", limit=0)[1]["epoch"]
    recado.stop()
    recado.start()

    async def follow():
        offsets = []
        async with websockets.connect(recado.ws_url, max_size=None) as ws:
            await ws.send('{"id":1,"connect":{}}')
            await ws.send(json.dumps({"id": 2, "subscribe": {
                "channel": "kept:long", "recover": True, "epoch": epoch, "offset": 10}}))
            while not offsets or offsets[-1] < total + 1:
                for line in (await asyncio.wait_for(ws.recv(), 30)).splitlines():
                    said = json.loads(line)
                    if "subscribe" in said:
                        assert said["subscribe"]["recovered"], said
                        offsets += [p["offset"] for p in said["subscribe"].get("publications", [])]
                        await asyncio.to_thread(
                            recado.post, "/api/publish", {"channel": "kept:long", "data": "now"})
                    elif "push" in said:
                        offsets.append(said["push"]["pub"]["offset"])
                    elif said == {}:
                        await ws.send("{}")
        return offsets

    async def everybody():
        return await asyncio.gather(*(follow() for _ in range(5)))

    for offsets in asyncio.run(everybody()):
        assert offsets[:total - 9] == list(range(11, total + 2))


# ---- seen, but not committed ----


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def stalled(request, start_recado):
    """(a running server, a context in which nothing can be committed)"""
    if request.param == "sqlite":
        recado = start_recado(KEPT)

        @contextlib.contextmanager
        def stall():
            with contextlib.closing(sqlite3.connect(recado.data / "recado.db", timeout=60,
                                                    isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                yield

        yield recado, stall
        return
    database = Database(request.param)

    @contextlib.contextmanager
    def stall():
        database("pause")
        try:
            yield
        finally:
            database("go_on")

    yield start_recado(f"store: '{database.url}'\n{KEPT}"), stall
    database.end()


def publish_unanswered(recado, channel, data):
    """Of a namespace that is acknowledged when it is on the disk, which it never is."""
    def send():
        with contextlib.suppress(OSError, http.client.HTTPException):
            recado.post("/api/publish", {"channel": channel, "data": data}, timeout=60)

    threading.Thread(target=send, daemon=True).start()


@contextlib.contextmanager
def native(recado):
    from websockets.sync.client import connect

    with connect(recado.ws_url, max_size=None) as ws:
        ws.send('{"id":1,"connect":{}}')
        assert "connect" in json.loads(ws.recv(30))
        yield ws


def subscribe(ws, channel, since=None):
    """The answer; every offset and data that it brings as `publications`."""
    ask = {"channel": channel}
    if since:
        ask |= {"recover": True} | since
    ws.send(json.dumps({"id": 2, "subscribe": ask}))
    while True:
        for line in ws.recv(30).splitlines():
            said = json.loads(line)
            if "subscribe" in said:
                return said["subscribe"]
            if said == {}:
                ws.send("{}")


def heard(ws, count):
    pubs = []
    while len(pubs) < count:
        for line in ws.recv(30).splitlines():
            said = json.loads(line)
            if "pub" in said.get("push", {}):
                pubs.append(said["push"]["pub"])
            elif said == {}:
                ws.send("{}")
    return pubs


def resume(recado, channel, since):
    """(whether it was recovered, {offset: data} of what was missed, the position now)"""
    with native(recado) as ws:
        answer = subscribe(ws, channel, since)
    return (answer.get("recovered", False),
            {p["offset"]: p["data"] for p in answer.get("publications", [])},
            {"offset": answer.get("offset", 0), "epoch": answer["epoch"]})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("channel", ["kept:a", "swift:a"])
def test_an_offset_that_was_seen_is_not_given_again(stalled, channel):
    recado, stall = stalled
    seen = [publish(recado, channel, n) for n in (1, 2, 3)]
    until("on the disk", lambda: history(recado, channel)[1]["offset"] == 3)
    recado.stop()
    recado.start()  # a clean end changes nothing
    assert publish(recado, channel, 4) == {"offset": 4, "epoch": seen[0]["epoch"]}
    crashes = [seen[1]]
    for crash in (1, 2):
        last = history(recado, channel)[1]
        with native(recado) as ws:
            subscribe(ws, channel)
            with stall():
                for n in range(3):
                    publish_unanswered(recado, channel, f"lost {crash}")
                lost = heard(ws, 3)
                recado.kill()
        assert [p["offset"] for p in lost] == [last["offset"] + n for n in (1, 2, 3)]
        recado.start()
        before = last
        # Who saw less than what is on the disk goes on; and nothing has been published since.
        recovered, missed, now = resume(recado, channel, before)
        assert (recovered, missed) == (True, {}) and now["offset"] == last["offset"], now
        assert now["epoch"] != last["epoch"]
        for n in range(1, 4):  # who saw more does not, and never will
            at = {"offset": last["offset"] + n, "epoch": last["epoch"]}
            assert not resume(recado, channel, at)[0]
            got = publish(recado, channel, f"new {crash}.{n}")
            assert got == {"offset": last["offset"] + n, "epoch": now["epoch"]}
            assert not resume(recado, channel, at)[0], at
            recovered, missed, _ = resume(recado, channel, before)
            assert recovered and missed == {last["offset"] + k: f"new {crash}.{k}"
                                            for k in range(1, n + 1)}
            # the same by REST
            code = json.loads(recado.post("/api/history", {
                "channel": channel, "limit": 10, "since": at})[2]).get("error", {}).get("code")
            assert code == 112
            assert history(recado, channel, before, limit=10)[0] == missed
        crashes.append(last)
    # A clean end in between keeps the epoch, and what is accepted.
    now = history(recado, channel)[1]
    recado.stop()
    recado.start()
    assert history(recado, channel)[1] == now
    assert resume(recado, channel, crashes[-1])[0]
    assert not resume(recado, channel, dict(crashes[-1], offset=crashes[-1]["offset"] + 1))[0]
    # Of the crash before the last nothing is claimed.
    assert not resume(recado, channel, dict(crashes[0], offset=now["offset"]))[0]


@pytest.mark.timeout(300)
def test_a_quiet_stream_is_recovered_over_many_crashes(start_recado):
    """Nothing came in since: whoever saw all of it may go on, whatever happened to the server."""
    recado = start_recado(KEPT)
    for n in (1, 2, 3):
        at = publish(recado, "kept:quiet", n)
    places = [at]
    for _ in range(4):
        recado.kill()
        recado.start()
        for place in places:
            assert resume(recado, "kept:quiet", place)[:2] == (True, {})
        places.append(history(recado, "kept:quiet")[1])
    assert len({place["epoch"] for place in places}) == 5
    publish(recado, "kept:quiet", 4)
    for place in places:
        assert resume(recado, "kept:quiet", place)[:2] == (True, {4: 4})
        assert not resume(recado, "kept:quiet", dict(place, offset=4))[0] or place is places[-1]


# ---- many who come back, and one who is slow ----

END = "this is the last one"


async def resume_until_the_end(recado, ask, gate, subscribed):
    """Every offset that a client is given."""
    import websockets

    offsets, ended = [], False
    async with websockets.connect(recado.ws_url, max_size=None, open_timeout=120) as ws:
        await ws.send('{"id":1,"connect":{}}')
        await ws.recv()
        await gate.wait()
        await ws.send(json.dumps({"id": 2, "subscribe": ask | {"recover": True}}))
        while not ended:
            for line in (await asyncio.wait_for(ws.recv(), 120)).splitlines():
                said = json.loads(line)
                if said == {}:
                    await ws.send("{}")
                assert "error" not in said, said
                pubs = said.get("subscribe", {}).get("publications", [])
                pubs += [said["push"]["pub"]] if "pub" in said.get("push", {}) else []
                offsets += [p["offset"] for p in pubs]
                ended = ended or any(p["data"] == END for p in pubs)
                if "subscribe" in said:
                    assert said["subscribe"]["recovered"], said
                    subscribed.append(1)
    return offsets


@pytest.mark.timeout(600)
@pytest.mark.parametrize("restarted", [False, True], ids=["memory", "store"])
def test_a_thousand_resume_while_others_publish(start_recado, restarted):
    """Each is given every event once, in order: what it missed, and what comes meanwhile."""
    clients, missed = 1000, 200
    recado = start_recado(KEPT + "websocket: {connections_max: 2000}\n")
    epoch = [publish(recado, "kept:crowd", n) for n in range(missed)][-1]["epoch"]
    if restarted:
        recado.stop()
        recado.start()

    async def crowd():
        gate, subscribed = asyncio.Event(), []

        def publish_on():
            while len(subscribed) < clients:
                publish(recado, "kept:crowd", len(subscribed))
            return publish(recado, "kept:crowd", END)["offset"]

        tasks = [asyncio.create_task(resume_until_the_end(
            recado, {"channel": "kept:crowd", "epoch": epoch, "offset": n % missed}, gate, subscribed))
            for n in range(clients)]
        publishing = asyncio.create_task(asyncio.to_thread(publish_on))
        gate.set()
        return await asyncio.gather(publishing, *tasks)

    last, *given = asyncio.run(crowd())
    assert last > missed + 1
    for n, offsets in enumerate(given):
        assert offsets == list(range(n % missed + 1, last + 1)), n


def metric(recado, name):
    for line in recado.get("/metrics")[2].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no {name}")


class SlowReader:
    """A client that reads what it is told to, and not a byte more."""

    def __init__(self, recado, channel):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", recado.port))
        self.text = b""
        self.socket.sendall(b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\n"
                            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Version: 13\r\n"
                            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.read_until(b"\r\n\r\n")
        self.send(b'{"id":1,"connect":{}}')
        self.read_until(b'"connect"')
        self.send(b'{"id":2,"subscribe":{"channel":"%s"}}' % channel.encode())
        self.read_until(b'"subscribe"')

    def send(self, text):
        self.socket.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)

    def read(self):
        data = self.socket.recv(1 << 20)
        assert data, "it was closed"
        self.text += data

    def read_until(self, text):
        while text not in self.text:
            self.read()
        self.text = self.text[self.text.index(text) + len(text):]

    def offsets(self, last):
        """Of all that comes, up to this one."""
        given = []
        while not given or given[-1] < last:
            self.read()
            end = self.text.rfind(b"}") + 1
            given += [int(n) for n in re.findall(rb'"offset":(\d+)}', self.text[:end])]
            self.text = self.text[end:]
        return given


@pytest.mark.timeout(300)
def test_who_reads_slowly_is_not_cut_off(start_recado):
    """It misses far more than the log, memory and the sockets hold, and gets it all from the store."""
    total, pad = 12000, "x" * 1500
    recado = start_recado(KEPT + "hub: {feed_max: 1MiB}\nwebsocket: {ping_interval: 1h}\n")
    slow = SlowReader(recado, "kept:slow")
    for _ in range(0, total, 500):  # and meanwhile it reads nothing
        commands = [{"publish": {"channel": "kept:slow", "data": pad}} for _ in range(500)]
        replies = json.loads(recado.post("/api/batch", {"commands": commands})[2])["replies"]
        assert not [reply for reply in replies if "error" in reply]
    assert slow.offsets(total) == list(range(1, total + 1))
    assert metric(recado, "recado_store_reads_total") > 0
    publish(recado, "kept:slow", "still there")
    assert slow.offsets(total + 1) == [total + 1]
    slow.socket.close()


# ---- databases that go away ----


def is_refused(recado, channel="kept:0"):
    status, _, body = recado.post("/api/publish", {"channel": channel, "data": 1})
    return json.loads(body).get("error", {}).get("code") == NOT_STORED


def stays_useful(recado):
    """Without a store: durable publishes are refused, the rest goes on, readiness says so."""
    until("refused", lambda: is_refused(recado))
    status, _, body = recado.post("/api/publish", {"channel": "kept:0", "data": 1})
    assert "store" in json.loads(body)["error"]["message"]
    assert recado.get("/healthz/ready")[0] == 503
    assert recado.get("/healthz/live")[0] == 200
    for n in range(3):
        assert result_of(recado.post("/api/publish", {"channel": "plain", "data": n}))["offset"]


@pytest.mark.timeout(600)
def test_a_database_goes_and_comes_back_under_load(start_recado, database):
    recado = start_recado(f"store: '{database.url}'\n{KEPT}")
    load = Load(recado)
    load.more(500)
    for word in ("stop", "kill"):
        database(word)
        stays_useful(recado)
        database("start")
        until("ready again", lambda: recado.get("/healthz/ready")[0] == 200)
        load.more(500)
    load.stop()
    load.check()
    assert set(load.errors) == {NOT_STORED}
    recado.kill()
    recado.start()
    load.check()


def test_without_its_database_it_does_not_start(start_recado, database):
    recado = start_recado(f"store: '{database.url}'\n{KEPT}")
    recado.stop()
    database("stop")
    recado.start(wait=False)
    assert recado.wait_exit() == 1
    assert "store: " in recado.log and "s3cret" not in recado.log
    recado.process = None
    database("start")


def test_secrets_stay_secret(start_recado, database):
    recado = start_recado(f"store: '{database.url}'\n{KEPT}log: {{level: debug}}\n")
    result_of(recado.post("/api/publish", {"channel": "kept:0", "data": 1}))
    database("stop")
    until("refused", lambda: is_refused(recado))
    shown = recado.run("config", "print", "-c", recado.config_path).stdout
    metrics = recado.get("/metrics")[2].decode()
    assert "store" in shown
    for text in (recado.log, shown, metrics):
        assert "s3cret" not in text
    database("start")


# ---- files ----


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "recado", folder],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.timeout(300)
def test_a_full_disk(start_recado, tmp_path):
    with small_disk(tmp_path / "disk", "24m") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (14 << 20))
        recado = start_recado(f"store: 'sqlite:{disk}/recado.db'\n{KEPT}")
        load = Load(recado)
        until("the disk is full", lambda: is_refused(recado, "kept:full"), 120)
        stays_useful(recado)
        answer = json.loads(recado.post("/api/publish", {"channel": "kept:0", "data": 1})[2])
        assert "full" in answer["error"]["message"]
        ballast.unlink()
        until("ready again", lambda: recado.get("/healthz/ready")[0] == 200)
        load.more(100)
        load.stop()
        load.check()
        recado.kill()
        recado.start()
        load.check()
        recado.stop()


def test_a_full_disk_is_not_said_to_be_free_at_every_request(start_recado, tmp_path):
    """Rows that are refused leave nothing to be written: that this can be committed shows nothing."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        recado = start_recado(f"store: 'sqlite:{disk}/recado.db'\n")
        body = {"kind": "job", "name": "large", "input": "x" * 20000}
        until("a refusal", lambda: recado.post("/api/runs", body)[0] == 503)
        before = recado.log.count("writing again")
        answers = [recado.post("/api/runs", body)[0] for _ in range(200)]
        assert answers.count(503) > 100 and set(answers) <= {503, 201}
        assert recado.log.count("writing again") - before <= 20
        assert recado.get("/api/runs")[0] == 200  # what is there can be read
        recado.stop()


def test_a_damaged_file_is_left_alone(start_recado):
    recado = start_recado(KEPT)
    result_of(recado.post("/api/publish", {"channel": "kept:0", "data": 1}))
    recado.stop()
    file = recado.data / "recado.db"
    whole = file.read_bytes()
    for damaged in (b"this is no database\n" * 500, whole[:100] + os.urandom(8000) + whole[8100:],
                    whole[:len(whole) // 2], whole[:len(whole) - 1], whole[:50]):
        file.write_bytes(damaged)
        recado.start(wait=False)
        assert recado.wait_exit() == 1
        assert "store: " in recado.log and "left as it is" in recado.log
        assert file.read_bytes() == damaged
        recado.process = None
    file.write_bytes(whole)
    recado.start()
    assert len(whole_history(recado, "kept:0")[0]) == 1


def test_a_damaged_page_is_found(start_recado):
    """In the middle of the events, where nothing looks before somebody wants them."""
    recado = start_recado(KEPT)
    for n in range(40):
        publish(recado, "kept:0", {"n": n, "pad": f"{n:04d}" * 5000})
    recado.stop()
    file = recado.data / "recado.db"
    whole = file.read_bytes()
    with contextlib.closing(sqlite3.connect(file)) as db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'recado_chunks'").fetchone()[0]
    at = (page - 1) * size
    damaged = whole[:at + 3] + b"\xff" * 64 + whole[at + 67:]
    file.write_bytes(damaged)
    checked = recado.run("store", "check", "--data", recado.data)
    assert checked.returncode == 1 and checked.stderr
    recado.start(wait=False)
    assert recado.wait_exit() == 1
    assert "store: " in recado.log and "left as it is" in recado.log
    recado.process = None
    assert file.read_bytes() == damaged

    at = whole.index(b"0020" * 1000) // size * size  # a page that holds a part of one event
    damaged = whole[:at] + b"\xff" * 4 + whole[at + 4:]
    file.write_bytes(damaged)
    assert recado.run("store", "check", "--data", recado.data).returncode == 1
    recado.start(wait=False)
    assert recado.wait_exit() == 1
    assert "left as it is" in recado.log
    recado.process = None
    assert file.read_bytes() == damaged


def test_a_newer_database_is_refused(start_recado):
    recado = start_recado(KEPT)
    recado.stop()
    with contextlib.closing(sqlite3.connect(recado.data / "recado.db")) as db:
        db.execute("UPDATE recado_schema SET version = 1000")
        db.commit()
    recado.start(wait=False)
    assert recado.wait_exit() == 1
    assert "newer Recado" in recado.log
    recado.process = None


def test_two_servers_on_one_database(start_recado, any_store):
    recado = start_recado(any_store)
    if "store:" not in any_store:
        any_store = f"store: 'sqlite:{recado.data}/recado.db'\n{KEPT}"
    other = start_recado(any_store, wait=False)
    assert other.wait_exit() == 1
    assert "another Recado" in other.log
    other.process = None
    assert not is_refused(recado)


def test_an_idle_server_notices_that_its_database_is_gone(start_recado, database):
    recado = start_recado(f"store: '{database.url}'\n{KEPT}")
    assert recado.get("/healthz/ready")[0] == 200
    for word in ("stop", "kill"):
        database(word)
        until("not ready", lambda: recado.get("/healthz/ready")[0] == 503)
        database("start")
        until("ready again", lambda: recado.get("/healthz/ready")[0] == 200)


def test_a_file_that_another_program_holds(start_recado):
    recado = start_recado(KEPT)
    recado.publish("kept:a", 1)
    told = []
    with contextlib.closing(sqlite3.connect(recado.data / "recado.db", timeout=60,
                                            isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")

        def send():
            told.append(recado.post("/api/publish", {"channel": "kept:a", "data": 2}, timeout=60))

        sender = threading.Thread(target=send)
        sender.start()
        until("not ready", lambda: recado.get("/healthz/ready")[0] == 503, seconds=20)
        sender.join()
        assert json.loads(told[0][2])["error"]["code"] == NOT_STORED
    until("ready again", lambda: recado.get("/healthz/ready")[0] == 200)
    kept = recado.api("history", {"channel": "kept:a", "limit": -1})["result"]["publications"]
    assert [p["data"] for p in kept] == [1, 2]


# ---- clocks that are set ----


@pytest.mark.release
@pytest.mark.timeout(120)
def test_the_clock_is_set(start_recado, tmp_path, monkeypatch):
    """By an hour and more, ahead and back: order, offsets and recovery do not look at it."""
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
    if library is None:
        pytest.skip("faketime is not installed")
    clock = tmp_path / "clock"
    for name, value in {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock),
                        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                        "FAKETIME_XRESET": "1"}.items():
        monkeypatch.setenv(name, value)
    clock.write_text("+0s")
    recado = start_recado(KEPT.replace("ttl: 0}", "ttl: 2h}"))
    monkeypatch.delenv("LD_PRELOAD")  # the other programs of this test

    def event_time():
        ask = {"channel": "kept:clock", "limit": 1, "reverse": True}
        return result_of(recado.post("/api/history", ask))["publications"][0]["time"]

    with native(recado) as ws:
        subscribe(ws, "kept:clock")
        times, last = [], 0
        for setting in ("+0s", "+3600s", "-3600s", "-86400s", "+0s"):
            clock.write_text(setting)
            for n in range(20):
                at = publish(recado, "kept:clock", setting)
                last += 1
                assert at["offset"] == last
            times.append(event_time())
        assert times[1] > times[0] > times[2] > times[3], times  # it was set indeed
        assert [p["offset"] for p in heard(ws, last)] == list(range(1, last + 1))
        # What is old by the clock is no gap in the middle: from some event on, all are there.
        events, position = whole_history(recado, "kept:clock")
        assert list(events) == list(range(min(events), last + 1)) and position["offset"] == last
        recovered, missed, now = resume(recado, "kept:clock", dict(position, offset=last - 5))
        assert recovered and list(missed) == list(range(last - 4, last + 1))
        assert now == position
        clock.write_text("+10800s")  # all of it is too old now
        assert publish(recado, "kept:clock", "new")["offset"] == last + 1
        until("the old ones are gone", lambda: list(whole_history(recado, "kept:clock")[0]) == [last + 1])
        assert not resume(recado, "kept:clock", dict(position, offset=1))[0]
        assert resume(recado, "kept:clock", position)[:2] == (True, {last + 1: "new"})


# ---- acknowledgements ----


def test_memory_acknowledges_at_once(start_recado, database):
    recado = start_recado(f"store: '{database.url}'\n{KEPT}")
    database("pause")
    try:
        answer = recado.post("/api/publish", {"channel": "swift:0", "data": 1}, timeout=5)
        assert result_of(answer)["offset"] == 1
    finally:
        database("go_on")
    until("stored", lambda: history(recado, "swift:0")[1]["offset"] == 1)
    recado.stop()
    recado.start()
    assert len(whole_history(recado, "swift:0")[0]) == 1


# ---- copies ----


def test_a_copy_while_it_is_in_use(start_recado):
    recado = start_recado(KEPT)
    load = Load(recado)
    load.more(500)
    before = dict(load.acknowledged)
    place = history(recado, "kept:0", limit=0)[1]
    copy = recado.folder / "copy.db"
    done = recado.run("store", "backup", "-c", recado.config_path, "--data", recado.data, copy)
    assert done.returncode == 0, done.stderr
    load.more(100)
    load.stop()
    seen = history(recado, "kept:0", limit=0)[1]
    again = recado.run("store", "backup", "--data", recado.data, copy)
    assert again.returncode == 1 and "exists" in again.stderr
    checked = recado.run("store", "check", "--data", recado.data)
    assert (checked.returncode, checked.stdout) == (0, "ok\n"), checked.stderr
    checked = recado.run("store", "check", copy)
    assert (checked.returncode, checked.stdout) == (0, "ok\n"), checked.stderr
    recado.stop()
    for end in ("-wal", "-shm"):
        (recado.data / f"recado.db{end}").unlink(missing_ok=True)
    copy.replace(recado.data / "recado.db")
    recado.start()
    load.acknowledged = before
    load.check()
    # What came after the copy was seen, and is not there: its offsets are given to others.
    assert history(recado, "kept:0", limit=0)[1]["offset"] < seen["offset"]
    assert resume(recado, "kept:0", place)[0]
    assert not resume(recado, "kept:0", seen)[0]
    for n in range(200):
        publish(recado, "kept:0", n)
    assert not resume(recado, "kept:0", seen)[0]


def test_what_cannot_be_copied(cli, tmp_path):
    assert cli("store", "check", "--data", tmp_path / "nowhere").returncode == 1
    (tmp_path / "recado.db").write_bytes(b"this is no database\n" * 500)
    done = cli("store", "check", "--data", tmp_path)
    assert done.returncode == 1 and "not a database" in done.stderr
    done = cli("store", "check", tmp_path / "nowhere.db")
    assert done.returncode == 1 and not (tmp_path / "nowhere.db").exists()
    done = cli("store", "backup", tmp_path / "to", env={"RECADO_STORE": "mysql://u:s3cret@h/d"})
    assert done.returncode == 1 and "s3cret" not in done.stderr
    assert not (tmp_path / "to").exists()
