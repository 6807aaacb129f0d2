//! A work-stealing async executor with its own reactor and timers, a blocking pool and a process pool.
