"""Fixtures of the end-to-end tests.

recado         a server of this test's own, default configuration
start_recado   a function that starts more: start_recado("auth: {..}", args=[..], env={..})
shared_recado  one server for the whole run, for tests that use channels and tenants of their own
cli            the program's command line without a server: cli("version")
run_node       runs tests/e2e/js/NAME with Node and returns what it printed
upstream       a model's server that does as it is told, see upstream.py
start_node     starts one that a test speaks with: start_node("agents.mjs", "page"), see node.py
page           a Chromium page (playwright, asynchronous)

Every server has to end with code 0 after SIGTERM and to leave no sanitizer report.
RECADO_BIN names the program (default build/recado).
"""

import os
import subprocess

import pytest
import pytest_asyncio

from node import JS, Node
from servers import BINARY, Recado, environment, find_chromium, run_binary
from upstream import Upstream

LIVE = pytest.StashKey()


def pytest_report_header():
    return f"recado: {BINARY}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for server in item.stash.get(LIVE, []):
            report.sections.append((f"log of recado on {server.address}", server.log))
    return report


def _end_all(servers):
    problems = []
    for server in reversed(servers):
        try:
            server.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def start_recado(tmp_path, request):
    servers = request.node.stash.setdefault(LIVE, [])

    def start(config="", args=(), env=None, wait=True, binary=None):
        server = Recado(tmp_path / f"recado{len(servers)}", config, args, env, binary)
        servers.append(server)
        return server.start(wait)

    yield start
    _end_all(servers)


@pytest.fixture
def recado(start_recado):
    return start_recado()


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture(scope="session")
def _session_recado(tmp_path_factory):
    server = Recado(tmp_path_factory.mktemp("shared")).start()
    yield server
    server.stop()


@pytest.fixture
def shared_recado(_session_recado, request):
    request.node.stash.setdefault(LIVE, [])
    assert _session_recado.process.poll() is None, _session_recado.log
    return _session_recado


@pytest.fixture
def cli():
    return run_binary


@pytest.fixture
def run_node():
    def run(script, *args, env=None, timeout=60, check=True):
        done = subprocess.run(
            ["node", os.path.join(JS, script), *map(str, args)], cwd=JS, env=environment(env),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check:
            assert done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def start_node():
    made = []

    def start(*args, make=Node, **more):
        made.append(make(*args, **more))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest_asyncio.fixture
async def page():
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield await browser.new_page()
        await browser.close()
