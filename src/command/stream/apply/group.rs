//! What the master's stream does to consumer groups: XGROUP, XACK, XCLAIM.

use super::super::{id, no_group, no_key_or_group};
use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::config::EventClasses;
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
            if !stream.insert_group(name, group) {
                return Err(Refusal::text("BUSYGROUP Consumer Group name already exists"));
            }
        }
        None if mkstream => {
            let mut stream = Stream::default();
            stream.insert_group(name, Group::new(position(start, &stream)?, entries_read));
            cx.store(key, Value::Stream(Box::new(stream)), None)?;
            cx.touched(key);
        }
        None => return Err(missing_key()),
    }
    cx.told(EventClasses::STREAM, "xgroup-create", key);
    Ok(())
}

fn missing_key() -> Refusal {
    Refusal::text(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
         MKSTREAM option to create an empty stream automatically.",
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
    cx.told(EventClasses::STREAM, "xgroup-setid", key);
    Ok(())
}

/// `XGROUP DESTROY key group`
pub(in super::super) fn destroy(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    if cx.stream(key)?.ok_or_else(missing_key)?.remove_group(name) {
        cx.told(EventClasses::STREAM, "xgroup-destroy", key);
    }
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`
pub(in super::super) fn create_consumer(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (now, key, name) = (cx.now, args.require()?, args.require()?);
    if required(cx, key, name)?.create_consumer(args.require()?, now, None) {
        cx.told(EventClasses::STREAM, "xgroup-createconsumer", key);
    }
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer`. A consumer that is not there is no error: masters do not tell of one
/// that has asked and got nothing.
pub(in super::super) fn remove_consumer(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    let removed = required(cx, key, name)?.remove_consumer(args.require()?);
    // Redis 6.0 does not look whether there was one.
    if removed || cx.limits().dialect.is_before_redis_7() {
        cx.told(EventClasses::STREAM, "xgroup-delconsumer", key);
    }
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

/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID
/// id]`. Masters send one id and all options but IDLE: for XREADGROUP, XAUTOCLAIM and XCLAIM alike (protocol rule
/// 18).
pub(in super::super) fn xclaim(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, name) = (args.require()?, args.require()?);
    let (now, dialect) = (cx.now, cx.limits().dialect);
    let stream = cx.stream(key)?.ok_or_else(|| no_key_or_group(key, name))?;
    stream.group(name).ok_or_else(|| no_key_or_group(key, name))?;
    let claim = Claim::parse(args, now)?;
    let there: Vec<bool> = claim.ids.iter().map(|id| stream.entry(*id).is_some()).collect();
    let group = stream.group_mut(name).ok_or_else(|| no_key_or_group(key, name))?;
    group.last_id = group.last_id.max(claim.last_id);
    let mut made = dialect.claims_create_consumers() && claim.see_consumer(group, now);
    for (id, there) in claim.ids.iter().zip(there) {
        // Redis 6.0 does not look whether the message is still there if the entry is pending already.
        let keeps = dialect.is_before_redis_7() && group.pending(*id).is_some();
        if there || keeps {
            made |= claim.apply(group, *id, now);
        } else {
            group.acknowledge(*id);
        }
    }
    if made && !dialect.is_before_redis_7() {
        cx.told(EventClasses::STREAM, "xgroup-createconsumer", key);
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
            // A time in the future stands: it is the master's clock that counts here. Real replicas take their
            // own.
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

    /// Gives one entry to the consumer. Answers whether the consumer was made for it.
    fn apply(&self, group: &mut Group, id: StreamId, now: UnixMs) -> bool {
        let old = group.pending(id).map(|pending| (pending.delivered, pending.deliveries));
        let deliveries = match (old, self.deliveries) {
            (None, _) if !self.force => return false,
            (Some((delivered, _)), _) if self.is_too_fresh(delivered, now) => return false,
            (_, Some(deliveries)) => deliveries,
            // A pending entry made by FORCE counts as delivered once.
            (old, None) => {
                let before = old.map_or(1, |(_, deliveries)| deliveries);
                before.saturating_add(u64::from(!self.just_id))
            }
        };
        let made = self.see_consumer(group, now);
        group.assign(id, self.consumer, self.delivered, deliveries);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.active = Some(now);
        }
        made
    }

    /// Masters send 0, which takes every entry, also one that their clock has delivered in our future.
    fn is_too_fresh(&self, delivered: UnixMs, now: UnixMs) -> bool {
        self.idle_ms_min > 0 && now.0.saturating_sub(delivered.0) < self.idle_ms_min
    }

    /// Answers whether it was made.
    fn see_consumer(&self, group: &mut Group, now: UnixMs) -> bool {
        match group.consumer_mut(self.consumer) {
            Some(consumer) => {
                consumer.seen = now;
                false
            }
            None => group.create_consumer(self.consumer, now, None),
        }
    }
}

fn number(args: &mut Args<'_>, refusal: &'static str) -> Result<i64, Refusal> {
    args.integer().map_err(|_| Refusal::text(refusal))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dataset::Dialect;

    const GROUP: [&str; 3] = ["XADD x 1-1 f v", "XADD x 2-1 f v", "XGROUP CREATE x g 0"];
    const DELIVERED: &str = "XCLAIM x g c 0 1-1 TIME 900000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1";

    fn after(lines: &[&str]) -> Bench {
        let mut bench = Bench::after(&GROUP);
        for line in lines {
            bench.apply(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        }
        bench
    }

    #[test]
    fn a_delivery_in_the_stream_creates_consumer_and_pending_entry_and_moves_the_group() {
        let bench = after(&[DELIVERED]);
        assert_eq!(bench.ask("XPENDING x g - + 9"), "*1 *4 $3 1-1 $1 c :100000000 :1");
        assert_eq!(bench.ask("XINFO CONSUMERS x g"), "*1 *8 $4 name $1 c $7 pending :1 $4 idle :0 $8 inactive :0");
        assert_eq!(
            bench.ask("XINFO GROUPS x"),
            "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-1 $12 entries-read $-1 \
             $3 lag :1"
        );
    }

    #[test]
    fn a_claim_of_a_message_that_is_gone_removes_the_pending_entry_but_moves_it_for_redis_6_0() {
        let claim = "XCLAIM x g d 0 1-1 TIME 900000000 RETRYCOUNT 2 FORCE JUSTID LASTID 1-1";
        let mut bench = after(&[DELIVERED, "XDEL x 1-1"]);
        bench.apply(claim).unwrap();
        assert_eq!(bench.ask("XPENDING x g"), "*4 :0 $-1 $-1 *-1");
        let mut bench = after(&[DELIVERED, "XDEL x 1-1"]);
        bench.data.limits.dialect = Dialect::Redis(6, 0);
        bench.apply(claim).unwrap();
        assert_eq!(bench.ask("XPENDING x g"), "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 d $1 1");
        bench.apply("XCLAIM x g d 0 9-9 TIME 1 RETRYCOUNT 1 FORCE JUSTID LASTID 0-0").unwrap();
        assert_eq!(bench.ask("XPENDING x g"), "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 d $1 1");
    }

    #[test]
    fn claims_as_clients_write_them() {
        for (claim, expected) in [
            ("XCLAIM x g d 0 1-1", ":0 :2"),
            ("XCLAIM x g d 0 1-1 JUSTID", ":0 :1"),
            ("XCLAIM x g d 0 1-1 IDLE 5000 RETRYCOUNT 3", ":5000 :3"),
            ("XCLAIM x g d 0 1-1 TIME 999999000", ":1000 :2"),
            ("XCLAIM x g d 0 1-1 TIME -1", ":0 :2"),
            ("XCLAIM x g d 0 1-1 TIME 1000000005", ":0 :2"),
        ] {
            let bench = after(&[DELIVERED, claim]);
            assert_eq!(bench.ask("XPENDING x g - + 9 d"), format!("*1 *4 $3 1-1 $1 d {expected}"), "{claim}");
        }
        let bench = after(&[DELIVERED, "XCLAIM x g d 100000001 1-1", "XCLAIM x g d 0 2-1"]);
        assert_eq!(bench.ask("XPENDING x g"), "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 c $1 1", "too fresh, and not pending");
    }

    #[test]
    fn groups_start_where_they_are_told() {
        let bench = after(&[
            "XGROUP CREATE x h $ ENTRIESREAD 2",
            "XGROUP CREATE new n $ MKSTREAM",
            "XGROUP CREATE x i 1-1 ENTRIESREAD -1",
            "XGROUP SETID x g 1",
            "XGROUP SETID x i 2-1 ENTRIESREAD 2",
            "XGROUP DESTROY x missing",
        ]);
        let group = |name: &str, last: &str, read: &str, lag: i64| {
            format!(
                "*12 $4 name $1 {name} $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 {last} $12 \
                 entries-read {read} $3 lag :{lag}"
            )
        };
        let groups = [group("g", "1-0", "$-1", 2), group("h", "2-1", ":2", 0), group("i", "2-1", ":2", 0)];
        assert_eq!(bench.ask("XINFO GROUPS x"), format!("*3 {}", groups.join(" ")));
        assert_eq!(bench.ask("XINFO GROUPS new"), format!("*1 {}", group("n", "0-0", "$-1", 0)));
        assert_eq!(after(&["XGROUP DESTROY x g"]).ask("XINFO GROUPS x"), "*0");
    }

    #[test]
    fn a_deleted_consumer_drops_what_was_pending_for_it() {
        let bench = after(&[
            "XGROUP CREATECONSUMER x g d",
            DELIVERED,
            "XGROUP DELCONSUMER x g c",
            "XGROUP DELCONSUMER x g unknown",
        ]);
        assert_eq!(bench.ask("XPENDING x g"), "*4 :0 $-1 $-1 *-1");
        assert_eq!(
            bench.ask("XINFO CONSUMERS x g"),
            "*1 *8 $4 name $1 d $7 pending :0 $4 idle :0 $8 inactive :-1"
        );
        assert_eq!(after(&[DELIVERED, "XACK x g 1-1 9-9"]).ask("XPENDING x g"), "*4 :0 $-1 $-1 *-1");
    }

    #[test]
    fn what_cannot_be_applied_changes_nothing() {
        let mut bench = after(&[]);
        for (line, why) in [
            ("XGROUP CREATE x g 0", "BUSYGROUP"),
            ("XGROUP CREATE missing g 0", "requires the key to exist"),
            ("XGROUP CREATE x h bad", "Invalid stream ID"),
            ("XGROUP CREATE x h 0 ENTRIESREAD -2", "must be positive or -1"),
            ("XGROUP CREATE x h 0 WHAT", "syntax"),
            ("XGROUP SETID x h 0", "NOGROUP No such consumer group 'h' for key name 'x'"),
            ("XGROUP CREATECONSUMER x h c", "NOGROUP"),
            ("XGROUP DELCONSUMER missing g c", "requires the key to exist"),
            ("XCLAIM x h c 0 1-1", "NOGROUP No such key 'x' or consumer group 'h'"),
            ("XCLAIM x g c soon 1-1", "Invalid min-idle-time"),
            ("XCLAIM x g c 0 1-1 FORCE LASTID 9-9 WHAT", "Unrecognized XCLAIM option 'WHAT'"),
            ("XCLAIM x g c 0 1-1 FORCE TIME x", "Invalid TIME"),
            ("XACK x g 1-1 bad", "Invalid stream ID"),
        ] {
            let refusal = bench.apply(line).expect_err(line);
            assert!(refusal.to_string().contains(why), "{line}: {refusal}");
        }
        assert_eq!(bench.ask("XINFO CONSUMERS x g"), "*0");
        assert!(bench.ask("XINFO GROUPS x").contains("last-delivered-id $3 0-0"));
    }

    #[test]
    fn what_no_master_sends_is_not_applied() {
        let mut bench = after(&[]);
        assert!(bench.apply("XREADGROUP GROUP g c STREAMS x >").is_err());
        assert!(bench.apply("XAUTOCLAIM x g c 0 0").is_err());
    }
}
