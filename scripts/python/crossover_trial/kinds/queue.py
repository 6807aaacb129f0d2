"""Kind `queue`: a task is a pipeline: a producer, a bounded queue, and consumers that wait for each message.

Threads and queue.Queue in blocking code, tasks and asyncio.Queue in asyncio.
"""
import asyncio
import queue
import threading
import time

from ..digests import MASK, word
from . import Params

# Messages that may stand in the queue, for each consumer.
_WAITING = 2


class Queue:
    """See the module."""

    input_bytes = 0

    def __init__(self, seed, messages, wait_s, consumers):
        self._seed, self._messages, self._wait_s, self._consumers = seed, messages, wait_s, consumers

    def _all(self, task):
        """Every message, and at the end one for each consumer that says so."""
        key = word(self._seed, task)
        for number in range(self._messages):
            yield number, word(key, number)
        for _ in range(self._consumers):
            yield None

    def run_blocking(self, task):
        waiting, parts = queue.Queue(self._consumers * _WAITING), []

        def consume():
            digest = 0
            while (message := waiting.get()) is not None:
                if self._wait_s:
                    time.sleep(self._wait_s)
                digest += word(message[1], message[0])
            parts.append(digest)

        threads = [threading.Thread(target=consume) for _ in range(self._consumers)]
        for thread in threads:
            thread.start()
        for message in self._all(task):
            waiting.put(message)
        for thread in threads:
            thread.join()
        return sum(parts) & MASK

    async def run_async(self, task):
        waiting = asyncio.Queue(self._consumers * _WAITING)

        async def consume():
            digest = 0
            while (message := await waiting.get()) is not None:
                if self._wait_s:
                    await asyncio.sleep(self._wait_s)
                digest += word(message[1], message[0])
            return digest

        async def produce():
            for message in self._all(task):
                await waiting.put(message)
            return 0

        return sum(await asyncio.gather(produce(), *[consume() for _ in range(self._consumers)])) & MASK


def prepare(spec):
    params = Params(spec)
    messages, consumers = params.whole("messages", least=1), params.whole("consumers", least=1)
    wait_s = params.number("wait_ms") / 1000
    params.end()
    return Queue(spec.seed, messages, wait_s, consumers)
