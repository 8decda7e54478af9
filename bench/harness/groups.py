"""The scenarios: which cells a group has, and how one measurement of a cell is made."""
import dataclasses
import math
import os
import subprocess
import time

from . import answers as answering
from . import durable, generators, machine
from .generators import Work
from .servers import OUT, Running, Trouble

STALL_S = 0.1
SETTLE_S = 2  # until the last handshakes and subscriptions are through
GIB = 1 << 30
RATES = {  # subscribers: messages per second
    100: (10000, 30000, 100000, 200000),
    1000: (100, 1000, 2000, 4000, 8000, 16000, 32000, 48000),
    10000: (100, 150, 200, 500, 1000, 4000),
}
SEARCH_FROM = {100: 2000, 1000: 500, 10000: 50}
SEARCH_STEPS = 3
SUSTAINED_PART = 0.98
SUSTAINED_BACKLOG_S = 0.1
SLOW_SUBS_MAX = 1000


@dataclasses.dataclass(frozen=True)
class Cell:
    group: str
    work: Work
    search: bool = False  # look for the highest rate; work.rate is where it begins
    stall: bool = False
    loops: tuple = ()  # numbers of loops to compare, Recado only

    def label(self):
        w = self.work
        if w.mode == "answers":
            return {"mode": w.mode, "answers": w.subs, "rate": w.rate}
        label = {"mode": w.mode, "subs": w.subs, "size": w.size}
        if w.mode == "connections":
            label = {"mode": w.mode, "connections": w.subs, "tls": w.tls}
            return dict(label, transport=w.transport) if w.transport != "websocket" else label
        if self.search:
            return dict(label, search=True)
        label.update({"rate": w.rate} if w.rate else {"window": w.window})
        if self.stall:
            label["stall_ms"] = STALL_S * 1000
        if w.deflate:
            label["deflate"] = True
        if w.transport != "websocket":
            label["transport"] = w.transport
        return label


def fanout(o):
    for subs in o.subs or ((1000,) if o.quick else (100, 1000, 10000)):
        for size in o.sizes or ((64, 4096) if o.quick else (64, 512, 4096)):
            for window in o.windows or ((1, 16, 256) if o.quick else (1, 16, 64, 256)):
                yield Cell("fanout", Work(subs=subs, size=size, window=window, time_s=o.time))


def peers(o):
    for subs in o.subs or ((100,) if o.quick else (100, 1000)):
        for size in o.sizes or ((512,) if o.quick else (64, 512)):
            yield Cell("peers", Work(subs=subs, size=size, window=16, time_s=max(1, o.time)))


def rate(o):
    for subs in o.subs or ((1000,) if o.quick else (100, 1000, 10000)):
        work = Work(subs=subs, size=128, time_s=max(1, o.time) if o.quick else 2)
        for r in o.rates or ((1000, 8000) if o.quick else RATES.get(subs, (1000,))):
            yield Cell("rate", dataclasses.replace(work, rate=r))
        if not o.quick:
            begin = dataclasses.replace(work, rate=SEARCH_FROM.get(subs, 500))
            yield Cell("rate", begin, search=True)


def stall(o):
    for r in o.rates or ((1000,) if o.quick else (500, 1000, 1500)):
        work = Work(subs=1000, size=128, rate=r, time_s=2 if o.quick else 4)
        yield Cell("stall", work, stall=True)


def deflate(o):
    for size in o.sizes or ((512,) if o.quick else (512, 4096)):
        for window in o.windows or (1, 16):
            # A server with a compressor for each client makes them all for the first message.
            work = Work(subs=1000, size=size, window=window, time_s=max(1, o.time), warm_s=1,
                        deflate=True)
            yield Cell("deflate", work)


def echo(o):
    for size, window in ((64, 1), (64, 16), (512, 16)):
        if not o.quick or (size, window) == (64, 1):
            yield Cell("echo", Work("echo", subs=64, size=size, window=window, time_s=o.time))


def idle(o):
    count = o.connections or (5000 if o.quick else 100000)
    for tls in (False, True):
        yield Cell("idle", Work("connections", subs=count, tls=tls, time_s=600))


def loops(o):
    for subs in o.subs or ((1000,) if o.quick else (1000, 10000)):
        for window in o.windows or ((16,) if o.quick else (1, 16, 64)):
            work = Work(subs=subs, window=window, time_s=o.time, spin=False)
            yield Cell("loops", work, loops=(1, 2))


def dialects(o):
    """The same event, published once through the server API, to clients of one dialect each."""
    for size in o.sizes or ((64,) if o.quick else (64, 512)):
        for window in o.windows or ((16,) if o.quick else (1, 16, 64)):
            yield Cell("dialects", Work(subs=(o.subs or (1000,))[0], size=size, window=window,
                                        time_s=o.time, http=True))


def polling(o):
    """Every message of every client is looked at; the slowest rate goes on beyond two pings."""
    subs = (o.subs or (200 if o.quick else 1000,))[0]
    for r in o.rates or ((10, 100) if o.quick else (10, 100, 1000)):
        time_s = 60 if r <= 10 and not o.quick else max(2, o.time)
        yield Cell("polling", Work(subs=subs, size=128, rate=r, time_s=time_s, http=True,
                                   transport="polling", samples=subs))


def sessions(o):
    count = o.connections or (1000 if o.quick else 10000)
    for transport in ("websocket", "polling"):
        yield Cell("sessions", Work("connections", subs=count, transport=transport, time_s=600))


def answers(o):
    """Tokens of a model on their way to pages, and to clients of /v1."""
    for count in o.subs or ((100,) if o.quick else (1, 100, 1000)):
        yield Cell("answers", answering.Answers(subs=count, tokens=100 if o.quick else 500))


GROUPS = {f.__name__: f for f in (fanout, peers, rate, stall, deflate, echo, idle, loops,
                                  dialects, polling, sessions, answers)}
GROUPS["durable"] = durable.cells


def refusal(server, cell, generator):
    """Why this server does not take part in this cell; empty if it does."""
    w = cell.work
    if cell.group == "durable":
        return "" if generator.name != "fan" else "measured with Recado's own generator"
    if cell.loops and server.name != "recado":
        return "one loop"
    if w.transport == "polling" and not server.polls:
        return "does not poll"
    if (w.http or cell.group == "sessions") and generator.name == "fan":
        return "dialects are measured with Recado's own generator"
    if w.mode == "echo" and not server.echo:
        return "has no echo"
    if w.deflate and server.deflate is None:
        return "no comparable compression"
    if w.tls and (server.name != "recado" or generator.name == "fan"):
        return "TLS is measured with Recado and its own generator"
    if server.slow and w.mode == "fanout" and w.subs > SLOW_SUBS_MAX:
        return f"more than {SLOW_SUBS_MAX} connections take it too long"
    if server.name != "recado" and w.mode == "fanout" and not w.rate:
        # Others keep what is outstanding once per subscriber.
        need = w.subs * w.size * w.window
        if need > machine.memory_available_bytes() / 4:
            return f"could need {need / GIB:.1f} GiB"
    return ""


class Runner:
    def __init__(self, generator, server_cores, generator_cores):
        self.generator = generator
        self.server_cores = server_cores
        self.generator_cores = generator_cores

    def measure(self, server, cell):
        """Rows of one measurement: mostly one; a search leaves its steps as well."""
        if cell.group == "durable":
            return durable.measure(server, cell, f"{self.server_cores},{self.generator_cores}")
        if cell.work.mode == "connections":
            return [self.connections(server, cell)]
        if cell.work.mode == "answers":
            return answering.measure(server, cell.work, self.server_cores, self.generator_cores)
        if cell.search:
            return self.search(server, cell)
        if cell.loops:
            return [self.with_loops(server, cell, count) for count in cell.loops]
        return [self.once(server, cell)]

    def once(self, server, cell, cores=None, arguments=None, **more):
        work = cell.work
        own_cores, gen_cores = cores or (self.server_cores, self.generator_cores)
        if arguments is None:
            arguments = server.deflate if work.deflate else ()
        with Running(server, own_cores, arguments=arguments) as running:
            command = self.generator.command(server, running, work)
            process = generators.start(command, gen_cores)
            if cell.stall:
                stall_in_the_middle(process, running, work)
            row = generators.finish(process, work)
            return dict(row, command=command, server_command=running.command, **more)

    def with_loops(self, server, cell, count):
        # Both cores for both: with two loops nothing is left for the generator alone.
        both = f"{self.server_cores},{self.generator_cores}"
        return self.once(server, cell, (both, both), ("--loops", str(count)), loops=count)

    def search(self, server, cell):
        """Doubles the rate until it is not kept, then halves the gap a few times."""
        rows, low, high, r = [], 0, math.inf, cell.work.rate
        steps = 0
        while steps <= SEARCH_STEPS:
            work = dataclasses.replace(cell.work, rate=r)
            try:
                row = self.once(server, dataclasses.replace(cell, work=work, search=False))
                ok = sustained(row, work)
            except Trouble as t:
                row, ok = {"trouble": str(t)}, False
            rows.append(dict(row, rate_tried=r, sustained=ok))
            low, high = (r, high) if ok else (low, r)
            if high == math.inf:
                r = low * 2
            elif low == 0:
                r = high / 2
            else:
                r = math.sqrt(low * high)
                steps += 1
            r = float(f"{r:.3g}")
            if r < 1:
                break
        best = [row for row in rows if row["sustained"] and row["rate_tried"] == low]
        return rows + [dict(best[0] if best else {}, highest_rate=low)]

    def connections(self, server, cell):
        """Many processes when the limit of open files is lower than what is wanted."""
        per = machine.raise_open_files() - 300
        work = cell.work
        if not server.movable:
            work = dataclasses.replace(work, subs=min(work.subs, per))
        if server.slow:
            work = dataclasses.replace(work, subs=min(work.subs, SLOW_SUBS_MAX))
        count = math.ceil(work.subs / per)
        share = math.ceil(work.subs / count)
        arguments = tls_arguments() if work.tls else ()
        crowd = [Running(server, self.server_cores, server.port + 100 * i, arguments)
                 for i in range(count)]
        begun = time.monotonic()
        generators_running = []
        try:
            slab = machine.memory_slab_bytes()
            before = [began(running) for running in crowd]
            for i, running in enumerate(crowd):
                part = dataclasses.replace(work, subs=share, source=i * math.ceil(share / 8000))
                command = self.generator.command(server, running, part)
                generators_running.append(generators.start(command, self.generator_cores))
                wait_until_open(running, generators_running[-1], share)
            took = time.monotonic() - begun
            time.sleep(SETTLE_S)
            after = [machine.memory_of(running.pid) for running in crowd]
            slab = machine.memory_slab_bytes() - slab
        finally:
            for process in generators_running:
                process.terminate()
                process.communicate()
            for running in crowd:
                running.stop()
        total = share * count
        return {
            "connections": total, "processes": count, "connect_s": round(took, 2),
            "resident_bytes_per_connection":
                round(sum(a[0] - b[0] for a, b in zip(after, before)) / total, 1),
            "own_bytes_per_connection":
                round(sum(a[1] - b[1] for a, b in zip(after, before)) / total, 1),
            "kernel_bytes_per_connection_both_ends": round(slab / total, 1),
            "command": command, "server_command": crowd[-1].command,
        }


def began(running):
    running.__enter__()
    return machine.memory_of(running.pid)


def wait_until_open(running, process, count):
    """The generator may say nothing before its end; the server's open files tell."""
    deadline = time.monotonic() + generators.MORE_S
    while machine.open_files_of(running.pid) < count:
        if process.poll() is not None:
            raise Trouble(f"the generator ended: "
                          f"{generators.last_words(process.communicate()[1])}")
        if time.monotonic() > deadline:
            raise Trouble(f"{machine.open_files_of(running.pid)} of {count} connections only")
        time.sleep(0.05)


def stall_in_the_middle(process, running, work):
    time.sleep((work.warm_s + work.time_s) / 2 + 0.3)
    if process.poll() is None:
        running.pause(STALL_S)


def sustained(row, work):
    backlog = row.get("backlog") or 0
    return (row["messages_per_s"] >= SUSTAINED_PART * work.rate
            and backlog <= max(2, SUSTAINED_BACKLOG_S * work.rate))


def tls_arguments():
    """A certificate for this run, made once."""
    cert, key = os.path.join(OUT, "cert.pem"), os.path.join(OUT, "key.pem")
    if not os.path.exists(key):
        os.makedirs(OUT, exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-out", cert, "-keyout", key], check=True, capture_output=True)
    return "--tls.cert", cert, "--tls.key", key
