//! A file that appears whole or not at all.

use super::{NAME_UNFINISHED, path};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file being written, under another name. Dropped without [`Unfinished::finish`] it is removed.
#[derive(Debug)]
pub(super) struct Unfinished {
    dir: PathBuf,
    file: File,
    bytes: u64,
    finished: bool,
}

impl Unfinished {
    /// Begins anew; what a run that was killed has left is overwritten.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let file = File::create(dir.join(NAME_UNFINISHED))?;
        Ok(Self { dir: dir.to_owned(), file, bytes: 0, finished: false })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Bytes written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it the file, in one step that survives a loss of power. Waits for the disk.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(self.dir.join(NAME_UNFINISHED), path(&self.dir))?;
        self.finished = true;
        // The name is on disk when its folder is. Not every file system can do that to a folder.
        drop(File::open(&self.dir).and_then(|dir| dir.sync_all()));
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            drop(fs::remove_file(self.dir.join(NAME_UNFINISHED)));
        }
    }
}

/// The file of the last run with its size; `None` if there is none. An unfinished one is removed.
pub(super) fn open(dir: &Path) -> io::Result<Option<(File, u64)>> {
    drop(fs::remove_file(dir.join(NAME_UNFINISHED)));
    match File::open(path(dir)) {
        Ok(file) => {
            let bytes = file.metadata()?.len();
            Ok(Some((file, bytes)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::NAME;
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(open(dir).unwrap().is_none());
        let mut first = Unfinished::create(dir).unwrap();
        first.write(b"first").unwrap();
        assert_eq!((names(dir), first.bytes()), (vec![NAME_UNFINISHED.to_owned()], 5));
        first.finish().unwrap();
        let mut second = Unfinished::create(dir).unwrap();
        second.write(b"seco").unwrap();
        drop(second);
        assert_eq!((names(dir), fs::read(dir.join(NAME)).unwrap()), (vec![NAME.to_owned()], b"first".to_vec()));
        fs::write(dir.join(NAME_UNFINISHED), b"of a run that was killed").unwrap();
        assert_eq!(open(dir).unwrap().map(|(_, bytes)| bytes), Some(5));
        assert_eq!(names(dir), [NAME]);
    }
}
