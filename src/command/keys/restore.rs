//! RESTORE: a DUMP payload becomes a key.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::config::EventClasses;
use crate::dataset::{Stamp, Statistic, Uses, Value};
use crate::rdb::save::restore_payload;
use crate::rdb::{Fault, LoadError};
use crate::resp::number::parse_integer;
use crate::resp::refusal::Refusal;

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`. Without ABSTTL (Redis 6.0) the ttl counts
/// from now. A time in the past is stored. Of idle time and frequency the one that is not kept is left out.
pub(super) fn restore(cx: &mut ApplyCx<'_>, args: &mut Args<'_>) -> Result<(), Refusal> {
    let (key, ttl, payload) = (args.require()?, args.require()?, args.require()?);
    let options = Options::parse(args)?;
    if !options.replace && cx.keyspace()?.get(key).is_some() {
        return Err(Refusal::text("BUSYKEY Target key name already exists."));
    }
    let ttl = parse_integer(ttl).ok_or(Refusal::NOT_AN_INTEGER)?;
    let base = if options.absolute { UnixMs(0) } else { cx.now };
    let expiry = match ttl {
        ..0 => return Err(Refusal::text("ERR Invalid TTL value, must be >= 0")),
        0 => None,
        ttl => Some(base.checked_add(ttl).ok_or(Refusal::OUT_OF_RANGE)?),
    };
    let limits = cx.limits();
    let mut value = restore_payload(payload, &limits)?.ok_or_else(bad_format)?;
    if let Value::ZSet(zset) = &mut value {
        zset.pack(&limits);
    }
    let keyspace = cx.keyspace()?;
    let stamp = options.stamp(keyspace.uses());
    let old = keyspace.insert_new(key, value, expiry, stamp);
    cx.trash.value(old);
    cx.made(key);
    cx.changed(EventClasses::GENERIC, "restore", key);
    Ok(())
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        while args.remaining() > 0 {
            let has_value = args.remaining() > 1;
            if args.take("replace") {
                options.replace = true;
            } else if args.take("absttl") {
                options.absolute = true;
            } else if has_value && options.frequency.is_none() && args.take("idletime") {
                let bad = "ERR Invalid IDLETIME value, must be >= 0";
                options.idle_s = Some(u64::try_from(args.integer()?).map_err(|_| Refusal::text(bad))?);
            } else if has_value && options.idle_s.is_none() && args.take("freq") {
                let bad = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                options.frequency = Some(u8::try_from(args.integer()?).map_err(|_| Refusal::text(bad))?);
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(options)
    }

    /// What they say of the key's use, if it is of the kind that is kept.
    fn stamp(&self, uses: &Uses) -> Option<Stamp> {
        match uses.statistic {
            Statistic::Idle => self.idle_s.map(|idle| uses.with_idle(idle)),
            Statistic::Frequency => self.frequency.map(|frequency| uses.with_frequency(frequency)),
        }
    }
}

fn bad_format() -> Refusal {
    Refusal::text("ERR Bad data format")
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        match error.fault {
            Fault::Footer => Self::text("ERR DUMP payload version or checksum are wrong"),
            _ => bad_format(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, split};
    use crate::config::MaxmemoryPolicy;
    use crate::dataset::Dialect;
    use crate::rdb::save::dump_payload;

    /// RESTORE of what another key holds, with these words behind the payload.
    fn restored(bench: &mut Bench, from: &[u8], line: &str) -> Result<(), String> {
        let entry = bench.data.db(bench.db).expect("db 0").get(from).expect("key");
        let payload = dump_payload(entry.value(), Dialect::Redis(8, 0)).expect("kept");
        let words = split(line).into_iter().map(|word| if word == b"PAYLOAD" { payload.clone() } else { word });
        bench.apply_words(&words.collect::<Vec<_>>()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_was_dumped_is_restored() {
        let mut bench = Bench::after(&["SET a v", "RPUSH l a b 1", "SET old v"]);
        for (from, ask) in [(b"a", "GET k"), (b"l", "LRANGE k 0 -1")] {
            restored(&mut bench, from, "RESTORE k 0 PAYLOAD REPLACE").expect("applies");
            assert_eq!(bench.ask(ask), bench.ask(&ask.replace('k', std::str::from_utf8(from).expect("name"))));
        }
        restored(&mut bench, b"a", "RESTORE old 1000 PAYLOAD replace").expect("applies");
        assert_eq!(bench.ask("PEXPIRETIME old"), ":1000001000");
        restored(&mut bench, b"a", "RESTORE old 2000000000 PAYLOAD ABSTTL REPLACE IDLETIME 5").expect("applies");
        assert_eq!(bench.ask("PEXPIRETIME old"), ":2000000000");
    }

    #[test]
    fn a_restored_key_was_used_as_it_says() {
        let mut bench = Bench::after(&["SET a v", "SET k v"]);
        bench.now.0 += 7000;
        for (words, idle) in [("", 0), (" IDLETIME 1000", 1000), (" FREQ 9", 0)] {
            restored(&mut bench, b"a", &format!("RESTORE k 0 PAYLOAD REPLACE{words}")).expect("applies");
            assert_eq!(bench.ask("OBJECT IDLETIME k"), format!(":{idle}"), "{words}");
        }
        bench.uses.policy = MaxmemoryPolicy::VolatileLfu;
        for (words, frequency) in [("", 5), (" IDLETIME 1000", 5), (" FREQ 99", 99)] {
            restored(&mut bench, b"a", &format!("RESTORE k 0 PAYLOAD REPLACE{words}")).expect("applies");
            assert_eq!(bench.ask("OBJECT FREQ k"), format!(":{frequency}"), "{words}");
        }
    }

    /// As on redis 8.0 and valkey 9.1; before 7.0 a ziplist keeps the sign.
    #[test]
    fn what_is_restored_is_packed_whatever_the_sign_of_its_zeros() {
        let mut bench = Bench::after(&["ZADD z -0 a", "SORT z ALPHA STORE l", "ZADD z -0 b"]);
        assert_eq!(bench.ask("ZSCORE z b"), "$2 -0");
        restored(&mut bench, b"z", "RESTORE k 0 PAYLOAD").expect("applies");
        assert_eq!(
            (bench.ask("ZSCORE k b"), bench.ask("OBJECT ENCODING k")),
            ("$1 0".into(), "$8 listpack".into())
        );
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        for (line, why) in [
            ("RESTORE a 0 PAYLOAD", "BUSYKEY Target key name already exists."),
            ("RESTORE k -1 PAYLOAD", "ERR Invalid TTL value, must be >= 0"),
            ("RESTORE k 0 foo", "ERR DUMP payload version or checksum are wrong"),
            ("RESTORE k 0 PAYLOAD IDLETIME 1 FREQ 1", "ERR syntax error"),
            ("RESTORE k 0 PAYLOAD FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("RESTORE k 0 PAYLOAD IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0"),
        ] {
            let mut bench = Bench::after(&["SET a v"]);
            assert_eq!(restored(&mut bench, b"a", line), Err(why.to_owned()), "{line}");
            assert_eq!(bench.ask("DBSIZE"), ":1");
        }
    }
}
