"""A trial as the coordinator sees it: a process that answers lines."""
import json
import os
import subprocess
import sys

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(PACKAGE)))


def request(kind="cpu", params=None, **changes):
    """A request as the protocol has it; `cpu` hashes 16 bytes unless `params` say otherwise."""
    if params is None:
        params = {"kernel": "sha256", "input_bytes": 16} if kind == "cpu" else {}
    whole = {
        "schema": 1,
        "id": 1,
        "workload": kind,
        "params": params,
        "tasks": 3,
        "batch": 1,
        "seed": 0,
        "workers": 2,
        "server": None,
        "spin_per_us": 512.25,
        "warmup": False,
        "a key of later versions": [],
    }
    whole.update(changes)
    return whole


class Trial:
    """`with Trial("threads") as trial: trial.ask(request())`."""

    def __init__(self, strategy, *options, **popen):
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", PACKAGE, strategy, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, asked):
        self.send(json.dumps(asked))
        line = self.process.stdout.readline()
        assert line.endswith(b"\n"), self.process.communicate()[1]
        return json.loads(line)

    def checksum(self, asked):
        answer = self.ask(asked)
        assert answer["ok"], answer
        return answer["checksum"]

    def end(self):
        """What is left on stdout and stderr when stdin is closed, and the exit code."""
        out, err = self.process.communicate(timeout=20)
        return out, err, self.process.returncode


def strategies():
    """Those that exist in this Python."""
    return ["asyncio", "threads", "processes"] + (["interpreters"] if sys.version_info >= (3, 12) else [])


class TestServer:
    """The small server of the claims, as a process; `address` is where it listens."""

    def __enter__(self):
        command = [sys.executable, "-I", "-B", os.path.join(os.path.dirname(PACKAGE), "claims.py"), "--inner", "serve"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = self._process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()


def children(pid):
    """The processes that `pid` has started."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
            found += [int(text) for text in file.read().split()]
    return found


def is_alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
