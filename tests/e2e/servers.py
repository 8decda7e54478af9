"""Starts the built program for a test, on a free loopback port, and ends it with a look at its log."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("RECADO_BIN", ROOT / "build" / "recado")).resolve()
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|must hold:"
)
START_SECONDS = 30
STOP_SECONDS = 30


# Two runs at the same time have ports of their own: a server may share one that is taken.
PORTS = tuple(map(int, os.environ.get("RECADO_TEST_PORTS", "20000-31999").split("-")))


def free_port():
    """Below the kernel's own range, so that no outgoing connection can take it meanwhile."""
    while True:
        port = random.randint(*PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def open_url(url, data=None, headers=None, method=None, timeout=20):
    """(status, headers, body as bytes); an HTTP error is an answer like any other."""
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def environment(extra=None):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("RECADO_", "WEBSOCKET_", "JWT_", "CORS_"))}
    env.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=99:detect_leaks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99")
    env.setdefault("TSAN_OPTIONS", "exitcode=99")
    env.update(extra or {})
    return env


class Recado:
    """One running server.

    config  text of a recado.yaml (the address and the data directory come from flags; a config
            that has listen itself keeps it, with PORT for the port of .url)
    args    further arguments of `recado serve`
    env     further environment variables
    """

    def __init__(self, folder, config="", args=(), env=None, binary=None):
        self.folder = Path(folder)
        self.binary = Path(binary or BINARY)
        self.config = config
        self.args = [str(a) for a in args]
        self.env = dict(env or {})
        if "drain" not in config:
            self.env.setdefault("RECADO_SHUTDOWN_DRAIN", "300ms")  # clients are let go quickly
        self.data = self.folder / "data"
        self.config_path = self.folder / "recado.yaml"
        self.process = None
        self.port = None
        self._lines = []
        self._reader = None

    # Where it is.

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}"

    @property
    def ws_url(self):
        """Of the native dialect."""
        return f"ws://{self.address}/connection/websocket"

    def ws(self, path):
        return f"ws://{self.address}{path}"

    @property
    def log(self):
        """Everything it wrote so far, on both its outputs."""
        return "".join(self._lines)

    # Its life.

    def command(self):
        command = [str(self.binary), "serve", "--data", str(self.data)]
        if not self.config.lstrip().startswith("listen:"):
            command += ["--listen", self.address]
        if self.config:
            command += ["-c", str(self.config_path)]
        return command + self.args

    def start(self, wait=True):
        if not self.binary.exists():
            raise RuntimeError(f"{self.binary} is not there: build it first, or set RECADO_BIN")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        if self.port is None:
            self.port = free_port()
        self.write_config(self.config)
        self.process = subprocess.Popen(
            self.command(), cwd=self.folder, env=environment(self.env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_ready()
        return self

    def _read(self, pipe):
        for line in pipe:
            self._lines.append(line)

    def write_config(self, config):
        """For a test of reloading: write, then send SIGHUP."""
        self.config = config
        if config:
            self.config_path.write_text(config.replace("PORT", str(self.port)))

    def wait_ready(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                self._reader.join(5)
                raise RuntimeError(f"recado ended with {self.process.returncode}:\n{self.log}")
            try:
                if self.get("/healthz/ready", timeout=5)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"recado was not ready after {START_SECONDS} s:\n{self.log}")

    def wait_log(self, pattern, seconds=20):
        """The match of pattern in the log, which may still have to be written."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log)
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{pattern!r} did not appear in the log:\n{self.log}")
            time.sleep(0.02)

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, seconds=STOP_SECONDS):
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self, expect=0):
        """Ends it as an operator would and looks at what it left; harmless when already ended."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait_exit()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"recado did not end {STOP_SECONDS} s after SIGTERM:\n{self.log}")
        self.process = None
        self.check_log()
        assert code == expect, f"recado ended with {code}, expected {expect}:\n{self.log}"

    def kill(self):
        """kill -9: a crash on purpose."""
        if self.process is not None:
            self.process.kill()
            self.wait_exit()
            self.process = None
            self.check_log()

    def check_log(self):
        found = SANITIZER.search(self.log)
        assert not found, f"the program reported a defect of its own:\n{self.log}"

    # Talking to it.

    def get(self, path, headers=None, timeout=20):
        return open_url(self.url + path, headers=headers, timeout=timeout)

    def post(self, path, body, headers=None, timeout=20):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        return open_url(self.url + path, data=body, method="POST", timeout=timeout,
                        headers={"Content-Type": "application/json", **(headers or {})})

    def api(self, verb, body=None, key=None):
        """The parsed answer of the server API: api("publish", {...}) or api("/api/publish", ..)."""
        path = verb if verb.startswith("/") else f"/api/{verb}"
        status, _, answer = self.post(path, body or {}, {"X-API-Key": key} if key else None)
        assert status == 200, f"{path}: {status} {answer!r}"
        return json.loads(answer)

    def publish(self, channel, data, **more):
        answer = self.api("publish", {"channel": channel, "data": data, **more})
        assert "error" not in answer, answer
        return answer["result"]

    def metrics(self):
        """{'recado_sessions{dialect="native"}': 1.0, ...}"""
        status, _, body = self.get("/metrics")
        assert status == 200
        rows = (line.rsplit(" ", 1) for line in body.decode().splitlines()
                if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def run(self, *args, input=None, timeout=60, env=None):
        """The program's own command line: run("publish", "--channel", "a", "{}"). The server's
        address is not added; use --server with .url."""
        return run_binary(*args, binary=self.binary, input=input, timeout=timeout, env=env,
                          cwd=self.folder)


def run_binary(*args, binary=None, input=None, timeout=60, env=None, cwd=None):
    done = subprocess.run(
        [str(binary or BINARY), *map(str, args)], input=input, capture_output=True, text=True,
        timeout=timeout, env=environment(env), cwd=cwd)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    raise RuntimeError("no Chromium: make deps installs it")
