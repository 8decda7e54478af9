"""A model's server that is away, answers with what is no answer, or names things as it should not:
what clients are told, what is kept, and what the operator reads."""

import concurrent.futures
import http.client
import json
import urllib.parse
import uuid

import pytest

from test_chat import until
from test_openai import TYPE, asked, cancel, config, history, post
from upstream import Upstream, text


def ask(server, message="a", **fields):
    status, _, body = server.post("/api/chat", {"message": message, "wait": True, **fields})
    assert status == 200, body
    return json.loads(body)["answer"]


def lines_about(server, words):
    return [line for line in server.log.splitlines() if words in line]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_model_that_is_away_and_comes_back(start_recado, retries):
    upstream = Upstream().start()
    url = f"http://someone:secret@127.0.0.1:{upstream.port}/v1"
    server = start_recado(config(upstream, url=url, retries=retries))
    shown = f"http://127.0.0.1:{upstream.port}/v1"
    for times in (1, 2):
        upstream.stop()
        for _ in range(3):
            answer = ask(server)
            assert answer["state"] == "failed"
            assert answer["error"].startswith(f"the model's server cannot be reached: {shown}: ")
            status, _, body = post(server.address, "words")
            assert status == 502 and shown in json.loads(body)["error"]["message"]
        upstream.start()
        for _ in range(3):
            assert ask(server)["state"] == "complete"
        until(lambda: len(lines_about(server, "answers again")) == times)
        assert len(lines_about(server, "cannot be reached")) == times
    assert "warn" in lines_about(server, "cannot be reached")[0].lower()
    assert f"tries that failed: {3 * (retries + 1) + 3}" in lines_about(server, "answers again")[0]
    for line in lines_about(server, "model's server at"):
        assert shown in line and "secret" not in line and "someone" not in line
    upstream.stop()


@pytest.mark.parametrize("status", [101, 301, 302, 304, 307])
def test_heads_that_are_no_answer_fail_at_once(start_recado, upstream, status):
    """The time-outs are of an hour: who waited for one would wait in vain."""
    server = start_recado(config(upstream, timeout="1h", idle_timeout="1h", answer_timeout="1h"))
    model = f"odd?status={status}"
    answer = ask(server, model=model)
    assert answer["state"] == "failed" and answer["content"] == ""
    assert answer["error"] == ("what answers is not a model: it does not speak the OpenAI protocol "
                               f"({status})")
    assert upstream.calls == 1  # asking again would not help
    for stream in (True, False):
        for headers in ({}, {"X-Recado-Channel": "answer:1"}):
            got, told, body = post(server.address, model, stream, **headers)
            assert got == 502 and "Location" not in told
            assert json.loads(body)["error"]["code"] == "garbage", body
    assert history(server, "answer:1") == []
    assert ask(server, model="words?n=2")["content"] == text(2)


NAMES = ['""', '"\\ud800"', '"a\\u0000b"', "1e999", "-1", "0.5", "123456789012345678901234567890",
         '"' + "x" * 4000 + '"', '{"a": [1]}', "null"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12])
def test_an_answer_without_a_name_that_can_be_one(start_recado, upstream, name):
    """A message of a channel has a name that its readers can tell from others all the same."""
    server = start_recado(config(upstream))
    upstream.script = "words?n=2&" + urllib.parse.urlencode({"id": name, "named": name})
    for stream in (True, False):
        status, _, body = post(server.address, "m", stream, **{"X-Recado-Channel": "answer:1"})
        assert status == 200, body
    answer = ask(server)
    assert answer["state"] == "complete" and answer["content"] == text(2)
    kept = history(server, "answer:1")
    assert [m["content"] for m in kept] == [text(2)] * 2
    assert all(str(uuid.UUID(m["id"])) == m["id"] for m in kept) and kept[0]["id"] != kept[1]["id"]
    for words in [m.get("model") or "" for m in [*kept, answer]]:
        assert len(words) <= 255 and "\0" not in words and words.encode() is not None


@pytest.mark.parametrize("key", ["id", "named"])
@pytest.mark.parametrize("name", ['"\xff"', '"\xed\xa0\x80"', '"a\nb"', '"a'], ids=ascii)
def test_a_name_that_is_not_json(start_recado, upstream, name, key):
    server = start_recado(config(upstream))
    upstream.script = "words?n=2&" + urllib.parse.urlencode({key: name})
    answer = ask(server)
    assert answer["state"] == "failed" and answer["error"].startswith("what answers is not a model")
    for stream in (True, False):
        post(server.address, "m", stream, **{"X-Recado-Channel": "answer:1"})
    for message in history(server, "answer:1"):
        assert message["state"] == "failed" and str(uuid.UUID(message["id"])) == message["id"]


# ---- longer than a message of a channel may be ----

FAT = "gate?n=8&fat=300000"  # the fourth token is too much
ROOM = "client: {out_max: 16MiB}\n"  # for a reader who has not read yet


def begin(server, upstream, tokens):
    """A reader of an answer that goes into a channel; so many tokens of it were given."""
    wire = http.client.HTTPConnection(server.address, timeout=60)
    wire.request("POST", "/v1/chat/completions", asked(FAT), {**TYPE, "X-Recado-Channel": "answer:1"})
    upstream.release(tokens)
    return wire, wire.getresponse()


def the_record_is_over(server):
    until(lambda: [m["state"] for m in history(server, "answer:1")] == ["failed"])
    [kept] = history(server, "answer:1")
    assert len(kept["content"]) > 900000
    assert kept["error"] == "longer than a message of a channel may be"


def test_a_record_that_is_full_ends_an_answer_without_reader(start_recado, upstream):
    server = start_recado(config(upstream, ROOM))
    wire, _ = begin(server, upstream, 1)
    wire.close()
    upstream.release(4)
    the_record_is_over(server)
    upstream.wait(lambda u: u.cancelled == 1)
    assert upstream.tokens < 8


def test_whoever_reads_on_gets_the_whole(start_recado, upstream):
    server = start_recado(config(upstream, ROOM))
    wire, answer = begin(server, upstream, 1)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = pool.submit(answer.read)
        upstream.release(4)
        the_record_is_over(server)
        cancel(server, "answer:1", 0)
        upstream.release(3)
        body = read.result(60)
    assert body.count(b"x" * 300000) == 8 and body.rstrip().endswith(b"data: [DONE]")
    assert upstream.cancelled == 0
    wire.close()


def test_a_reader_who_leaves_a_full_record_ends_the_answer(start_recado, upstream):
    server = start_recado(config(upstream, ROOM))
    wire, _ = begin(server, upstream, 5)
    the_record_is_over(server)
    wire.close()
    upstream.wait(lambda u: u.cancelled == 1)
