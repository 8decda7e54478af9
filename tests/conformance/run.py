#!/usr/bin/env python3
"""Runs the WebSocket conformance cases against an echo endpoint.

    run.py ws://127.0.0.1:8000/echo [--full] [--only 6.4] [--message-max 1048576]

One line per failing case, then "N passed, N failed"; exits 1 when any failed. --full sends the
suite's own volumes (messages of 16 MiB, 1,000 messages per compression case): minutes, and the
endpoint must accept them.
"""

import argparse
import sys
import time
import urllib.parse

from cases import CASES, Run
from wire import Client, Failure


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("url", help="ws://HOST:PORT/PATH of an endpoint that echoes messages")
    p.add_argument("--full", action="store_true", help="the suite's own volumes")
    p.add_argument("--only", default="", metavar="PREFIX", help="cases 6.4.* for 6.4")
    p.add_argument("--message-max", type=int, default=1 << 20, metavar="BYTES",
                   help="larger messages are cut to this (default 1 MiB; not with --full)")
    p.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    p.add_argument("--verbose", action="store_true", help="a line for every case, with its time")
    args = p.parse_args()
    args.round_trips = 1000 if args.full else 200
    args.compressed_messages = 1000 if args.full else 5
    if args.full:
        args.message_max = 16 << 20
        args.timeout = max(args.timeout, 60.0)
    return args


def run_case(function, args, target):
    """None, or why it failed."""
    opened = []

    def connect(offer):
        opened.append(Client(target.hostname, target.port or 80, target.path or "/",
                             args.timeout, offer))
        return opened[-1]
    try:
        function(Run(connect, args))
    except (Failure, OSError, ValueError, UnicodeDecodeError) as e:
        return "%s: %s" % (type(e).__name__, e) if not isinstance(e, Failure) else str(e)
    finally:
        for c in opened:
            c.kill()
    return None


def selected(prefix):
    return [(n, f) for n, f in CASES if n == prefix or not prefix or n.startswith(prefix + ".")]


def main():
    args = parse_args()
    target = urllib.parse.urlsplit(args.url)
    passed = failed = 0
    for number, function in selected(args.only):
        start = time.monotonic()
        why = run_case(function, args, target)
        passed += why is None
        failed += why is not None
        if why is not None:
            print("%s failed: %s" % (number, why), flush=True)
        elif args.verbose:
            print("%s ok (%.3f s)" % (number, time.monotonic() - start), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
