//! What the master's stream does to consumer groups: XGROUP, XACK, XCLAIM.

use super::super::{id, no_group, no_key_or_group};
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::dataset::Value;
use crate::dataset::stream::{Group, Stream, StreamId};
use crate::resp::refusal::Refusal;

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]`
pub(in super::super) fn create(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name, start) = (args.require()?, args.require()?, args.require()?);
    let (mut mkstream, mut entries_read) = (false, None);
    while !args.is_empty() {
        if args.take("MKSTREAM") {
            mkstream = true;
        } else {
            entries_read = entries_read_option(args)?;
        }
    }
    match cx.stream(key)? {
        Some(stream) => {
            let group = Group::new(position(start, stream)?, entries_read);
            let added = stream.insert_group(name, group);
            if added { Ok(()) } else { Err(Refusal::text("BUSYGROUP Consumer Group name already exists")) }
        }
        None if mkstream => {
            let mut stream = Stream::default();
            stream.insert_group(name, Group::new(position(start, &stream)?, entries_read));
            cx.store(key, Value::Stream(Box::new(stream)), None)
        }
        None => Err(missing_key()),
    }
}

fn missing_key() -> Refusal {
    Refusal::text(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    )
}

/// `ENTRIESREAD n`; -1 is unknown.
fn entries_read_option(args: &mut Args<'_>) -> Result<Option<u64>, Refusal> {
    if !args.take("ENTRIESREAD") {
        return Err(Refusal::SYNTAX);
    }
    match args.integer()? {
        -1 => Ok(None),
        n => u64::try_from(n)
            .map(Some)
            .map_err(|_| Refusal::text("ERR value for ENTRIESREAD must be positive or -1")),
    }
}

/// Where a group starts: `$` is the stream's own last id.
fn position(text: &[u8], stream: &Stream) -> Result<StreamId, Refusal> {
    if text == b"$" { Ok(stream.counters().last_id) } else { id::strict(text) }
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD n]`; `-` and `+` are the ends, as redis.
pub(in super::super) fn set_id(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name, at) = (args.require()?, args.require()?, args.require()?);
    let mut entries_read = None;
    while !args.is_empty() {
        entries_read = entries_read_option(args)?;
    }
    let stream = cx.stream(key)?.ok_or_else(missing_key)?;
    let last_id = match at {
        b"-" => StreamId::MIN,
        b"+" => StreamId::MAX,
        _ => position(at, stream)?,
    };
    let group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    (group.last_id, group.entries_read) = (last_id, entries_read);
    Ok(())
}

/// `XGROUP DESTROY key group`
pub(in super::super) fn destroy(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    cx.stream(key)?.ok_or_else(missing_key)?.remove_group(name);
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`
pub(in super::super) fn create_consumer(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (now, key, name) = (cx.now, args.require()?, args.require()?);
    required(cx, key, name)?.create_consumer(args.require()?, now, None);
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer`. A consumer that is not there is no error: masters do not tell of one that
/// has asked and got nothing.
pub(in super::super) fn remove_consumer(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    required(cx, key, name)?.remove_consumer(args.require()?);
    Ok(())
}

fn required<'a>(cx: &'a mut ApplyCx<'_>, key: &[u8], name: &[u8]) -> Result<&'a mut Group, Refusal> {
    cx.stream(key)?.ok_or_else(missing_key)?.group_mut(name).ok_or_else(|| no_group(key, name))
}

/// `XACK key group id [id ...]`; what is not pending is passed over.
pub(in super::super) fn xack(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    let ids = args.map(id::strict).collect::<Result<Vec<_>, _>>()?;
    if let Some(group) = cx.stream(key)?.and_then(|stream| stream.group_mut(name)) {
        for id in ids {
            group.acknowledge(id);
        }
    }
    Ok(())
}

/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]`.
/// Masters send one id and all options but IDLE: for XREADGROUP, XAUTOCLAIM and XCLAIM alike (protocol rule 18).
pub(in super::super) fn xclaim(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    let (now, dialect) = (cx.now, cx.limits().dialect);
    let stream = cx.stream(key)?.ok_or_else(|| no_key_or_group(key, name))?;
    stream.group(name).ok_or_else(|| no_key_or_group(key, name))?;
    let claim = Claim::parse(args, now)?;
    let there: Vec<bool> = claim.ids.iter().map(|id| stream.entry(*id).is_some()).collect();
    let group = stream.group_mut(name).ok_or_else(|| no_key_or_group(key, name))?;
    group.last_id = group.last_id.max(claim.last_id);
    if dialect.claims_create_consumers() {
        claim.see_consumer(group, now);
    }
    for (id, there) in claim.ids.iter().zip(there) {
        // Redis 6.0 does not look whether the message is still there if the entry is pending already.
        let keeps = dialect.is_before_redis_7() && group.pending(*id).is_some();
        if there || keeps {
            claim.apply(group, *id, now);
        } else {
            group.acknowledge(*id);
        }
    }
    Ok(())
}

struct Claim<'a> {
    consumer: &'a [u8],
    idle_ms_min: i64,
    ids: Vec<StreamId>,
    delivered: UnixMs,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl<'a> Claim<'a> {
    fn parse(args: &mut Args<'a>, now: UnixMs) -> Result<Self, Refusal> {
        let mut claim = Self {
            consumer: args.require()?,
            idle_ms_min: number(args, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0),
            ids: Vec::new(),
            delivered: now,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        while let Some(id) = args.peek().and_then(|word| id::strict(word).ok()) {
            claim.ids.push(id);
            args.require()?;
        }
        while !args.is_empty() {
            claim.option(args, now)?;
        }
        Ok(claim)
    }

    fn option(&mut self, args: &mut Args<'a>, now: UnixMs) -> Result<(), Refusal> {
        let more = args.remaining() > 1;
        if args.take("FORCE") {
            self.force = true;
        } else if args.take("JUSTID") {
            self.just_id = true;
        } else if more && args.take("IDLE") {
            let idle = number(args, "ERR Invalid IDLE option argument for XCLAIM")?;
            self.delivered = UnixMs(now.0.saturating_sub(idle));
        } else if more && args.take("TIME") {
            // A time in the future stands: it is the master's clock that counts here. Real replicas take their own.
            let time = number(args, "ERR Invalid TIME option argument for XCLAIM")?;
            self.delivered = if time < 0 { now } else { UnixMs(time) };
        } else if more && args.take("RETRYCOUNT") {
            self.deliveries =
                u64::try_from(number(args, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?).ok();
        } else if more && args.take("LASTID") {
            self.last_id = id::strict(args.require()?)?;
        } else {
            let option = String::from_utf8_lossy(args.require()?);
            return Err(Refusal::text(format!("ERR Unrecognized XCLAIM option '{option}'")));
        }
        Ok(())
    }

    /// Gives one entry to the consumer.
    fn apply(&self, group: &mut Group, id: StreamId, now: UnixMs) {
        let old = group.pending(id).map(|pending| (pending.delivered, pending.deliveries));
        let deliveries = match (old, self.deliveries) {
            (None, _) if !self.force => return,
            (Some((delivered, _)), _) if self.is_too_fresh(delivered, now) => return,
            (_, Some(deliveries)) => deliveries,
            // A pending entry made by FORCE counts as delivered once.
            (old, None) => {
                let before = old.map_or(1, |(_, deliveries)| deliveries);
                before.saturating_add(u64::from(!self.just_id))
            }
        };
        self.see_consumer(group, now);
        group.assign(id, self.consumer, self.delivered, deliveries);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.active = Some(now);
        }
    }

    /// Masters send 0, which takes every entry, also one that their clock has delivered in our future.
    fn is_too_fresh(&self, delivered: UnixMs, now: UnixMs) -> bool {
        self.idle_ms_min > 0 && now.0.saturating_sub(delivered.0) < self.idle_ms_min
    }

    fn see_consumer(&self, group: &mut Group, now: UnixMs) {
        match group.consumer_mut(self.consumer) {
            Some(consumer) => consumer.seen = now,
            None => drop(group.create_consumer(self.consumer, now, None)),
        }
    }
}

fn number(args: &mut Args<'_>, refusal: &'static str) -> Result<i64, Refusal> {
    args.integer().map_err(|_| Refusal::text(refusal))
}
