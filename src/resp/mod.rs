//! The wire in both directions, without sockets: RESP2 and RESP3 requests in, replies out.

pub mod number;
pub mod refusal;
pub mod reply;
pub mod request;
