"""The arithmetic against its definition, and the work against the vectors of DIGESTS.md."""
import asyncio
import json
import os
import re
import unittest

from crossover_trial import digests, kinds
from crossover_trial.digests import MASK, fold, random_bytes, shown, word, words
from crossover_trial.errors import BadRequest, Unfit
from crossover_trial.kernels import images
from crossover_trial.spec import Spec

from .support import ROOT, TestServer

SEEDS = (0, 42, 2**64 - 1, 0x0123456789ABCDEF)


class Rows(unittest.TestCase):
    def test_words_come_as_defined(self):
        for seed in SEEDS:
            for n in (0, 1, 2, 3, 4, 5, 17, 1000):
                self.assertEqual(list(words(seed, n)), [word(seed, i) for i in range(n)])

    def test_rows_meet_where_one_ends(self):
        n = digests._ROW_MAX + 3
        found = words(7, n)
        for i in (0, n - 4, n - 3, n - 2, n - 1):
            self.assertEqual(found[i], word(7, i))

    def test_bytes_are_cut(self):
        whole = b"".join(word(9, i).to_bytes(8, "little") for i in range(10))
        for n in (0, 1, 7, 8, 9, 79, 80):
            self.assertEqual(random_bytes(9, n), whole[:n])

    def test_a_checksum_is_the_sum_over_tasks(self):
        for seed in SEEDS:
            for n in (1, 2, 3, 4, 5, 100, digests._ROW_MAX, digests._ROW_MAX + 1):
                found = list(words(seed, n))
                defined = sum(word(digest, task) for task, digest in enumerate(found)) & MASK
                self.assertEqual(fold(found), defined)
        self.assertEqual(fold([MASK] * 40), sum(word(MASK, task) for task in range(40)) & MASK)


class Weights(unittest.TestCase):
    """The digest of the resize kernel, worked out in long integers."""

    def test_it_is_the_sum_of_weighted_pixels(self):
        for n in (1, 2, 3, 4, 5, 31, 32, 33, 1000):
            for data in (random_bytes(n, 4 * n), b"\xff" * (4 * n)):
                pixels = [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(n)]
                defined = sum(pixel * (2 * i + 1) for i, pixel in enumerate(pixels))
                self.assertEqual(images.weighed_pixels(data) & MASK, defined & MASK)


class Vectors(unittest.TestCase):
    """Every row of the table, in both styles."""

    def test_the_table_of_digests_md(self):
        with open(os.path.join(ROOT, "workloads", "DIGESTS.md"), encoding="utf-8") as file:
            rows = [line.strip("| \n").split(" | ") for line in file if re.match(r"\| [a-z]+ \| .*`[0-9a-f]{16}`", line)]
        checked, loop = set(), asyncio.new_event_loop()
        with TestServer() as server:
            for kind, text, seed, *found in rows:
                if "mandelbrot input_bytes=65536" in text:
                    continue  # seconds of pure Python
                params = {key: _value(value) for key, _, value in (item.partition("=") for item in text.split())}
                spin = params.pop("spin_per_us", None)
                with self.subTest(kind=kind, params=text, seed=seed):
                    try:
                        work = kinds.prepare(Spec(kind, json.dumps(params), 3, int(seed, 16), server.address, spin))
                    except Unfit:
                        checked.add(kind)  # it needs a package that is not here, or is not built
                        continue
                    except BadRequest:
                        self.assertEqual(kind, "postgres")  # there is no server
                        checked.add(kind)
                        continue
                    done = [kinds.run_settled(work, task) for task in range(3)]
                    self.assertEqual([f"`{shown(digest)}`" for digest in done + [fold(done)]], found)
                    self.assertEqual([loop.run_until_complete(kinds.run_async_settled(work, task)) for task in range(3)], done)
                    checked.add(kind)
        kinds.close()
        loop.close()
        self.assertEqual(checked, {row[0] for row in rows})
        self.assertGreaterEqual(checked, {"cpu", "mixed", "http", "empty"})


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    unittest.main()
