"""Answers of a model on their way through Recado: how much later a token arrives than without it.

bench/answers/answers.c is the model and the pages in one process. In a repetition it runs without
Recado (direct), with pages on the orchestrator's socket, and through /v1.
"""
import dataclasses
import json
import os
import subprocess

from .servers import BENCH, OUT, Running, Trouble

PROGRAM = os.path.join(OUT, "answers")
SOURCE = os.path.join(BENCH, "answers", "answers.c")
UPSTREAM_PORT = 8109
WAYS = ("direct", "socket", "v1")
MORE_S = 60


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a cell of this group measures; the fields that every cell's work has, too."""
    subs: int = 1000  # answers under way at once
    tokens: int = 500
    rate: float = 50.0  # tokens per second of each
    mode: str = "answers"
    size: int = 0
    deflate: bool = False
    tls: bool = False
    http: bool = False
    transport: str = "websocket"
    window: int = 1


def build():
    if os.path.exists(PROGRAM) and os.path.getmtime(PROGRAM) > os.path.getmtime(SOURCE):
        return
    os.makedirs(OUT, exist_ok=True)
    subprocess.run(["cc", "-O2", "-std=c17", "-o", PROGRAM, SOURCE], check=True)


def measure(server, work, server_cores, generator_cores):
    """A row for each way."""
    build()
    return [one(server, work, way, server_cores, generator_cores) for way in WAYS]


def one(server, work, way, server_cores, generator_cores):
    settings = ("--llm.url", f"http://127.0.0.1:{UPSTREAM_PORT}/v1",
                "--llm.concurrency", str(work.subs + 10))
    with Running(server, server_cores, arguments=settings) as running:
        command = ["taskset", "-c", generator_cores, PROGRAM, way, str(running.port),
                   str(UPSTREAM_PORT), str(work.subs), str(work.tokens), f"{work.rate:g}"]
        before = cpu_s(running.pid)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=work.tokens / work.rate + MORE_S, check=False)
        except subprocess.TimeoutExpired:
            return {"way": way, "trouble": "the generator did not come to an end"}
        if done.returncode != 0:
            return {"way": way, "trouble": done.stderr.strip()[-300:] or "no figures"}
        row = json.loads(done.stdout)
        row["server_load"] = (cpu_s(running.pid) - before) / row["seconds"]
        return dict(row, way=way, command=command, server_command=running.command)


def cpu_s(pid):
    """CPU seconds of a process so far."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError as e:
        raise Trouble(f"the server is gone: {e}") from None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
