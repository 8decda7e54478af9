"""Clients of the five dialects that want what is others', or more than there is."""

import json

from hostile import request, until, wire_to

COUNCILS_MAX = 10000


def ask_many(server, paths, at_once=100):
    """All of them over one connection, pipelined; every answer must be a good one."""
    with wire_to(server) as wire:
        for begin in range(0, len(paths), at_once):
            some = paths[begin:begin + at_once]
            wire.send("".join(request("GET", path) for path in some))
            for path in some:
                status, _, body = wire.read_response()
                assert status == 200, (path, status, body)


def recent(server, tenant):
    events = json.loads(server.get(f"/api/tasks/events?tenant={tenant}")[2])["events"]
    return [e["data"]["n"] for e in events]


def test_tenants_that_nobody_has(start_recado):
    """Where there are no tokens anybody names tenants; whoever does so takes nobody's place."""
    server = start_recado("loops: 3\n")
    event = {"type": "task_picked", "tenant": "early", "data": {"n": 1}}
    assert server.post("/api/internal/task-event", event)[0] == 200
    ask_many(server, [f"/api/tasks/events?tenant=nobody{i}" for i in range(COUNCILS_MAX + 10)])
    for tenant in ("early", "late"):
        event = {"type": "task_picked", "tenant": tenant, "data": {"n": 2}}
        assert server.post("/api/internal/task-event", event)[0] == 200
        expected = [2, 1] if tenant == "early" else [2]
        until(f"{expected} is told to {tenant}", lambda: recent(server, tenant) == expected)
