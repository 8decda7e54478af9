"""The pages say what is so: their requests to the server API are made as they are written, and
their pieces of configuration are checked. Only the address is another."""

import re
import subprocess

import pytest

from servers import ROOT, environment

PAGES = sorted([*(ROOT / "docs" / "dialects").glob("*.md"), ROOT / "docs" / "migrate.md",
                ROOT / "docs" / "chat.md", ROOT / "docs" / "models.md", ROOT / "docs" / "tasks.md",
                ROOT / "docs" / "approvals.md", ROOT / "docs" / "schedules.md"])
KEY = "0123456789abcdef0123456789abcdef"


def blocks(page, language):
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page.read_text(), re.M | re.S)


def requests_in(page):
    """Blocks that are nothing but requests with curl to Recado itself."""
    found = []
    for block in blocks(page, "sh"):
        commands = re.sub(r"'[^']*'|\\\n", " ", block)
        lines = [line.split()[0] for line in commands.splitlines()
                 if line.strip() and not line.lstrip().startswith("#") and line[0] != " "]
        if lines and set(lines) == {"curl"} and "-N" not in block:
            found.append(block)
    return found


@pytest.mark.parametrize("page", [p for p in PAGES if requests_in(p)], ids=lambda p: p.name)
def test_requests_are_understood(start_recado, page):
    server = start_recado(f"""
auth: {{ hmac_secret: "{KEY}" }}
endpoints:
  - {{ path: /rooms/socket.io/, dialect: socketio }}
""")
    for block in requests_in(page):
        script = re.sub(r"(127\.0\.0\.1|localhost):\d+", server.address, block)
        script = re.sub(r"^curl ", "curl -sS -w '\\n%{http_code}\\n' ", script, flags=re.M)
        done = subprocess.run(["sh", "-ec", script], env=environment(), capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        codes = re.findall(r"^(\d{3})$", done.stdout, re.M)
        assert codes and set(codes) <= {"200", "201"}, f"{block}\n{done.stdout}"
        assert '"error"' not in done.stdout, f"{block}\n{done.stdout}"


PIECES = [(page, n) for page in PAGES for n in range(len(blocks(page, "yaml")))]


@pytest.mark.parametrize("page, n", PIECES, ids=[f"{page.name} {n}" for page, n in PIECES])
def test_configuration_is_understood(cli, tmp_path, page, n):
    """What makes it whole on other machines (secrets in files, addresses) is put in its place."""
    text = re.sub(r"file:/\S+?(?=[\"\s,}\]]|$)", KEY, blocks(page, "yaml")[n], flags=re.M)
    text = text.replace("0.0.0.0:", "127.0.0.1:")
    config = tmp_path / "recado.yaml"
    config.write_text(text)
    done = cli("config", "check", "-c", config)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
