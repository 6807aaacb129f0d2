"""What can go wrong with a request, in words that its answer carries."""


class Unfit(Exception):
    """This strategy, or this Python, cannot do such work at all: no defect, and no reason to try again."""


class BadRequest(Exception):
    """The request asks for something that does not exist."""


class TaskFailed(Exception):
    """One task of a run failed; its message names the task and the reason."""

    def __init__(self, task, reason):
        super().__init__(task, reason)
        self.task, self.reason = task, reason

    def __str__(self):
        return f"task {self.task}: {self.reason}"


class PlannedCrash(Exception):
    """A task that was to crash did; no failure of a run where it is noticed as that."""

    def __init__(self, task):
        super().__init__(task)
        self.task = task

    def __str__(self):
        return f"task {self.task} crashed, as was planned"


def reason_of(error):
    """A sentence about `error` that says more than its class, on one line of at most 300 characters."""
    if isinstance(error, (Unfit, BadRequest, TaskFailed)):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(text.split())[:300]
