//! [`Map`]: one job for many items, in chunks.

pub(super) mod chunk;
