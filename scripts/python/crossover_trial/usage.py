"""CPU time and context switches of this process and its helpers."""
import os
import resource
import time
import typing

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(typing.NamedTuple):
    """Since the start of a process; or between two instants."""

    user_ns: int = 0
    sys_ns: int = 0
    vcsw: int = 0
    ivcsw: int = 0

    def plus(self, other):
        return Usage(*(a + b for a, b in zip(self, other)))

    def since(self, earlier):
        return Usage(*(max(a - b, 0) for a, b in zip(self, earlier)))


def of(helpers):
    """Of this process and of the processes `helpers`."""
    total = _told(resource.RUSAGE_SELF)
    for pid in helpers:
        total = total.plus(_of_process(pid))
    return total


def ended():
    """Of the processes that this one has started and waited for."""
    return _told(resource.RUSAGE_CHILDREN)


def peak_kib(pid):
    """The most resident memory that a process has had, since the coordinator looked; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except (OSError, ValueError, StopIteration):
        return 0


def _told(who):
    told = resource.getrusage(who)
    return Usage(int(told.ru_utime * 1e9), int(told.ru_stime * 1e9), told.ru_nvcsw, told.ru_nivcsw)


def _of_process(pid):
    """Of another process; nothing once it is gone. Its CPU clock is exact, the kernel's share of it comes in ticks."""
    try:
        # The kernel's number of the CPU clock of a process, as clock_getcpuclockid gives it.
        total = time.clock_gettime_ns((~pid << 3) | 2)
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        user, kernel = int(fields[11]), int(fields[12])
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            status = dict(line.split(":", 1) for line in file)
        switches = [int(status[f"{name}_ctxt_switches"]) for name in ("voluntary", "nonvoluntary")]
    except (OSError, ValueError, KeyError, IndexError):
        return Usage()
    kernel_ns = total * kernel // (user + kernel) if user + kernel else 0
    return Usage(total - kernel_ns, kernel_ns, *switches)
