"""The servers of the side by side runs: how each is started, and how clients speak to it.

Every measurement gets a fresh server: what one run left behind (a backlog, a grown heap) must not
colour the next, and servers that wait do not disturb the one that works.
"""
import dataclasses
import os
import re
import shlex
import signal
import socket
import subprocess
import time

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(BENCH)
BUILD = os.path.join(BENCH, "peers", "build")
OUT = os.path.join(BENCH, "out")

START_S = 15
STOP_S = 3
PROTOCOLS = ("native", "plain", "socketio", "nchan")
DIALECTS = ("orquestrador", "agents", "pytake", "plataforma", "conductor")
SOCKETIO = "socketio-broadcast"  # the dialect socketio, where configs/recado.yaml has it
COMMON = ("fanout", "peers", "rate", "stall", "deflate", "echo", "idle", "loops")
PATHS = {  # protocol: where subscribers and publishers connect
    "native": ("/connection/websocket", "/connection/websocket"),
    "plain": ("/sub", "/pub"),
    "socketio": ("/socket.io/?EIO=4&transport=websocket",) * 2,
    "nchan": ("/sub/bench", "/pub/bench"),
    **{name: ("", "") for name in DIALECTS},  # the generator knows
    SOCKETIO: ("/live/?EIO=4&transport={transport}", ""),
}


class Trouble(Exception):
    """A run that cannot be made; the message says why."""


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    command: tuple  # "{port}" in it becomes the port
    port: int
    protocol: str
    needs: str = ""  # a file that is there when the server is installed
    env: tuple = ()
    groups: tuple = COMMON
    pid: int = 0  # of a server that somebody else started
    movable: bool = True  # can listen on another port than its own
    slow: bool = False  # thousands of connections take it long: smaller cells only
    echo: str = ""  # path of the echo, if it has one
    forks: bool = False  # works in a child
    deflate: tuple = None  # added to the command for deflated runs; None: cannot
    polls: bool = False  # Socket.IO clients may poll
    token: tuple = ()  # a command that prints what clients have to bring

    def takes_part(self, group):
        return group in self.groups

    def installed(self):
        return bool(self.pid) or not self.needs or os.path.exists(self.needs)


def known(recado):
    """Recado and the peers that bench/peers/install installs."""
    peers = os.path.join(BENCH, "peers")
    config = os.path.join(BENCH, "configs", "recado.yaml")
    centrifugo = os.path.join(BUILD, "centrifugo", "centrifugo")
    node = os.path.join(BUILD, "socketio", "node_modules")
    python = os.path.join(BUILD, "socketio-python", "bin", "python")
    some = ("fanout", "peers", "rate", "stall", "idle")
    serve = (recado, "serve", "-c", config, "--listen", "127.0.0.1:{port}",
             "--data", os.path.join(OUT, "data-{port}"))
    token = (recado, "token", "--sub", "bench", "--org", "bench", "--expires", "1d", "-c", config)
    return [
        Server("recado", serve, 8100, "native", needs=recado, echo="/echo", deflate=(),
               groups=COMMON + ("dialects", "sessions", "durable", "answers")),
        Server("recado-mariadb", serve, 8105, "native", needs=recado, groups=("durable",)),
        Server("recado-postgres", serve, 8106, "native", needs=recado, groups=("durable",)),
        Server("recado-socketio", serve, 8100, SOCKETIO, needs=recado, polls=True,
               groups=("dialects", "polling", "sessions")),
    ] + [
        Server(f"recado-{name}", serve, 8100, name, needs=recado, polls=name == "pytake",
               groups=("dialects", "sessions") + (("polling",) if name == "pytake" else ()),
               token=token if name == "pytake" else ()) for name in DIALECTS
    ] + [
        Server("centrifugo",
               (centrifugo, "--config", os.path.join(peers, "centrifugo.json"),
                "--http_server.port", "{port}"),
               8101, "native", needs=centrifugo, groups=some),
        Server("nchan", (os.path.join(peers, "nchan"),), 8102, "nchan", movable=False, forks=True,
               needs=os.path.join(BUILD, "nchan", "version"), groups=some),
        Server("socketio", ("node", os.path.join(peers, "socketio.js"), "{port}"),
               8103, "socketio", needs=node, env=(("NODE_PATH", node),), slow=True,
               groups=("fanout", "peers", "idle", "deflate"), deflate=("deflate",)),
        Server("socketio-python", (python, os.path.join(peers, "socketio_python.py"), "{port}"),
               8104, "socketio", needs=python, slow=True, groups=("fanout", "peers")),
    ]


PEER = re.compile(r"^(?P<name>[\w-]+)=(?P<what>.+?),(?P<port>\d+)(?P<more>(,\w+=[^,]+)*)$",
                  re.DOTALL)


def parse_peer(text):
    """A server added by hand: NAME=WHAT,PORT[,protocol=P][,groups=A+B][,deflate=yes].

    WHAT is a command, or a file with the process id of a running server.
    """
    m = PEER.match(text)
    if not m:
        raise Trouble(f"--peer {text}: want NAME=COMMAND-OR-PID-FILE,PORT[,KEY=VALUE]...")
    more = dict(part.split("=", 1) for part in m["more"].split(",") if part)
    protocol = more.pop("protocol", "plain")
    groups = tuple(more.pop("groups", "+".join(COMMON)).split("+"))
    deflate = () if more.pop("deflate", "no") == "yes" else None
    if more or protocol not in PROTOCOLS:
        raise Trouble(f"--peer {text}: unknown {', '.join(more) or 'protocol ' + protocol}")
    pid, command = 0, ()
    if os.path.isfile(m["what"]) and not os.access(m["what"], os.X_OK):
        with open(m["what"], encoding="utf-8") as f:
            pid = int(f.read())
    else:
        command = tuple(shlex.split(m["what"]))
    return Server(m["name"], command, int(m["port"]), protocol, pid=pid, groups=groups,
                  movable=any("{port}" in part for part in command),
                  echo="/echo" if protocol == "plain" else "", deflate=deflate)


def child_of(pid):
    """The process that works, when it is a child of the one that was started; 0: not yet there."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                    return int(name)
        except (OSError, ValueError, IndexError):
            continue
    return 0


class Running:
    """A started server; a context manager that ends what it started."""

    def __init__(self, server, cores, port=0, arguments=()):
        self.server = server
        self.port = port or server.port
        self.process = None
        self.pid = server.pid
        self.cores = cores
        command = tuple(part.replace("{port}", str(self.port)) for part in server.command)
        self.command = ("taskset", "-c", cores) + command + tuple(arguments)
        if server.pid:
            self.command = ("(started by hand)",)

    def __enter__(self):
        if not self.server.pid:
            self.start()
        return self

    def start(self):
        if port_open(self.port):
            raise Trouble(f"port {self.port} is taken: is a {self.server.name} still running?")
        os.makedirs(OUT, exist_ok=True)
        env = dict(os.environ, **dict(self.server.env))
        with open(os.path.join(OUT, f"{self.server.name}.log"), "ab") as log:
            self.process = subprocess.Popen(self.command, env=env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        self.wait_until_ready(os.path.relpath(log.name, ROOT))

    def wait_until_ready(self, log_name):
        deadline = time.monotonic() + START_S
        while True:
            if port_open(self.port):
                self.pid = child_of(self.process.pid) if self.server.forks else self.process.pid
                if self.pid:
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Trouble(f"{self.server.name} did not start: see {log_name}")
            time.sleep(0.02)

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if not self.process:
            return
        for sign, wait in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(wait)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self.process = None

    def pause(self, seconds):
        os.kill(self.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.pid, signal.SIGCONT)


def port_open(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0
