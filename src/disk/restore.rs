//! Loading the file of the last run, on a thread of its own.

use super::file;
use crate::clock::UnixMs;
use crate::config::Config;
use crate::rdb::LoadError;
use crate::rdb::load::{LoadSettings, Loaded, Progress, load};
use crate::rdb::source::{Aborted, Source};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// Bytes of one read.
const CHUNK_BYTES: usize = 256 * 1024;

/// Why a file is not used.
#[derive(Debug)]
pub enum RestoreError {
    /// It cannot be read.
    Io(io::Error),
    /// It is no snapshot, damaged, or of a version that is not known.
    Damaged(LoadError),
    /// A snapshot, but none that we have written.
    Foreign,
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Damaged(error) => error.fmt(f),
            Self::Foreign => f.write_str("it was not written by this version of remora"),
        }
    }
}

/// A load that runs. Dropping it makes it end soon.
#[derive(Debug)]
pub struct Restoring {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How far it is.
    pub progress: Arc<Progress>,
    result: oneshot::Receiver<Result<Loaded, RestoreError>>,
}

impl Restoring {
    /// Waits for the end.
    pub async fn result(&mut self) -> Result<Loaded, RestoreError> {
        let died = || RestoreError::Io(io::Error::other("the loader's thread died"));
        (&mut self.result).await.unwrap_or_else(|_| Err(died()))
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        self.progress.abort.store(true, Ordering::Relaxed);
    }
}

/// Begins to load the file in `dir`; `None` if there is none.
pub fn restore(dir: &Path, config: &Config) -> io::Result<Option<Restoring>> {
    let Some((file, bytes)) = file::open(dir)? else { return Ok(None) };
    let settings = LoadSettings::new(config, UnixMs::now());
    let progress = Arc::new(Progress::default());
    let (done, result) = oneshot::channel();
    let shared = Arc::clone(&progress);
    let work = move || drop(done.send(load_file(file, bytes, &settings, &shared)));
    std::thread::Builder::new().name("loader".into()).spawn(work)?;
    Ok(Some(Restoring { path: super::path(dir), bytes, progress, result }))
}

fn load_file(
    mut file: File,
    bytes: u64,
    settings: &LoadSettings,
    progress: &Progress,
) -> Result<Loaded, RestoreError> {
    let mut fault = None;
    let chunks = || {
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk) {
            Ok(0) => Ok(None),
            Ok(read) => {
                chunk.truncate(read);
                Ok(Some(Bytes::from(chunk)))
            }
            Err(error) => {
                fault = Some(error);
                Err(Aborted)
            }
        }
    };
    let loaded = load(&mut Source::new(chunks).expecting(bytes), settings, progress);
    if let Some(error) = fault {
        return Err(RestoreError::Io(error));
    }
    let loaded = loaded.map_err(RestoreError::Damaged)?;
    if loaded.facts.is_own() { Ok(loaded) } else { Err(RestoreError::Foreign) }
}
