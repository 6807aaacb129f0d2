"""A browser under control: chromedriver as a child process, and the WebDriver protocol over HTTP on the loopback.

Only what the checks need: sessions, navigation, scripts, keys, the log, and Chromium's own commands (`cdp`).

Invariant: nothing outlives `Driver`. Chromium hangs on a pipe of chromedriver's and ends with it; chromedriver leads a
session of its own that is killed as a whole; and this process adopts what both leave behind (it makes itself a subreaper),
so that `close` can end and await every descendant by its id, whatever else runs on the machine.
"""
import base64
import ctypes
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--force-color-profile=srgb", "--remote-debugging-pipe",
]
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Space": "\ue00d", "Left": "\ue012", "Right": "\ue014"}
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ANSWER_SECONDS = 60


class BrowserError(Exception):
    """The browser could not do what was asked; its words are the message."""


def prctl(option, value):
    """Linux's prctl(2); a failure only costs tidiness after a kill -9 of this process."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent():
    """Runs in the child between fork and exec."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def descendants(of):
    """The ids of all processes below `of`, deepest last."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(errors="replace")
        except OSError:
            continue  # It has ended since.
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, queue = [], [of]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


class Driver:
    """A chromedriver with its folder for profiles; a context manager."""

    def __init__(self, chromium, chromedriver):
        self.chromium = chromium
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.home = Path(tempfile.mkdtemp(prefix="crossover-browser-"))
        self.log = (self.home / "chromedriver.log").open("wb")
        # Its home is here as well: neither program may read or leave settings in the home of whoever runs the checks.
        surroundings = {**os.environ, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home), "XDG_CACHE_HOME": str(self.home)}
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "DISPLAY"):
            surroundings.pop(name, None)
        self.process = subprocess.Popen(
            [chromedriver, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            env=surroundings, start_new_session=True, preexec_fn=die_with_parent,
        )
        try:
            self.port = self._port()
        except BaseException:
            self.close()
            raise

    def _port(self):
        """Reads the port that chromedriver chose from its first lines."""
        limit = threading.Timer(ANSWER_SECONDS, self.process.kill)
        limit.start()
        try:
            for line in self.process.stdout:
                words = line.decode(errors="replace")
                if "successfully on port" in words:
                    drain = threading.Thread(target=self.process.stdout.read, daemon=True)
                    drain.start()
                    return int(words.rpartition("on port")[2].strip(" .\n"))
        finally:
            limit.cancel()
        raise BrowserError("chromedriver ended without a word about its port")

    def session(self):
        """A fresh browser with a profile of its own."""
        return Session(self)

    def close(self):
        """Ends chromedriver and everything below it, and removes their folder."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            below = descendants(os.getpid())
            if not below:
                break
            for pid in below:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)
                except (ProcessLookupError, ChildProcessError):
                    pass
            time.sleep(0.02)
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    """One browser window. Not to be shared between threads."""

    def __init__(self, driver):
        self.link = http.client.HTTPConnection("127.0.0.1", driver.port, timeout=ANSWER_SECONDS)
        self.path = ""
        profile = tempfile.mkdtemp(prefix="profile-", dir=driver.home)
        options = {
            "binary": driver.chromium,
            "args": [*FLAGS, f"--user-data-dir={profile}"],
            "perfLoggingPrefs": {"enableNetwork": True, "enablePage": False},
        }
        wanted = {
            "browserName": "chrome",
            "pageLoadStrategy": "normal",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.path = f"/session/{answer['sessionId']}"
        # What the browser's own first page asked for is none of ours.
        self.open("about:blank")
        self.requests()

    def ask(self, method, path, body=None):
        """One request of the protocol; its value, or a `BrowserError`."""
        text = json.dumps(body if body is not None else {}) if method == "POST" else None
        try:
            self.link.request(method, self.path + path, body=text, headers={"Content-Type": "application/json"})
            answer = self.link.getresponse()
            value = json.loads(answer.read())["value"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise BrowserError(f"{method} {path}: no answer from chromedriver ({error!r})") from error
        if answer.status != 200:
            message = (value or {}).get("message", "").splitlines()
            raise BrowserError(f"{method} {path}: {message[0] if message else answer.status}")
        return value

    def cdp(self, command, **params):
        """A command of Chromium's own protocol."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def open(self, url):
        """Loads a page and waits until it is complete."""
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *args):
        """Runs the body of a function in the page, from outside the page's own scripts; its value."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    def press(self, *names):
        """Presses and releases keys, one after the other."""
        strokes = []
        for name in names:
            strokes += [{"type": kind, "value": KEYS[name]} for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def log_of(self, kind):
        """What was logged since the last call: `browser` (the console) or `performance` (events)."""
        return self.ask("POST", "/se/log", {"type": kind})

    def requests(self):
        """The addresses that the page asked for since the last call."""
        urls = []
        for entry in self.log_of("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                urls.append(event["params"]["request"]["url"])
        return urls

    def screenshot(self, path=None, clip=None):
        """The bytes of a PNG of the whole page, or of `clip` = (x, y, width, height) in the page's pixels."""
        if clip is None:
            size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
            clip = (0, 0, size["width"], min(size["height"], 16000))
        area = dict(zip(("x", "y", "width", "height"), clip), scale=1)
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=area)
        data = base64.b64decode(shot["data"])
        if path is not None:
            Path(path).write_bytes(data)
        return data

    def close(self):
        """Ends the browser; the driver ends it in any case."""
        try:
            self.ask("DELETE", "")
        except BrowserError:
            pass
        self.link.close()
