"""chat.keep: conversations that nobody has spoken in for so long go, and nothing else does."""

import contextlib
import sqlite3
import time

from test_chat import api, chat, messages, native, until  # noqa: F401
from upstream import text

LONG_AGO = 1000  # a second after 1970 began


def change(server, *statements):
    """In the database of a server that has ended."""
    with contextlib.closing(sqlite3.connect(server.data / "recado.db")) as db:
        for statement, *rows in statements:
            db.executemany(statement, rows[0]) if rows else db.execute(statement)
        db.commit()


def conversations(server):
    return [c["id"] for c in api(server, "/api/chat/conversations?limit=500")["conversations"]]


def kept(server, channel):
    got = server.api("history", {"channel": channel, "limit": 100})["result"]["publications"]
    return [p["data"]["content"] for p in got]


def figure(server, name):
    lines = server.get("/metrics")[2].decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def test_old_conversations_go_with_all_that_is_theirs(chat):  # noqa: F811
    server = chat("words?n=2", "chat: {keep: 1h}")
    for conversation in (1, 2, 3):
        api(server, "/api/chat", {"message": "a", "conversation_id": conversation, "wait": True})
    until(lambda: len(kept(server, "chat:1")) == len(kept(server, "chat:2")) == 2)
    server.stop()
    rows = [(id, 3) for id in range(1000, 2700)]
    change(server, ("INSERT INTO recado_messages (id, tenant, conversation, role, content, state,"
                    " created, updated) VALUES (?, 'default', ?, 'user', 'x', 'complete', 1, 1)",
                    rows),
           (f"UPDATE recado_conversations SET updated = {LONG_AGO} WHERE id IN (1, 3)",))
    server.start()
    until(lambda: conversations(server) == [2])
    assert messages(server, 1) == messages(server, 3) == [] == kept(server, "chat:1")
    assert [m["content"] for m in messages(server, 2)] == kept(server, "chat:2") == ["a", text(2)]
    until(lambda: figure(server, "recado_chat_forgotten_total") == 2)
    until(lambda: "2 conversations older than chat.keep are gone" in server.log)
    made = api(server, "/api/chat", {"message": "b", "conversation_id": 1, "wait": True})
    assert made["message"]["id"] > 6 and len(messages(server, 1)) == 2  # a number may come again
    server.stop()
    server.start()
    assert sorted(conversations(server)) == [1, 2] and kept(server, "chat:1") == ["b", text(2)]


def test_a_crash_among_them(chat):  # noqa: F811
    server = chat("words?n=1", "chat: {keep: 1h}")
    api(server, "/api/chat", {"message": "a", "conversation_id": 9000, "wait": True})
    server.stop()
    change(server, ("INSERT INTO recado_conversations (tenant, id, message_count, created, updated)"
                    f" VALUES ('default', ?, 0, 1, {LONG_AGO})", [(id,) for id in range(1, 400)]))
    server.start()
    until(lambda: figure(server, "recado_chat_forgotten_total") > 0)
    server.kill()
    server.start()
    until(lambda: conversations(server) == [9000])
    assert len(messages(server, 9000)) == len(kept(server, "chat:9000")) == 2


def test_they_stay_where_nothing_is_said(chat):  # noqa: F811
    server = chat("words?n=1")
    api(server, "/api/chat", {"message": "a", "wait": True})
    server.stop()
    change(server, (f"UPDATE recado_conversations SET updated = {LONG_AGO}",))
    server.start()
    time.sleep(2)  # the first look would come after one
    assert conversations(server) == [1]


def test_one_in_which_somebody_speaks_again_keeps_its_history(chat):  # noqa: F811
    server = chat("words?n=1", "chat: {keep: 1h}")
    for conversation in range(1, 6):
        api(server, "/api/chat", {"message": "a", "conversation_id": conversation, "wait": True})
    until(lambda: all(len(kept(server, f"chat:{c}")) == 2 for c in range(1, 6)))
    server.stop()
    rows = [(id,) for id in range(1000, 151000)]  # the first takes a while
    change(server, ("INSERT INTO recado_messages (id, tenant, conversation, role, content, state,"
                    " created, updated) VALUES (?, 'default', 1, 'user', 'x', 'complete', 1, 1)",
                    rows),
           (f"UPDATE recado_conversations SET updated = {LONG_AGO} + id",))
    server.start()
    until(lambda: kept(server, "chat:1") == [])
    for conversation in (2, 3, 4):
        api(server, "/api/chat", {"message": "b", "conversation_id": conversation, "wait": True})
    until(lambda: sorted(conversations(server)) == [2, 3, 4])
    for conversation in (2, 3, 4):
        there = [m["content"] for m in messages(server, conversation)]
        assert there[-2:] == ["b", text(1)]
        until(lambda channel=f"chat:{conversation}": text(1) in kept(server, channel)[1:])
        assert kept(server, f"chat:{conversation}") == there
    made = api(server, "/api/chat", {"message": "c", "conversation_id": 5, "wait": True})
    assert len(messages(server, 5)) == 2 and made["answer"]["state"] == "complete"
