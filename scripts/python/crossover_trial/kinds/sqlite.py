"""Kind `sqlite`: a task queries a database file within its process, by the standard library's sqlite3.

Each process has a database of its own, each task under way a connection, which is kept. SQLite lets go of the global lock while it
works; asyncio hands the whole task to the threads of its default executor.
"""
import asyncio
import os
import sqlite3

from ..clients import PATIENCE_S
from ..digests import MASK, chained, word
from ..errors import Unfit
from ..scratch import Scratch
from . import Params

_SCHEMA = """
create table item (id integer primary key, value integer not null);
create table note (id integer primary key, value integer not null);
"""
_READ = "select value from item where id = ?"
_WRITE = "insert or replace into note (id, value) values (?, ?) returning value"


def signed(number):
    """An unsigned 64-bit number as SQLite holds it."""
    return number - 2**64 if number >> 63 else number


class Sqlite:
    """See the module."""

    def __init__(self, spec, rows, statements, writes, sync):
        self._seed, self._rows, self._statements, self._sync = spec.seed, rows, statements, sync
        self._folder, self._idle = Scratch(), []
        self.run_one = self._write if writes else self._read
        self.input_bytes = 0
        connection = self._open()
        connection.execute("pragma journal_mode = wal")
        connection.executescript(_SCHEMA)
        connection.execute("begin")
        connection.executemany(
            "insert into item (id, value) values (?, ?)", ((i, signed(word(self._seed, i))) for i in range(rows))
        )
        connection.execute("commit")
        # Readers find the table itself, not its journal.
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        self._idle.append(connection)

    def close(self):
        """Removes the database."""
        while self._idle:
            self._idle.pop().close()
        self._folder.remove()

    def _open(self):
        # Any thread may use it, one at a time; transactions are begun and ended here.
        connection = sqlite3.connect(
            os.path.join(self._folder.path, "database"),
            timeout=PATIENCE_S,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute(f"pragma synchronous = {self._sync}")
        return connection

    def run_blocking(self, task):
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        # After a failure it is not used again.
        digest = self.run_one(connection, task)
        self._idle.append(connection)
        return digest

    async def run_async(self, task):
        return await asyncio.get_running_loop().run_in_executor(None, self.run_blocking, task)

    def _read(self, connection, task):
        keys = word(self._seed, task)
        ids = ((word(keys, i) % self._rows,) for i in range(self._statements))
        return chained(connection.execute(_READ, one).fetchone()[0] & MASK for one in ids)

    def _write(self, connection, task):
        first = task * self._statements
        rows = ((i, signed(word(self._seed, i))) for i in range(first, first + self._statements))
        connection.execute("begin immediate")
        digest = chained(connection.execute(_WRITE, row).fetchone()[0] & MASK for row in rows)
        connection.execute("commit")
        return digest


def prepare(spec):
    params = Params(spec)
    writes = params.choice("op", ("read", "write"), "read") == "write"
    sync = {"none": "off", "full": "full"}[params.choice("sync", ("none", "full"), "none")]
    rows, statements = params.whole("rows", least=1), params.whole("statements", least=1)
    params.end()
    if writes and sqlite3.sqlite_version_info < (3, 35):
        raise Unfit(f"`returning` came with SQLite 3.35, this Python has {sqlite3.sqlite_version}")
    return Sqlite(spec, rows, statements, writes, sync)
