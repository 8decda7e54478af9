"""What Prometheus reads, parsed by its own library; and health."""

import json

from hostile import until
from prometheus_client.parser import text_string_to_metric_families

# The server's own lines and the machine's figures are events, too: of all these only one comes, the
# first reading.
CONFIG = ("{namespaces: {news: {history: 10, ttl: 1h}}, monitor: {interval: 1h}, log: {level: error}}")
FAMILIES = {
    "recado_info": "gauge", "recado_uptime_seconds": "gauge", "recado_sessions": "gauge",
    "recado_connections": "gauge", "recado_connections_refused": "counter",
    "recado_channels": "gauge", "recado_subscriptions": "gauge", "recado_publishes": "counter",
    "recado_publish_bytes": "counter", "recado_deliveries": "counter",
    "recado_bytes_in": "counter", "recado_bytes_out": "counter", "recado_sends": "counter",
    "recado_closes": "counter", "recado_recoveries": "counter", "recado_resyncs": "counter",
    "recado_overruns": "counter", "recado_queue_bytes": "gauge",
    "recado_publish_to_write_seconds": "histogram", "recado_http_requests": "counter",
    "recado_loop_busy_seconds": "counter", "recado_loop_turns": "counter",
    "recado_loop_events": "counter", "recado_memory_bytes": "gauge", "recado_open_fds": "gauge",
    "process_cpu_seconds": "counter", "recado_joins": "counter", "recado_leaves": "counter",
    "recado_duplicates": "counter",
}


def families(recado):
    status, headers, body = recado.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {f.name: f for f in text_string_to_metric_families(body.decode())}


def value(recado, name, **labels):
    for family in families(recado).values():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"{name}{labels} is missing")


def test_every_family_is_there_with_its_type_and_help(recado):
    found = families(recado)
    assert {name: found[name].type for name in FAMILIES} == FAMILIES
    assert all(family.documentation for family in found.values())


def test_figures_follow_what_happens(start_recado):
    recado = start_recado(CONFIG)
    until("the first reading", lambda: recado.metrics()["recado_publishes_total"] == 1)
    before = {k: v for k, v in recado.metrics().items()}
    for i in range(5):
        recado.publish("news:m", "12345678", idempotency_key=str(i % 4))
    after = recado.metrics()
    assert after["recado_publishes_total"] - before["recado_publishes_total"] == 5
    assert after["recado_publish_bytes_total"] - before["recado_publish_bytes_total"] == 50
    assert after["recado_duplicates_total"] - before["recado_duplicates_total"] == 1
    name = 'recado_http_requests_total{status="2xx"}'
    assert after[name] - before[name] >= 6
    assert after["recado_bytes_in_total"] > before["recado_bytes_in_total"]
    assert after["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]
    assert after["recado_memory_bytes"] > 1 << 20


def test_the_histogram_adds_up(recado):
    family = families(recado)["recado_publish_to_write_seconds"]
    buckets = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]
    assert buckets[0][0] == "5e-05" and buckets[-2][0] == "5" and buckets[-1][0] == "+Inf"
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == next(s.value for s in family.samples if s.name.endswith("_count"))


def test_labels_do_not_grow_with_what_clients_say(recado):
    before = len(recado.metrics())
    for i in range(50):
        recado.api("publish", {"channel": f"c{i}", "data": 1, "tenant": f"t{i}", "type": f"e{i}"})
        recado.get(f"/nothing/{i}")
    assert len(recado.metrics()) == before


def test_health(recado):
    for path in ("/health", "/healthz/live", "/healthz/ready"):
        status, _, body = recado.get(path)
        assert status == 200
        answer = json.loads(body)
        assert answer["status"] == "ok" and answer["version"] and answer["uptime"] >= 0
        assert recado.post(path, {})[0] == 405


def test_figures_and_health_need_no_key(start_recado):
    recado = start_recado("auth: {api_keys: [some-key-of-the-test]}")
    assert recado.get("/metrics")[0] == 200
    assert recado.get("/healthz/ready")[0] == 200
    assert value(recado, "recado_info",
                 version=json.loads(recado.get("/health")[2])["version"]) == 1
