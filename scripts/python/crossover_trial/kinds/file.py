"""Kind `file`: a task reads or writes a file of its own, whole.

asyncio has no files. What its programs do is to hand each call to the threads of the default executor, as aiofiles does; here it is one
hand-over per task, the whole of `open`, `read` and `close`.
"""
import asyncio
import os

from ..digests import Stamped
from ..scratch import Scratch
from . import Params


class Files:
    """See the module."""

    def __init__(self, spec, n, writes, sync):
        self._stamped, self._writes, self._sync = Stamped(spec.seed, n), writes, sync
        self._folder = Scratch()
        self.input_bytes = n
        for task in range(spec.tasks):
            self._write(task, False)

    def close(self):
        """Removes the files."""
        self._folder.remove()

    def _path(self, task):
        return os.path.join(self._folder.path, str(task))

    def _write(self, task, sync):
        data = self._stamped.copy(task)
        with open(self._path(task), "wb", buffering=0) as file:
            file.write(data)
            if sync:
                os.fsync(file.fileno())
        return int.from_bytes(data[:8], "little")

    def run_blocking(self, task):
        if self._writes:
            return self._write(task, self._sync)
        with open(self._path(task), "rb", buffering=0) as file:
            data = file.read()
        return self._stamped.check(data, task)

    async def run_async(self, task):
        return await asyncio.get_running_loop().run_in_executor(None, self.run_blocking, task)


def prepare(spec):
    params = Params(spec)
    writes = params.choice("op", ("read", "write"), "read") == "write"
    sync = params.choice("sync", ("none", "fsync"), "none") == "fsync"
    n = params.whole("file_bytes", least=8)
    params.end()
    return Files(spec, n, writes, sync)
