"""Socket.IO for any application, where it is configured: namespaces, broadcasts, rooms by order of
the API, several arguments and attachments, with socket.io-client and python-socketio's client."""

import asyncio
import base64

import pytest
import socketio

from servers import open_url
from test_pytake import TRANSPORTS, Page, page_of  # noqa: F401

CONFIG = """loops: 2
socketio:
  namespaces: [/, /custom]
endpoints:
  - { path: /socket.io/, dialect: socketio }
"""


def connect(page_of, server, transports, nsp="/"):
    page = page_of(server.url, transports, "", nsp)
    got = [page.next() for _ in range(2 if transports == "polling,websocket" else 1)]
    page.sid = next(one[1] for one in got if one[0] == "connect")
    return page


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_events_of_a_back_end(start_recado, page_of, transports):  # noqa: F811
    server = start_recado(CONFIG)
    one = connect(page_of, server, transports)
    other = connect(page_of, server, transports, "/custom")
    server.api("publish", {"channel": "socketio:/", "type": "many", "data": [1, "2", {"3": [4]}],
                           "tags": {"socketio": "args"}})
    one.expect("event", "many", 1, "2", {"3": [4]})
    blobs = [base64.b64encode(bytes(i % 256 for i in range(n))).decode()
             for n in (3, 200, 0, 100000)]
    holders = [{"_placeholder": True, "num": i} for i in range(len(blobs))]
    server.api("publish", {"channel": "socketio:/custom", "type": "file",
                           "data": ["files", holders],
                           "tags": {"socketio": "args", "attachments": ",".join(blobs)}})
    other.expect("event", "file", "files", [{"binary": blob} for blob in blobs])
    server.api("publish", {"channel": f"socketio:{other.sid}", "data": {"to": "you"}})
    other.expect("event", "message", {"to": "you"})
    # Dropped, since the client would hang up on it; the next one comes.
    server.api("publish", {"channel": "socketio:/", "type": "connect", "data": 1})
    server.api("publish", {"channel": "socketio:/", "type": "after", "data": 2})
    one.expect("event", "after", 2)


def test_an_unknown_namespace(start_recado, page_of):  # noqa: F811
    server = start_recado(CONFIG)
    page = page_of(server.url, "websocket", "", "/random")
    page.expect("connect_error", "Invalid namespace")


def test_one_connection_for_several_namespaces(start_recado):
    server = start_recado(CONFIG)

    async def run():
        heard = asyncio.Queue()
        client = socketio.AsyncClient(reconnection=False)
        for nsp in ("/", "/custom"):
            client.on("news", lambda *args, nsp=nsp: heard.put_nowait((nsp, *args)), namespace=nsp)
        await client.connect(server.url, namespaces=["/", "/custom"])
        sids = {client.get_sid(nsp) for nsp in ("/", "/custom")}
        assert len(sids) == 2
        for nsp in ("/", "/custom"):
            server.api("publish", {"channel": f"socketio:{nsp}", "type": "news", "data": nsp})
            assert await asyncio.wait_for(heard.get(), 10) == (nsp, nsp)
        await client.disconnect()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_pages_of_other_origins(start_recado):
    """Where nobody has to bring a token and no back end decides, only the server's own pages."""
    path = "/socket.io/?EIO=4&transport=polling"
    foreign = {"Origin": "https://elsewhere.example"}
    server = start_recado(CONFIG)
    assert server.get(path)[0] == 200
    assert server.get(path, foreign)[0] == 403
    pytake = start_recado("auth:\n  hmac_secret: 0123456789abcdef0123456789abcdef\n")
    status, headers, _ = pytake.get(path, foreign)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, foreign["Origin"])
    assert headers["Access-Control-Allow-Credentials"] == "true"
    status, headers, _ = open_url(pytake.url + path, method="OPTIONS", headers=foreign)
    assert status == 200 and "POST" in headers["Access-Control-Allow-Methods"]
    # Who lists the origins that he wants gets no others, here as everywhere.
    listed = start_recado("auth:\n  hmac_secret: 0123456789abcdef0123456789abcdef\n"
                          "  origins: [\"https://page.example\"]\n")
    assert listed.get(path, {"Origin": "https://page.example"})[0] == 200
    assert listed.get(path, foreign)[0] == 403
    assert open_url(listed.url + path, method="OPTIONS", headers=foreign)[0] == 403
