//! Room for a snapshot: beside the old data, or in their place. Decided when the snapshot's first facts are here, and
//! told before anything is loaded.

use super::wire::Wire;
use super::{Link, LinkError};
use crate::dataset::Dataset;
use crate::limits::SNAPSHOT_HEAD_BYTES_MAX;
use crate::position::{DbIndex, Offset, Position, ReplId};
use crate::rdb::load::head;
use crate::repl::room::{Figures, Room};
use crate::{cgroup, process};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::time::interval;

/// How often the master hears of us while the old data are freed.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// The snapshot's first bytes, held back until the decision.
#[derive(Debug, Default)]
pub(super) struct Head {
    held: BytesMut,
    decided: bool,
}

impl Link {
    /// Takes a piece of the snapshot and answers what may be loaded now: nothing until the facts at its head are
    /// complete, then all that was held back.
    pub(super) async fn past_head(
        &mut self,
        wire: &mut Wire,
        first: &mut Head,
        piece: Bytes,
        total: Option<u64>,
        is_last: bool,
    ) -> Result<Bytes, LinkError> {
        if first.decided {
            return Ok(piece);
        }
        first.held.extend_from_slice(&piece);
        let facts = head(&first.held);
        if facts.is_none() && !is_last && first.held.len() < SNAPSHOT_HEAD_BYTES_MAX {
            return Ok(Bytes::new());
        }
        first.decided = true;
        let master_used = facts.and_then(|facts| facts.used_mem);
        self.make_room(wire, master_used, total).await?;
        Ok(first.held.split().freeze())
    }

    /// Frees the old data first, if there are any and the setting or the memory asks for it.
    async fn make_room(
        &mut self,
        wire: &mut Wire,
        master_used: Option<u64>,
        snapshot: Option<u64>,
    ) -> Result<(), LinkError> {
        if !self.loaded {
            return Ok(());
        }
        let config = self.config.get();
        let limit = match config.memory_limit_bytes {
            0 => {
                cgroup::memory_limit_bytes().into_iter().chain([process::machine_bytes()]).filter(|n| *n > 0).min()
            }
            set => Some(set),
        };
        let figures = Figures { used: process::resident_bytes(), master_used, snapshot, limit };
        let room = figures.decide(config.repl_diskless_load);
        let setting = config.repl_diskless_load.as_str();
        match room {
            Room::Beside => {
                tracing::info!(setting, %figures, "the old data answer until the snapshot is complete");
                Ok(())
            }
            Room::Instead => {
                tracing::warn!(setting, %figures, "the old data go first: reads answer LOADING until the snapshot is loaded");
                self.drop_data(wire).await
            }
        }
    }

    /// Nothing is there any more, for readers and sub-replicas. Waits until the memory is free, and keeps the master
    /// patient meanwhile.
    async fn drop_data(&mut self, wire: &mut Wire) -> Result<(), LinkError> {
        let config = self.config.get();
        let nowhere = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
        // Told first: who is answered LOADING finds that INFO and /ready say so too.
        self.report.emptied();
        let old = self.install(Dataset::new(config.databases, nowhere, config.encodings.into()));
        self.loaded = false;
        let mut freed = self.reaper.dataset_told(old);
        let mut tick = interval(KEEPALIVE);
        loop {
            tokio::select! {
                _ = &mut freed => return Ok(()),
                _ = tick.tick() => wire.send(b"\n").await?,
            }
        }
    }
}
