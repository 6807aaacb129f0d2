#!/usr/bin/env python3
"""Prints a command of the README: its first two shell blocks are what a newcomer runs.

    readme_commands.py run|test
"""
import pathlib
import re
import sys

WANTED = {"run": 0, "test": 1}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in WANTED:
        print(__doc__, file=sys.stderr)
        return 2
    readme = pathlib.Path(__file__).resolve().parent.parent / "README.md"
    blocks = re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", readme.read_text(), re.M | re.S)
    if len(blocks) < 2:
        print(f"{readme.name}: expected at least two shell blocks, found {len(blocks)}", file=sys.stderr)
        return 1
    print(blocks[WANTED[sys.argv[1]]].strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
