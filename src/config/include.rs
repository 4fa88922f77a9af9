//! Which files an `include` means: one by its name, or all that a pattern matches.

use crate::glob;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The files, in the order of their names. As redis 7.0: a pattern may match none, a name that is not there is an
/// error for whoever reads it. Relative ones begin at the working directory. The error names the folder that cannot be
/// looked into.
pub(super) fn files(pattern: &[u8]) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let whole = Path::new(OsStr::from_bytes(pattern));
    if !is_pattern(pattern) {
        return Ok(vec![whole.to_owned()]);
    }
    let mut found = vec![PathBuf::new()];
    for part in whole.components() {
        let name = part.as_os_str();
        if !is_pattern(name.as_bytes()) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let mut within = Vec::new();
        for folder in &found {
            within.extend(matching(folder, name.as_bytes())?);
        }
        found = within;
    }
    found.retain(|path| path.is_file());
    found.sort_unstable();
    Ok(found)
}

fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|c| b"*?[".contains(c))
}

/// Entries of a folder, if there is one. What begins with a dot is hidden from patterns that do not.
fn matching(folder: &Path, pattern: &[u8]) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error| (place.to_owned(), error);
    let entries = match std::fs::read_dir(place) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let hidden = name.as_bytes().starts_with(b".") && !pattern.starts_with(b".");
        if !hidden && glob::matches(pattern, name.as_bytes()) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}
