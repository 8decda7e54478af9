"""The example configurations of docs/examples work as they stand; only their ports are others."""

import re
import socket

import pytest
import yaml
from websockets.sync.client import connect

from servers import ROOT, free_port

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
FIVE = ROOT / "docs" / "examples" / "five-applications.yaml"

# The port that each application's clients expect, and what they find there.
DOORS = {
    3001: ("/ws", None),
    3000: ("/ws/agents?organizationId=acme", '"connected"'),
    8000: ("/socket.io/?EIO=4&transport=websocket", "0{"),
    9001: ("/ws/notifications", '"connection"'),
    5006: ("/ws/gamification", '"connected"'),
}
REFUSALS = {3001: 400, 3000: 404, 8000: 403, 9001: 403, 5006: 403}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_check_is_content(cli, example):
    done = cli("config", "check", "-c", example)
    assert done.returncode == 0, done.stdout + done.stderr


def moved(text):
    """The text with every port exchanged for a free one, and {as written: free}."""
    ports = {entry["address"].rpartition(":")[2] for entry in yaml.safe_load(text)["listen"]}
    ports = {int(port): free_port() for port in sorted(ports)}
    assert len(set(ports.values())) == len(ports)
    for written, free in ports.items():
        text = text.replace(f"127.0.0.1:{written}\"", f"127.0.0.1:{free}\"")
    return text, ports


@pytest.fixture
def five(start_recado):
    text, ports = moved(FIVE.read_text())
    assert set(ports) == set(DOORS)
    text = text[re.search("^listen:", text, re.M).start():]
    text = text.replace(str(ports[8000]), "PORT")
    server = start_recado(text)
    ports[8000] = server.port
    return ports


def first_frame(port, path):
    with connect(f"ws://127.0.0.1:{port}{path}", compression=None) as ws:
        return ws.recv(timeout=10)


def upgrade_status(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall((f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        return int(raw.recv(4096).split(b" ", 2)[1])


def test_every_client_finds_its_port(five):
    for written, (path, expected) in DOORS.items():
        if expected is None:
            with connect(f"ws://127.0.0.1:{five[written]}{path}", compression=None) as ws:
                ws.send('{"type":"ping"}')
                assert ws.recv(timeout=10) == '{"type":"pong"}'
        else:
            assert expected in first_frame(five[written], path)


def test_any_path_at_any_port(five):
    assert '"connected"' in first_frame(five[3001], DOORS[3000][0])
    assert '"connection"' in first_frame(five[8000], DOORS[9001][0])


def test_each_port_refuses_in_its_own_words(five):
    for written, status in REFUSALS.items():
        assert upgrade_status(five[written], "/ws/nobody-has-this") == status, written


@pytest.mark.parametrize("origin, allowed", [
    ("http://localhost:5173", True), ("http://127.0.0.1:3000", True),
    ("https://elsewhere.example", False)])
def test_pages_of_this_machine_may_connect(five, origin, allowed):
    url = f"ws://127.0.0.1:{five[3000]}{DOORS[3000][0]}"
    if allowed:
        with connect(url, origin=origin) as ws:
            assert '"connected"' in ws.recv(timeout=10)
    else:
        with pytest.raises(Exception, match="403"):
            connect(url, origin=origin)
