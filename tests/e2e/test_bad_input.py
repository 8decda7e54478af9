"""What each dialect does with what it cannot understand, as tables: wrong types, missing fields,
deep nesting, frames of 10 MB, invalid UTF-8, the wrong order, packets of another dialect. A row
says what is sent and what the client hears. After every row the connection still answers, or has
ended in the way the row says; the server is healthy, and a well-behaved client of the same dialect
receives."""

import json
import re
import time

import jwt
import pytest

from hostile import BINARY, CLOSE, PING, PONG, TEXT, Ended, Healthy, WsWire, frame, request, wire_to
from servers import Recado

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = f"""
auth: {{ hmac_secret: "{SECRET}" }}
loops: 2
endpoints:
  - {{ path: /live/, dialect: socketio }}
"""
ROOM = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
TEN_MB = 10_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    recado = Recado(tmp_path_factory.mktemp("bad"), CONFIG).start()
    yield recado
    recado.stop()


# ---- dialects: how a good client of each one is made, and how life is felt ----


class Door:
    """A place where one dialect is spoken.

    path      where
    greeting  what is exchanged first: ">text" is sent, "<pattern" is heard
    ping      is answered with what pong matches: so one knows that all before it was dealt with;
              None: the dialect has no such thing, a frame of the WebSocket's own has to do
    event     what is published, as fields of the server API; received matches what arrives
    """

    def __init__(self, path, greeting, ping, pong, event, received):
        self.path, self.greeting, self.ping, self.pong = path, greeting, ping, pong
        self.event, self.received = event, received

    def open(self, server, greeting=None):
        wire = WsWire(("127.0.0.1", server.port), self.path)
        for step in self.greeting if greeting is None else greeting:
            step = step.replace("TOKEN", token())
            if step[0] == ">":
                wire.send(frame(TEXT, step[1:]))
            else:
                hear_until(wire, step[1:])
        return wire


def token():
    return jwt.encode({"sub": "ana", "organization_id": "acme", "exp": int(time.time()) + 600},
                      SECRET, "HS256")


def hear(wire):
    """The next message as text; protocol pings are answered. That a client of a test before has
    gone may be told so late, and is passed over."""
    while True:
        opcode, payload = wire.read_frame()
        if opcode == PING:
            wire.send(frame(PONG, payload))
        elif opcode == CLOSE:
            raise Ended(int.from_bytes(payload[:2], "big") if payload else 1005)
        elif opcode in (TEXT, BINARY) and b'"user:status"' not in payload:
            return payload.decode()


def hear_until(wire, pattern):
    """What came before a message that matches."""
    before = []
    while True:
        text = hear(wire)
        if re.search(pattern, text):
            return before
        before.append(text)


SIO = "/socket.io/?EIO=4&transport=websocket"
DOORS = {
    "orquestrador": Door(
        "/ws", (">{\"type\":\"task:subscribe\",\"data\":{\"taskId\":1}}", "<task:subscribed"),
        '{"type":"ping"}', r'^\{"type":"pong"\}$',
        {"channel": "task:1", "type": "task:update"}, '"task:update"'),
    "agents": Door(
        "/ws/agents?organizationId=acme", ("<connected",),
        '{"type":"ping","data":{}}', '"type":"pong"',
        {"tenant": "acme", "channel": "agents", "type": "task:created"}, '"task:created"'),
    "plataforma": Door(
        "/ws/notifications", ('<"connection"',), "ping", '"type":"pong"',
        {"channel": "notifications", "type": "notification"}, '"notification"'),
    "plataforma project": Door(
        "/ws/project/P1", ('<"subscribed"',), "ping", '"type":"pong"',
        {"channel": "project:P1", "type": "task_updated"}, '"task_updated"'),
    "plataforma logs": Door(
        "/ws/logs", ('<"connection"',), "ping", '"type":"pong"',
        {"channel": "logs", "type": "log_message"}, '"log_message"'),
    "conductor": Door(
        "/ws/gamification", ('<"connected"',), '{"command":"ping"}', '"type": ?"pong"',
        {"channel": "gamification", "type": "task_started"}, '"task_started"'),
    "conductor producer": Door(
        "/ws/agent-stream", (), None, None,
        {"channel": "gamification", "type": "task_started"}, None),
    "socketio": Door(
        SIO.replace("/socket.io/", "/live/"), ("<^0{", ">40", "<^40{"), None, None,
        {"channel": "socketio:/", "type": "news"}, r'^42\["news"'),
    "pytake": Door(
        SIO, ("<^0{", '>40{"token":"TOKEN"}', "<^40{",
              f'>42["join_conversation",{{"conversation_id":"{ROOM}"}}]', "<joined_conversation"),
        '42["ping"]', r'^42\["pong",\{"timestamp":"now"\}\]$',
        {"tenant": "acme", "channel": f"conversation:{ROOM}", "type": "message:new"},
        r'^42\["message:new"'),
    "native": Door(
        "/connection/websocket",
        ('>{"id":1,"connect":{}}', '<"connect"',
         '>{"id":2,"subscribe":{"channel":"bad"}}', '<"subscribe"'),
        '{"id":9,"presence_stats":{"channel":"bad"}}', '"id":9',
        {"channel": "bad", "type": "x"}, '"pub"'),
}

# ---- what may come of it ----


class Says:
    """These messages, one after the other and no more; the connection stays."""

    def __init__(self, *patterns):
        self.patterns = patterns


class Ends:
    """The connection, with one of these codes (1006: without a close frame)."""

    def __init__(self, *codes, after=()):
        self.codes, self.after = codes, after


IGNORED = Says()
# Engine.IO says that it closes, unless the bytes were no packet of its own.
SESSION_ENDS = Ends(1002, after=("^1$",))
NO_PACKET = Ends(1002)


def error(text):
    return Says(f'^{{"type":"error","data":{{"message":"{text}')


BROKEN_PACKETS = [  # of Socket.IO
    "4", "49", "4x", "42", "42{}", "42[", "42[]", '42["a"', "42[{}]", "42[null]", '42"a"', "43",
    "43[]", '45["a"]', '451-["a"', '45x-["a"]', '45999999999-["a"]', "42" + "[" * 20_000,
    '42["connect"]', '42["disconnect"]',
]

ORQ_UNKNOWN = error('Tipo de mensagem desconhecido"}}$')
ORQ_BROKEN = error("Erro ao processar mensagem: .")
ORQ_HISTORY = error("Erro ao buscar histórico: .")


def conductor_unknown(name):
    return Says(rf'"type": ?"error".*"Unknown command: {name}"')


def deep(n):
    return "[" * n + "]" * n


PACKETS = {  # one of each dialect
    "orquestrador": '{"type":"monitoring:subscribe"}',
    "agents": '{"type":"pong","data":{},"timestamp":"2025-11-02T22:59:18.123Z"}',
    "socketio": '42["join_conversation",{"conversation_id":"x"}]',
    "engineio": "2probe",
    "plataforma": '{"action":"subscribe","project_id":"PROJ-001"}',
    "conductor": '{"command":"subscribe","topics":["all"]}',
    "native": '{"id":1,"connect":{}}',
    "sse": "data: {}\n\n",
}

NOT_JSON = ["", " ", "{", "}", "[1", '{"type":"ping"', '{"type":"ping"}}', "{'type':'ping'}", "NaN",
            '{"type":"pi\nng"}', "\ufeff{}", "[" * 20_000, '{"a":' * 10_000, PACKETS["socketio"],
            PACKETS["engineio"], PACKETS["sse"]]
NO_COMMAND = ["true", "1", '"ping"', "[]", "{}", '{"type":null}', '{"type":1}', '{"type":{}}',
              '{"type":["ping"]}', '{"type":"PING"}', '{"type":"nonsense"}', '{"data":{}}',
              PACKETS["native"]]


def rows(expected, *messages):
    return [(message, expected) for message in messages]


BIG_PING = '{"type":"ping","pad":"' + "x" * TEN_MB + '"}'
BAD_UTF8 = [b"\xff", b'{"type":"\xc3"}', b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]

TABLES = {
    "orquestrador": [
        *rows(ORQ_BROKEN, *NOT_JSON, "null", "ping"),
        *rows(ORQ_UNKNOWN, *NO_COMMAND, PACKETS["agents"], PACKETS["plataforma"],
              PACKETS["conductor"]),
        *rows(ORQ_BROKEN, '{"type":"task:subscribe"}', '{"type":"task:subscribe","data":null}',
              '{"type":"task:unsubscribe"}', '{"type":"task:unsubscribe","data":null}',
              '{"type":"chat:send"}', '{"type":"chat:send","data":null}'),
        *rows(ORQ_HISTORY, '{"type":"chat:history"}', '{"type":"chat:history","data":null}'),
        *rows(Says(r'^\{"type":"task:subscribed","data":\{\}\}$'),
              '{"type":"task:subscribe","data":{}}', '{"type":"task:subscribe","data":"x"}'),
        *rows(Says(r'^\{"type":"task:subscribed","data":\{"taskId":\{"a":\[1\]\}\}\}$'),
              '{"type":"task:subscribe","data":{"taskId":{"a":[1]}}}'),
        (BIG_PING, Says(r'^\{"type":"pong"\}$')),
    ],
    "agents": [
        *rows(IGNORED, *NOT_JSON, *NO_COMMAND, "null", "ping", PACKETS["agents"],
              PACKETS["orquestrador"], PACKETS["plataforma"], PACKETS["conductor"],
              '{"type":"subscribe"}', '{"type":"x","a":' + deep(2000) + "}"),
        (BIG_PING, Says('"type":"pong"')),
    ],
    "plataforma": [
        *rows(IGNORED, *NOT_JSON, *NO_COMMAND, "null", "PING", "ping ", PACKETS["agents"],
              PACKETS["orquestrador"], PACKETS["conductor"], '{"action":"nonsense"}',
              '{"action":null}', '{"action":7,"type":"ping"}', '{"action":"subscribe"}',
              '{"action":"subscribe","project_id":""}', '{"action":"subscribe","project_id":null}',
              '{"action":"unsubscribe"}', '{"action":"x","a":' + deep(2000) + "}"),
        ("x" * 65537, Ends(1009)),
        (BIG_PING, Ends(1009)),
    ],
    "plataforma project": [
        *rows(IGNORED, *NOT_JSON, "null", PACKETS["plataforma"], '{"action":"stats"}',
              '{"action":"unsubscribe","project_id":"P1"}'),
        (BIG_PING, Ends(1009)),
    ],
    "plataforma logs": [
        *rows(IGNORED, *NOT_JSON, "null", PACKETS["plataforma"], '{"action":"stats"}',
              '{"action":"ping"}', '{"type":"ping"}'),
        (BIG_PING, Ends(1009)),
    ],
    "conductor": [
        *rows(Says(r'"type": ?"error".*"Invalid JSON'), *NOT_JSON, "null", "ping", "true", "1",
              '"ping"', "[]"),
        *rows(Says(r'"type": ?"error".*"topics must be a list of strings"'),
              *('{"command":"subscribe","topics":%s}' % topics
                for topics in ("1", '"all"', "{}", "[1]", "[null]", "[[\"all\"]]"))),
        *rows(Says(r'"type": ?"error".*"pause_councilor needs a councilor_id"'),
              '{"command":"pause_councilor"}', '{"command":"pause_councilor","councilor_id":null}',
              '{"command":"pause_councilor","councilor_id":{}}'),
        *rows(conductor_unknown("None"), "{}", '{"command":null}', PACKETS["agents"],
              PACKETS["orquestrador"], PACKETS["plataforma"], PACKETS["native"]),
        *rows(conductor_unknown("nonsense"), '{"command":"nonsense"}'),
        *rows(conductor_unknown("PING"), '{"command":"PING"}'),
        *rows(conductor_unknown("1"), '{"command":1}'),
        (BIG_PING.replace('"type"', '"command"'), Says('"type": ?"pong"')),
    ],
    "pytake": [
        # The application's own words; join_conversation alone reports errors.
        *rows(Says(r'^42\["error",\{"message":"conversation_id is required"\}\]$'),
              '42["join_conversation",{}]', '42["join_conversation",{"conversation_id":null}]',
              '42["join_conversation",{"conversation_id":""}]'),
        *rows(Says(r'^42\["error",\{"message":"Invalid conversation_id format"\}\]$'),
              '42["join_conversation",{"conversation_id":"x"}]', PACKETS["socketio"]),
        *rows(Says(r'^42\["error",\{"message":"Failed to join conversation"\}\]$'),
              '42["join_conversation","x"]', '42["join_conversation",[1]]',
              '42["join_conversation",null]'),
        *rows(IGNORED, '42["leave_conversation",{}]', '42["typing_start",{}]',
              '42["typing_stop",{}]',
              '42["ping",1]', '42["nonsense"]', '42["nonsense",{"a":1}]', '427["nonsense"]',
              '42["PING"]', "3", '437[]', '42/nobody,["a"]', '43/nobody,7[]'),
        # What is no packet ends the session, as the protocol says.
        *rows(SESSION_ENDS, *BROKEN_PACKETS),
        *rows(NO_PACKET, "7", "ping", "2probe", *(PACKETS[d] for d in (
            "orquestrador", "plataforma", "conductor", "native", "sse"))),
        (f'42["nonsense","{"x" * TEN_MB}"]', Ends(1009)),
    ],
    "socketio": [
        *rows(IGNORED, '42["anything",{"a":[]}]', '427["anything"]', "3", "437[]", '42/x,["a"]',
              '42["a",' + deep(20) + "]"),
        *rows(SESSION_ENDS, *BROKEN_PACKETS, "40", '40{"a":1}'),
        *rows(NO_PACKET, "7", "ping", *(PACKETS[d] for d in ("agents", "conductor", "sse"))),
        (f'42["anything","{"x" * TEN_MB}"]', Ends(1009)),
    ],
    "conductor producer": [
        *rows(IGNORED, *NOT_JSON, *NO_COMMAND, "null", PACKETS["conductor"],
              '{"type":"stream_start"}', '{"type":"stream_start","data":null}',
              '{"type":"agent_stream","data":"x"}', '{"type":"agent_stream","data":[1]}'),
        (BIG_PING, IGNORED),
    ],
    "native": [
        *rows(Ends(3501, 3003), *NOT_JSON, "null", *NO_COMMAND, "ping", PACKETS["orquestrador"],
              PACKETS["agents"], PACKETS["plataforma"], PACKETS["conductor"]),
        (BIG_PING, Ends(1009)),
    ],
}


def shown(message):
    return message if len(message) < 50 else f"{message[:30]}... {len(message)} bytes"


BINARIES = {  # a message that is not text, though it would be a command
    "orquestrador": Says(r'^\{"type":"pong"\}$'),  # the original asks a Buffer for its text
    "agents": Says('"type":"pong"'),
    "plataforma": IGNORED,
    "plataforma project": IGNORED,
    "plataforma logs": IGNORED,
    "conductor": Says(r'"type": ?"error"'),
    "pytake": SESSION_ENDS,  # an attachment that nobody announced
    "socketio": SESSION_ENDS,
    "conductor producer": IGNORED,
    "native": Says('"id":9'),
}


def all_rows():
    for name, expected in BINARIES.items():
        message = DOORS[name].ping or '42["x"]'
        yield pytest.param(name, BINARY, message, expected, id=f"{name}: binary")
    for name, table in TABLES.items():
        for message, expected in table:
            yield pytest.param(name, TEXT, message, expected, id=f"{name}: {shown(message)!r}")
        for message in BAD_UTF8:
            yield pytest.param(name, TEXT, message, Ends(1007), id=f"{name}: {message!r}")


def check(wire, door, expected):
    if isinstance(expected, Says) and door.ping is None:
        wire.send(frame(PING, b"still there?"))
        assert wire.read_frame() == (PONG, b"still there?")
    elif isinstance(expected, Says):
        wire.send(frame(TEXT, door.ping))
        said = []
        for pattern in expected.patterns:
            said.append(hear(wire))
            assert re.search(pattern, said[-1]), f"{said} where {pattern} was expected"
        assert hear_until(wire, door.pong) == [], "it said more"
    else:
        with pytest.raises(Ended) as ended:
            for pattern in expected.after:
                assert re.search(pattern, hear(wire))
            while True:
                pytest.fail(f"it said {hear(wire)!r}")
        code = ended.value.args[0]
        code = code if isinstance(code, int) else 1006
        assert code in expected.codes, f"ended with {code}, not {expected.codes}"


def still_well(server, door):
    """Somebody who did nothing wrong, before and after."""
    assert server.get("/healthz/ready")[0] == 200
    with door.open(server) as good:
        data = {"level": "error", "message": "fine"}
        answer = server.api("publish", {**door.event, "data": data})
        assert "error" not in answer, answer
        if door.received is not None:
            assert hear_until(good, door.received) == []


@pytest.mark.parametrize("name, opcode, message, expected", list(all_rows()))
def test_a_message(server, name, opcode, message, expected):
    door = DOORS[name]
    with door.open(server) as wire:
        wire.send_as_far_as_possible(frame(opcode, message))
        check(wire, door, expected)
    still_well(server, door)


# ---- the wrong order, where a dialect has one ----

ORDERS = {
    "pytake: an event before CONNECT": ("pytake", ("<^0{",), ['42["ping"]'], SESSION_ENDS),
    "pytake: an ack before CONNECT": ("pytake", ("<^0{",), ["430[]"], SESSION_ENDS),
    "pytake: a second CONNECT": (
        "pytake", None, ['40{"token":"TOKEN"}'], SESSION_ENDS),
    "pytake: text where an attachment was announced": (
        "pytake", None, ['451-["x",{"_placeholder":true,"num":0}]', '42["ping"]'],
        SESSION_ENDS),
    "native: a subscription before connect": (
        "native", (), ['{"id":1,"subscribe":{"channel":"bad"}}'], Ends(3501, 3003)),
    "native: connect twice": ("native", None, ['{"id":3,"connect":{}}'], Ends(3501, 3003)),
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_wrong_order(server, name):
    dialect, greeting, messages, expected = ORDERS[name]
    door = DOORS[dialect]
    with door.open(server, greeting) as wire:
        for message in messages:
            wire.send_as_far_as_possible(frame(TEXT, message.replace("TOKEN", token())))
        check(wire, door, expected)
    still_well(server, door)


# CONNECTs that are refused: the Engine.IO session stays up, and the next one may succeed.
REFUSED = r'^44\{"message":"Connection rejected by server"\}$'
ELSEWHERE = r'^44/%s,"Unable to connect"$'
CONNECTS = {
    "40": REFUSED, "40{}": REFUSED, '40{"token":1}': REFUSED, '40{"token":null}': REFUSED,
    '40{"token":""}': REFUSED, '40{"token":"a.b.c"}': REFUSED, '40{"token":{"a":[]}}': REFUSED,
    '40{"tok":"TOKEN"}': REFUSED,
    '40/admin,{"token":"TOKEN"}': ELSEWHERE % "admin", "40/admin,": ELSEWHERE % "admin",
}


@pytest.mark.parametrize("message", CONNECTS)
def test_a_connect_that_is_refused(server, message):
    door = DOORS["pytake"]
    with door.open(server, ("<^0{",)) as wire:
        wire.send(frame(TEXT, message.replace("TOKEN", token())))
        assert re.search(CONNECTS[message], hear(wire))
        for step in door.greeting[1:]:
            if step[0] == ">":
                wire.send(frame(TEXT, step[1:].replace("TOKEN", token())))
            else:
                hear_until(wire, step[1:])
        check(wire, door, IGNORED)
    still_well(server, door)


# ---- before any message: requests ----

EIO = "/socket.io/?EIO=4&transport=polling"
OLD = '"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"'
REQUESTS = [  # method, path, body, status, body as it has to be or None
    ("GET", "/socket.io/?transport=polling", "", 400, OLD),
    ("GET", "/socket.io/?EIO=3&transport=polling", "", 400, OLD),
    ("GET", "/socket.io/?EIO=4&transport=carrier-pigeon", "", 400, '"Invalid transport"'),
    ("GET", EIO + "&sid=nobody", "", 400, '"Invalid session nobody"'),
    ("POST", EIO + "&sid=nobody", "40", 400, '"Invalid session nobody"'),
    ("PUT", EIO, "x", 405, "Method Not Found"),
    ("PUT", EIO + "&sid=SID", "x", 405, "Method Not Found"),
    ("POST", EIO, "40", 400, None),
    ("POST", EIO + "&sid=SID", "8", 400, None),
    ("POST", EIO + "&sid=SID", "4" + "x" * 1_000_001, 400, None),
    ("POST", EIO + "&sid=SID", "b!!!", 400, None),
    ("POST", EIO + "&sid=SID", "\x1e".join(["3"] * 17), 400, None),
    ("GET", "/ws/agents", "", 400, None),
    ("POST", "/api/ws/broadcast", "{", 422, None),
    ("POST", "/api/ws/broadcast", "[]", 422, None),
    ("POST", "/api/ws/broadcast", '{"event_type":1}', 422, None),
    ("POST", "/api/v1/stream-execute", "{", 422, None),
    ("GET", "/api/v1/stream/job_nobody", "", 404,
     "Job ID 'job_nobody' not found or already completed."),
    ("POST", "/api/internal/task-event", "{}", 400, None),
    ("POST", "/api/internal/task-event", '{"type":"nonsense"}', 400, None),
    ("POST", "/api/internal/task-event", '{"type":7}', 400, None),
    ("GET", "/events", "", 400, None),
    ("GET", "/events?channel=", "", 400, None),
    ("GET", "/events?channel=%FF", "", 400, None),
    ("GET", "/events?channel=a%20b", "", 400, None),
    ("GET", "/events?channel=" + "x" * 300, "", 400, None),
]


@pytest.mark.parametrize("method, path, body, status, answer", REQUESTS,
                         ids=[f"{r[0]} {r[1]} {shown(r[2])!r}" for r in REQUESTS])
def test_a_request(server, method, path, body, status, answer):
    if "SID" in path:
        opened = server.get(EIO)[2].decode()
        path = path.replace("SID", json.loads(opened[1:])["sid"])
    with wire_to(server) as wire:
        got, _, text = wire.ask(request(method, path, "Content-Type: text/plain", body=body))
    assert got == status, text
    assert answer is None or text.decode() == answer
    still_well(server, DOORS["pytake" if "socket.io" in path else "agents"])


def test_others_notice_nothing(server):
    """All tables at once, from one end to the other, beside somebody who goes on."""
    with Healthy(server) as healthy:
        for name, table in TABLES.items():
            for message, _ in table:
                with DOORS[name].open(server) as wire:
                    wire.send_as_far_as_possible(frame(TEXT, message))
            healthy.watch(1)
