"""Folders for files of a work, under the same rules as those of the built-in strategies.

A folder's owner holds a lock on it (flock), which ends with its process, however that ends. Whoever makes one looks for others that
nobody holds any more, and removes them: nothing that was killed leaves files behind for long.
"""
import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile

_PREFIX = "crossover-scratch-"
_numbers = itertools.count()


class Scratch:
    """A folder of its own below TMPDIR; `path` is where. It goes with `remove`, or with whoever sweeps after this process."""

    def __init__(self):
        sweep()
        while True:
            self.path = os.path.join(tempfile.gettempdir(), f"{_PREFIX}{os.getpid()}-{next(_numbers)}")
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                continue
            self._lock = _hold(self.path)
            if self._lock is not None:
                return

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _hold(path):
    """Takes the lock of a folder: its descriptor, or None where somebody has it or the folder is gone."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It is the folder of this name still, and not one that was removed before the lock was ours.
        if os.path.samestat(os.fstat(lock), os.lstat(path)):
            return lock
    os.close(lock)
    return None


def sweep():
    """Removes the folders that nobody holds. Errors mean that somebody else does so, or owns them."""
    parent = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            path = os.path.join(parent, name)
            if name.startswith(_PREFIX) and (lock := _hold(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
