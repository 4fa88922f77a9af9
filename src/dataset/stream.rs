//! Placeholder of the skeleton: the container itself follows.

/// A stream.
#[derive(Debug, Clone, Default)]
pub struct Stream;
