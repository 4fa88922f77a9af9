//! Placeholder of the skeleton: the container itself follows.

/// A zset.
#[derive(Debug, Clone, Default)]
pub struct ZSet;
