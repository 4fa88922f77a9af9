//! MEMORY: what a key takes, and where the memory of the process is.
//!
//! Figures are the allocator's and our own. What cannot be here (an append-only file, a cluster, tables that are rehashed)
//! reads 0, as with real servers that do not use it.

use crate::allocator;
use crate::command::args::Args;
use crate::command::connection;
use crate::command::context::{ReadCx, SessionCx};
use crate::dataset::weight;
use crate::process;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::sync::atomic::Ordering::Relaxed;

/// As the servers: members of a value that are looked at where the request does not say.
const SAMPLES_DEFAULT: usize = 5;

/// `MEMORY USAGE key [SAMPLES count]`: 0 looks at everything.
pub(super) fn usage(cx: &ReadCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let key = args.require()?;
    let mut samples = SAMPLES_DEFAULT;
    while !args.is_empty() {
        if args.remaining() < 2 || !args.take("samples") {
            return Err(Refusal::SYNTAX);
        }
        samples = usize::try_from(args.integer()?).map_err(|_| Refusal::SYNTAX)?;
    }
    // No lookup to the servers: it counts as none, and what has expired by the clock alone is seen.
    match cx.keyspace()?.get(key) {
        Some(entry) => out.count(weight::of(entry, samples)),
        None => out.null(),
    }
    Ok(())
}

/// Where the memory is, bytes.
pub(super) struct Figures {
    pub(super) allocator: allocator::Memory,
    pub(super) peak: usize,
    pub(super) startup: usize,
    pub(super) resident: usize,
    /// Stream kept for sub-replicas.
    pub(super) backlog: usize,
    /// Clients: their sessions, what they sent, what waits to be sent.
    pub(super) clients: usize,
    /// The connections of sub-replicas.
    pub(super) sub_replicas: usize,
    /// Sources of scripts, of libraries, and both machines.
    pub(super) scripts: usize,
    pub(super) libraries: usize,
    pub(super) machines: usize,
    /// The tables of all databases, without the entries.
    pub(super) tables: usize,
    pub(super) keys: usize,
}

impl Figures {
    /// Costs some steps a client.
    pub(super) fn of(cx: &SessionCx<'_>) -> Self {
        let status = &cx.server.status;
        let (memory, peak) = status.memory();
        let (mut clients, mut sub_replicas) = (0, 0);
        for client in cx.server.clients.all() {
            let bytes = if client.is_sub_replica() { &mut sub_replicas } else { &mut clients };
            *bytes += connection::memory_of(&client);
        }
        let figures = &cx.server.scripts.figures;
        Self {
            allocator: memory,
            peak,
            startup: status.memory_at_start().min(memory.allocated),
            resident: usize::try_from(process::resident_bytes()).unwrap_or(usize::MAX),
            backlog: usize::try_from(status.downstream.backlog.bytes()).unwrap_or(usize::MAX),
            clients,
            sub_replicas,
            scripts: cx.server.scripts.cache().bytes(),
            libraries: cx.data.functions.iter().map(|(name, source)| name.len() + source.len()).sum(),
            machines: figures.eval_bytes.load(Relaxed) + figures.functions_bytes.load(Relaxed),
            tables: cx.data.dbs().map(|(_, keyspace)| keyspace.table_bytes()).sum(),
            keys: cx.data.dbs().map(|(_, keyspace)| keyspace.len()).sum(),
        }
    }

    /// What is not data.
    pub(super) fn overhead(&self) -> usize {
        let all = self.startup + self.backlog + self.clients + self.sub_replicas;
        (all + self.scripts + self.libraries + self.machines + self.tables).min(self.allocator.allocated)
    }

    /// The rest.
    pub(super) fn dataset(&self) -> usize {
        self.allocator.allocated - self.overhead()
    }

    /// How much of what came since the start is data, percent.
    pub(super) fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.allocator.allocated - self.startup)
    }

    /// How much of the most there was is in use, percent.
    pub(super) fn peak_percent(&self) -> f64 {
        percent(self.allocator.allocated, self.peak)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// How many times as much the first is; 1 where there is nothing to compare with.
pub(super) fn ratio(whole: usize, part: usize) -> f64 {
    if part == 0 { 1.0 } else { whole as f64 / part as f64 }
}

/// What the first is more.
pub(super) fn difference(whole: usize, part: usize) -> i64 {
    let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
    signed(whole) - signed(part)
}

/// A field of MEMORY STATS.
enum Field {
    Bytes(&'static str, usize),
    Signed(&'static str, i64),
    Double(&'static str, f64),
    /// What the tables of one database take.
    Tables(u32, usize),
}

/// `MEMORY STATS`: the fields of redis 8.0 or valkey 9.1 in their order.
pub(super) fn stats(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let fields = fields(cx, &Figures::of(cx));
    out.map(fields.len());
    for field in fields {
        match field {
            Field::Bytes(name, bytes) => {
                out.bulk(name);
                out.count(bytes);
            }
            Field::Signed(name, bytes) => {
                out.bulk(name);
                out.integer(bytes);
            }
            // The servers reckon these in single precision.
            Field::Double(name, value) => {
                out.bulk(name);
                out.double(f64::from(value as f32));
            }
            Field::Tables(db, bytes) => {
                out.bulk(format!("db.{db}"));
                out.map(2);
                out.bulk("overhead.hashtable.main");
                out.count(bytes);
                // An expiry stands in the entry: there is no table of them.
                out.bulk("overhead.hashtable.expires");
                out.count(0);
            }
        }
    }
    Ok(())
}

fn fields(cx: &SessionCx<'_>, figures: &Figures) -> Vec<Field> {
    use Field::{Bytes, Double, Signed, Tables};
    let memory = &figures.allocator;
    let valkey = cx.dialect().is_valkey();
    // Sub-replicas are fed from the backlog, there is no buffer beside it.
    let buffer = if valkey { "replicas.repl.buffer" } else { "replica.fullsync.buffer" };
    let mut all = vec![
        Bytes("peak.allocated", figures.peak),
        Bytes("total.allocated", memory.allocated),
        Bytes("startup.allocated", figures.startup),
        Bytes("replication.backlog", figures.backlog),
        Bytes(buffer, 0),
        Bytes("clients.slaves", figures.sub_replicas),
        Bytes("clients.normal", figures.clients),
        Bytes("cluster.links", 0),
    ];
    if valkey {
        all.extend([Bytes("cluster.slot_import", 0), Bytes("cluster.slot_export", 0)]);
    }
    all.extend([
        Bytes("aof.buffer", 0),
        Bytes("lua.caches", figures.scripts),
        Bytes("functions.caches", figures.libraries),
    ]);
    if !valkey {
        all.push(Bytes("script.VMs", figures.machines));
    }
    let used = cx.data.dbs().filter(|(_, keyspace)| !keyspace.is_empty());
    all.extend(used.map(|(db, keyspace)| Tables(db.0, keyspace.table_bytes())));
    let (allocated, active, resident) = (memory.allocated, memory.active, memory.resident);
    all.extend([
        Bytes("overhead.db.hashtable.lut", figures.tables),
        Bytes("overhead.db.hashtable.rehashing", 0),
        Bytes("overhead.total", figures.overhead()),
        Bytes("db.dict.rehashing.count", 0),
        Bytes("keys.count", figures.keys),
        Bytes("keys.bytes-per-key", figures.dataset().checked_div(figures.keys).unwrap_or_default()),
        Bytes("dataset.bytes", figures.dataset()),
        Double("dataset.percentage", figures.dataset_percent()),
        Double("peak.percentage", figures.peak_percent()),
        Bytes("allocator.allocated", allocated),
        Bytes("allocator.active", active),
        Bytes("allocator.resident", resident),
        Bytes("allocator.muzzy", 0),
        Double("allocator-fragmentation.ratio", ratio(active, allocated)),
        Signed("allocator-fragmentation.bytes", difference(active, allocated)),
        Double("allocator-rss.ratio", ratio(resident, active)),
        Signed("allocator-rss.bytes", difference(resident, active)),
        Double("rss-overhead.ratio", ratio(figures.resident, resident)),
        Signed("rss-overhead.bytes", difference(figures.resident, resident)),
        Double("fragmentation", ratio(figures.resident, allocated)),
        Signed("fragmentation.bytes", difference(figures.resident, allocated)),
    ]);
    all
}

pub(super) fn malloc_stats(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.verbatim("txt", allocator::report());
    Ok(())
}

pub(super) fn purge(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    allocator::purge();
    out.ok();
    Ok(())
}

const MIB: usize = 1 << 20;

/// Less than this says nothing (as the servers).
const DIAGNOSED_BYTES_MIN: usize = 5 * MIB;

const EMPTY: &str = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in \
                     these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam \
                     and I will be back to our programming as soon as I finished rebooting.\n";
const HEALTHY: &str = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this \
                       base.\n";

/// `MEMORY DOCTOR`: the servers' thresholds, and their words where nothing is wrong.
pub(super) fn doctor(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let figures = Figures::of(cx);
    out.verbatim(
        "txt",
        diagnosis(&figures, cx.server.status.connected_clients(), cx.server.scripts.cache().len()),
    );
    Ok(())
}

fn diagnosis(figures: &Figures, clients: usize, scripts: usize) -> String {
    let (allocated, active, resident) =
        (figures.allocator.allocated, figures.allocator.active, figures.allocator.resident);
    if allocated < DIAGNOSED_BYTES_MIN {
        return EMPTY.into();
    }
    let much_more = |whole: usize, part: usize, limit: f64| {
        ratio(whole, part) > limit && difference(whole, part) > 10 * MIB as i64
    };
    let found = [
        (
            ratio(figures.peak, allocated) > 1.5,
            "Peak memory: more than half as much again was in use at the peak. Much of the resident memory may be kept \
             for nothing; it is used again when the data grow.",
        ),
        (
            much_more(figures.resident, allocated, 1.4),
            "High total RSS: resident memory is more than 1.4 times what is in use.",
        ),
        (
            much_more(active, allocated, 1.1),
            "High allocator fragmentation: pages are filled badly, by more than 10% and 10 MiB. It mostly comes from \
             values of other sizes than those that were deleted.",
        ),
        (
            much_more(resident, active, 1.1),
            "High allocator RSS overhead: the allocator keeps pages that are not used. MEMORY PURGE gives them back.",
        ),
        (
            much_more(figures.resident, resident, 1.1),
            "High process RSS overhead: the process has resident memory that is not the allocator's.",
        ),
        (
            figures.clients.checked_div(clients).unwrap_or_default() > 200 << 10,
            "Big client buffers: clients take more than 200 KiB each on average. CLIENT LIST shows whose (omem, qbuf).",
        ),
        (scripts > 1000, "Many scripts: more than 1000 are cached, so that scripts may be made anew at each use."),
    ];
    let found: Vec<&str> = found.into_iter().filter_map(|(is_so, text)| is_so.then_some(text)).collect();
    if found.is_empty() {
        return HEALTHY.into();
    }
    let mut text = String::from("Sam, I detected a few issues in this remora instance memory implants:\n\n");
    found.iter().for_each(|issue| text.push_str(&format!(" * {issue}\n\n")));
    text + "I'm here to keep you safe, Sam. I want to help you.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::{Bench, Session as Harness};

    #[test]
    fn a_key_weighs_what_its_blocks_take() {
        let bench = Bench::after(&["SET a v", "SET b v PX 9", &format!("SET c {}", "x".repeat(3000))]);
        // Header, key, value: 10 bytes in a class of 16; one seventh of a bucket.
        assert_eq!(bench.ask("MEMORY USAGE a"), format!(":{}", allocator::taken(10) + 10));
        assert_eq!(bench.ask("MEMORY USAGE b"), format!(":{}", allocator::taken(18) + 10));
        let long = allocator::taken(17) + allocator::taken(24) + allocator::taken(3000) + 10;
        assert_eq!(bench.ask("MEMORY USAGE c SAMPLES 0"), format!(":{long}"));
        for (request, reply) in [
            ("MEMORY USAGE missing", "$-1"),
            ("MEMORY USAGE missing SAMPLES", "-ERR syntax error"),
            ("MEMORY USAGE a SAMPLES -1", "-ERR syntax error"),
            ("MEMORY USAGE a SAMPLES x", "-ERR value is not an integer or out of range"),
            ("MEMORY USAGE a FOO 1", "-ERR syntax error"),
        ] {
            assert_eq!(bench.ask(request), reply, "{request}");
        }
    }

    #[test]
    fn the_doctor_finds_what_is_wrong() {
        let figures = |allocated: usize, active: usize, peak: usize| Figures {
            allocator: allocator::Memory { allocated, active, resident: active },
            peak,
            startup: 0,
            resident: active,
            backlog: 0,
            clients: 0,
            sub_replicas: 0,
            scripts: 0,
            libraries: 0,
            machines: 0,
            tables: 0,
            keys: 0,
        };
        assert_eq!(diagnosis(&figures(MIB, MIB, MIB), 1, 0), EMPTY);
        assert_eq!(diagnosis(&figures(100 * MIB, 101 * MIB, 100 * MIB), 1, 0), HEALTHY);
        let text = diagnosis(&figures(100 * MIB, 120 * MIB, 200 * MIB), 1, 1001);
        for issue in ["Peak memory", "High allocator fragmentation", "Many scripts"] {
            assert!(text.contains(issue), "{issue}: {text}");
        }
        assert!(!text.contains("High total RSS") && !text.contains("Big client buffers"), "{text}");
    }

    #[test]
    fn stats_count_keys() {
        let mut client = Harness::new(&[]);
        client.bench().apply("SET a 1").expect("applied");
        let text = client.ask("MEMORY STATS");
        assert!(text.contains("keys.count\r\n:1\r\n") && text.contains("$4\r\ndb.0\r\n*4\r\n"), "{text}");
    }
}
