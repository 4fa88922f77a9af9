//! Old compact encodings, turned into listpacks.

pub mod ziplist;
pub mod zipmap;
