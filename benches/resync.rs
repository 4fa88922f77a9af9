//! What clients feel while the server loads a full sync over the data that it serves, and the memory that it takes.
//!
//! 3M keys of 16 bytes with values of 100, one client that GETs one key after the other. The master cuts the link and
//! gives everything anew, six times; the old data are served meanwhile (the real servers: repl-diskless-load swapdb). A
//! sync is measured from the cut until the link is up. Memory is that of the last, without the client, against
//! that before the first.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::watch::{Phase, print, rest, watch, weigh};
use common::{Contender, Framing, REPLID, Size, print_machine, snapshot};

const KEYS: u64 = 3_000_000;

fn main() {
    let size = Size::from_args();
    let size = if size.smoke { size } else { Size { keys: size.keys.min(KEYS), ..size } };
    print_machine(size);
    let snapshot = snapshot(size.keys);
    for (contender, master, mut link) in Contender::all_with_masters(&snapshot, &[]) {
        let (mut quiet, mut during, mut given) = (Phase::default(), Phase::default(), 0);
        let mut resync = || {
            given += 1;
            link.cut();
            link = master.accept();
            link.handshake();
            // The same history, further on: as a master whose backlog does not reach back to where the replica is.
            link.full_resync(REPLID, given << 40, &snapshot, Framing::Mark);
            contender.wait_loaded();
        };
        weigh(&mut quiet, &contender, || rest(size));
        for _ in 0..size.rounds {
            watch(&mut quiet, &contender, size.keys, || rest(size));
            watch(&mut during, &contender, size.keys, &mut resync);
        }
        weigh(&mut during, &contender, &mut resync);
        print(&contender, &quiet, &during);
    }
}
