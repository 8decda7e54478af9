"""The group durable: what it costs to keep events, through the store alone and through the server.

Publishers speak the native protocol and count answers; a durable namespace answers when the commit is
done. Server, store and generator share all cores, as loops do: a store has a thread of its own.
"""
import asyncio
import base64
import contextlib
import dataclasses
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import time
import urllib.request

from . import generators
from .generators import Work
from .servers import BENCH, OUT, ROOT, Running, Trouble

CONFIG = os.path.join(BENCH, "configs", "durable.yaml")
STORE_BENCH = os.path.join(ROOT, "build", "bench", "store", "store_bench")
WITH_DATABASE = os.path.join(ROOT, "tests", "battery", "with-database")
DATA = os.path.join(OUT, "durable")
SIZE = 256
STREAMS = 100000
READY_S = 60
CATCH_UP_S = 300


@dataclasses.dataclass(frozen=True)
class Cell:
    kind: str  # store, publish, latency, catch-up, restart
    channels: int = 1000
    publishers: int = 1
    window: int = 1
    rate: float = 0
    clients: int = 0
    missed: int = 0
    memory: bool = False  # catch up from memory, without a restart before
    time_s: float = 2
    group: str = "durable"
    loops: tuple = ()
    work: Work = Work(size=SIZE)

    def label(self):
        label = {"kind": self.kind}
        if self.kind == "catch-up":
            return dict(label, clients=self.clients, missed=self.missed,
                        source="memory" if self.memory else "store")
        label["channels"] = self.channels
        if self.kind == "restart":
            return label
        label["publishers"] = self.publishers
        return dict(label, rate=self.rate) if self.rate else dict(label, window=self.window)


def cells(o):
    time_s = 1 if o.quick else max(5, o.time)
    channels = (1000,) if o.quick else (1, 1000, 100000)
    for count in channels:
        for window in (20000,) if o.quick else (1, 100, 20000):
            yield Cell("store", count, 1, window, time_s=time_s)
    for count in channels:
        # One that waits, a hundred that wait, and both with much under way.
        for publishers, window in (((100, 20000),) if o.quick else
                                   ((1, 1), (1, 20000), (100, 100), (100, 20000), (100, 60000))):
            yield Cell("publish", count, publishers, window, time_s=time_s)
    for publishers, rate in ((100, 1000),) if o.quick else ((1, 100), (100, 1000), (100, 10000)):
        yield Cell("latency", 1000, publishers, rate=rate, time_s=time_s)
    clients = 100 if o.quick else 1000
    for memory in (True, False):
        yield Cell("catch-up", 1, clients=clients, missed=1000, memory=memory)
    yield Cell("restart", 10000 if o.quick else STREAMS)


# ---- databases ----

@contextlib.contextmanager
def database(kind):
    """The address of a database of its own; sqlite: a file in the data directory."""
    shutil.rmtree(DATA, ignore_errors=True)
    os.makedirs(DATA, exist_ok=True)
    if kind == "sqlite":
        try:
            yield f"sqlite:{DATA}/recado.db"
        finally:
            shutil.rmtree(DATA, ignore_errors=True)
        return
    with subprocess.Popen([WITH_DATABASE, kind, "sh", "-c", 'echo "$RECADO_STORE_URL"; exec cat'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        if not url:
            raise Trouble(f"{kind} was not started")
        try:
            yield url
        finally:
            process.stdin.close()
            process.wait(60)


def kind_of(server):
    return server.name.partition("-")[2] or "sqlite"


@contextlib.contextmanager
def running(server, url, cores):
    """Recado with that database, ready."""
    more = dataclasses.replace(server, env=(("RECADO_STORE", url),), command=(
        server.needs, "serve", "-c", CONFIG, "--listen", "127.0.0.1:{port}", "--data", DATA))
    with Running(more, cores) as one:
        wait_until_ready(one.port)
        yield one


def wait_until_ready(port):
    deadline = time.monotonic() + READY_S
    while True:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz/ready", timeout=5):
                return
        if time.monotonic() > deadline:
            raise Trouble("the server was not ready in time")
        time.sleep(0.002)


# ---- measurements ----

def answer_of(command, seconds):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          timeout=seconds + generators.MORE_S)
    if done.returncode != 0 or not done.stdout.strip():
        raise Trouble(generators.last_words(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def store_bench():
    if not os.path.exists(STORE_BENCH):
        done = subprocess.run(["cmake", "--build", os.path.join(ROOT, "build"), "--target",
                               "store_bench"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble("store_bench cannot be built: cmake --preset release first")
    return STORE_BENCH


def through_store(server, cell, url):
    command = [store_bench(), url, str(cell.channels), str(cell.window),
               str(max(1, round(cell.time_s))), str(SIZE)]
    row = answer_of(command, cell.time_s)
    return dict(row, messages_per_s=row["events_per_s"], command=command)


def publishing(server, one, cell, namespace):
    command = [server.needs, "bench", "publish", f"ws://127.0.0.1:{one.port}", "--channel",
               f"{namespace}:", "--channels", str(cell.channels), "--connections",
               str(cell.publishers), "--size", str(SIZE), "--time",
               f"{cell.time_s * 1000:.0f}ms", "--warmup", "1s", "--pid", str(one.pid), "--json"]
    command += ["--rate", f"{cell.rate:.0f}"] if cell.rate else ["--window", str(cell.window)]
    return dict(answer_of(command, cell.time_s), command=command)


def through_server(server, cell, url, cores):
    with running(server, url, cores) as one:
        return dict(publishing(server, one, cell, "kept"), server_command=one.command)


def added_latency(server, cell, url, cores):
    """The same load on a namespace that is kept and on one that is not, in turns, in one server."""
    plain, kept = [], []
    with running(server, url, cores) as one:
        for _ in range(2):
            plain.append(publishing(server, one, cell, "plain"))
            kept.append(publishing(server, one, cell, "kept"))
        row = {"messages_per_s": statistics.mean(r["messages_per_s"] for r in kept),
               "command": kept[-1]["command"], "server_command": one.command}
    for key in ("p50_us", "p99_us"):
        a, b = (statistics.mean(r[key] for r in rows) for rows in (plain, kept))
        row |= {f"plain_{key}": a, key: b, f"added_{key}": round(b - a, 1)}
    return row


def request(port, path, body):
    ask = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(),
                                 {"Content-Type": "application/json"})
    with urllib.request.urlopen(ask, timeout=60) as answer:
        return json.loads(answer.read())


def fill(port, channel, count):
    for first in range(0, count, 500):
        pad = "x" * (SIZE - 20)
        replies = request(port, "/api/batch", {"commands": [
            {"publish": {"channel": channel, "data": {"n": n, "pad": pad}}}
            for n in range(first + 1, min(first + 500, count) + 1)]})["replies"]
        if any("error" in reply for reply in replies):
            raise Trouble(f"not published: {replies[0]}")
    return request(port, "/api/history", {"channel": channel, "limit": 0})["result"]["epoch"]


def frame(text):
    data = text.encode()
    head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else \
        bytes([0x81, 0xfe]) + len(data).to_bytes(2, "big")
    return head + bytes(4) + data


async def catch_up_one(port, channel, epoch, missed, gate):
    """Seconds from the subscription until the last event that was missed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(f"GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                 "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 f"Sec-WebSocket-Key: {key}\r\n\r\n".encode() + frame('{"id":1,"connect":{}}'))
    await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b'"connect"')
    await gate.wait()
    begun = time.monotonic()
    writer.write(frame(json.dumps({"id": 2, "subscribe": {
        "channel": channel, "recover": True, "epoch": epoch, "offset": 0}})))
    mark = b'"pad":'
    got, tail = 0, b""
    while got < missed:
        data = await reader.read(1 << 18)
        if not data:
            raise Trouble(f"a client was closed after {got} of {missed} events")
        data = tail + data
        got += data.count(mark)
        tail = data[-(len(mark) - 1):]
        tail = tail if mark not in tail else b""
    took = time.monotonic() - begun
    writer.close()
    return took, got


async def catch_up_all(port, channel, epoch, cell):
    gate = asyncio.Event()
    tasks = [asyncio.create_task(catch_up_one(port, channel, epoch, cell.missed, gate))
             for _ in range(cell.clients)]
    await asyncio.sleep(1 + cell.clients / 1000)
    begun = time.monotonic()
    gate.set()
    done = await asyncio.wait_for(asyncio.gather(*tasks), CATCH_UP_S)
    return time.monotonic() - begun, [took for took, _ in done], sum(got for _, got in done)


def catch_up(server, cell, url, cores):
    channel = "kept:catch-up"
    with running(server, url, cores) as one:
        epoch = fill(one.port, channel, cell.missed)
        if cell.memory:
            took, each, got = asyncio.run(catch_up_all(one.port, channel, epoch, cell))
            command = one.command
    if not cell.memory:
        with running(server, url, cores) as one:
            took, each, got = asyncio.run(catch_up_all(one.port, channel, epoch, cell))
            command = one.command
    if got != cell.clients * cell.missed:
        raise Trouble(f"{got} events instead of {cell.clients * cell.missed}")
    each.sort()
    return {"seconds": round(took, 3), "messages_per_s": round(got / took),
            "p50_us": each[len(each) // 2] * 1e6,
            "p99_us": each[math.ceil(len(each) * 0.99) - 1] * 1e6, "server_command": command}


def restart(server, cell, url, cores):
    """Killed while it is being written to, a moment after every stream has been."""
    load = dataclasses.replace(cell, publishers=10, window=20000, time_s=3)
    with running(server, url, cores) as one:
        for _ in range(10):  # until each has had something
            done = publishing(server, one, load, "kept")
            if streams(one.port) >= cell.channels:
                break
        generator = subprocess.Popen(done["command"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        time.sleep(2)
        kept = streams(one.port)
        os.kill(one.pid, signal.SIGKILL)
        one.process.wait()
        generator.wait()
        one.process = None
        begun = time.monotonic()
        one.start()
        wait_until_ready(one.port)
        took = time.monotonic() - begun
        if streams(one.port) < kept:
            raise Trouble(f"{streams(one.port)} streams instead of {kept}")
        return {"seconds": round(took, 3), "streams": kept, "server_command": one.command}


def streams(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("recado_store_streams "):
                return int(float(line.split()[1]))
    return 0


def measure(server, cell, cores):
    with database(kind_of(server)) as url:
        if cell.kind == "store":
            row = through_store(server, cell, url)
            row["command"] = [part if part != url else kind_of(server) for part in row["command"]]
        else:
            row = {"publish": through_server, "latency": added_latency, "catch-up": catch_up,
                   "restart": restart}[cell.kind](server, cell, url, cores)
    return [row]
