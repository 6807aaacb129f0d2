"""Kind `postgres`: queries that take their time at the server, by psycopg (version 3), which is not in the standard library.

At most `connections` of them are open, each for one query at a time. The server is the one that CROSSOVER_POSTGRES names.
"""
import asyncio
import os
import threading

from ..digests import MASK, word
from ..errors import BadRequest, Unfit
from . import Params
from .sqlite import signed

_VARIABLE = "CROSSOVER_POSTGRES"


class Postgres:
    """See the module."""

    input_bytes = 0

    def __init__(self, driver, spec, url, delay_ms, connections):
        self._driver, self._url, self._seed, self._delay_s = driver, url, spec.seed, delay_ms / 1000
        self._query = "select %s::int8 # %s::int8" + (" from pg_sleep(%s)" if delay_ms else "")
        self._room, self._idle = threading.Semaphore(connections), []
        # Made when a loop runs: before Python 3.10 it belongs to the loop of its birth.
        self._connections, self._async_room, self._async_idle = connections, None, []

    def _arguments(self, task):
        return (task, signed(word(self._seed, task)), *([self._delay_s] if self._delay_s else []))

    def run_blocking(self, task):
        with self._room:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._driver.connect(self._url, autocommit=True)
            # After a failure it is not used again.
            number = connection.execute(self._query, self._arguments(task)).fetchone()[0]
            self._idle.append(connection)
        return number & MASK

    async def run_async(self, task):
        if self._async_room is None:
            self._async_room = asyncio.Semaphore(self._connections)
        async with self._async_room:
            if self._async_idle:
                connection = self._async_idle.pop()
            else:
                connection = await self._driver.AsyncConnection.connect(self._url, autocommit=True)
            cursor = await connection.execute(self._query, self._arguments(task))
            number = (await cursor.fetchone())[0]
            self._async_idle.append(connection)
        return number & MASK


def prepare(spec):
    params = Params(spec)
    delay_ms, connections = params.number("delay_ms"), params.whole("connections", least=1)
    params.end()
    try:
        import psycopg
    except ImportError:
        raise Unfit("the kind postgres needs psycopg 3, which this Python cannot import") from None
    url = os.environ.get(_VARIABLE)
    if not url:
        raise BadRequest(f"postgres needs a server: {_VARIABLE} is not set (scripts/postgres.sh starts one)")
    return Postgres(psycopg, spec, url, delay_ms, connections)
