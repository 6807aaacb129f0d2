"""The figures of the claims' table, measured in CPython. The interface is described in claims.py, which starts it.

    registry     rows and how they are repeated
    command      arguments and output
    server       a server of our own, in a child process
    waits        rows about waiting together
    web          rows about HTTP and its relatives
    stalls       rows about what blocks the event loop, and for how long
    compute      rows about kernels, threads, processes
    costs        rows about memory, switches, files, start-up
"""
