//! Type byte to value and back, one file per type.

pub mod hash;
pub mod list;
pub mod module;
pub mod set;
pub mod stream;
pub mod string;
pub mod zset;
