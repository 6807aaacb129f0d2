//! Guides for those who know another runtime, or another pool. Each snippet is compiled and run by the tests.

#[doc = include_str!("../docs/from-tokio.md")]
pub mod from_tokio {}

#[doc = include_str!("../docs/from-asyncio.md")]
pub mod from_asyncio {}

#[doc = include_str!("../docs/from-concurrent-futures.md")]
#[allow(clippy::test_attr_in_doctest, reason = "it shows how a test program uses the pool")]
pub mod from_concurrent_futures {}
