//! Where things lie: the peers, the fixtures, and temporary folders.

use std::path::{Path, PathBuf};

/// The folder of the real servers: `$REMORA_PEERS`, or where `tests/peers` puts them.
pub fn peers() -> PathBuf {
    match std::env::var_os("REMORA_PEERS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
    }
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A folder that is removed when dropped.
pub fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("remora-test-").tempdir().expect("a temporary folder")
}

/// The program of a peer (`redis-8.0-server`, `redis-exporter`), or `None`, said loudly: the caller's test then
/// checks nothing. With `CI=1` or `REMORA_REQUIRE_PEERS=1` an absent peer is a failure.
pub fn peer(program: &str) -> Option<PathBuf> {
    let path = peers().join(program);
    if path.exists() {
        return Some(path);
    }
    let set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0" && value != "false");
    assert!(!set("CI") && !set("REMORA_REQUIRE_PEERS"), "{} is not here: run tests/peers", path.display());
    eprintln!("NOT TESTED: {} is not here; run tests/peers", path.display());
    None
}
