"""How these processes live and die: limits, signals, the parent's end."""
import os
import resource
import signal
import threading


def allow_many_files():
    """Raises the number of open files to what the system allows: every request that waits has a connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # the limit in force shows as an error where it is met


def take_stdout():
    """The real stdout, for answers alone: whatever else is printed, here or in a worker, goes to stderr."""
    answers = os.dup(1)
    os.set_inheritable(answers, False)
    os.dup2(2, 1)
    return open(answers, "wb", buffering=0)


def end_quietly_on_signals():
    """SIGINT and SIGTERM end this process at once; its workers go with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def worker(alive, others_end):
    """Called first thing in a worker process: Ctrl-C is for the parent, and the parent's end is its own.

    Workers of a process pool read one pipe that each of them can also write to, and a fork server lives as long as its children: all
    of them would wait for ever when nobody else is left. So the trial holds one end of a pipe, `others_end`, and every worker waits
    for the end of `alive`, the other one. A worker that was forked has a copy of the first end, and lets go of it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if others_end is not None:
        others_end.close()
    threading.Thread(target=_end_with, args=(alive,), name="until the trial ends", daemon=True).start()


def _end_with(alive):
    try:
        alive.recv_bytes()  # nothing is ever sent
    except (EOFError, OSError):
        os._exit(0)
