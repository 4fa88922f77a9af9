//! INFO: the numbers in the servers' form, field names and their order as redis 8.0 has them, without those that the
//! followed release does not have ([`since`]), so that exporters, Sentinel and clients read it unchanged. What cannot
//! happen here (forks, eviction, an append-only file) reads zero.

mod clients;
mod commands;
mod data;
mod process;
mod remora;
mod replication;
mod scripting;
mod since;
mod stats;
mod threads;

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::dataset::Dialect;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::fmt::{Display, Write};

/// Writes one section.
type Section = fn(&SessionCx<'_>, &mut Text);

/// Name as asked for, headline, whether it is part of the default answer, its function; in the order of the answer.
/// Whose server has which is for [`since`] to say.
static SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, process::server),
    ("clients", "Clients", true, clients::clients),
    ("memory", "Memory", true, process::memory),
    ("persistence", "Persistence", true, data::persistence),
    ("threads", "Threads", true, threads::threads),
    ("stats", "Stats", true, stats::stats),
    ("replication", "Replication", true, replication::replication),
    ("cpu", "CPU", true, process::cpu),
    ("modules", "Modules", true, scripting::modules),
    ("commandstats", "Commandstats", false, commands::commandstats),
    ("errorstats", "Errorstats", true, commands::errorstats),
    ("latencystats", "Latencystats", false, commands::latencystats),
    ("cluster", "Cluster", true, |_, text| text.field("cluster_enabled", 0)),
    ("scriptingengines", "Scripting Engines", false, scripting::engines),
    ("keyspace", "Keyspace", true, data::keyspace),
    ("remora", "Remora", true, remora::remora),
];

/// `INFO [section ...]`: `default`, `all` and `everything` are groups; unknown sections are empty.
pub(in crate::command) fn info(
    cx: &mut SessionCx<'_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Refusal> {
    let asked: Vec<String> = args.map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
    let has = |word: &str| asked.iter().any(|asked| asked == word);
    let (default, all) = (asked.is_empty() || has("default"), has("all") || has("everything"));
    let mut text = Text { written: String::new(), dialect: cx.dialect() };
    for (name, headline, by_default, section) in SECTIONS {
        let wanted = all || has(name) || (default && *by_default);
        if wanted && since::has_section(name, cx.dialect()) {
            text.headline(headline);
            section(cx, &mut text);
        }
    }
    out.verbatim("txt", text.written);
    Ok(())
}

/// The text of an INFO reply. Fields that the server it is written for does not have are left out.
#[derive(Debug)]
struct Text {
    written: String,
    dialect: Dialect,
}

impl Text {
    fn headline(&mut self, name: &str) {
        let gap = if self.written.is_empty() { "" } else { "\r\n" };
        let _ = write!(self.written, "{gap}# {name}\r\n");
    }

    fn field(&mut self, name: &str, value: impl Display) {
        if self.has(name) {
            self.own_field(name, value);
        }
    }

    /// One that is there whoever the master is.
    fn own_field(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.written, "{name}:{value}\r\n");
    }

    /// Does the server that it is written for have such a field?
    fn has(&self, name: &str) -> bool {
        since::has_field(name, self.dialect)
    }

    /// Several fields that are always the same, `name:value` with spaces between.
    fn fixed(&mut self, fields: &str) {
        for (name, value) in fields.split_ascii_whitespace().filter_map(|field| field.split_once(':')) {
            self.field(name, value);
        }
    }

    /// A size twice: in bytes, and as people read it under `name_human`.
    fn size(&mut self, name: &str, bytes: usize) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes as u64));
    }
}

/// `926.22K`, as the servers print sizes.
fn human(bytes: u64) -> String {
    const UNITS: [(u64, char); 4] = [(1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / *unit as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::command::testing::Session as Harness;
    use crate::status::LinkPhase;

    /// Field names of a section in order.
    fn names(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
    }

    fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    #[test]
    fn sections_are_chosen_by_name_or_group() {
        let mut client = Harness::new(&[]);
        let heads = |text: String| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
        };
        assert_eq!(heads(client.ask("INFO cpu SERVER")), ["Server", "CPU"]);
        assert_eq!(client.ask("INFO nosuch"), "$0\r\n\r\n");
        let (default, all) = (heads(client.ask("INFO")), heads(client.ask("INFO all")));
        assert_eq!((default.len(), all.len()), (SECTIONS.len() - 3, SECTIONS.len() - 1));
        assert_eq!(heads(client.ask("INFO everything")), all);
        assert_eq!(heads(client.ask("INFO default commandstats latencystats")), all);
        assert!(client.ask("INFO").contains("\r\n\r\n# Clients\r\nconnected_clients:"));
    }

    #[test]
    fn replication_has_the_fields_of_a_replica_in_order() {
        let mut client = Harness::new(&[]);
        let text = client.ask("INFO replication");
        let head = "role master_host master_port master_link_status master_last_io_seconds_ago \
                    master_sync_in_progress slave_read_repl_offset slave_repl_offset \
                    replica_full_sync_buffer_size replica_full_sync_buffer_peak";
        let tail = "slave_priority slave_read_only replica_announced connected_slaves master_failover_state \
                    master_replid master_replid2 master_repl_offset second_repl_offset repl_backlog_active \
                    repl_backlog_size repl_backlog_first_byte_offset repl_backlog_histlen";
        let fields = |middle: &str| -> Vec<String> {
            format!("{head} {middle} {tail}").split_ascii_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(names(&text), fields("master_link_down_since_seconds"), "{text}");
        let expected = [
            ("role", "slave"),
            ("master_link_status", "down"),
            ("master_last_io_seconds_ago", "-1"),
            ("slave_repl_offset", "1"),
            ("master_link_down_since_seconds", "-1"),
            ("second_repl_offset", "-1"),
        ];
        for (name, expected) in expected {
            assert_eq!(value(&text, name), Some(expected), "{name}");
        }

        let status = &client.server().status;
        status.link.sync_begins(Some(200), UnixMs(999_999_000));
        status.link.sync_read(50);
        status.link.set_phase(LinkPhase::Sync, UnixMs(999_999_000));
        let text = client.ask("INFO replication");
        let syncing = "master_sync_total_bytes master_sync_read_bytes master_sync_left_bytes master_sync_perc \
                       master_sync_last_io_seconds_ago master_link_down_since_seconds";
        assert_eq!(names(&text), fields(syncing), "{text}");
        assert_eq!(value(&text, "master_sync_perc"), Some("25.00"));

        let link = &client.server().status.link;
        link.read(10, UnixMs(999_998_000));
        link.set_phase(LinkPhase::Connected, UnixMs(1_000_000_000));
        client.server().status.set_loaded();
        let text = client.ask("INFO replication");
        assert_eq!(names(&text), fields(""), "{text}");
        assert_eq!(value(&text, "master_link_status"), Some("up"));
        assert_eq!(value(&text, "master_last_io_seconds_ago"), Some("2"));
    }

    #[test]
    fn a_replica_that_has_nothing_yet_says_that_it_is_loading() {
        let mut client = Harness::new(&[]);
        let text = client.ask("INFO persistence");
        assert_eq!((value(&text, "loading"), value(&text, "loading_eta_seconds")), (Some("1"), Some("1")));
        client.server().status.set_loaded();
        let text = client.ask("INFO persistence");
        assert_eq!((value(&text, "loading"), value(&text, "loading_eta_seconds")), (Some("0"), None));
    }

    #[test]
    fn keyspace_counts_keys_and_expiries() {
        let mut client = Harness::new(&[]);
        client.bench().apply("SET a 1").expect("applied");
        client.bench().apply("SET b 1 PX 1").expect("applied");
        assert!(
            client.ask("INFO keyspace").contains("# Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=0,subexpiry=0\r\n")
        );
    }

    #[test]
    fn commands_and_errors_are_counted_by_name() {
        use crate::command::table;
        let mut client = Harness::new(&[]);
        let stats = client.server().status.add_worker(table::rows().len());
        let index = |name: &str| table::rows().position(|row| row.name == name).expect("a row");
        stats.ran(index("client id"), 3_000);
        stats.failed(index("ping"), 1_500, "ERR wrong");
        stats.rejected(Some(index("set")), "READONLY You can't");
        let text = client.ask("INFO commandstats errorstats");
        for line in [
            "cmdstat_client|id:calls=1,usec=3,usec_per_call=3.00,rejected_calls=0,failed_calls=0",
            "cmdstat_ping:calls=1,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=1",
            "cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0",
            "errorstat_ERR:count=1",
            "errorstat_READONLY:count=1",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
    }

    #[test]
    fn sizes_are_printed_for_people() {
        let check = |bytes, expected: &str| assert_eq!(human(bytes), expected);
        check(0, "0B");
        check(1023, "1023B");
        check(948_448, "926.22K");
        check(1 << 20, "1.00M");
        check(25_276_510_208, "23.54G");
    }
}
