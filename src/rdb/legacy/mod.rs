//! Compact encodings that masters before Redis 7 write: checked, and turned into listpacks.

pub mod ziplist;
pub mod zipmap;
