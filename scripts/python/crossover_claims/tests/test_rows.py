"""The command line, and rows that take no time."""
import json
import os
import subprocess
import sys
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "claims.py")


def claims(*arguments):
    """Exit code, lines and stderr."""
    command = [sys.executable, "-I", "-B", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


class Command(unittest.TestCase):
    def test_the_list(self):
        code, lines, _ = claims("--list")
        self.assertEqual(code, 0)
        found = {line["id"]: line for line in lines}
        self.assertEqual(len(found), len(lines))
        wanted = "2 6 9 11 12 13 14 15 16 17 18 19 21 22 23 24 28 29 33 36 37 42 44 46 47 48 49 50 51 52 55 60 62 63 64 67 68 71 72 73"
        wanted += " 74 76 77 78 79 x1 x2 x3 x4 x5 break-even loop-lag kernels 1m-tasks loky-short gil-free ctx-switch spawn-cost tokio-fs"
        self.assertEqual(set(wanted.split()) - set(found), set())
        for line in lines:
            self.assertTrue(line["unit"] and line["title"] and line["seconds"] < 10, line)

    def test_a_row_has_what_the_interface_says(self):
        code, lines, err = claims("--row", "55", "--row", "x1", "--repeats", "2")
        self.assertEqual((code, [line["id"] for line in lines], err), (0, ["55", "x1"], ""))
        row = lines[0]
        self.assertEqual((row["n"], row["unit"], row["values"]), (2, "s", {"peak": 20}))
        self.assertEqual(len(row["samples"]["value"]), 2)
        self.assertTrue(0.25 <= row["low"] <= row["value"] <= row["high"])
        self.assertEqual(row["python"], ".".join(map(str, sys.version_info[:3])))
        self.assertEqual(lines[1]["value"], 0)

    def test_rows_that_cannot_run_say_why(self):
        try:
            import numpy  # noqa: F401

            self.skipTest("NumPy is here")
        except ImportError:
            code, lines, _ = claims("--row", "78")
            self.assertEqual((code, lines), (0, [{"id": "78", "skipped": lines[0]["skipped"]}]))
            self.assertIn("needs numpy", lines[0]["skipped"])

    def test_a_server_that_is_not_there_is_an_error_of_the_row(self):
        code, lines, _ = claims("--row", "68", "--row", "9", "--server", "127.0.0.1:9")
        self.assertEqual(code, 0)
        self.assertIn("HttpError", lines[0]["error"])
        self.assertIn("value", lines[1])

    def test_wrong_arguments(self):
        for arguments in (("--row", "1000"), ("--repeats", "0"), ("--quick", "--full"), ("more",)):
            code, lines, err = claims(*arguments)
            self.assertEqual((code, lines), (2, []), arguments)
            self.assertIn("usage", err)

    def test_the_own_server_serves_all_that_rows_need(self):
        rows = [part for name in ("44", "14", "15", "x3", "12", "46") for part in ("--row", name)]
        code, lines, _ = claims("--quick", *rows)
        self.assertEqual((code, [line.get("error") for line in lines]), (0, [None] * 6))
        self.assertEqual(set(lines[0]["values"]), {"line1", "line2", "line3", "line4"})
        self.assertGreaterEqual(lines[1]["value"], 0.5)
        self.assertEqual(lines[3]["value"], 0.5)
        self.assertTrue(lines[4]["value"] < 0.5 < lines[4]["values"]["sequential"], lines[4])
        self.assertGreaterEqual(lines[5]["value"], 2)
        for line in lines[3:]:
            self.assertRegex(line["detail"], "stand-in|test server|PostgreSQL")


if __name__ == "__main__":
    unittest.main()
