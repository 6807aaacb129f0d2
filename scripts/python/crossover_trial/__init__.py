"""Crossover's trials in CPython: asyncio, threads, processes and sub-interpreters behind the trial protocol.

The protocol is described in bench-harness/TRIAL.md, what every task must compute in workloads/DIGESTS.md. Needs CPython
3.9 or later and nothing but its standard library; where Pillow or NumPy can be imported, the kinds that want them use them.

    loop        one JSON line in, one JSON line out
    measure     warm-up, samples, open loads, traces: the same for every strategy
    strategies  who runs the tasks
    kinds       what a task does
    digests     the arithmetic that all strategies of all languages share
"""
