//! Resident bytes per key: strings with keys of 16 bytes and values of 100, against the same server when empty.

#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "common/mod.rs"]
mod common;

use common::{Contender, Size, print_machine, print_ratios, snapshot};

fn main() {
    let size = Size::from_args();
    print_machine(size);
    let resident = |keys: u64| -> Vec<(String, f64)> {
        let snapshot = snapshot(keys);
        let contenders = Contender::all_loaded(&snapshot, &[]);
        drop(snapshot);
        contenders
            .iter()
            .map(|(contender, _)| (contender.name.clone(), contender.resident_bytes() as f64))
            .collect()
    };
    let (empty, full) = (resident(0), resident(size.keys));
    let per_key: Vec<(String, f64)> = full
        .into_iter()
        .zip(empty)
        .map(|((name, full), (_, empty))| (name, (full - empty) / size.keys as f64))
        .collect();
    print_ratios(&format!("bytes per key at {} keys", size.keys), "bytes", &per_key);
}
