//! The steady loop: read, apply, acknowledge.

use super::wire::Wire;
use super::{Link, LinkError};
use crate::clock::{self, UnixMs};
use crate::command::logged::StreamSpikes;
use crate::config::AckMode;
use crate::dataset::Dataset;
use crate::limits::{APPLY_BATCH_COMMANDS_MAX, APPLY_BATCH_US_MAX};
use crate::position::{Offset, Position};
use crate::repl::apply::{self, Aside, Unapplied};
use crate::repl::backlog::BLOCK_BYTES;
use crate::repl::stream::Stream;
use smallvec::SmallVec;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// How often the master is told our offset.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// The second acknowledgement comes so soon, the others after twice the time each, up to the first byte of the stream. A
/// master sends none before one that comes after it has noticed that the child is done which made the snapshot: with one
/// a second, half of all full syncs were followed by a second without a stream.
const ACK_SOON: Duration = Duration::from_millis(10);
/// Batches between two looks at the socket and the clock while there is a lot to apply.
const BATCHES_PER_ROUND: usize = 64;
/// Units between two looks at the clock inside a batch.
const UNITS_PER_LOOK: usize = 8;
/// The feeder is told of so many bytes at the latest while there is more to apply.
const PUBLISH_BYTES: u64 = BLOCK_BYTES as u64;
const BATCH_TIME: Duration = Duration::from_micros(APPLY_BATCH_US_MAX);
/// A link that has been applying this long after a full resync has got past the command that failed before it.
const TRUSTED_AFTER: Duration = Duration::from_secs(60);

/// What a batch left behind.
struct Batch {
    position: Position,
    /// GETACK was in it.
    ack: Option<Offset>,
    commands: usize,
    marked: usize,
}

impl Link {
    /// Follows the stream until a fault.
    pub(super) async fn follow(&mut self, wire: &mut Wire) -> Result<Infallible, LinkError> {
        let mut tick = interval(ACK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (began, mut last_byte) = (Instant::now(), Instant::now());
        let mut soon = Some(ACK_SOON);
        loop {
            self.apply_pending(wire, &mut tick).await?;
            tokio::select! {
                // The tick first: a master that never pauses must hear of us all the same.
                biased;
                _ = tick.tick() => {
                    wire.set_timeout(self.patience());
                    if last_byte.elapsed() > wire.timeout() {
                        return Err(LinkError::Silent);
                    }
                    if began.elapsed() > TRUSTED_AFTER && self.distrust.forget() {
                        self.report.trusted();
                    }
                    self.follow_settings();
                    self.acknowledge(wire, None).await?;
                    if let Some(wait) = soon {
                        tick.reset_after(wait);
                        soon = Some(wait * 2).filter(|wait| *wait < ACK_INTERVAL);
                    }
                }
                read = wire.read_into(self.stream.buffer_mut()) => {
                    let bytes = read?;
                    soon = None;
                    last_byte = Instant::now();
                    self.report.heard(bytes, self.stream.pending_bytes());
                }
            }
        }
    }

    /// Applies every whole unit that has arrived. A long backlog is interrupted now and then for acks and orders.
    async fn apply_pending(&mut self, wire: &mut Wire, tick: &mut Interval) -> Result<(), LinkError> {
        loop {
            for _ in 0..BATCHES_PER_ROUND {
                if !self.stream.parse(APPLY_BATCH_COMMANDS_MAX).map_err(LinkError::Stream)? {
                    self.stream.compact();
                    self.publish();
                    return Ok(());
                }
                let batch = self.apply_batch().map_err(LinkError::Unapplied)?;
                self.stream.compact();
                if batch.position.offset.since(self.published) >= PUBLISH_BYTES {
                    self.publish();
                }
                self.report.applied(&batch.position, batch.commands, batch.marked);
                if batch.ack.is_some() {
                    self.acknowledge(wire, batch.ack).await?;
                }
            }
            tokio::select! {
                biased;
                _ = tick.tick() => self.acknowledge(wire, None).await?,
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// Lets the feeder send what was applied. Not for each batch: fewer and bigger writes to the sub-replicas.
    pub(super) fn publish(&mut self) {
        self.published = self.writer.peek(|data| data.position.offset);
        self.backlog.publish(self.published);
    }

    /// Applies units under one entry of the gate, until the batch is big or long enough.
    fn apply_batch(&mut self) -> Result<Batch, Unapplied> {
        let spikes = StreamSpikes::new(self.settings.config());
        let mut aside = Aside { watched: Arc::clone(&self.watched), spikes, ..Aside::default() };
        let (stream, backlog, hub, now) = (&mut self.stream, &self.backlog, &self.hub, UnixMs::now());
        let (mark, uses) = (stream.mark(), self.settings.config().uses);
        let (result, offset) = self.writer.apply(|data| {
            hub.begin(&mut aside.effects);
            data.at_moment(uses, now);
            let result = apply_units(data, stream, now, &mut aside);
            // Before the feeder can take the bytes.
            aside.young.iter().for_each(|(name, since)| backlog.young.note(name, *since, data.position.offset));
            // Also before a unit that failed: the units before it are in the data.
            let end = backlog.append(stream.applied_since(mark));
            assert_eq!(end, Some(data.position.offset), "the backlog ends where the data stand");
            (result, data.position.offset)
        });
        self.reaper.trash(aside.trash);
        self.report.took_long(aside.spikes);
        self.hub.deliver(&mut aside.effects, now);
        self.hub.reached(offset);
        result
    }

    /// `repl-timeout` as of now.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.config.get().repl_timeout_s.max(1))
    }

    /// Takes over sizes of compact encodings that CONFIG SET has changed; as on the servers, they matter from the next
    /// change of a value on.
    fn follow_settings(&mut self) {
        let sizes = self.config.get().encodings;
        if self.writer.peek(|data| data.limits.sizes != sizes) {
            self.writer.apply(|data| data.limits.sizes = sizes);
        }
    }

    /// Tells the master our offset: `at` for a GETACK, else the present one. Inside a transaction it does not move. An
    /// observer says 0, which keeps the master patient and counts for nothing.
    async fn acknowledge(&mut self, wire: &mut Wire, at: Option<Offset>) -> Result<(), LinkError> {
        let offset = match self.config.get().ack_mode {
            AckMode::Exact => at.unwrap_or_else(|| self.writer.peek(|data| data.position.offset)),
            AckMode::Observer => Offset(0),
        };
        wire.send(&ack(offset)).await?;
        self.report.acknowledged(offset);
        Ok(())
    }
}

/// Applies units until the batch is big or long enough.
fn apply_units(
    data: &mut Dataset,
    stream: &mut Stream,
    now: UnixMs,
    aside: &mut Aside,
) -> Result<Batch, Unapplied> {
    let began = clock::instant();
    prefetch(data, stream);
    let (mut commands, mut units, mut ack) = (0, 0, None);
    while let Some(unit) = stream.unit() {
        let before = data.position.offset;
        ack = apply::unit(data, &unit, now, aside)?.ack.or(ack);
        let bytes = unit.bytes;
        assert_eq!(data.position.offset, before.advanced(bytes), "the offset moves with the bytes");
        commands += stream.applied();
        units += 1;
        let long = units % UNITS_PER_LOOK == 0 && clock::instant() - began > BATCH_TIME;
        if commands >= APPLY_BATCH_COMMANDS_MAX || long {
            break;
        }
    }
    Ok(Batch { position: data.position, ack, commands, marked: data.marked_keys() })
}

/// Asks for the memory of what a batch will touch: first all buckets, then all entries, so that the waits overlap.
fn prefetch(data: &Dataset, stream: &Stream) {
    let Some(keyspace) = data.db(data.position.selected) else { return };
    let keys = stream.likely_keys().take(APPLY_BATCH_COMMANDS_MAX);
    let hashes: SmallVec<[u64; APPLY_BATCH_COMMANDS_MAX]> =
        keys.map(|key| keyspace.prefetch_bucket(key)).collect();
    hashes.iter().for_each(|hash| keyspace.prefetch_entry(*hash));
}

/// `REPLCONF ACK offset` as it goes over the wire.
fn ack(offset: Offset) -> Vec<u8> {
    let digits = offset.to_string();
    format!("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n${}\r\n{digits}\r\n", digits.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_spelled_as_replicas_spell_it() {
        assert_eq!(ack(Offset(1124)), b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1124\r\n");
    }
}
