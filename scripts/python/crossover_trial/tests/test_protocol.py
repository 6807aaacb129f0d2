"""Every strategy through the protocol, as a process."""
import concurrent.futures
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from .support import PACKAGE, Trial, children, is_alive, request, strategies

SHA256, MIXED, EMPTY = "aec78615ae4f729a", "287dd6ae0bb18403", "6b3f6f29adb02974"
MIXED_PARAMS = {"cpu_us": 3, "wait_us": 0}


def gone(pids, within_s=5):
    """Whether all of them end within some time."""
    deadline = time.monotonic() + within_s
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_alive, pids))


def resident_kib(pid):
    """What a process and its children have resident."""
    total = 0
    for each in [pid] + children(pid):
        with open(f"/proc/{each}/statm", encoding="ascii") as file:
            total += int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    return total


class Answers(unittest.TestCase):
    def test_all_kinds_under_all_strategies(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                first = trial.ask(request(warmup=True))
                self.assertEqual((first["id"], first["ok"], first["checksum"]), (1, True, SHA256))
                self.assertGreater(first["first_ns"], 0)
                self.assertGreaterEqual(first["batches"], 1)
                self.assertEqual(trial.checksum(request("mixed", MIXED_PARAMS, batch=4)), MIXED)
                self.assertEqual(trial.checksum(request("mixed", {"cpu_us": 3, "wait_us": 100.5})), MIXED)
                self.assertEqual(trial.checksum(request("empty")), EMPTY)
                # Back to a work that was prepared before, with another number of workers.
                self.assertEqual(trial.checksum(request(workers=3)), SHA256)
                out, err, code = trial.end()
                self.assertEqual((out, err, code), (b"", b"", 0))

    def test_many_tasks(self):
        # More than fit into the pipes of the interpreters at a time.
        sums = set()
        for strategy in strategies():
            with Trial(strategy) as trial:
                sums.add(trial.checksum(request("empty", tasks=700)))
        self.assertEqual(len(sums), 1)

    def test_times_can_be(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                trial.ask(request(warmup=True))
                start = time.monotonic_ns()
                answer = trial.ask(request(batch=50))
                took = time.monotonic_ns() - start
                self.assertTrue(0 < answer["wall_ns"] * 50 <= took)
                self.assertLessEqual((answer["user_ns"] + answer["sys_ns"]) * 50, took * (os.cpu_count() or 1) + 40e6)

    def test_chunks(self):
        with Trial("processes", "--chunk", "4") as trial, Trial("threads") as other:
            for tasks in (1, 3, 4, 5, 9):
                asked = request("empty", tasks=tasks)
                self.assertEqual(trial.checksum(asked), other.checksum(asked))

    def test_every_way_to_start_processes(self):
        for how in multiprocessing.get_all_start_methods():
            with self.subTest(how=how), Trial("processes", "--start", how, start_new_session=True) as trial:
                self.assertEqual(trial.checksum(request(workers=1)), SHA256)
                self.assertEqual(trial.checksum(request(workers=2)), SHA256)
                workers = children(trial.process.pid)
                trial.process.kill()
                self.assertTrue(gone(workers))

    def test_an_open_load_keeps_to_its_rate(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                trial.ask(request("empty", warmup=True, rate=500.0))
                answer = trial.ask(request("empty", tasks=20, rate=500.0))
                self.assertTrue(answer["ok"], answer)
                self.assertGreaterEqual(answer["wall_ns"], 19 / 500 * 1e9)
                self.assertEqual(len(answer["latencies_ns"]), 20)
                self.assertGreater(min(answer["latencies_ns"]), 0)
                self.assertGreaterEqual(answer["generator_lag_ns"], 0)

    def test_a_trace_tells_every_task(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                answer = trial.ask(request("mixed", {"cpu_us": 3, "wait_us": 2000}, trace=True))
                self.assertEqual(answer["checksum"], MIXED)
                told = answer["trace"]
                self.assertEqual([task[0] for task in told["tasks"]], [0, 1, 2])
                for _, handed, start, end in told["tasks"]:
                    self.assertTrue(handed <= start <= end, told)
                self.assertTrue(all(worker < len(told["workers"]) and a <= b for _, worker, a, b in told["segments"]))
                # A coroutine is on the loop before its wait and after it; a thread is there all the time.
                self.assertEqual(len(told["segments"]), 6 if strategy == "asyncio" else 3)
                self.assertFalse(told["truncated"])


class StartUp(unittest.TestCase):
    """Every run is the life of a strategy, from its start to its end."""

    def test_a_life_is_told_as_one_and_leaves_nothing(self):
        for strategy in ("asyncio", "threads", "processes"):
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                warm = trial.ask(request(startup="included", warmup=True))
                self.assertEqual((warm["startup"], warm["checksum"]), ("included", SHA256))
                self.assertNotIn("steady", warm)
                start = time.monotonic_ns()
                answer = trial.ask(request(startup="included", batch=3))
                took = time.monotonic_ns() - start
                self.assertEqual((answer["startup"], answer["checksum"]), ("included", SHA256))
                self.assertTrue(0 < answer["wall_ns"] * 3 <= took)
                self.assertEqual(children(trial.process.pid), [])
                # One that was joined may take a moment to vanish from the system's list.
                deadline = time.monotonic() + 5
                while len(os.listdir(f"/proc/{trial.process.pid}/task")) > 1:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
                # What is up stays out of it, and the other way round.
                self.assertNotIn("startup", trial.ask(request(startup="excluded")))
                self.assertEqual(trial.ask(request(startup="included"))["checksum"], SHA256)
                self.assertEqual(len(trial.ask(request(startup="included", trace=True))["trace"]["tasks"]), 3)
                self.assertEqual(trial.ask(request(startup="included"))["checksum"], SHA256)

    def test_what_workers_used_that_are_gone_is_told(self):
        asked = request("mixed", {"cpu_us": 5000, "wait_us": 0}, startup="included", workers=1)
        told = {}
        for strategy in ("threads", "processes"):
            with Trial(strategy) as trial:
                trial.ask({**asked, "warmup": True})
                told[strategy] = trial.ask(asked)
        computed = told["threads"]["user_ns"]
        self.assertGreater(told["processes"]["user_ns"], computed / 3)
        self.assertGreater(told["processes"]["rss_peak_kib"], told["threads"]["rss_peak_kib"])

    def test_what_cannot_be_is_refused(self):
        with Trial("interpreters") as trial:
            answer = trial.ask(request(startup="included"))
            self.assertTrue(answer["unfit"], answer)
        with Trial("threads") as trial:
            for changes, words in [
                ({"startup": "included", "rate": 5.0}, "under an open load startup"),
                ({"startup": True}, "must be excluded or included"),
            ]:
                answer = trial.ask(request(**changes))
                self.assertFalse(answer["ok"])
                self.assertIn(words, answer["error"])
            answer = trial.ask(request("http", {"delay_ms": 1}, server="127.0.0.1:9", startup="included"))
            self.assertIn("refused", answer["error"])
            self.assertEqual(trial.checksum(request(startup="included")), SHA256)


class Kinds(unittest.TestCase):
    """Kinds that strategies treat in ways of their own, and those that keep something."""

    def test_payloads_are_sent_to_processes(self):
        asked = request("payload", {"in_bytes": 1000, "out_bytes": 70000}, seed=42, batch=2)
        for strategy in ("asyncio", "threads", "processes"):
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                for changes in ({"warmup": True}, {}, {"trace": True}, {"rate": 500.0, "batch": 1}):
                    self.assertEqual(trial.checksum({**asked, **changes}), "21c7eca8ba058acf")

    def test_all_tasks_wait_for_one_moment(self):
        asked = request("idle", {"wait_ms": 50}, tasks=40)
        sums = set()
        for options in (["asyncio"], ["threads"], ["threads", "--workers", "tasks"], ["processes"]):
            with self.subTest(options=options), Trial(*options) as trial:
                sums.add(trial.checksum(asked))
                answer = trial.ask({**asked, "batch": 4})
                sums.add(answer["checksum"])
                # One after another would take 40 times as long.
                self.assertTrue(50e6 <= answer["wall_ns"] < 500e6, answer)
                # A run that is shorter or longer counts anew.
                for tasks in (3, 50):
                    self.assertGreaterEqual(trial.ask({**asked, "tasks": tasks})["wall_ns"], 50e6)
                sums.update(trial.checksum({**asked, **changes}) for changes in ({"trace": True}, {"rate": 5000.0}))
        self.assertEqual(len(sums), 1)

    def test_a_thread_for_each_task(self):
        with Trial("threads", "--workers", "tasks") as trial:
            for tasks in (3, 40, 7):
                told = trial.ask(request("idle", {"wait_ms": 20}, tasks=tasks, trace=True))["trace"]
                self.assertEqual(len(told["workers"]), tasks)

    def test_more_threads_than_there_can_be_do_not_fit(self):
        # Memory for threads' stacks, and soon no more of it; the limit is the child's alone.
        limit = (1 << 30, 1 << 30)
        with Trial("threads", "--workers", "tasks", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit)) as trial:
            answer = trial.ask(request("idle", {"wait_ms": 20}, tasks=2000))
            self.assertTrue(answer.get("unfit"), answer)
            self.assertIn("2000 threads cannot be started here", answer["error"])
            self.assertTrue(trial.ask(request("idle", {"wait_ms": 20}, tasks=5))["ok"])

    def test_planned_crashes_are_no_failures(self):
        asked = request("crash", {"every": 2, "cpu_us": 7}, batch=3)
        for strategy in strategies():
            if strategy == "processes":
                continue
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                for changes in ({"warmup": True}, {}, {"trace": True}, {"rate": 500.0, "batch": 1}):
                    self.assertEqual(trial.checksum({**asked, **changes}), "07fd992d2903a783")
                out, err, code = trial.end()
                self.assertEqual((out, err, code), (b"", b"", 0))

    def test_a_planned_death_breaks_a_pool_of_processes(self):
        with Trial("processes") as trial:
            for _ in range(2):
                # So many that the pool may break while they are still being submitted.
                answer = trial.ask(request("crash", {"every": 2, "cpu_us": 7}, tasks=200))
                self.assertFalse(answer["ok"])
                self.assertTrue(answer.get("unfit"), answer)
                self.assertIn("BrokenProcessPool", answer["error"])
            # Without crashes it does the work, before and after.
            self.assertEqual(trial.checksum(request("crash", {"every": 0, "cpu_us": 7})), "21f060ab767bc3f5")
            out, err, code = trial.end()
            self.assertEqual((out, err, code), (b"", b"", 0))

    def test_what_a_run_leaked_is_gone_before_the_next(self):
        asked = request("leak", {"leak_bytes": 262144, "cpu_us": 7}, tasks=64)
        sums = set()
        for strategy in ("asyncio", "threads", "processes"):
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                self.assertEqual(trial.checksum({**asked, "tasks": 3}), "5a6cf6a78068db53")
                started = resident_kib(trial.process.pid)
                for changes in ({"warmup": True}, {"batch": 4}, {"trace": True}, {"rate": 5000.0}):
                    sums.add(trial.checksum({**asked, **changes}))
                # 16 MiB each run.
                self.assertLess(resident_kib(trial.process.pid), started + 8 * 1024)
        self.assertEqual(len(sums), 1)

    def test_files_are_gone_afterwards(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), tempfile.TemporaryDirectory() as folder:
                with Trial(strategy, env={**os.environ, "TMPDIR": folder}) as trial:
                    sums = {
                        trial.checksum(request("file", {"op": "write", "file_bytes": 100, "sync": "none"}, tasks=9)),
                        trial.checksum(request("file", {"op": "read", "file_bytes": 5000}, tasks=9)),
                    }
                    self.assertEqual(len(sums), 1)
                    written = request("sqlite", {"op": "write", "rows": 10, "statements": 3}, tasks=9)
                    self.assertEqual(trial.checksum(written), trial.checksum({**written, "batch": 3}))
                    self.assertNotEqual(os.listdir(folder), [])
                    self.assertEqual(trial.end()[2], 0)
                if strategy == "interpreters":  # the process itself still held them: the next one sweeps
                    with Trial("threads", env={**os.environ, "TMPDIR": folder}) as trial:
                        trial.end()
                self.assertEqual(os.listdir(folder), [])


class Refusals(unittest.TestCase):
    def test_what_cannot_be_is_an_answer(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                for asked, words, unfit in [
                    (request("gpu"), "the kind `gpu` is not built here", True),
                    (request(params={"kernel": "md5", "input_bytes": 1}), "the kernel `md5` is not built here", True),
                    (request(params={"kernel": "sha256", "input_bytes": 1, "salt": 3}), "no parameter salt", True),
                    (request(params={"kernel": "sha256"}), "needs a number input_bytes", False),
                    (request(params={"kernel": "sha256", "input_bytes": -1}), "of at least 0, found -1", False),
                    (request("mixed", MIXED_PARAMS, spin_per_us=None), "needs spin_per_us", False),
                    (request("http", {"delay_ms": 1}), "http needs a server", False),
                    (request(schema=2), "schema 2 is not known", False),
                    (request(tasks=0), "tasks is 0", False),
                    (request(batch="many"), "batch is missing or is no int", False),
                    (request(seed=2**64), "no unsigned 64-bit number", False),
                ]:
                    answer = trial.ask(asked)
                    self.assertFalse(answer["ok"])
                    self.assertIn(words, answer["error"])
                    self.assertEqual(answer.get("unfit", False), unfit, answer)
                    self.assertEqual(answer["error"].startswith("does not fit: "), unfit)
                # None of that has done any harm.
                self.assertEqual(trial.checksum(request()), SHA256)

    def test_a_parameter_that_changes_nothing_is_no_hindrance(self):
        with Trial("threads") as trial:
            params = {"kernel": "sha256", "input_bytes": 16, "tasks": 3, "lock_fraction": 0.0}
            self.assertEqual(trial.checksum(request(params=params)), SHA256)

    def test_a_failing_task_is_named(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                # Port 9 of this machine is nobody's.
                answer = trial.ask(request("http", {"delay_ms": 1}, server="127.0.0.1:9"))
                self.assertFalse(answer["ok"])
                self.assertRegex(answer["error"], r"^task \d: HttpError: .*refused|^task \d: .*Connect call failed")
                self.assertEqual(trial.checksum(request()), SHA256)

    def test_old_interpreters_share_a_lock(self):
        if sys.version_info >= (3, 12):
            self.skipTest("this Python's interpreters have a lock each")
        with Trial("interpreters") as trial:
            answer = trial.ask(request())
            self.assertFalse(answer["ok"])
            self.assertTrue(answer["unfit"])
            self.assertIn("share one global lock", answer["error"])

    def test_a_line_that_is_no_request_ends_it(self):
        for line in ("hello", "[]", "{}", '{"schema":1}'):
            with Trial("threads") as trial:
                trial.send(line)
                out, err, code = trial.end()
                self.assertEqual((out, code), (b"", 2))
                self.assertIn(b"this is no request", err)

    def test_a_line_without_end_ends_it(self):
        with Trial("threads") as trial:
            try:
                trial.send("x" * (1 << 21))
            except BrokenPipeError:
                pass
            self.assertEqual(trial.process.wait(20), 2)

    def test_wrong_arguments(self):
        for arguments in (("fibers",), ("threads", "--workers", "0"), ("processes", "--chunk", "x")):
            with Trial(*arguments) as trial:
                self.assertEqual(trial.process.wait(20), 2)


class Lives(unittest.TestCase):
    def test_a_killed_worker_costs_one_request(self):
        with Trial("processes") as trial:
            self.assertEqual(trial.checksum(request()), SHA256)
            workers = children(trial.process.pid)
            self.assertEqual(len(workers), 2)
            os.kill(workers[0], signal.SIGKILL)
            answer = trial.ask(request())
            while answer["ok"]:  # until the pool has noticed
                answer = trial.ask(request())
            self.assertIn("BrokenProcessPool", answer["error"])
            self.assertTrue(gone(workers))
            self.assertEqual(trial.checksum(request()), SHA256)

    def test_workers_go_with_their_trial(self):
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None):
            with self.subTest(how=how), Trial("processes", start_new_session=True) as trial:
                self.assertEqual(trial.checksum(request()), SHA256)
                workers = children(trial.process.pid)
                self.assertEqual(len(workers), 2)
                if how is None:
                    self.assertEqual(trial.end()[2], 0)
                else:
                    trial.process.send_signal(how)
                    self.assertEqual(trial.process.wait(20), -how)
                self.assertTrue(gone(workers))

    def test_it_leaves_within_its_time(self):
        for strategy in strategies():
            with self.subTest(strategy=strategy), Trial(strategy) as trial:
                trial.checksum(request())
                start = time.monotonic()
                self.assertEqual(trial.end()[2], 0)
                self.assertLess(time.monotonic() - start, 0.5)

    def test_no_stdin_at_all(self):
        for how in ("<&-", "</dev/null"):
            command = f'exec "$0" -I -B "$1" threads {how}'
            done = subprocess.run(["sh", "-c", command, sys.executable, PACKAGE], capture_output=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_nobody_listens(self):
        with Trial("threads") as trial:
            trial.process.stdout.close()
            trial.send('{"id":1}')
            self.assertEqual(trial.process.wait(20), 0)


class Steps(unittest.TestCase):
    def test_futures_are_collected_in_order_and_failures_name_their_task(self):
        from crossover_trial.errors import TaskFailed
        from crossover_trial.strategies.pool import collect

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            self.assertEqual(collect([pool.submit(int, n) for n in range(5)]), list(range(5)))
            with self.assertRaises(TaskFailed) as caught:
                collect([pool.submit(int, "4"), pool.submit(int, "x"), pool.submit(int, "5")])
            self.assertEqual(caught.exception.task, 1)
            self.assertIn("ValueError", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
