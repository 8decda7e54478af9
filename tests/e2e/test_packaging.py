"""What is shipped beside the program fits the program."""

import json
import re
import shutil
import subprocess

import pytest

from servers import ROOT

pytestmark = pytest.mark.release

PACKAGING = ROOT / "packaging"


def metric_names(text):
    """Without what a histogram adds to its name."""
    names = set(re.findall(r"\b(?:recado|process)_[a-z_]+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def exported(recado):
    _, _, body = recado.get("/metrics")
    return set(re.findall(r"^# TYPE (\S+)", body.decode(), re.M))


def test_dashboard_shows_all_that_is_exported(recado):
    dashboard = json.loads((PACKAGING / "grafana-dashboard.json").read_text())
    asked = metric_names(" ".join(
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]))
    assert asked == exported(recado)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_operations_page_names_all_that_is_exported(start_recado):
    recado = start_recado("store: memory")
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = "\n".join(re.findall(r"^\| `(?:recado|process)_.*$", page, re.M))
    assert metric_names(rows) == exported(recado)


def test_configuration_is_valid(cli):
    done = cli("config", "check", "-c", PACKAGING / "recado.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_is_valid_with_everything_in_it(cli, tmp_path):
    """The lines that are comments as shipped are there to be uncommented."""
    text = (PACKAGING / "recado.yaml").read_text()
    text = re.sub(r"^# (?=(tls|auth|namespaces):|  )", "", text, flags=re.M)
    for name in ("fullchain.pem", "privkey.pem"):
        text = text.replace(f"/etc/recado/tls/{name}", str(tmp_path / name))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=localhost", "-keyout", tmp_path / "privkey.pem", "-out",
         tmp_path / "fullchain.pem"], check=True, capture_output=True)
    file = tmp_path / "recado.yaml"
    file.write_text(text)
    done = cli("config", "check", "-c", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_unit_is_understood(cli, tmp_path):
    unit = tmp_path / "recado.service"
    text = (PACKAGING / "recado.service").read_text()
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                          text=True)
    ours = [line for line in done.stderr.splitlines() if "recado.service" in line]
    assert not ours, done.stderr


def test_unit_waits_longer_than_the_drain(cli):
    unit = (PACKAGING / "recado.service").read_text()
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M).group(1))
    drain = re.search(r"drain: *\"?(\d+)s", cli("config", "print").stdout)
    assert stop > int(drain.group(1))
