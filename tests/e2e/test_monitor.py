"""The machine's figures over REST: now, over the last day, and after a restart."""

import json
import sqlite3
import time

import jwt
import pytest

SECRET = "0123456789abcdef0123456789abcdef"


def history(server, query="", headers=None):
    status, _, answer = server.get("/api/monitor/history" + query, headers)
    answer = json.loads(answer)
    assert status == 200, answer
    times = [sample["time"] for sample in answer["samples"]]
    assert times == sorted(set(times))
    return answer


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def server(start_recado):
    server = start_recado("monitor: {interval: 1s}\nloops: 2\n")
    wait_for(lambda: len(history(server, "?step=1s")["samples"]) >= 3)
    return server


def test_now(server):
    status, _, answer = server.get("/api/monitor")
    figures = json.loads(answer)
    assert status == 200
    assert set(figures) == {"cpu", "memory", "gpu", "disk", "network", "processes", "time"}
    assert 0 <= figures["cpu"]["usage"] <= 100 and figures["memory"]["total"] > 0
    assert figures["time"].endswith("Z")


def test_the_last_day(server):
    answer = history(server, "?range=1h&step=1s")
    assert answer["interval_ms"] == answer["step_ms"] == 1000
    now = time.time() * 1000
    for sample in answer["samples"]:
        assert set(sample) == {"time", "cpu", "memory", "disk", "rx", "tx", "gpu", "temperature"}
        assert 0 < sample["memory"] <= 100 and 0 < sample["disk"] <= 100
        assert sample["cpu"] is None or 0 <= sample["cpu"] <= 100
        assert abs(now - sample["time"]) < 120000
    assert history(server)["step_ms"] == 87000  # about a thousand points of a day
    first, last = answer["samples"][0]["time"], answer["samples"][-1]["time"]
    one = history(server, f"?from={first}&to={first}&step=1s")["samples"]
    assert [sample["time"] for sample in one] == [first]
    minutes = history(server, f"?from={first}&to={last}&step=60s")
    assert minutes["step_ms"] == 60000
    assert {sample["time"] % 60000 for sample in minutes["samples"]} == {0}
    assert len(minutes["samples"]) <= 2
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first / 1000 - 10))
    assert history(server, f"?from={iso}&step=1s")["samples"][0]["time"] == first
    assert history(server, "?from=2020-01-01&to=2020-01-02")["samples"] == []
    for query in ("?range=long", "?from=x", "?step=0", "?to=tomorrow", "?range=9999d"):
        status, _, answer = server.get("/api/monitor/history" + query)
        assert status == 400 and json.loads(answer)["error"]["message"], query


def test_they_outlive_a_kill(server):
    before = history(server, "?step=1s")["samples"]
    wait_for(lambda: history(server, "?step=1s")["samples"][-1]["time"] > before[-1]["time"])
    server.kill()
    server.start()
    after = history(server, "?step=1s")["samples"]
    assert after[:len(before)] == before
    wait_for(lambda: len(history(server, "?step=1s")["samples"]) > len(after))


def test_a_day_is_kept_however_often_they_are_taken(start_recado):
    """Readings of another interval, and of before, are what a server finds that is started anew."""
    server = start_recado("monitor: {interval: 1h}\nloops: 2\n")
    wait_for(lambda: len(history(server)["samples"]) == 1)
    server.stop()
    newest = int(time.time() * 1000) - 20000
    times = range(newest - 30 * 3600 * 1000, newest, 10000)
    with sqlite3.connect(f"{server.data}/recado.db") as db:
        db.execute("DELETE FROM recado_figures")
        db.executemany("INSERT INTO recado_figures (at, cpu, memory, disk, rx, tx) VALUES (?, 1, 2, 3, 4, 5)",
                       [(at,) for at in times])
    db.close()
    server.start()
    wait_for(lambda: server.get("/api/monitor")[0] == 200)
    answer = history(server, "?range=48h&step=1h")
    now = answer["samples"][-1]["time"]
    assert answer["interval_ms"] == answer["step_ms"] == 3600000
    assert 24 <= len(answer["samples"]) <= 26 and now % 3600000 == 0
    assert answer["samples"][0]["time"] > now - 25 * 3600 * 1000  # and nothing older
    count = lambda: sqlite3.connect(f"file:{server.data}/recado.db?mode=ro", uri=True).execute(
        "SELECT count(*) FROM recado_figures").fetchone()[0]
    wait_for(lambda: 8630 < count() < 8650)


def test_who_may_look(start_recado):
    server = start_recado(f"auth: {{hmac_secret: {SECRET}, api_keys: [a-key]}}\n")
    token = jwt.encode({"sub": "ana", "exp": int(time.time()) + 600}, SECRET, "HS256")
    assert server.get("/api/monitor/history")[0] == 401
    history(server, headers={"X-API-Key": "a-key"})
    history(server, headers={"Authorization": "Bearer " + token})
