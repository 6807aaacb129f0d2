"""The database of the rows about databases: PostgreSQL where CROSSOVER_POSTGRES names one and a driver for asyncio can be imported
(asyncpg, or psycopg 3), else connections to the test server, which answers one request of a connection after the other.
"""
import os

from crossover_trial.clients import Streams

_VARIABLE = "CROSSOVER_POSTGRES"
_QUERY = "select pg_sleep(0.1)"


class _Asyncpg:
    about = "PostgreSQL, pg_sleep(.1), by asyncpg"

    def __init__(self, driver, url):
        self._driver, self._url = driver, url

    async def connect(self):
        connection = await self._driver.connect(self._url)
        # A server's first statement on a connection reads its catalogue: no query's time.
        await connection.execute("select pg_sleep(0)")
        return lambda: connection.execute(_QUERY), connection.terminate


class _Psycopg:
    about = "PostgreSQL, pg_sleep(.1), by psycopg"

    def __init__(self, driver, url):
        self._driver, self._url = driver, url

    async def connect(self):
        connection = await self._driver.AsyncConnection.connect(self._url, autocommit=True)
        await connection.execute("select pg_sleep(0)")
        return lambda: connection.execute(_QUERY), connection.pgconn.finish


class _StandIn:
    def __init__(self, context, reason):
        self._server, self.about = context.server, f"a stand-in for a database, the test server: {reason}"

    async def connect(self):
        client = Streams(self._server)
        await client.get("/delay?us=0&n=0&seed=1")
        return lambda: client.get("/delay?us=100000&n=0&seed=1"), client.close


def find(context):
    """The database that is there. `await connect()` gives a function that makes a query of 100 ms, and one that closes."""
    url = os.environ.get(_VARIABLE)
    if not url:
        found = _StandIn(context, f"{_VARIABLE} names no server")
    else:
        found = _driven(url) or _StandIn(context, "this Python has neither asyncpg nor psycopg 3")
    context.note(found.about)
    return found


def asyncpg(context):
    """PostgreSQL by asyncpg, or None."""
    url = os.environ.get(_VARIABLE)
    found = _driven(url) if url else None
    if not isinstance(found, _Asyncpg):
        return None
    context.note(found.about)
    return found


def _driven(url):
    try:
        import asyncpg as driver

        return _Asyncpg(driver, url)
    except ImportError:
        pass
    try:
        import psycopg as driver

        return _Psycopg(driver, url)
    except ImportError:
        return None
