//! Free ports on the loopback, each given out once.
//!
//! A port that was free when one looked may be taken when the server binds it: by a test beside this one, in this
//! process or another. So ports are taken from blocks, and a block belongs to the process that holds the lock on its
//! file. The system lets go of the lock when the process ends, however it ends: nothing gets stale.

use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// Below the range that the system gives to outgoing connections.
const RANGE: std::ops::Range<u16> = 12_000..32_000;
const BLOCK: u16 = 50;

/// Ports that nobody else gives out as long as this process lives.
struct Block {
    ports: std::ops::Range<u16>,
    /// Kept for the lock on it.
    _lock: File,
}

/// The blocks of this process, the one in use last.
static OWN: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that no other test is given: neither of this run nor of one beside it.
pub fn free() -> u16 {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let ports = own.last_mut().into_iter().flat_map(|block| &mut block.ports);
        // What a test left behind that was killed, or another program.
        if let Some(port) = ports.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
        own.push(reserve());
    }
}

/// Locks a block that nobody has. The files are shared by all checkouts of this machine, as the ports are.
fn reserve() -> Block {
    let folder = std::env::temp_dir().join("remora-test-ports");
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("making {}: {error}", folder.display()));
    let mut starts: Vec<u16> = RANGE.step_by(usize::from(BLOCK)).collect();
    fastrand::shuffle(&mut starts);
    for first in starts {
        let path = folder.join(first.to_string());
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.unwrap_or_else(|error| panic!("opening {}: {error}", path.display()));
        if file.try_lock().is_ok() {
            return Block { ports: first..first + BLOCK, _lock: file };
        }
    }
    panic!("all blocks of ports are in use: {}", folder.display());
}
