//! The snapshot format in both directions, without sockets.

pub mod crc64;
pub mod legacy;
pub mod load;
pub mod lzf;
pub mod object;
pub mod primitive;
pub mod save;
pub mod source;
