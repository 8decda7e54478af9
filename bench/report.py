#!/usr/bin/env python3
"""Prints the tables of a file of rows that bench/run made, as Markdown.

Usage: bench/report.py [--raw] [--base recado] FILE.jsonl...
Figures are medians over the repetitions. A ratio is taken inside a repetition, then the median.
"""
import argparse
import json
import statistics

TITLES = {
    "fanout": "Fan-out", "peers": "The same work, 16 outstanding", "rate": "Fixed rates",
    "stall": "A stop of 100 ms in the middle", "deflate": "Compressed fan-out",
    "echo": "Echo round trips", "idle": "Memory per idle connection", "loops": "Two loops and one",
    "dialects": "Fan-out through every dialect", "polling": "Socket.IO clients that poll",
    "sessions": "Memory per idle session", "durable": "Durable channels",
    "answers": "Tokens of a model on their way",
}


def read(paths):
    machines, runs = [], []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            for line in f:
                row = json.loads(line)
                (machines if row["kind"] == "machine" else runs).append(row)
    return machines, runs


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def text(value, scale=1.0, digits=3):
    if value is None:
        return "-"
    value /= scale
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def ratios(base, other, key):
    """Repetition by repetition: base divided by other."""
    pairs = []
    for repetition, row in base.items():
        a, b = row.get(key), other.get(repetition, {}).get(key)
        if a and b:
            pairs.append(a / b)
    return median(pairs)


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def by_cell(runs):
    """{cell: {server: {repetition: row}}}, in the order of measuring, without steps of a search."""
    cells = {}
    for row in runs:
        if "rate_tried" in row and "highest_rate" not in row or "left_out" in row:
            continue
        server = row["server"] + (f", {row['loops']} loops" if "loops" in row else "")
        cell = cells.setdefault(json.dumps(row["cell"]), {})
        cell.setdefault(server, {})[row["repetition"]] = row
    return {json.loads(k, object_pairs_hook=frozen): v for k, v in cells.items()}


def frozen(pairs):
    return tuple(pairs)


def flow_table(runs, base):
    """Throughput and latency: fan-out, rates, stalls, compression, echo, loops."""
    rows = []
    for cell, per_server in by_cell([r for r in runs if "search" not in r["cell"]]).items():
        cell = dict(cell)
        ours = per_server.get(base) or next((per_server[s] for s in per_server
                                             if s.startswith(base)), {})
        for server, reps in per_server.items():
            load = f"{cell['rate']:g}/s" if "rate" in cell else f"W={cell.get('window')}"
            line = [text(cell["subs"]), text(cell["size"]), load, server]
            good = {k: r for k, r in reps.items() if "trouble" not in r}
            if not good:
                rows.append(line + [next(iter(reps.values()))["trouble"]] + [""] * 8)
                continue

            def mid(key, good=good):
                return median([r.get(key) for r in good.values()])

            line += [text(mid("messages_per_s")), text(mid("deliveries_per_s"), 1e3),
                     text(mid("deliveries_per_cpu_s"), 1e3), text(mid("p50_us"), 1e3),
                     text(mid("p99_us"), 1e3)]
            line += ["" if reps is ours else text(ratios(ours, good, key)) for key in (
                "deliveries_per_s", "deliveries_per_cpu_s", "p50_us", "p99_us")]
            rows.append(line)
    if rows:
        table(["clients", "bytes", "load", "server", "messages/s", "k deliveries/s", "k per CPU s",
               "p50 ms", "p99 ms", "÷ throughput", "÷ per CPU", "÷ p50", "÷ p99"], rows)


def loss_table(runs):
    """Of runs in which every message of every client was looked at: the worst repetition."""
    rows = []
    for cell, per_server in by_cell(runs).items():
        cell = dict(cell)
        for server, reps in per_server.items():
            good = [r for r in reps.values() if "trouble" not in r]
            if good:
                raw = [r["raw"] for r in good]
                rows.append([text(cell["subs"]), f"{cell['rate']:g}/s", server,
                             text(median([r["seconds"] for r in raw]))]
                            + [f"{max(r[key] for r in raw):,}" for key in ("missing", "disorder")])
    if rows:
        print("Not received by everybody at the end, and received out of order:\n")
        table(["clients", "load", "server", "seconds", "missing", "out of order"], rows)


def search_table(runs, base):
    rows = []
    for cell, per_server in by_cell([r for r in runs if "search" in r["cell"]]).items():
        cell = dict(cell)
        for server, reps in per_server.items():
            ratio = ratios(per_server.get(base, {}), reps, "highest_rate")
            rows.append([text(cell["subs"]), text(cell["size"]), server,
                         text(median([r.get("highest_rate") for r in reps.values()])),
                         text(median([r.get("p99_us") for r in reps.values()]), 1e3),
                         "" if server == base else text(ratio)])
    if rows:
        print("The highest rate that was kept (98 % delivered, a backlog under 100 ms):\n")
        table(["clients", "bytes", "server", "messages/s", "p99 ms there", "÷"], rows)


def memory_table(runs):
    rows = []
    for cell, per_server in by_cell(runs).items():
        cell = dict(cell)
        for server, reps in per_server.items():
            good = [r for r in reps.values() if "trouble" not in r]
            name = server + (", " + cell["transport"] if "transport" in cell else "")
            line = [text(cell["connections"]), "yes" if cell["tls"] else "no", name]
            if not good:
                rows.append(line + [next(iter(reps.values()))["trouble"]] + [""] * 4)
                continue
            rows.append(line + [text(median([r[key] for r in good]), digits=5) for key in (
                "connections", "processes", "own_bytes_per_connection",
                "resident_bytes_per_connection", "kernel_bytes_per_connection_both_ends")])
    if rows:
        table(["wanted", "TLS", "server", "connections", "processes", "own bytes each",
               "resident bytes each", "kernel slab each, both ends"], rows)


def answers_table(runs):
    """Each way beside the direct one of the same repetition."""
    cells = {}
    for row in runs:
        if "way" in row and "trouble" not in row:
            reps = cells.setdefault(json.dumps(row["cell"]), {}).setdefault(row["way"], {})
            reps[row["repetition"]] = row
    rows = []
    for cell, ways in cells.items():
        cell = json.loads(cell)
        for way, reps in ways.items():
            def mid(key, reps=reps):
                return median([r[key] for r in reps.values()])

            added = median([r["p99_us"] - ways["direct"][k]["p99_us"] for k, r in reps.items()
                            if k in ways.get("direct", {})])
            rows.append([text(cell["answers"]), f"{cell['rate']:g}/s", way,
                         text(max(r["missing"] for r in reps.values())), text(mid("server_load")),
                         text(mid("p50_us"), 1e3), text(mid("p99_us"), 1e3),
                         text(mid("p999_us"), 1e3),
                         "" if way == "direct" else text(added, 1e3)])
    if rows:
        table(["answers", "tokens each", "way", "missing", "server's core", "p50 ms", "p99 ms",
               "p99.9 ms", "p99 added ms"], rows)


DURABLE = {  # kind: title, columns: (head, key, scale)
    "store": ("Through the store alone", (("events/s", "messages_per_s", 1),
                                          ("events per commit", "events_per_commit", 1),
                                          ("p50 ms", "p50_us", 1e3), ("p99 ms", "p99_us", 1e3))),
    "publish": ("Through the server", (("publishes/s", "messages_per_s", 1),
                                       ("cores of the server", "server_load", 1),
                                       ("p50 ms", "p50_us", 1e3), ("p99 ms", "p99_us", 1e3))),
    "latency": ("What durability adds to the time until a publisher is answered",
                (("p50 ms without", "plain_p50_us", 1e3), ("p50 ms", "p50_us", 1e3),
                 ("added p50 ms", "added_p50_us", 1e3), ("p99 ms without", "plain_p99_us", 1e3),
                 ("p99 ms", "p99_us", 1e3), ("added p99 ms", "added_p99_us", 1e3))),
    "catch-up": ("Clients that come back at once", (("seconds", "seconds", 1),
                                                    ("events/s", "messages_per_s", 1),
                                                    ("p50 ms", "p50_us", 1e3),
                                                    ("p99 ms", "p99_us", 1e3))),
    "restart": ("Ready again after kill -9", (("seconds", "seconds", 1),
                                              ("streams", "streams", 1))),
}


def durable_tables(runs):
    """Medians; the embedded store first, database servers beside it."""
    for kind, (title, columns) in DURABLE.items():
        rows = []
        for cell, per_server in by_cell([r for r in runs if r["cell"]["kind"] == kind]).items():
            cell = {k: v for k, v in dict(cell).items() if k != "kind"}
            for server, reps in per_server.items():
                good = [r for r in reps.values() if "trouble" not in r]
                name = server.partition("-")[2] or "embedded"
                line = [f"{v:,}" if isinstance(v, (int, float)) else v for v in cell.values()]
                line += [name] + ([text(median([r.get(key) for r in good]), scale)
                                   for _, key, scale in columns] if good else
                                  [next(iter(reps.values()))["trouble"]] + [""] * (len(columns) - 1))
                rows.append((tuple(cell), line))
        for head in dict.fromkeys(head for head, _ in rows):
            print(f"{title}:\n")
            table(list(head) + ["store"] + [column for column, _, _ in columns],
                  [line for h, line in rows if h == head])


def machine_text(m):
    return (f"{m['cpu']}, {m['cores']} cores, {m['memory_kb'] / 1048576:.0f} GiB, "
            f"Linux {m['kernel']}, {m['system']}, congestion control {m['congestion_control']}; "
            f"load before {m['load_before']:.2f}; {m['at']}; commit {m['commit']}; "
            f"`{m['command']}`")


def commands(runs):
    seen = {}
    for row in runs:
        if "command" in row and "server_command" in row:
            seen.setdefault((row["group"], row["server"]), row)
    for (_, server), row in seen.items():
        print(f"- {server}: `{row['server_command']}`; generator: `{row['command']}`")
    if seen:
        print()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("files", nargs="+")
    p.add_argument("--base", default="recado", help="the server that is divided")
    p.add_argument("--raw", action="store_true", help="print the rows too")
    o = p.parse_args()
    machines, runs = read(o.files)
    for m in machines:
        print(machine_text(m) + "\n")
    print(f"÷ is {o.base} divided by that server: of throughput more is better, of latency less.\n")
    for group, title in TITLES.items():
        mine = [r for r in runs if r["group"] == group]
        if not mine:
            continue
        print(f"## {title}\n")
        if group == "durable":
            durable_tables(mine)
        elif group in ("idle", "sessions"):
            memory_table(mine)
        elif group == "answers":
            answers_table(mine)
        else:
            flow_table(mine, o.base)
            search_table(mine, o.base)
        if group == "polling":
            loss_table(mine)
        for row in mine:
            if "left_out" in row:
                cell = json.dumps(row["cell"])
                print(f"- left out: {row['server']} at {cell}: {row['left_out']}")
        print()
        commands(mine)
    if o.raw:
        print("## Raw rows\n\n```json")
        for row in machines + runs:
            print(json.dumps(row))
        print("```")


if __name__ == "__main__":
    main()
