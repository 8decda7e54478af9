"""Both READMEs do what they say: every command and every snippet is run, as it is written, against
the server that `make run` starts. Only the address is another, so that nothing else is disturbed."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import JS
from servers import BINARY, ROOT, environment, free_port, open_url

pytestmark = pytest.mark.release

READMES = ["README.md", "README.pt-BR.md"]
WORDS = {"noticias": "news", "texto": "text", "olá": "hello", "Oi!": "Hi!", "importação": "import",
         "importador": "importer", "enviar_email": "send_mail",
         "17 linhas ficaram de fora": "17 rows left out"}
PREAMBLE = """\
import { EventSource as Polyfill } from "eventsource";
import { WebSocket as Socket } from "ws";
globalThis.EventSource ??= Polyfill;
globalThis.WebSocket ??= Socket;
"""


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(text):
    return [line for block in blocks(text, "sh") for line in block.splitlines() if line.strip()]


def listens(command):
    return "recado subscribe" in command or "curl -N" in command


class Readme:
    def __init__(self, name, folder):
        self.text = (ROOT / name).read_text()
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.running = []

    def start(self, command, name, **more):
        output = open(self.folder / name, "w+")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, **more)
        self.running.append((process, output))
        return process

    def make_run(self):
        assert commands(self.text)[0] == "make run"
        self.start(["make", "run"], "server", cwd=ROOT, env=environment(
            {"LISTEN": self.address, "DATA": str(self.folder / "data")}))
        self.until(lambda: self.ready(), "the server to be ready", seconds=300)

    def ready(self):
        try:
            return open_url(f"http://{self.address}/healthz/ready")[0] == 200
        except OSError:
            return False

    def until(self, met, what, seconds=30):
        end = time.monotonic() + seconds
        while not met():
            dead = [out.name for process, out in self.running if process.poll() not in (None, 0)]
            assert not dead and time.monotonic() < end, f"waiting for {what}\n{self.outputs_text()}"
            time.sleep(0.05)

    def outputs(self):
        return {os.path.basename(out.name): open(out.name).read() for _, out in self.running}

    def outputs_text(self):
        return "\n".join(f"--- {name}\n{text}" for name, text in self.outputs().items())

    def here(self, command):
        command = command.replace("127.0.0.1:8000", self.address)
        command = command.replace("build/recado", str(BINARY))
        return re.sub(r"recado (publish|subscribe) (?!--help)",
                      rf"recado \1 --server http://{self.address} ", command)

    def listen(self):
        """Starts everything that waits for events; returns the names of their outputs."""
        names = []
        for n, command in enumerate(filter(listens, commands(self.text))):
            names.append(f"listener{n}")
            self.start(["sh", "-c", "exec " + self.here(command)], names[-1], cwd=ROOT,
                       env=environment())
        for n, snippet in enumerate(blocks(self.text, "js")):
            names.append(f"snippet{n}")
            code = PREAMBLE + self.here(snippet)
            self.start(["node", "--input-type=module", "-e", code], names[-1], cwd=JS,
                       env=environment())
        return names

    def subscribers(self, channel):
        _, _, body = open_url(f"http://{self.address}/api/channels", b"{}")
        channels = json.loads(body)["result"]["channels"]
        return channels.get(channel, {}).get("num_clients", 0)

    def run(self, command):
        done = subprocess.run(["sh", "-c", self.here(command)], cwd=ROOT, env=environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def end(self):
        for process, _ in reversed(self.running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process, output in self.running:
            process.wait(30)
            output.close()


@pytest.fixture
def readme(request, tmp_path):
    page = Readme(request.param, tmp_path)
    yield page
    page.end()


@pytest.mark.timeout(420)
@pytest.mark.parametrize("readme", READMES, indirect=True)
def test_everything_in_it_works(readme):
    channel = re.search(r"--channel (\S+)", readme.text).group(1)
    readme.make_run()
    names = readme.listen()
    assert len(names) == 4
    readme.until(lambda: readme.subscribers(channel) == len(names), "all to have subscribed")

    others = [c for c in commands(readme.text)[1:] if not listens(c)]
    publishes = [c for c in others if "publish" in c and channel in c]
    assert len(publishes) == 2
    for command in others:
        said = readme.run(command).strip()
        assert said and '"error":{' not in said, f"{command} printed {said!r}"

    word = re.search(r'"tex\w+": "(\w+)"', readme.text).group(1)
    for name in names:
        readme.until(lambda: readme.outputs()[name].count(word) >= len(publishes),
                     f"{name} to have both events")


def test_both_show_the_same():
    """One is the translation of the other: the same commands, but for the words in the data."""
    def shape(name):
        text = (ROOT / name).read_text()
        for said, means in WORDS.items():
            text = text.replace(said, means)
        return commands(text), len(blocks(text, "js")), re.findall(r"\]\((?!README)(\S+)\)", text)

    assert shape("README.md") == shape("README.pt-BR.md")


@pytest.mark.parametrize("page", sorted(
    str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]))
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_configuration_reference_is_fresh(cli):
    done = cli("config", "doc")
    assert done.returncode == 0, done.stderr
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == done.stdout, "renew it: build/recado config doc >docs/configuration.md"
