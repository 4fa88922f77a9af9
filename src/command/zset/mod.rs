//! Follows.

use super::row::Row;

/// The rows of this family.
pub static ROWS: &[Row] = &[];
