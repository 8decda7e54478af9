"""Programs of tests/e2e/js that a test speaks with, line by line."""

import json
import os
import subprocess
import threading

from servers import environment

JS = os.path.join(os.path.dirname(__file__), "js")


class Node:
    """One of them. It prints a JSON value a line, and ends with the test."""

    def __init__(self, script, *args, seconds=80):
        self.process = subprocess.Popen(
            ["node", os.path.join(JS, script), *map(str, args)], cwd=JS, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environment())
        self.timer = threading.Timer(seconds, self.process.kill)
        self.timer.start()

    def next(self):
        line = self.process.stdout.readline()
        assert line, "it printed no more"
        return json.loads(line)

    def say(self, value):
        """A text as it is, anything else as JSON."""
        self.process.stdin.write(f"{value if isinstance(value, str) else json.dumps(value)}\n")
        self.process.stdin.flush()

    def end(self):
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()
