"""Log lines: posted ones and Recado's own, streamed with filters, kept, and asked for again."""

import asyncio
import json
import sqlite3
import threading
import time

import jwt
import pytest
import websockets
from websockets.sync.client import connect

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "a key of the back end"


def read(server, query="", headers=None):
    status, _, answer = server.get("/api/logs" + query, headers)
    answer = json.loads(answer)
    assert status == 200, answer
    return answer["logs"], answer["has_more"]


def messages(server, query="?source=test"):
    return [line["message"] for line in read(server, query)[0]]


def post(server, body, headers=None):
    status, _, answer = server.post("/api/logs", body, headers)
    assert status == 200, answer
    return json.loads(answer)["accepted"]


def follow(server, query=""):
    socket = connect(server.ws("/ws/logs" + query), max_queue=None).__enter__()
    assert json.loads(socket.recv(timeout=20))["type"] == "connection"
    return socket


def next_line(socket):
    while True:
        event = json.loads(socket.recv(timeout=60))
        if event["type"] == "log_message":
            return event


def test_all_forms(start_recado):
    server = start_recado("loops: 2\n")
    with follow(server, "?source=test") as socket:
        assert post(server, {"level": "ERROR", "message": "um: ação", "source": "test",
                             "time": "2026-11-30T08:15:30.5Z"}) == 1
        event = next_line(socket)
        assert event["data"] == {"level": "ERROR", "message": "um: ação", "source": "test",
                                 "time": "2026-11-30T08:15:30.500Z", "seq": event["data"]["seq"]}
        assert sorted(event) == ["data", "message_id", "timestamp", "type"]
        assert post(server, [{"message": "a", "source": "test"}, {"message": "b", "source": "test"}]) == 2
        assert post(server, {"logs": [{"message": "c", "source": "test", "level": None}]}) == 1
        assert post(server, '{"message":"d","source":"test"}\n{"message":"e","source":"test","time":1764000000}\n') == 2
        assert post(server, []) == 0
        assert [next_line(socket)["data"]["message"] for _ in range(5)] == ["a", "b", "c", "d", "e"]
    lines, more = read(server, "?source=test")
    assert [line["message"] for line in lines] == ["um: ação", "a", "b", "c", "d", "e"] and not more
    assert lines[-1]["time"] == "2025-11-24T16:00:00.000Z" and lines[1]["level"] == "info"
    assert all(set(line) == {"seq", "time", "level", "source", "message"} for line in lines)


@pytest.mark.parametrize("body, words", [
    ("", "value"), ("{", "byte 1"), ("[1]", "object"), ('{"level":"info"}', "no message"),
    ('{"message":1}', "string"), ('{"message":"a"}\n{"message":', "value"),
    ('{"message":"a","time":"soon"}', "time"), ('{"message":"a","source":{}}', "string"),
    ('{"message":"\\ud800"}', "surrogate"), ('{"logs":{}}', "array"),
    ('{"message":"a","tenant":"a"}\n{"message":"b","tenant":"b"}', "tenant"),
    ('[{"message":"a","tenant":"a"},{"message":"b"}]', "tenant"),
    ('{"logs":[{"message":"a","tenant":"a"}],"tenant":"b"}', "tenant")])
def test_what_cannot_be_read(shared_recado, body, words):
    status, _, answer = shared_recado.post("/api/logs?tenant=unreadable", body)
    message = json.loads(answer)["error"]["message"]
    assert status == 400 and message.startswith("body: ") and words in message, message
    assert "byte" in message
    assert read(shared_recado, "?tenant=unreadable") == ([], False)


def test_filters_and_pages(start_recado):
    server = start_recado()
    rows = [("debug", "a"), ("info", "a"), ("warn", "b"), ("critical", "a"), ("unheard", "b")]
    post(server, [{"level": level, "source": source, "message": f"{level} of {source}"}
                  for level, source in rows])
    assert messages(server, "?level=warning") == ["warn of b", "critical of a"]
    assert messages(server, "?source=a&level=info") == ["info of a", "critical of a"]
    assert messages(server, "?q=OF%20B") == ["warn of b", "unheard of b"]
    lines, more = read(server, "?q=of&limit=2")
    assert [line["message"] for line in lines] == ["critical of a", "unheard of b"] and more
    lines, more = read(server, f"?q=of&limit=3&before={lines[0]['seq']}")
    assert [line["message"] for line in lines] == ["debug of a", "info of a", "warn of b"] and not more
    for query in ("?level=loud", "?limit=0", "?limit=5000", "?before=x"):
        assert server.get("/api/logs" + query)[0] == 400


def test_levels_and_sources_of_the_stream(start_recado):
    server = start_recado("loops: 3\nlogs: {own: false}\n")
    rows = [("debug", "api"), ("info", "api"), ("warning", "worker"), ("error", "api")]
    wanted = {"": ["info api", "warning worker", "error api"],
              "?level=debug": ["debug api", "info api", "warning worker", "error api"],
              "?level=ERROR": ["error api"], "?source=worker": ["warning worker"],
              "?level=warning&source=api": ["error api"]}
    sockets = {query: follow(server, query) for query in wanted}
    post(server, [{"level": level, "source": source, "message": f"{level} {source}"}
                  for level, source in rows] + [{"level": "error", "source": "api", "message": "end"},
                                                {"level": "error", "source": "worker", "message": "end"}])
    for query, want in wanted.items():
        got = []
        while not got or got[-1] != "end":
            got.append(next_line(sockets[query])["data"]["message"])
        assert got[:-1] == want, query
        sockets[query].close()


def test_recados_own_lines(start_recado):
    server = start_recado("log: {level: debug}\nauth: {default_tenant: home}\n")
    own, end = [], time.monotonic() + 60
    while not any("is ready" in line for line in own):  # they come there behind what they tell of
        assert time.monotonic() < end
        own = messages(server, "?source=recado&tenant=home")
    assert any("listening on" in line for line in own)
    assert read(server, "?tenant=default") == ([], False)
    with follow(server, "?level=debug&source=recado") as socket:
        with pytest.raises(websockets.InvalidStatus):
            connect(server.ws("/ws/agents?organizationId=a&userId=b"), origin="http://evil.example").__enter__()
        event = next_line(socket)
        assert event["data"]["level"] == "debug" and "evil.example" in event["data"]["message"]
        assert event["data"]["source"] == "recado"
    with connect(server.ws("/ws/notifications")) as board:  # boards never had them
        assert json.loads(board.recv(timeout=20))["type"] == "connection"
        with pytest.raises(websockets.InvalidStatus):
            connect(server.ws("/ws/agents?organizationId=a&userId=b"), origin="http://evil.example").__enter__()
        post(server, {"message": "posted", "source": "test"})
        assert next_line(board)["data"]["message"] == "posted"
    quiet = start_recado("logs: {own: false}\n")
    assert read(quiet, "?source=recado") == ([], False)


def test_an_unmodified_client_sees_no_old_lines(start_recado):
    server = start_recado("logs: {own: false}\n")
    post(server, [{"message": f"{i}", "source": "test"} for i in range(10)])
    with follow(server) as socket:
        post(server, {"message": "new", "source": "test"})
        assert next_line(socket)["data"]["message"] == "new"


def test_a_tail(start_recado):
    server = start_recado("loops: 3\n")
    post(server, [{"message": f"{i}", "source": "test", "level": "error" if i % 2 else "info"}
                  for i in range(100)])
    with follow(server, "?tail=5&source=test") as socket:
        post(server, {"message": "new", "source": "test"})
        assert [next_line(socket)["data"]["message"] for _ in range(6)] == [
            "95", "96", "97", "98", "99", "new"]
    with follow(server, "?tail=3&source=test&level=error") as socket:
        assert [next_line(socket)["data"]["message"] for _ in range(3)] == ["95", "97", "99"]
    with follow(server, "?tail=0&source=test") as socket:
        post(server, {"message": "newer", "source": "test"})
        assert next_line(socket)["data"]["message"] == "newer"
    status, _, answer = server.get("/ws/logs?tail=many", {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert status == 400 and b"tail" in answer


def test_the_seam_of_a_tail(start_recado):
    """Who comes with a tail while lines are posted hears each line once, in order."""
    server = start_recado("loops: 3\n")
    stop = threading.Event()
    posted = []

    def write():
        while not stop.is_set():
            rows = [{"message": str(len(posted) + i), "source": "test"} for i in range(20)]
            post(server, rows)
            posted.extend(rows)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            with follow(server, "?tail=1000&source=test") as socket:
                numbers = [int(next_line(socket)["data"]["message"]) for _ in range(300)]
            assert numbers == list(range(numbers[0], numbers[0] + 300))
    finally:
        stop.set()
        writer.join()


def test_they_outlive_a_kill(start_recado):
    server = start_recado()
    post(server, [{"message": f"{i}", "source": "test"} for i in range(50)])
    seq = read(server, "?source=test&limit=1")[0][0]["seq"]
    end = time.monotonic() + 60
    while True:  # rows follow a second behind
        with sqlite3.connect(f"file:{server.data}/recado.db?mode=ro", uri=True) as db:
            if db.execute("SELECT count(*) FROM recado_logs WHERE source = 'test'").fetchone()[0] == 50:
                break
        assert time.monotonic() < end
        time.sleep(0.05)
    server.kill()
    server.start()
    assert messages(server) == [str(i) for i in range(50)]
    post(server, {"message": "after", "source": "test"})
    lines = read(server, "?source=test&limit=1")[0]
    assert lines[0]["message"] == "after" and lines[0]["seq"] > seq
    server.stop()  # what was logged last is written as well
    server.start()
    assert messages(server)[-1] == "after"


def test_a_store_that_takes_no_lines(start_recado):
    """Something is wrong with their table: it is said once, and made up for."""
    server = start_recado("logs: {keep: 200}\n")
    post(server, {"message": "before", "source": "test"})

    def script(text):
        with sqlite3.connect(server.data / "recado.db", timeout=30) as db:
            db.execute(text)
        db.close()

    script("ALTER TABLE recado_logs RENAME TO hidden")
    post(server, [{"message": str(i), "source": "test"} for i in range(300)])
    server.wait_log("lines cannot be written to the store")
    post(server, {"message": "meanwhile", "source": "test"})
    script("ALTER TABLE hidden RENAME TO recado_logs")
    post(server, {"message": "after", "source": "test"})
    server.wait_log("lines are written to the store again")
    server.stop()
    assert server.log.count("lines cannot be written") == 1
    server.start()
    assert messages(server, "?source=test&limit=1000")[-3:] == ["299", "meanwhile", "after"]


def test_tenants(start_recado):
    server = start_recado(f"auth: {{hmac_secret: {SECRET}, api_keys: [{KEY}]}}\n")
    key = {"X-API-Key": KEY}

    def token(org):
        return jwt.encode({"sub": "ana", "org": org, "exp": int(time.time()) + 600}, SECRET, "HS256")

    assert server.post("/api/logs", {"message": "x"})[0] == 401
    assert post(server, {"logs": [{"message": "of acme"}], "tenant": "acme"}, key) == 1
    assert post(server, [{"message": "a", "tenant": "lines"}, {"message": "b", "tenant": "lines"}], key) == 2
    assert [line["message"] for line in read(server, "?tenant=lines", key)[0]] == ["a", "b"]
    with connect(server.ws("/ws/logs?tail=10&token=" + token("acme"))) as socket:
        assert json.loads(socket.recv(timeout=20))["type"] == "connection"
        assert next_line(socket)["data"]["message"] == "of acme"
        server.post("/api/logs?tenant=acme", {"message": "more"}, key)
        assert next_line(socket)["data"]["message"] == "more"
    with connect(server.ws("/ws/logs?tail=10&token=" + token("other"))) as socket:
        assert json.loads(socket.recv(timeout=20))["type"] == "connection"
        post(server, {"logs": [{"message": "of other"}], "tenant": "other"}, key)
        assert next_line(socket)["data"]["message"] == "of other"
    bearer = {"Authorization": "Bearer " + token("acme")}
    assert [line["message"] for line in read(server, "", bearer)[0]] == ["of acme", "more"]
    assert server.get("/api/logs?tenant=other", bearer)[0] == 403
    assert server.post("/api/logs", {"message": "ending", "source": "recado"}, bearer)[0] == 400
    assert server.post("/api/logs", {"message": "by a client", "source": "page"}, bearer)[0] == 200


def test_a_noisy_tenant_pushes_out_its_own_lines(start_recado):
    server = start_recado("logs: {keep: 300, own: false}\n")
    post(server, {"logs": [{"message": f"{i}"} for i in range(10)], "tenant": "quiet"})
    for part in range(5):
        post(server, {"logs": [{"message": f"{part} {i}"} for i in range(200)], "tenant": "noisy"})
    for _ in range(2):
        lines = read(server, "?tenant=quiet&limit=1000")[0]
        assert [line["message"] for line in lines] == [str(i) for i in range(10)]
        lines = read(server, "?tenant=noisy&limit=1000")[0]
        assert len(lines) == 290 and lines[-1]["message"] == "4 199"
        server.stop()
        server.start()


async def test_many_lines_to_many_readers(start_recado):
    """10,000 lines as fast as they go, 100 readers: everybody hears all of them in order."""
    server = start_recado("loops: 2\n")
    total, readers = 10000, 100

    async def reader():
        async with websockets.connect(server.ws("/ws/logs?source=test"), max_queue=None) as socket:
            assert json.loads(await socket.recv())["type"] == "connection"
            ready.release()
            numbers = []
            while len(numbers) < total:
                event = json.loads(await socket.recv())
                if event["type"] == "log_message":
                    numbers.append(int(event["data"]["message"]))
            return numbers

    def write():
        for from_ in range(0, total, 500):
            post(server, [{"message": str(i), "source": "test"} for i in range(from_, from_ + 500)])

    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(reader()) for _ in range(readers)]
    for _ in range(readers):
        await ready.acquire()
    await asyncio.to_thread(write)
    for numbers in await asyncio.gather(*tasks):
        assert numbers == list(range(total))
    lines, more = await asyncio.to_thread(read, server, "?source=test&limit=1000")
    assert [line["message"] for line in lines] == [str(i) for i in range(9000, 10000)] and more
