"""Both clients and the kind `http` against a server that does as it is told."""
import asyncio
import json
import socket
import threading
import unittest

from crossover_trial import kinds
from crossover_trial.clients import Blocking, HttpError, Streams, split_address
from crossover_trial.digests import word
from crossover_trial.errors import BadRequest
from crossover_trial.spec import Spec

from .support import Trial, request, strategies


def body(seed, task):
    return b"%016x" % word(seed, task)


class Server:
    """Answers every request with what `reply(target)` gives: raw bytes; None hangs up, an empty text stays silent."""

    def __init__(self, reply):
        self.connections, self.requests = 0, 0
        self._reply = reply
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            while first := lines.readline():
                while lines.readline().strip():
                    pass
                self.requests += 1
                reply = self._reply(first.split()[1].decode())
                if reply is None:
                    return
                connection.sendall(reply)
                if b"close" in reply:
                    return


def ok(text, more=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(text), more, text)


def right(target):
    """The answer of the test server."""
    query = dict(item.split("=") for item in target.partition("?")[2].split("&"))
    return ok(body(int(query["seed"]), int(query["n"])))


def both(address, uses):
    """Runs `uses`, a function of a getter, with each client."""
    client = Blocking(address)
    uses(client.get)
    client.close()
    loop, client = asyncio.new_event_loop(), Streams(address)
    uses(lambda *arguments: loop.run_until_complete(client.get(*arguments)))
    client.close()
    loop.close()


class Clients(unittest.TestCase):
    def test_connections_are_kept(self):
        with Server(lambda _: ok(b"hello")) as server:
            both(server.address, lambda get: [self.assertEqual(get("/"), (200, b"hello")) for _ in range(5)])
            self.assertEqual((server.connections, server.requests), (2, 10))

    def test_connections_that_must_close_are_not_used_again(self):
        with Server(lambda _: ok(b"bye", b"Connection: close\r\n")) as server:
            both(server.address, lambda get: [self.assertEqual(get("/"), (200, b"bye")) for _ in range(3)])
            self.assertEqual(server.connections, 6)

    def test_a_connection_that_was_closed_while_idle_is_replaced(self):
        for hang_up_at in (2, 5):
            seen = []

            def reply(_, seen=seen, hang_up_at=hang_up_at):
                seen.append(1)
                return None if len(seen) == hang_up_at else ok(b"x")

            with Server(reply) as server:
                both(server.address, lambda get: [self.assertEqual(get("/"), (200, b"x")) for _ in range(3)])
                self.assertEqual((server.connections, server.requests), (3, 7))

    def test_what_is_no_answer_is_an_error(self):
        for raw, words in [
            (None, "RemoteDisconnected|IncompleteReadError"),
            (b"hello\r\n\r\n", "BadStatusLine|this is no answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab close", None),
        ]:
            with Server(lambda _, raw=raw: raw) as server:

                def uses(get, words=words):
                    if words is None:
                        self.assertEqual(get("/"), (200, b"ab cl"))
                    else:
                        with self.assertRaisesRegex(HttpError, words):
                            get("/")

                both(server.address, uses)

    def test_silence_is_given_up(self):
        with Server(lambda _: b"") as server:

            def uses(get):
                with self.assertRaisesRegex(HttpError, "no answer within 0.05 s"):
                    get("/", 0.05)

            both(server.address, uses)

    def test_addresses(self):
        self.assertEqual(split_address("127.0.0.1:80"), ("127.0.0.1", 80))
        self.assertEqual(split_address("[::1]:80"), ("::1", 80))
        for wrong in (None, "", "host", "host:", ":80", "host:http"):
            with self.assertRaises(ValueError):
                split_address(wrong)


class Kind(unittest.TestCase):
    def prepare(self, address, **params):
        return kinds.prepare(Spec("http", json.dumps({"delay_ms": 1, **params}), 3, 42, address, None))

    def test_the_right_answer_is_the_digest(self):
        with Server(right) as server:
            work = self.prepare(server.address)
            self.assertEqual(work.run_blocking(2), word(42, 2))
            loop = asyncio.new_event_loop()
            self.assertEqual(loop.run_until_complete(work.run_async(1)), word(42, 1))
            loop.close()

    def test_anything_else_is_an_error(self):
        for reply, words in [
            (ok(body(42, 1)), "expected"),
            (ok(b"0" * 15), "expected"),
            (ok(b"not hexadecimal!"), "expected"),
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503"),
        ]:
            with Server(lambda _, reply=reply: reply) as server:
                with self.assertRaisesRegex(HttpError, words):
                    self.prepare(server.address).run_blocking(0)

    def test_delays_are_rounded_to_microseconds(self):
        targets = []

        def reply(target):
            targets.append(target)
            return right(target)

        with Server(reply) as server:
            for delay_ms in (0.2504, 0.2505, 1):
                self.prepare(server.address, delay_ms=delay_ms).run_blocking(0)
        self.assertEqual([target.split("us=")[1].split("&")[0] for target in targets], ["250", "251", "1000"])

    def test_a_server_is_needed(self):
        for address in (None, "nowhere"):
            with self.assertRaisesRegex(BadRequest, "http needs a server"):
                self.prepare(address)

    def test_every_strategy_waits_for_answers_and_tells_latencies(self):
        with Server(right) as server:
            for strategy in strategies():
                with self.subTest(strategy=strategy), Trial(strategy) as trial:
                    asked = request("http", {"delay_ms": 1}, server=server.address, seed=42, batch=2)
                    self.assertEqual(trial.ask({**asked, "warmup": True})["checksum"], "ea58464c89213f38")
                    before = server.connections
                    answer = trial.ask(asked)
                    self.assertEqual(answer["checksum"], "ea58464c89213f38")
                    self.assertEqual(len(answer["latencies_ns"]), 6)
                    self.assertLessEqual(max(answer["latencies_ns"]), 2 * answer["wall_ns"])
                    self.assertLessEqual(server.connections - before, 1)


class StartUp(unittest.TestCase):
    def test_every_life_opens_its_own_connections_and_closes_them(self):
        for strategy in ("asyncio", "threads", "processes"):
            with self.subTest(strategy=strategy), Server(right) as server, Trial(strategy) as trial:
                asked = request(
                    "http", {"delay_ms": 0}, tasks=1, batch=4, workers=1, server=server.address, startup="included"
                )
                answer = trial.ask(asked)
                self.assertTrue(answer["ok"], answer)
                self.assertEqual((server.connections, server.requests), (4, 4))
                self.assertEqual(len(answer["latencies_ns"]), 4)
                # Those of a strategy that is up are kept.
                self.assertEqual(trial.checksum({**asked, "startup": "excluded"}), answer["checksum"])
                self.assertEqual(server.connections, 5)


if __name__ == "__main__":
    unittest.main()
