//! The coordinator.
pub mod folder;
