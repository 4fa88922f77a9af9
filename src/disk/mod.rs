//! Our own snapshot: written now and then and at the end, loaded at the next start, so that a restart needs the rest
//! of the stream only.
//!
//! Comes in: a capture of the dataset, with its position. Goes out: one file in `dir`, replaced in one step, so that
//! there is a whole one at any time. An `emptyDir` is enough. It knows no sockets.

mod file;
mod restore;
mod saver;

use std::path::{Path, PathBuf};

pub use restore::{RestoreError, Restoring, restore};
pub use saver::Saver;

/// The file's name. Not `dump.rdb`: a real server's file must never be replaced by ours.
const NAME: &str = "remora.rdb";
/// Where it is written until it is complete.
const NAME_UNFINISHED: &str = "remora.rdb.unfinished";

/// Where the file is, if there is one.
pub fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}
