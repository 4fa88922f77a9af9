//! A whole snapshot in a file without a name, for sub-replicas that must be told its length before its first byte
//! (those without `capa eof`). It lies in `dir`, and goes when nobody reads it any more, also when the process is
//! killed.

use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Bytes read at a time.
const READ_BYTES: u64 = 256 * 1024;

/// The file. Reading and writing happen on a thread for such things.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    bytes: u64,
}

impl Spool {
    /// An empty one in this folder.
    pub(super) async fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("temp-remora-{}-{:016x}.rdb", std::process::id(), fastrand::u64(..)));
        let file = in_background(move || {
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        });
        Ok(Self { file: Arc::new(file.await?), bytes: 0 })
    }

    /// Adds bytes to its end.
    pub(super) async fn append(&mut self, bytes: Bytes) -> io::Result<()> {
        let (file, at, length) = (Arc::clone(&self.file), self.bytes, bytes.len() as u64);
        in_background(move || file.write_all_at(&bytes, at)).await?;
        self.bytes += length;
        Ok(())
    }

    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes behind `at`; empty at its end.
    pub(super) async fn read(&self, at: u64) -> io::Result<Bytes> {
        let file = Arc::clone(&self.file);
        let length = usize::try_from(self.bytes.saturating_sub(at).min(READ_BYTES)).unwrap_or_default();
        in_background(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, at)?;
            Ok(bytes.into())
        })
        .await
    }
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_and_no_file_is_left() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = std::env::temp_dir().join(format!("remora-spool-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&folder).unwrap();
        runtime.block_on(async {
            let mut spool = Spool::create(&folder).await.unwrap();
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
            let long = Bytes::from((0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
            spool.append(long.slice(..7)).await.unwrap();
            spool.append(long.slice(7..)).await.unwrap();
            let (mut at, mut all) = (0, Vec::new());
            loop {
                let piece = spool.read(at).await.unwrap();
                if piece.is_empty() {
                    break;
                }
                at += piece.len() as u64;
                all.extend_from_slice(&piece);
            }
            assert_eq!((all, spool.bytes()), (long.to_vec(), 1_200_000));
        });
        std::fs::remove_dir(&folder).unwrap();
    }
}
