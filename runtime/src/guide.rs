//! Guides for those who know another runtime. Each snippet is compiled and run by the tests.

#[doc = include_str!("../docs/from-tokio.md")]
pub mod from_tokio {}

#[doc = include_str!("../docs/from-asyncio.md")]
pub mod from_asyncio {}
