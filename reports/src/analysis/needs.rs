//! Which cells are still open, and where a further point would place a crossing better.
