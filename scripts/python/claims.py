#!/usr/bin/env python3
"""CPython's side of the claims: measures the rows of the claims' table that have a figure, on the Python that runs this.

    python3 -I -B scripts/python/claims.py [--row ID]... [--repeats N] [--quick | --full] [--server HOST:PORT] [--list]

One JSON line per row on stdout, as soon as it is measured, and nothing else there:

    {"id":"55","value":0.262,"unit":"s","low":0.26,"high":0.265,"n":3,"values":{"peak":20},
     "samples":{"value":[0.262,0.26,0.265],"peak":[20,20,20]},"detail":"…","python":"3.11.7"}

`value` is the row's main figure: the median of `n` repeats, `low` and `high` the smallest and the largest of them. `values` are the
medians of further figures by name, and `samples` every repeat of every figure; a ratio is formed inside a repeat. A row that
cannot run here (no NumPy, say) is `{"id":…,"skipped":"reason"}`, one that went wrong `{"id":…,"error":"reason"}`.

`--row` may be given often; without it every row runs, one after another. `--quick` makes some rows smaller, `--full` as large as the
articles had them (30 s for row 51, a million tasks). `--server` is the address of `crossover serve`; without it a small server is
started. `--list` prints {"id","unit","title","seconds"} per row and measures nothing.

Exit code 0 if the arguments are right, whatever the rows say; else 2. Standard library only; aiohttp, NumPy, Pillow and, with
CROSSOVER_POSTGRES, asyncpg or psycopg 3 are used for the rows that are about them, where they can be imported. Needs Python 3.9 or later.
"""
import os
import sys

sys.dont_write_bytecode = True

if sys.version_info < (3, 9):
    sys.exit("claims.py: it needs Python 3.9 or later, this is %d.%d" % sys.version_info[:2])

_HERE = os.path.dirname(os.path.abspath(__file__))
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)

if __name__ == "__main__":
    from crossover_claims import command

    command.main(sys.argv[1:], os.path.abspath(__file__), __doc__)
