"""The native dialect with the official clients for JavaScript and Python, and by hand where the
clients would never go: wrong commands, codes of errors and disconnects."""

import asyncio
import json
import time

import jwt
import pytest
import websockets
from centrifuge import (
    CentrifugeError, Client, ClientEventHandler, Filter, SubscriptionEventHandler)

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = f"""
auth: {{ hmac_secret: "{SECRET}" }}
namespaces:
  "": {{ publish: true }}
  open: {{ history: 100, publish: true, presence: true, join_leave: true }}
  short: {{ history: 3, publish: true }}
  long: {{ history: 10000, history_bytes: 16MiB, publish: true }}
  quiet: {{ history: 0, publish: false, presence: false }}
  closed: {{ history: 100, subscribe: false }}
  cached: {{ history: 10, cache: true }}
"""


def token(sub="ana", seconds=3600, secret=SECRET, **claims):
    if seconds is not None:
        claims["exp"] = int(time.time()) + seconds
    return jwt.encode({"sub": sub, **claims}, secret, algorithm="HS256")


@pytest.fixture
def server(start_recado):
    return start_recado(CONFIG)


# With the official client for JavaScript.

@pytest.mark.parametrize("case", [
    "publish", "refusals", "history", "presence", "recover", "not_recovered", "recover_much",
    "filter", "pattern", "server_side", "subscription_token", "expired_token", "bad_token",
    "disconnect_by_api", "many_channels"])
def test_centrifuge_js(server, run_node, case):
    run_node("native.mjs", case, json.dumps({
        "ws": server.ws_url, "api": server.url,
        "ana": token("ana", info={"name": "Ana"}), "bob": token("bob", info={"name": "Bob"}),
        "expired": token("ana", -10), "bad": token("ana", secret="another" * 6),
        "subs": token("ana", subs={"closed:mine": {}}),
        "sub": token("ana", channel="closed:a"),
    }))


def test_centrifuge_js_refreshes(server, run_node):
    run_node("native.mjs", "refresh", json.dumps({
        "ws": server.ws_url, "api": server.url,
        "tokens": [token("ana", 2), token("ana", 3600)],
        "subTokens": [token("ana", 2, channel="closed:a"), token("ana", 3600, channel="closed:a")],
    }))


def test_centrifuge_js_answers_pings(start_recado, run_node):
    server = start_recado(CONFIG + "websocket: { ping_interval: 300ms, pong_timeout: 200ms }\n")
    run_node("native.mjs", "pings", json.dumps({"ws": server.ws_url, "api": server.url}))


# With the official client for Python.

class Events(SubscriptionEventHandler):
    def __init__(self):
        self.publications = asyncio.Queue()
        self.subscribed = asyncio.Queue()
        self.joins = asyncio.Queue()

    async def on_publication(self, ctx):
        await self.publications.put(ctx.pub)

    async def on_subscribed(self, ctx):
        await self.subscribed.put(ctx)

    async def on_join(self, ctx):
        await self.joins.put(ctx.info)


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 20)


async def test_centrifuge_python(server):
    async def get_token(_=None):
        return token("ana", info={"name": "Ana"})

    client = Client(server.ws_url, events=ClientEventHandler(), get_token=get_token)
    await client.connect()
    await client.ready()
    events = Events()
    sub = client.new_subscription("open:py", events=events, join_leave=True)
    await sub.subscribe()
    await sub.ready()
    await sub.publish({"n": 1})
    pub = await soon(events.publications.get())
    assert (pub.data, pub.offset, pub.info.user) == ({"n": 1}, 1, "ana")
    assert pub.info.conn_info == {"name": "Ana"}
    server.publish("open:py", "x", type="done")
    assert (await soon(events.publications.get())).tags == {"type": "done"}
    history = await sub.history(limit=-1)
    assert [p.data for p in history.publications] == [{"n": 1}, "x"]
    presence = await sub.presence()
    assert [i.user for i in presence.clients.values()] == ["ana"]
    stats = await sub.presence_stats()
    assert (stats.num_clients, stats.num_users) == (1, 1)
    with pytest.raises(CentrifugeError) as refused:
        await client.rpc("nothing", {})
    assert refused.value.code == 104

    await soon(events.subscribed.get())
    await client.disconnect()
    server.publish("open:py", "missed")
    await client.connect()
    assert (await soon(events.publications.get())).data == "missed"
    again = await soon(events.subscribed.get())
    assert again.was_recovering and again.recovered
    await client.disconnect()


async def test_an_event_longer_than_what_may_wait_is_recovered(start_recado):
    """client.out_max bounds what waits for a client, and not what can be said to it."""
    server = start_recado("namespaces: {long: {history: 10, history_bytes: 16MiB, ttl: 1h, recover: true}}\n"
                          "client: {out_max: 64KiB}\n")
    long = "x" * 1_000_000
    for _ in range(2):
        server.publish("long:a", long)
    epoch = server.api("history", {"channel": "long:a", "limit": 0})["result"]["epoch"]
    async with websockets.connect(server.ws_url, max_size=None) as ws:
        subscribe = {"channel": "long:a", "recover": True, "epoch": epoch, "offset": 0}
        await ws.send('{"id": 1, "connect": {}}\n' + json.dumps({"id": 2, "subscribe": subscribe}))
        got = []
        while len(got) < 2:
            for line in (await soon(ws.recv())).splitlines():
                reply = json.loads(line)
                got += reply.get("subscribe", {}).get("publications", [])
                got += [reply["push"]["pub"]] if "pub" in reply.get("push", {}) else []
        assert [(pub["offset"], len(pub["data"])) for pub in got] == [(1, len(long)), (2, len(long))]


async def test_centrifuge_python_filters(server):
    client = Client(server.ws_url)
    await client.connect()
    events = Events()
    sub = client.new_subscription("open:pf", events=events,
                                  tags_filter=Filter.is_in("type", ["a", "b"]))
    await sub.subscribe()
    await sub.ready()
    for n, kind in enumerate(["a", "c", "b"]):
        server.publish("open:pf", n, type=kind)
    got = [(await soon(events.publications.get())).data for _ in range(2)]
    assert got == [0, 2]
    await client.disconnect()


# By hand.

class Wire:
    """One connection; messages as parsed JSON, several in a frame one after the other."""

    def __init__(self, server, query="", **more):
        self.opening = websockets.connect(server.ws_url + query, **more)
        self.waiting = []

    async def __aenter__(self):
        self.ws = await self.opening.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.opening.__aexit__(*error)

    async def send(self, *commands):
        await self.ws.send("\n".join(
            c if isinstance(c, str) else json.dumps(c) for c in commands))

    async def next(self):
        while not self.waiting:
            self.waiting = [json.loads(line) for line in (await soon(self.ws.recv())).split("\n")]
        return self.waiting.pop(0)

    async def ask(self, *commands):
        await self.send(*commands)
        return await self.next()

    async def connect(self, **params):
        return (await self.ask({"id": 1, "connect": params}))["connect"]

    async def close_code(self):
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await self.next()
        return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_connect_reply(server):
    async with Wire(server) as wire:
        reply = await wire.connect(token=token("ana", 100), name="test", version="1",
                                   data={"a": 1}, headers={"x": "y"})
        assert len(reply["client"]) == 36
        assert reply["expires"] is True and 90 < reply["ttl"] <= 100
        assert reply["ping"] == 25 and reply["pong"] is True
    async with Wire(server) as wire:
        assert "expires" not in await wire.connect()


@pytest.mark.parametrize("message", [
    '{"id":1,"subscribe":{"channel":"a"}}', "{}", "", "\n", "nonsense", "[]", '{"id":1',
    '{"id":-1,"connect":{}}', '{"id":"1","connect":{}}', '{"id":4294967296,"connect":{}}',
    '{"id":1,"connect":{"token":5}}', '{"id":1,"connect":[]}', '{"id":1}', '{"connect":{}}'])
async def test_what_is_no_connect_ends(server, message):
    async with Wire(server) as wire:
        await wire.send(message)
        assert await wire.close_code() == (3501, "bad request")


@pytest.mark.parametrize("message", [
    '{"id":2,"connect":{}}', "{}", '{"id":2,"subscribe":{}}', '{"id":2,"publish":{"data":1}}',
    '{"id":2,"history":{"channel":""}}', '{"publish":{"channel":"a","data":1}}',
    '{"id":2,"nonsense":{}}', '{"id":2,"refresh":{}}', '{"id":2,"publish":{"channel":"a","data":}}',
    '{"id":2,"publish":{"channel":"a","data":01}}'])
async def test_bad_commands_end(server, message):
    async with Wire(server) as wire:
        await wire.connect()
        await wire.send({"id": 7, "ping": {}}, message)
        assert await wire.next() == {"id": 7, "ping": {}}  # what came before is answered
        assert await wire.close_code() == (3501, "bad request")


async def test_errors(server):
    async with Wire(server) as wire:
        await wire.connect()

        async def error(command):
            answer = await wire.ask({"id": 9, **command})
            assert answer["id"] == 9
            return answer["error"]

        assert await error({"rpc": {"method": "m", "data": {}}}) == {
            "code": 104, "message": "method not found"}
        assert (await error({"publish": {"channel": "a"}}))["code"] == 107
        assert (await error({"publish": {"channel": "a*b c", "data": 1}}))["code"] == 107
        assert (await error({"publish": {"channel": "open:*", "data": 1}}))["code"] == 107
        assert (await error({"publish": {"channel": "quiet:a", "data": 1}}))["code"] == 103
        assert (await error({"subscribe": {"channel": "closed:a"}}))["code"] == 103
        assert (await error({"subscribe": {"channel": "*"}}))["code"] == 103
        assert (await error({"subscribe": {"channel": "x" * 300}}))["code"] == 107
        assert (await error({"subscribe": {"channel": "a", "tf": {"cmp": "eq"}}}))["code"] == 107
        assert (await error({"subscribe": {"channel": "a", "token": "x.y.z"}}))["code"] == 103
        assert (await error({"sub_refresh": {"channel": "a", "token": "x"}}))["code"] == 103
        assert (await wire.ask({"id": 2, "subscribe": {"channel": "a"}}))["subscribe"]
        assert (await error({"subscribe": {"channel": "a"}}))["code"] == 105
        assert await wire.ask({"id": 3, "unsubscribe": {"channel": "a"}}) == {
            "id": 3, "unsubscribe": {}}
        assert await wire.ask({"id": 4, "unsubscribe": {"channel": "a"}}) == {
            "id": 4, "unsubscribe": {}}


async def test_replies_of_one_frame_are_one_message(server):
    async with Wire(server) as wire:
        await wire.connect()
        await wire.send(*({"id": n, "ping": {}} for n in range(2, 12)))
        lines = (await soon(wire.ws.recv())).split("\n")
        assert [json.loads(line)["id"] for line in lines] == list(range(2, 12))


async def test_data_is_kept_byte_for_byte(server):
    async with Wire(server) as wire:
        await wire.connect()
        await wire.ask({"id": 2, "subscribe": {"channel": "open:bytes"}})
        data = '{ "a" :\t1.50e+1, "\\u00e9":"\\/", "a":2 }'
        await wire.send('{"publish":{"data":' + data + ',"channel":"open:\\u0062ytes"},"id":3}')
        both = sorted([await soon(wire.ws.recv()), await soon(wire.ws.recv())])
        assert both[0] == '{"id":3,"publish":{}}'  # the push may overtake it
        push = both[1]
        assert push.startswith('{"push":{"channel":"open:bytes","pub":{"data":' + data + ',')
        server.post("/api/publish", '{"channel":"open:bytes","data":' + data + "}")
        assert await soon(wire.ws.recv()) == (
            '{"push":{"channel":"open:bytes","pub":{"data":' + data + ',"offset":2}}}')


async def test_bytes_are_the_same_deflated(server):
    data = {"text": "compress me " * 100}
    for window in (None, 9, 12):
        more = {"compression": None} if window is None else {"extensions": [
            websockets.extensions.permessage_deflate.ClientPerMessageDeflateFactory(
                server_max_window_bits=window)]}
        async with Wire(server, **more) as wire:
            await wire.connect()
            await wire.ask({"id": 2, "subscribe": {"channel": "open:z"}})
            server.publish("open:z", data)
            assert (await wire.next())["push"]["pub"]["data"] == data


async def test_connect_has_a_deadline(start_recado):
    server = start_recado("client: { connect_timeout: 200ms }\n")
    async with Wire(server) as wire:
        assert await wire.close_code() == (3502, "stale")


async def test_silence_after_a_ping_ends(start_recado):
    server = start_recado("websocket: { ping_interval: 300ms, pong_timeout: 100ms }\n")
    async with Wire(server) as wire:
        await wire.connect()
        assert await wire.next() == {}
        assert await wire.close_code() == (3012, "no pong")


async def test_tokens(server):
    async def refused(bad):
        async with Wire(server) as wire:
            answer = asyncio.ensure_future(wire.ask({"id": 1, "connect": {"token": bad}}))
            done, _ = await asyncio.wait([answer], timeout=20)
            error = answer.exception()
            return error.rcvd.code if error else answer.result()["error"]["code"]

    assert await refused(token(seconds=-10)) == 109
    assert await refused("nonsense") == 3500
    assert await refused(token(secret="y" * 32)) == 3500
    async with Wire(server, "?token=" + token("eva")) as wire:
        await wire.connect()
        await wire.ask({"id": 2, "subscribe": {"channel": "open:t"}})
        answer = await wire.ask({"id": 3, "presence": {"channel": "open:t"}})
        assert [i["user"] for i in answer["presence"]["presence"].values()] == ["eva"]
        await wire.send({"id": 4, "refresh": {"token": token("bob")}})
        assert (await wire.close_code())[0] == 3500
    headers = {"Authorization": "Bearer " + token("eva", secret="y" * 32)}
    async with Wire(server, additional_headers=headers) as wire:
        await wire.send({"id": 1, "connect": {}})
        assert await wire.close_code() == (3500, "invalid token")


async def test_tenants_are_apart(server):
    async with Wire(server) as a, Wire(server) as b:
        await a.connect(token=token("ana", org="one"))
        await b.connect(token=token("ana", org="two"))
        for wire in (a, b):
            await wire.ask({"id": 2, "subscribe": {"channel": "open:t"}})
        server.publish("open:t", "for two", tenant="two")
        server.publish("open:t", "for one", tenant="one")
        assert (await a.next())["push"]["pub"]["data"] == "for one"
        assert (await b.next())["push"]["pub"]["data"] == "for two"
        answer = await a.ask({"id": 3, "history": {"channel": "open:t", "limit": -1}})
        assert [p["data"] for p in answer["history"]["publications"]] == ["for one"]
        await a.send({"id": 4, "refresh": {"token": token("ana", org="two")}})
        assert (await a.close_code())[0] == 3500


async def test_origins(server):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with Wire(server, origin="https://elsewhere.example"):
            pass
    assert refused.value.response.status_code == 403
    async with Wire(server, origin=server.url) as wire:
        await wire.connect()


@pytest.mark.parametrize("query, more", [
    ("?cf_protocol=protobuf", {}), ("?format=protobuf", {}),
    ("", {"subprotocols": ["centrifuge-protobuf"]})])
async def test_protobuf_is_refused_clearly(server, query, more):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with Wire(server, query, **more):
            pass
    assert refused.value.response.status_code == 400
    assert b"protobuf" in refused.value.response.body


async def test_json_may_be_named(server):
    async with Wire(server, "?cf_protocol=json", subprotocols=["centrifuge-json"]) as wire:
        assert wire.ws.subprotocol == "centrifuge-json"
        await wire.connect()


async def test_rate_limit(start_recado):
    server = start_recado("client: { messages_per_second: 1, messages_burst: 5 }\n")
    async with Wire(server) as wire:
        await wire.connect()
        await wire.send(*({"id": n, "ping": {}} for n in range(2, 12)))
        answers = [await wire.next() for _ in range(10)]
        assert [("error" in a) for a in answers] == [False] * 4 + [True] * 6
        assert answers[-1]["error"] == {
            "code": 111, "message": "too many requests", "temporary": True}
        await wire.send(*({"id": n, "ping": {}} for n in range(12, 200)))
        assert (await wire.close_code())[0] == 3013


async def test_patterns_name_the_channel(server):
    async with Wire(server) as wire:
        await wire.connect()
        await wire.ask({"id": 2, "subscribe": {"channel": "open:*"}})
        server.publish("open:x", 1)
        push = (await wire.next())["push"]
        assert (push["channel"], push["pub"]["channel"]) == ("open:*", "open:x")


async def test_cache_gives_the_last_one(server):
    for n in range(3):
        server.publish("cached:a", n)
    async with Wire(server) as wire:
        await wire.connect()
        answer = await wire.ask({"id": 2, "subscribe": {"channel": "cached:a"}})
        assert [p["data"] for p in answer["subscribe"]["publications"]] == [2]


async def test_shutdown_tells_to_come_back(server):
    async with Wire(server) as wire:
        await wire.connect()
        server.stop()
        assert await wire.close_code() == (3001, "shutdown")


async def test_an_api_key_opens_what_needs_a_token(start_recado):
    server = start_recado(CONFIG.replace(
        "auth: {", 'auth: { require_token: true, api_keys: ["the key"],'))
    async with Wire(server) as wire:
        await wire.send({"id": 1, "connect": {"headers": {"X-API-Key": "another key"}}})
        assert await wire.close_code() == (3500, "invalid token")
    async with Wire(server) as wire:
        await wire.connect(headers={"X-API-Key": "the key"})
        answer = await wire.ask({"id": 2, "subscribe": {"channel": "closed:a"}})
        assert "subscribe" in answer


async def test_what_is_meant_for_a_user_reaches_nobody_else(server):
    async with Wire(server) as ana, Wire(server) as bob:
        await ana.connect(token=token("ana"))
        await bob.connect(token=token("bob"))
        assert "subscribe" in await ana.ask({"id": 2, "subscribe": {"channel": "user:ana"}})
        for channel in ("user:ana", "user:*"):
            answer = await bob.ask({"id": 2, "subscribe": {"channel": channel}})
            assert answer["error"]["code"] == 103


async def test_nothing_leaves_before_the_connect_reply(start_recado):
    """Channels that the token brings live on several loops, and their events come all the time."""
    server = start_recado("loops: 3\n" + CONFIG)
    channels = [f"open:{i}" for i in range(12)]
    jwt_of_all = token("ana", channels=channels)
    stop = asyncio.Event()

    async def publish():
        while not stop.is_set():
            await asyncio.to_thread(server.api, "/api/broadcast",
                                    {"channels": channels, "data": 1})

    publishing = asyncio.ensure_future(publish())
    try:
        for _ in range(20):
            async with Wire(server) as wire:
                await wire.send({"id": 1, "connect": {"token": jwt_of_all}})
                reply = await wire.next()
                at = {c: s.get("offset", 0) for c, s in reply["connect"]["subs"].items()}
                assert sorted(at) == sorted(channels)
                for _ in range(30):
                    push = (await wire.next())["push"]
                    if "pub" in push:
                        assert push["pub"]["offset"] == at[push["channel"]] + 1
                        at[push["channel"]] += 1
    finally:
        stop.set()
        await publishing
