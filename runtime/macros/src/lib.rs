//! The attribute `#[job]`, which makes a function callable through the process pool.
