//! RESTORE: a DUMP payload becomes a key.

use crate::clock::UnixMs;
use crate::command::args::Args;
use crate::command::context::ApplyCx;
use crate::config::EventClasses;
use crate::dataset::Value;
use crate::rdb::save::restore_payload;
use crate::rdb::{Fault, LoadError};
use crate::resp::number::parse_integer;
use crate::resp::refusal::Refusal;

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`. Without ABSTTL (Redis 6.0) the ttl counts
/// from now. A time in the past is stored; idle time and frequency are not kept.
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
    let old = cx.keyspace()?.insert(key, value, expiry);
    cx.trash.value(old);
    cx.made(key);
    cx.changed(EventClasses::GENERIC, "restore", key);
    Ok(())
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let (mut idle, mut frequency) = (false, false);
        while args.remaining() > 0 {
            let has_value = args.remaining() > 1;
            if args.take("replace") {
                options.replace = true;
            } else if args.take("absttl") {
                options.absolute = true;
            } else if has_value && !frequency && args.take("idletime") {
                idle = true;
                let bad = "ERR Invalid IDLETIME value, must be >= 0";
                Some(args.integer()?).filter(|idle| *idle >= 0).ok_or_else(|| Refusal::text(bad))?;
            } else if has_value && !idle && args.take("freq") {
                frequency = true;
                let bad = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                u8::try_from(args.integer()?).map_err(|_| Refusal::text(bad))?;
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(options)
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
