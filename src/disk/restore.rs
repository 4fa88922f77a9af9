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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Bench;
    use crate::rdb::snapshot::SnapshotWriter;
    use std::fs;

    /// A file of ours with a bit of everything.
    fn saved() -> Vec<u8> {
        let bench = Bench::after(&[
            "SET text hello",
            "SET volatile 1 PXAT 4102444800000",
            "RPUSH list a b c 1 2 3",
            "SADD ints 1 2 3",
            "HSET hash f 1 g 2",
            "ZADD zset 1 a 2.5 b",
            "XADD stream 1-1 f v",
        ]);
        let mut capture = bench.data.capture(SnapshotWriter::own(&bench.data, Config::default().uses));
        while !capture.advance(&bench.data, 100) {}
        capture.sink(|writer| {
            writer.finish();
            writer.take().to_vec()
        })
    }

    fn restored(bytes: &[u8]) -> Result<Loaded, RestoreError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(super::super::path(dir.path()), bytes).unwrap();
        let (file, length) = file::open(dir.path()).unwrap().unwrap();
        let settings = LoadSettings::new(&Config::default(), UnixMs(0));
        load_file(file, length, &settings, &Progress::default())
    }

    #[test]
    fn a_whole_file_is_used_and_no_part_of_it_is() {
        let whole = saved();
        let keys = restored(&whole).unwrap().facts.keys;
        assert_eq!(keys, 7);
        for length in 0..whole.len() {
            let found = restored(&whole[..length]);
            assert!(matches!(found, Err(RestoreError::Damaged(_))), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn a_file_with_any_byte_changed_is_not_used() {
        let whole = saved();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            assert!(restored(&bytes).is_err(), "byte {at} of {}", whole.len());
        }
    }

    #[test]
    fn what_is_no_file_of_ours_is_said() {
        let mut foreign = fs::read("tests/data/redis-8.0.rdb").unwrap();
        assert!(matches!(restored(&foreign), Err(RestoreError::Foreign)));
        foreign.reverse();
        for noise in [&foreign[..], b"\0", b"#!/bin/sh\nexit 0\n"] {
            assert!(matches!(restored(noise), Err(RestoreError::Damaged(_))));
        }
    }
}
