"""Birth, change and end of the program: listening, reloading, draining, refusing to start.

tests/e2e/test_server_life.py has the short form of some of it, for the sanitizer builds.
"""

import json
import os
import signal
import socket
import ssl
import stat
import threading

import jwt
import pytest

from certs import make_certificate
from hostile import (
    LIMIT_SECONDS, TEXT, Ended, NativeWire, Wire, frame, handshake, native_to, request, until,
    wire_to)
from servers import free_port


def ask(target, path, **options):
    with Wire(target, **options) as wire:
        return wire.ask(request("GET", path))[0]


def is_refused(target, path="/healthz/ready"):
    try:
        return ask(target, path) == 503
    except (ConnectionRefusedError, ConnectionResetError, Ended):
        return False


# ---- the drain ----


def test_a_drain_tells_balancers_first_and_clients_over_time(start_recado):
    recado = start_recado("shutdown: {drain: 3s}")
    wires = [native_to(recado) for _ in range(60)]
    ends = []

    def listen(wire):
        ends.append(wire.read_close())

    threads = [threading.Thread(target=listen, args=(wire,)) for wire in wires]
    for thread in threads:
        thread.start()
    recado.signal(signal.SIGTERM)
    here = ("127.0.0.1", recado.port)
    until("readiness has fallen", lambda: is_refused(here))
    assert len(ends) < 60, "they are let go over the window, not all at once"
    assert ask(here, "/healthz/live") == 200
    with wire_to(recado) as late:  # nobody new
        assert late.ask(handshake())[0] == 503
    assert ask(here, "/events?channel=a") == 503
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert ends == [3001] * 60
    for wire in wires:
        wire.close()
    assert recado.wait_exit() == 0


def test_a_drain_without_clients_does_not_wait(start_recado):
    recado = start_recado("shutdown: {drain: 1h}")
    recado.signal(signal.SIGTERM)
    assert recado.wait_exit() == 0


def test_requests_under_way_are_answered(start_recado):
    recado = start_recado("shutdown: {drain: 1m}")
    body = json.dumps({"channel": "a", "data": {"n": 1}})
    text = request("POST", "/api/publish", body=body)
    halves = [wire_to(recado) for _ in range(10)]
    for wire in halves:
        wire.send(text[:-10])
    recado.signal(signal.SIGTERM)
    recado.wait_log("draining")
    for number, wire in enumerate(halves):
        wire.send(text[-10:])
        status, headers, answer = wire.read_response()
        assert status == 200 and headers["connection"] == "close", answer
        assert json.loads(answer)["result"]["offset"] == number + 1
        wire.close()
    assert recado.wait_exit() == 0


def test_an_event_stream_ends_in_a_drain(start_recado):
    recado = start_recado("shutdown: {drain: 500ms}")
    with wire_to(recado) as wire:
        wire.send(request("GET", "/events?channel=a"))
        wire.read_until(b"\r\n\r\n")
        recado.publish("a", {"n": 1})
        wire.read_until(b'data: {"n": 1}')
        recado.signal(signal.SIGTERM)
        wire.read_to_end()
    assert recado.wait_exit() == 0


def test_clients_that_do_not_say_goodbye_do_not_hold_it_up(start_recado):
    recado = start_recado("shutdown: {drain: 1s}\nwebsocket: {close_timeout: 10m}")
    wires = [native_to(recado) for _ in range(20)]
    recado.signal(signal.SIGTERM)
    assert recado.wait_exit() == 0
    assert {wire.read_close() for wire in wires} == {3001}


@pytest.mark.parametrize("first,second", [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")])
def test_a_second_signal_ends_at_once(start_recado, first, second):
    recado = start_recado("shutdown: {drain: 1h}")
    with native_to(recado):
        recado.signal(getattr(signal, f"SIG{first}"))
        recado.wait_log("draining")
        assert recado.process.poll() is None
        recado.signal(getattr(signal, f"SIG{second}"))
        assert recado.wait_exit() == 0


def test_a_hangup_in_a_drain_is_harmless(start_recado):
    recado = start_recado("shutdown: {drain: 1s}")
    with native_to(recado) as client:
        recado.signal(signal.SIGTERM)
        recado.wait_log("draining")
        recado.signal(signal.SIGHUP)
        assert client.read_close() == 3001
    assert recado.wait_exit() == 0


# ---- reload ----


def connect_code(recado, token):
    """0, or the code with which the session was refused."""
    with native_to(recado, connect=False) as wire:
        wire.send(frame(TEXT, json.dumps({"id": 1, "connect": {"token": token}})))
        try:
            assert "connect" in wire.read_message()
        except Ended:
            return wire.close_code
    return 0


def reload_with(recado, config):
    before = recado.log.count("reloaded: ")
    recado.write_config(config)
    recado.signal(signal.SIGHUP)
    until("it is reloaded", lambda: recado.log.count("reloaded: ") > before)


def test_reload_swaps_keys_and_namespaces(start_recado):
    old, new = "an-old-secret-of-32-characters..", "a-new-secret-of-32-characters..."
    form = "auth: {{hmac_secret: {}, api_keys: [{}]}}\nnamespaces: {{a: {{history: {}}}}}\n"
    recado = start_recado(form.format(old, "key-one-of-16-ch", 0))
    tokens = [jwt.encode({"sub": "ana"}, secret, "HS256") for secret in (old, new)]

    def api(key):
        return recado.post("/api/publish", {"channel": "a:1", "data": {}}, {"X-API-Key": key})

    assert [connect_code(recado, token) for token in tokens] == [0, 3500]
    assert api("key-two-of-16-ch")[0] == 401
    status, _, body = api("key-one-of-16-ch")
    assert status == 200 and "offset" not in json.loads(body)["result"]
    with native_to(recado, connect=False) as client:
        client.call("connect", {"token": tokens[0]})
        client.subscribe("a:1")
        reload_with(recado, form.format(new, "key-two-of-16-ch", 10))
        assert [connect_code(recado, token) for token in tokens] == [3500, 0]
        assert api("key-one-of-16-ch")[0] == 401
        status, _, body = api("key-two-of-16-ch")
        assert status == 200 and json.loads(body)["result"]["offset"] == 1
        assert client.read_publication()["data"] == {}  # who was there stays


def test_reload_many_times_under_traffic(start_recado):
    recado = start_recado("namespaces: {a: {history: 10}}")
    with native_to(recado) as client:
        client.subscribe("a:1")
        for number in range(30):
            reload_with(recado, f"namespaces: {{a: {{history: {10 + number}}}}}")
            recado.publish("a:1", number)
            assert client.read_publication()["data"] == number


def test_reload_swaps_the_log_level(start_recado):
    recado = start_recado("log: {level: error}")
    recado.write_config("log: {level: info}")
    recado.signal(signal.SIGHUP)
    recado.wait_log("reloaded: ")
    assert "listening on" not in recado.log  # that was before


@pytest.mark.parametrize("fault,named", [
    ("http:\n  head_max: nonsense\n", r"recado\.yaml:2.*http\.head_max"),
    ("namespaces:\n  a:\n    history: -1\n", r"recado\.yaml:3.*history"),
    ("auth: {hmac_secret: [\n", r"recado\.yaml:\d"),
    ("auth:\n  rsa_public_key: nothing.pem\n", r"recado\.yaml:2.*rsa_public_key"),
])
def test_reload_refuses_faults_and_goes_on(start_recado, fault, named):
    recado = start_recado("namespaces: {a: {history: 5}}")
    with native_to(recado) as client:
        client.subscribe("a:1")
        recado.write_config(fault)
        recado.signal(signal.SIGHUP)
        recado.wait_log(named)
        recado.wait_log("not reloaded")
        assert recado.publish("a:1", {"n": 1})["offset"] == 1
        assert client.read_publication()["data"] == {"n": 1}
        reload_with(recado, "namespaces: {a: {history: 6}}")


def test_reload_without_the_file(start_recado):
    recado = start_recado("namespaces: {a: {history: 5}}")
    recado.config_path.unlink()
    recado.signal(signal.SIGHUP)
    recado.wait_log("not reloaded")
    assert recado.publish("a:1", {})["offset"] == 1


def test_reload_swaps_certificates(start_recado, tmp_path):
    cert, key = make_certificate(tmp_path, "localhost")
    recado = start_recado(f"""listen:
  - 127.0.0.1:PORT
  - {{address: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}}}}}
""")
    target = ("127.0.0.1", int(recado.wait_log(r"https://127.0.0.1:(\d+)").group(1)))
    trusting = ssl._create_unverified_context()

    def serial():
        with Wire(target, tls=trusting) as wire:
            return wire.socket.getpeercert(binary_form=True)

    first = serial()
    with NativeWire(target, tls=trusting) as client:
        client.subscribe("a")
        key.write_text("no key\n")
        recado.signal(signal.SIGHUP)
        recado.wait_log("not reloaded|tls.key|localhost|cannot|PEM")
        assert serial() == first
        make_certificate(tmp_path, "localhost")
        reload_with(recado, recado.config)
        assert serial() != first
        recado.publish("a", {"n": 1})  # over the old certificate
        assert client.read_publication()["data"] == {"n": 1}


# ---- where it listens ----


def test_several_addresses(start_recado, tmp_path):
    ports = [free_port() for _ in range(2)]
    path = str(tmp_path / "recado.sock")
    recado = start_recado(f"""listen:
  - 127.0.0.1:PORT
  - "[::1]:{ports[0]}"
  - 127.0.0.2:{ports[1]}
  - unix:{path}
""")
    targets = [("127.0.0.1", recado.port), ("::1", ports[0]), ("127.0.0.2", ports[1]), path]
    clients = [NativeWire(target) for target in targets]
    for client in clients:
        client.subscribe("a")
    for number, target in enumerate(targets):
        assert ask(target, "/healthz/ready") == 200
        with Wire(target) as wire:
            body = json.dumps({"channel": "a", "data": number})
            assert wire.ask(request("POST", "/api/publish", body=body))[0] == 200
        for client in clients:
            assert client.read_publication()["data"] == number
    mode = stat.S_IMODE(os.stat(path).st_mode)
    assert mode & 0o007 == 0, oct(mode)
    for client in clients:
        client.close()
    recado.stop()
    assert not os.path.exists(path)


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(start_recado, tmp_path):
    path = str(tmp_path / "recado.sock")
    config = f"listen:\n  - 127.0.0.1:PORT\n  - unix:{path}\n"
    first = start_recado(config)
    first.kill()
    assert os.path.exists(path)
    second = start_recado(config)
    assert ask(path, "/healthz/ready") == 200
    done = second.run("serve", "--listen", f"unix:{path}", "--data", tmp_path / "other")
    assert done.returncode == 1 and path in done.stderr
    assert ask(path, "/healthz/ready") == 200


def test_a_file_is_not_taken_for_a_socket(cli, tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    done = cli("serve", "--listen", f"unix:{path}", "--data", tmp_path / "data")
    assert done.returncode == 1 and str(path) in done.stderr
    assert path.read_text() == "data"


def test_an_internal_address_hides_what_is_not_for_everybody(start_recado):
    inside = free_port()
    recado = start_recado(f"listen: [127.0.0.1:PORT]\ninternal_listen: [127.0.0.1:{inside}]",
                          wait=False)
    recado.wait_log("is ready")
    public, internal = ("127.0.0.1", recado.port), ("127.0.0.1", inside)
    for path in ("/", "/api/info", "/metrics", "/health", "/healthz/ready", "/healthz/live"):
        assert ask(public, path) == 404, path
        assert ask(internal, path) in (200, 405), path
    body = json.dumps({"channel": "a", "data": {"n": 1}})
    with native_to(recado) as client, Wire(public) as outside, Wire(internal) as operator:
        client.subscribe("a")
        assert outside.ask(request("POST", "/api/publish", body=body))[0] == 404
        assert operator.ask(handshake())[0] == 404
        assert operator.ask(request("POST", "/api/publish", body=body))[0] == 200
        assert client.read_publication()["data"] == {"n": 1}


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0"])
def test_beyond_this_machine_only_with_secrets(cli, address):
    done = cli("serve", "--listen", address)
    assert done.returncode == 2
    assert "--insecure" in done.stderr and "api_keys" in done.stderr
    keys = ("--auth.hmac_secret", "a-secret-of-32-characters.......",
            "--auth.api_keys", "a-key-of-16-chars")
    assert cli("config", "check", "--listen", address).returncode == 2
    assert cli("config", "check", "--listen", address, *keys).returncode == 0
    assert cli("config", "check", "--listen", address, "--insecure").returncode == 0


def test_a_flag_that_is_none(cli, tmp_path):
    for command in (["serve"], ["config", "check"], ["config", "print"]):
        done = cli(*command, "--llm.urll", "x")
        assert done.returncode == 2
        assert done.stderr.startswith(f"recado {command[0]}: there is no --llm.urll; did you mean --llm.url?")
    file = tmp_path / "recado.yaml"
    file.write_text("loops: 2\n")
    assert cli("config", "check", f"--config={file}").stdout == f"{file}: ok\n"


def test_a_port_in_use(start_recado, tmp_path):
    """Also when somebody else has it, and with one of two addresses."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = "127.0.0.1:%d" % other.getsockname()[1]
        recado = start_recado()
        done = recado.run("serve", "--listen", f"127.0.0.1:{free_port()}", "--listen", taken,
                          "--data", tmp_path / "other")
    assert done.returncode == 1
    assert taken in done.stderr and "in use" in done.stderr
    assert recado.get("/healthz/ready")[0] == 200


# ---- what is refused at start ----


@pytest.mark.parametrize("text,named", [
    ("http: {head_max: nonsense}\n", ["bad.yaml:1", "http.head_max", "nonsense"]),
    ("\n\nlog:\n  level: loud\n", ["bad.yaml:4", "log.level", "loud"]),
    ("shutdown: {drain: 5 parsecs}\n", ["bad.yaml:1", "shutdown.drain"]),
    ("endpoints:\n  - {path: /x, dialect: klingon}\n", ["bad.yaml:2", "klingon", "native"]),
    ("listen: [nowhere:nothing]\n", ["listen", "nowhere:nothing"]),
    ("listen: {a: b}\n", ["bad.yaml:1", "listen"]),
    ("client: {connections_max: -5}\n", ["bad.yaml:1", "client.connections_max"]),
    ("client: {connections_max: 99999999999}\n", ["bad.yaml:1", "client.connections_max"]),
    ("namespaces: {a: {history: x}, b: {ttl: y}}\n", ["bad.yaml:1", "history", "ttl"]),
    ("a: [b\n", ["bad.yaml:"]),
    ("- a\n- b\n", ["bad.yaml:"]),
    ("tls: {cert: /nowhere.pem}\n", ["tls"]),
    ("\x00\x01\x02", ["bad.yaml"]),
])
def test_wrong_configurations(cli, tmp_path, text, named):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    for command in (["serve", "-c", file], ["config", "check", "-c", file]):
        done = cli(*command)
        assert done.returncode == 2, done
        for word in named:
            assert word in done.stderr + done.stdout, (word, done)


def test_all_faults_are_told_at_once(cli, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("http:\n  head_max: a\n  body_max: b\nlog:\n  level: c\n")
    done = cli("serve", "-c", file)
    for line in (2, 3, 5):
        assert f"bad.yaml:{line}" in done.stderr


def test_unknown_keys_are_a_warning_at_start_and_an_error_in_a_check(start_recado):
    recado = start_recado("namespaces: {a: {history: 5}}\nhtttp: {head_max: 1KiB}\n")
    recado.wait_log(r"recado\.yaml:2.*htttp")
    done = recado.run("config", "check", "-c", recado.config_path)
    assert done.returncode == 2 and "htttp" in done.stderr + done.stdout


@pytest.mark.parametrize("args,named", [
    (["-c", "/nowhere/recado.yaml"], "/nowhere/recado.yaml"), (["--nonsense"], "--nonsense"),
    (["--http.head_max", "x"], "head_max"), (["--listen"], "listen"), (["extra"], "extra")])
def test_wrong_flags(cli, args, named):
    done = cli("serve", *args)
    assert done.returncode == 2 and named in done.stderr


def test_a_wrong_variable_is_named(cli):
    done = cli("serve", env={"RECADO_HTTP_HEAD_MAX": "nonsense"})
    assert done.returncode == 2 and "RECADO_HTTP_HEAD_MAX" in done.stderr


def test_certificates_that_do_not_fit_are_refused(cli, tmp_path):
    cert, _ = make_certificate(tmp_path, "one", "one")
    _, key = make_certificate(tmp_path, "two", "two")
    done = cli("serve", "--listen", f"127.0.0.1:{free_port()}", "--tls.cert", cert,
               "--tls.key", key, "--data", tmp_path / "data")
    assert done.returncode in (1, 2)
    assert str(key) in done.stderr or str(cert) in done.stderr


# ---- the service manager ----


def receive(notify):
    lines = notify.recv(4096).decode().split("\n")
    return lines[0], dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_notifications(start_recado, tmp_path, kind):
    name = f"@recado-test-{os.getpid()}" if kind == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(name.replace("@", "\0", 1))
        notify.settimeout(LIMIT_SECONDS)
        recado = start_recado("namespaces: {a: {history: 5}}", env={"NOTIFY_SOCKET": name})
        assert receive(notify)[0] == "READY=1"
        recado.signal(signal.SIGHUP)
        word, fields = receive(notify)
        assert word == "RELOADING=1" and int(fields["MONOTONIC_USEC"]) > 0
        assert receive(notify)[0] == "READY=1"
        recado.write_config("namespaces: 7")
        recado.signal(signal.SIGHUP)
        assert [receive(notify)[0] for _ in range(2)] == ["RELOADING=1", "READY=1"]
        recado.stop()
        assert receive(notify)[0] == "STOPPING=1"


def test_a_service_manager_that_is_gone_does_no_harm(start_recado, tmp_path):
    recado = start_recado(env={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert recado.get("/healthz/ready")[0] == 200


# ---- after a crash ----


def test_killed_and_started_again_on_the_same_port(start_recado):
    recado = start_recado()
    for number in range(5):
        with native_to(recado) as client:
            client.subscribe("a")
            recado.publish("a", number)
            assert client.read_publication()["data"] == number
            epoch = client.call("history", {"channel": "a"})["history"]["epoch"]
            recado.kill()
            with pytest.raises((Ended, OSError)):
                client.read_message()
        recado.start()
        with native_to(recado) as client:  # what was only in memory is not pretended to be there
            again = client.subscribe("a", recover=True, epoch=epoch, offset=number + 1)
            assert not again.get("recovered") and again["epoch"] != epoch


def test_stopped_and_started_again_on_the_same_port(start_recado):
    recado = start_recado()
    for _ in range(3):
        wires = [native_to(recado) for _ in range(20)]
        recado.stop()
        assert {wire.read_close() for wire in wires} == {3001}
        recado.start()
