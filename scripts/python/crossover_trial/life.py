"""How these processes live and die: limits, signals, the parent's end."""
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1


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


def worker(parent):
    """Called first thing in a worker process: Ctrl-C is for the parent, and the parent's end is its own.

    Workers of a process pool read one pipe that each of them can also write to, so that they would wait for ever when nobody
    else is left.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        return  # whoever started the trial must clean up: under `crossover run` that is the guard
    # Started by a fork server, its parent is that server, which goes when the trial does.
    if parent is not None and os.getppid() != parent:
        os._exit(0)
