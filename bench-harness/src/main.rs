//! The program `crossover`: config, plan, run, record.
fn main() {}
