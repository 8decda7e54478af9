"""The load generators: what each is called with, and one form for what they answer.

`recado bench` is the project's own. `fan` is a neutral one that some measure with instead; the two
must agree. Either gets one core for itself.
"""
import dataclasses
import functools
import json
import math
import os
import subprocess

from .servers import DIALECTS, PATHS, SOCKETIO, Trouble

MORE_S = 90  # for connecting thousands of clients to a slow server


@dataclasses.dataclass(frozen=True)
class Work:
    mode: str = "fanout"  # fanout, echo, connections
    subs: int = 1000
    size: int = 64
    window: int = 1
    rate: float = 0  # messages per second; 0: closed loop
    time_s: float = 1.0
    warm_s: float = 0.3
    deflate: bool = False
    tls: bool = False
    subscribe: bool = True  # idle connections subscribe to one channel
    spin: bool = True  # the generator polls busily: no wake-ups for the server to pay
    http: bool = False  # published through the server API, whatever subscribers speak
    transport: str = "websocket"  # of Socket.IO clients; or polling
    samples: int = 0  # subscribers whose every message is looked at; 0: the generator's own choice
    source: int = 0  # number of the first source address


class Fan:
    """The command lines of the neutral generator, one per protocol."""

    def __init__(self, path):
        self.path = path
        self.name = "fan"

    SUBSCRIBE = {
        "native": (("-S", '{"id":1,"connect":{}}'),
                   ("-S", '{"id":2,"subscribe":{"channel":"bench"}}'),
                   ("-R", '"id":2,"subscribe"')),
        "socketio": (("-S", "40"), ("-R", "40{"), ("-S", '420["join","bench"]'), ("-R", "430[")),
    }
    PUBLISH = {
        "native": ("-O", '{"id":1,"connect":{}}', "-A", '"id":1,"connect"',
                   "-F", '{"id":%d,"publish":{"channel":"bench","data":', "-T", "}}"),
        "socketio": ("-O", "40", "-A", "40{", "-F", '42["msg",', "-T", "]"),
    }

    def command(self, server, running, work):
        if work.tls:
            raise Trouble("fan does not speak TLS")
        if server.protocol in (*DIALECTS, SOCKETIO) or work.http:
            raise Trouble("fan speaks no dialects")
        sub, pub = PATHS[server.protocol]
        mode = {"fanout": "fan", "echo": "echo", "connections": "idle"}[work.mode]
        c = [self.path, "-M", mode, "-p", str(running.port), "-n", str(work.subs),
             "-t", f"{work.time_s:g}", "-i", str(running.pid), "-a", str(work.source)]
        if work.mode != "connections":
            c += ["-s", str(work.size), "-u", f"{work.warm_s:g}"] + (["-b"] if work.spin else [])
            c += ["-r", f"{work.rate:g}"] if work.rate else ["-w", str(work.window)]
        if work.mode == "echo":
            return c + ["-P", server.echo]
        c += ["-P", sub]
        if server.protocol == "native":
            c += ["--pong", "{}"]
        elif server.protocol == "socketio":
            c += ["--pong", "3"]
        c += self.subscribing(server, work)
        if work.mode == "fanout":
            c += ["--http-pub", pub] if server.protocol == "nchan" else ["-Q", pub]
            c += self.PUBLISH.get(server.protocol, ())
        return c

    def subscribing(self, server, work):
        # Deflated frames are counted, not looked at: nothing to wait for, no lines to split.
        c = []
        for option, text in self.SUBSCRIBE.get(server.protocol, ()):
            if work.subscribe or "subscribe" not in text:
                if not (work.deflate and option == "-R" and server.protocol == "native"):
                    c += [option, text]
        if work.deflate:
            c += ["-z"]
        elif server.protocol == "native":
            c += ["-L"]
        return c


class Own:
    """recado bench."""

    def __init__(self, path):
        self.path = path
        self.name = "recado bench"

    def command(self, server, running, work):
        base = f"{'wss' if work.tls else 'ws'}://127.0.0.1:{running.port}"
        sub, pub = PATHS[server.protocol]
        # A message on a WebSocket publishes with Nchan too.
        protocol = "plain" if server.protocol == "nchan" else server.protocol
        path = server.echo if work.mode == "echo" else sub.replace("{transport}", work.transport)
        c = [self.path, "bench", work.mode, base + path,
             "--connections", str(work.subs), "--time", f"{work.time_s * 1000:.0f}ms",
             "--pid", str(running.pid), "--json"]
        if work.tls and self.checks_certificates():
            c += ["--insecure"]  # the certificate of the run is signed by nobody
        if work.mode != "echo":
            c += ["--protocol", protocol]
        if work.transport != "websocket":
            c += ["--transport", work.transport]
        if server.token:
            c += ["--token", one_line(server.token)]
        if work.mode == "connections":
            return c + ["--source-first", str(work.source)]
        c += ["--size", str(work.size), "--warmup", f"{work.warm_s * 1000:.0f}ms"]
        c += ["--rate", f"{work.rate:.0f}"] if work.rate else ["--window", str(work.window)]
        c += ["--spin"] if work.spin else []
        c += ["--http"] if work.http else []
        c += ["--samples", str(work.samples)] if work.samples else []
        if work.mode == "fanout" and pub != sub and not work.http:
            c += ["--publish-path", pub]
        return c + (["--deflate"] if work.deflate else [])

    @functools.cache
    def checks_certificates(self):
        """An older program does not, and knows no --insecure."""
        done = subprocess.run([self.path, "bench", "--help"], capture_output=True, text=True,
                              check=False)
        return "--insecure" in done.stdout


@functools.cache
def one_line(command):
    """What a command prints: a token, the same for all runs."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"no token: {last_words(done.stderr)}")
    return done.stdout.strip()


def choose(text, recado):
    """--generator: nothing, or fan:PATH."""
    if not text or text == "recado":
        return Own(recado)
    kind, _, path = text.partition(":")
    if kind != "fan" or not os.access(path, os.X_OK):
        raise Trouble(f"--generator {text}: want recado, or fan:/path/to/fan")
    return Fan(path)


def start(command, cores):
    return subprocess.Popen(["taskset", "-c", cores] + command, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, work):
    """The figures of a generator that was started."""
    try:
        out, err = process.communicate(timeout=work.time_s + work.warm_s + MORE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Trouble("the generator did not come to an end") from None
    for line in reversed(out.splitlines()):
        try:
            return figures(json.loads(line), work)
        except ValueError:
            continue
    raise Trouble(f"no figures: {last_words(err) or f'exit {process.returncode}'}")


def last_words(text):
    """The end of what a generator complained of; it may have quoted a server's bytes."""
    return "".join(c if c.isprintable() and c != "|" else " " for c in text.strip()[-300:])


def figures(raw, work):
    """What the tables need, under the same names for every generator; the rest stays in raw."""
    row = {key: raw.get(key) for key in (
        "deliveries_per_s", "deliveries_per_cpu_s", "server_load", "client_load", "p50_us",
        "p99_us", "p999_us", "max_us", "backlog", "missing", "errors", "disorder")}
    for key in ("p50_us", "p99_us", "p999_us", "max_us"):
        row[key] = row[key] or None  # 0: not sampled
    if not row["deliveries_per_s"] or not math.isfinite(row["deliveries_per_s"]):
        raise Trouble("nothing was delivered")
    row["messages_per_s"] = row["deliveries_per_s"] / work.subs
    row["raw"] = raw
    return row
