//! Placeholder of the skeleton: the container itself follows.

/// A hash.
#[derive(Debug, Clone, Default)]
pub struct Hash;
