//! The compact blobs as the wire has them: checked once, then read and edited in place.
//!
//! Comes in: blobs of a snapshot, by way of `parse`. Goes out: elements, and the blob itself, which is written to
//! sub-replicas as it stands. A blob that exists is valid: whatever reads it later need not doubt it, and still
//! none of the readers can panic.

mod element;
mod form;
pub mod intset;
pub mod listpack;
pub mod unique;

use std::fmt;

/// Why a blob was refused: what is wrong, and at which of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// What is wrong, as a phrase: `listpack: unknown encoding`.
    pub what: &'static str,
    /// The byte of the blob at which it was noticed.
    pub at: usize,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the blob", self.what, self.at)
    }
}

impl std::error::Error for Corrupt {}
