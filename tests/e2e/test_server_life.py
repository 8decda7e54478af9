"""How the program starts, says that it is ready, and ends."""

import asyncio
import os
import signal
import socket

import websockets


def test_it_is_ready_and_ends(recado):
    assert recado.get("/healthz/live")[0] == 200
    assert recado.get("/healthz/ready")[0] == 200
    recado.stop()


async def test_readiness_falls_first_in_a_drain(start_recado):
    recado = start_recado("shutdown: {drain: 20s}")
    async with websockets.connect(recado.ws_url) as client:
        await client.send('{"id":1,"connect":{}}')
        await client.recv()
        recado.signal(signal.SIGTERM)
        recado.wait_log("(?i)drain|shut|stop")
        # A listener that has closed is as clear an answer as 503.
        try:
            assert (await asyncio.to_thread(recado.get, "/healthz/ready"))[0] == 503
        except OSError:
            pass
        recado.signal(signal.SIGTERM)  # the second one does not wait
        assert await asyncio.to_thread(recado.wait_exit) == 0


async def test_systemd_is_told(start_recado, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        recado = start_recado(env={"NOTIFY_SOCKET": path})
        assert b"READY=1" in notify.recv(4096)
        recado.stop()
        assert b"STOPPING=1" in notify.recv(4096)


def test_two_on_one_address(start_recado):
    """With SO_REUSEPORT a second server would silently take half of the connections."""
    first = start_recado()
    done = first.run("serve", "--listen", first.address, "--data", str(first.folder / "other"))
    assert done.returncode == 1
    assert first.address in done.stderr


def test_a_bad_configuration_is_refused_with_its_line(start_recado, tmp_path, cli):
    file = tmp_path / "bad.yaml"
    file.write_text("http:\n  head_max: nonsense\n")
    done = cli("serve", "-c", file)
    assert done.returncode == 2
    assert "bad.yaml:2" in done.stderr and "head_max" in done.stderr


def test_beyond_this_machine_it_wants_secrets(cli):
    done = cli("serve", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "--insecure" in done.stderr


def test_reload_keeps_what_is_wrong_out(start_recado):
    recado = start_recado("namespaces: {a: {history: 5}}")
    recado.write_config("namespaces: {a: {history: nonsense}}")
    recado.signal(signal.SIGHUP)
    recado.wait_log("recado.yaml:1.*history")
    assert recado.get("/healthz/ready")[0] == 200
    recado.write_config("namespaces: {a: {history: 0}}")
    recado.signal(signal.SIGHUP)
    while "offset" in recado.publish("a:1", {}):
        os.sched_yield()


def test_reload_takes_origins(start_recado):
    recado = start_recado("auth: {origins: [https://first.example]}")
    first, second = ({"Origin": f"https://{name}.example"} for name in ("first", "second"))

    def may(origin):
        return recado.post("/api/info", {}, headers=origin)[0] == 200

    assert may(first) and not may(second)
    for _ in range(3):  # what an earlier reload brought is given back
        recado.write_config("auth: {origins: [https://second.example]}")
        recado.signal(signal.SIGHUP)
        while may(first) or not may(second):
            os.sched_yield()
        recado.write_config("auth: {origins: [https://first.example]}")
        recado.signal(signal.SIGHUP)
        while may(second) or not may(first):
            os.sched_yield()
