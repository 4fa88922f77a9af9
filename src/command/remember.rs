//! What a tracking client has read is remembered: the keys of each read that it asks for, itself or through a script.

use super::args::Args;
use super::keys_of::keys_of;
use super::row::Run;
use super::table::Indexed;
use crate::clock::UnixMs;
use crate::dataset::Dataset;
use crate::hub::Memory;
use crate::position::DbIndex;

/// Enters the keys of a read, so that the client hears when one of them changes. Must be called under the entry of the
/// gate under which they were read. Costs a lock and an allocation a key.
pub fn remember(memory: &Memory, data: &Dataset, db: DbIndex, found: Indexed, args: &Args<'_>, now: UnixMs) {
    if !matches!(found.row.run, Run::Read(_) | Run::Wait(_)) {
        return;
    }
    let words: Vec<&[u8]> = args.words().collect();
    for (key, _) in keys_of(found, &words).unwrap_or_default() {
        let expiry = data.db(db).and_then(|keyspace| keyspace.get(key)).and_then(|entry| entry.expiry());
        memory.remember(key, expiry.filter(|at| *at > now), now);
    }
}
