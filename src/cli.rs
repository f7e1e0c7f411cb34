//! The commands.

pub mod model;
