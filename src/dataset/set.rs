//! Placeholder of the skeleton: the container itself follows.

/// A set.
#[derive(Debug, Clone, Default)]
pub struct Set;
