//! Placeholder of the skeleton: the container itself follows.

/// A list.
#[derive(Debug, Clone, Default)]
pub struct List;
