//! The compact blobs as the wire has them: checked once, then read and edited in place.

pub mod intset;
pub mod listpack;
