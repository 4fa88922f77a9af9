//! Every metric: name with unit, help, labels. No other file has a metric name.
//!
//! Nothing is counted here. A scrape reads the numbers where they are (status, allocator, kernel) into a recorder of
//! its own, so labels that are gone do not linger, and a request costs no macro.

use crate::clock::UnixMs;
use crate::limits::SUB_REPLICAS_LABELLED_MAX;
use crate::process;
use crate::status::{CommandTotals, LinkPhase, SaveStatus, Source, Status, Tally, Totals};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// What a scrape shows.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    /// The time of the scrape.
    pub now: UnixMs,
    /// The same by the clock that measures ages.
    pub instant: Instant,
    /// The program's numbers.
    pub status: &'a Status,
    /// Names of the commands, in the order in which workers count them.
    pub commands: &'a [&'a str],
    /// Per database that has keys: its number, keys, keys with an expiry.
    pub databases: &'a [(u32, usize, usize)],
    /// The master followed, and the replication id.
    pub master: (&'a str, u16, &'a str),
    /// `maxclients`.
    pub maxclients: usize,
    /// Who listens to channels.
    pub pubsub: Pubsub,
}

/// Subscriptions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pubsub {
    /// Clients with a subscription.
    pub clients: usize,
    /// Channels, patterns and shard channels with a subscriber.
    pub names: [usize; 3],
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gauge,
    Counter,
}

/// Names with kind and help. Labels stand in the help.
static METRICS: &[(&str, Kind, &str)] = &[
    ("remora_build_info", Kind::Gauge, "1, with the version as label"),
    ("process_start_time_seconds", Kind::Gauge, "When the process started, seconds since 1970"),
    ("process_resident_memory_bytes", Kind::Gauge, "Memory resident, as the kernel counts"),
    ("remora_memory_allocated_bytes", Kind::Gauge, "Memory in use, as the allocator counts"),
    ("remora_memory_active_bytes", Kind::Gauge, "Memory in pages that are in use at least in part"),
    ("remora_memory_peak_bytes", Kind::Gauge, "Most memory in use, sampled each second"),
    ("remora_master_info", Kind::Gauge, "1, with host, port and replication id of the master as labels"),
    ("remora_master_link_up", Kind::Gauge, "1 while the stream of the master flows"),
    ("remora_master_sync_state", Kind::Gauge, "1 at the state (label) in which the link is, as ROLE names it"),
    ("remora_master_link_down_since_timestamp_seconds", Kind::Gauge, "Since when a link that was up is down"),
    ("remora_master_last_io_timestamp_seconds", Kind::Gauge, "When bytes last came from the master"),
    ("remora_loaded", Kind::Gauge, "1 once a whole dataset has been loaded"),
    ("remora_diverged", Kind::Gauge, "1 while the data are known not to be the master's"),
    ("remora_replication_offset_bytes", Kind::Gauge, "Offset of the stream by kind: received, applied, acked"),
    ("remora_replication_lag_bytes", Kind::Gauge, "Bytes of the master's stream that are not applied here yet"),
    (
        "remora_replication_staleness_seconds",
        Kind::Gauge,
        "So old are the data at most, as measured by asking the master; see the source",
    ),
    (
        "remora_replication_staleness_source",
        Kind::Gauge,
        "1 at the source (label) of the staleness: probe, upstream, last-io (a guess), unknown",
    ),
    ("remora_max_lag_exceeded", Kind::Gauge, "1 while reads are refused by replica-max-lag-seconds or -bytes"),
    ("remora_applied_commands_total", Kind::Counter, "Commands of the stream applied"),
    ("remora_full_syncs_total", Kind::Counter, "Full syncs begun, by reason"),
    ("remora_partial_syncs_total", Kind::Counter, "Partial resyncs asked for, by result"),
    ("remora_reconnects_total", Kind::Counter, "Links lost or not made, by cause"),
    ("remora_apply_errors_total", Kind::Counter, "Commands of the stream that could not be applied, by command"),
    (
        "remora_sync_bytes",
        Kind::Gauge,
        "Bytes of the last snapshot by kind: total (0 if not told), received, loaded",
    ),
    ("remora_sync_keys", Kind::Gauge, "Keys loaded from the last snapshot"),
    ("remora_skipped_keys", Kind::Gauge, "Keys whose values are not kept (modules); reading them is an error"),
    ("remora_master_input_bytes_total", Kind::Counter, "Bytes read from the master"),
    ("remora_master_output_bytes_total", Kind::Counter, "Bytes written to the master"),
    ("remora_subreplicas", Kind::Gauge, "Replicas that follow us"),
    ("remora_subreplica_lag_bytes", Kind::Gauge, "Bytes applied here and not acknowledged, by sub-replica"),
    ("remora_subreplica_waiting_bytes", Kind::Gauge, "Bytes of the stream not sent yet, by sub-replica"),
    ("remora_subreplica_syncs_total", Kind::Counter, "Syncs asked for by sub-replicas, by result"),
    ("remora_subreplica_cuts_total", Kind::Counter, "Links to sub-replicas that ended, by reason"),
    (
        "remora_subreplica_snapshots_total",
        Kind::Counter,
        "Snapshots begun for sub-replicas; several may share one",
    ),
    ("remora_subreplica_output_bytes_total", Kind::Counter, "Bytes written to sub-replicas"),
    ("remora_backlog_bytes", Kind::Gauge, "Bytes of the stream kept for partial resyncs of sub-replicas"),
    ("remora_saves_total", Kind::Counter, "Saves of our own snapshot, by result"),
    ("remora_save_running", Kind::Gauge, "1 while our own snapshot is being written"),
    ("remora_last_save_timestamp_seconds", Kind::Gauge, "When our own snapshot was last complete"),
    ("remora_last_save_bytes", Kind::Gauge, "Size of our own snapshot when it was last written"),
    ("remora_restores_total", Kind::Counter, "Our own snapshot as it was found at start, by result"),
    ("remora_db_keys", Kind::Gauge, "Keys by database"),
    ("remora_db_keys_expiring", Kind::Gauge, "Keys with an expiry by database"),
    ("remora_clients", Kind::Gauge, "Clients connected"),
    ("remora_clients_max", Kind::Gauge, "Most clients allowed at a time"),
    ("remora_clients_accepted_total", Kind::Counter, "Clients accepted"),
    ("remora_clients_rejected_total", Kind::Counter, "Clients refused because of maxclients"),
    ("remora_clients_cut_total", Kind::Counter, "Clients cut because they did not read"),
    ("remora_pubsub_clients", Kind::Gauge, "Clients that are subscribed to anything"),
    ("remora_pubsub_names", Kind::Gauge, "Names with a subscriber by kind: channel, pattern, shard"),
    ("remora_client_input_bytes_total", Kind::Counter, "Bytes read from clients"),
    ("remora_client_output_bytes_total", Kind::Counter, "Bytes written to clients"),
    (
        "remora_tls_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When certificates end by purpose: server, client, ca",
    ),
    (
        "remora_tls_reloads_total",
        Kind::Counter,
        "Times that changed certificates were read, by result: ok, failed",
    ),
    (
        "remora_tls_handshakes_total",
        Kind::Counter,
        "Handshakes with clients by result: ok, failed, timeout, dropped",
    ),
    ("remora_commands_total", Kind::Counter, "Commands of clients that ran, by command"),
    ("remora_commands_rejected_total", Kind::Counter, "Commands refused before they ran, by command"),
    ("remora_commands_failed_total", Kind::Counter, "Commands that ran and answered an error, by command"),
    ("remora_commands_unknown_total", Kind::Counter, "Requests for commands that do not exist"),
    ("remora_errors_total", Kind::Counter, "Error replies, by code word"),
    ("remora_keyspace_hits_total", Kind::Counter, "Keys that reads have found"),
    ("remora_keyspace_misses_total", Kind::Counter, "Keys that reads have not found"),
    ("remora_slowlog_entries", Kind::Gauge, "Entries of SLOWLOG"),
];

/// A counter with a fraction and a histogram of ready-made buckets: neither exists in the library, so they are written
/// by hand.
const CPU: &str = "process_cpu_seconds_total";
const DURATION: &str = "remora_command_duration_seconds";

/// The text of a scrape, in Prometheus' exposition format.
pub fn render(numbers: &Numbers<'_>) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let totals = numbers.status.lifetime_totals();
    metrics::with_local_recorder(&recorder, || {
        describe();
        process_metrics(numbers);
        link_metrics(numbers);
        sync_metrics(numbers.status);
        downstream_metrics(numbers.status);
        data_metrics(numbers);
        save_metrics(&numbers.status.saves);
        client_metrics(numbers, &totals);
        tls_metrics(numbers.status);
        command_metrics(numbers.commands, &totals);
    });
    let mut text = handle.render();
    cpu_time(&mut text);
    durations(numbers.commands, &totals.commands, &mut text);
    text
}

fn describe() {
    for (name, kind, help) in METRICS.iter().copied() {
        match kind {
            Kind::Gauge => describe_gauge!(name, help),
            Kind::Counter => describe_counter!(name, help),
        }
    }
}

fn set(name: &'static str, value: impl AsFloat) {
    gauge!(name).set(value.as_float());
}

fn total(name: &'static str, value: u64) {
    counter!(name).absolute(value);
}

fn process_metrics(numbers: &Numbers<'_>) {
    let (memory, peak) = numbers.status.memory();
    gauge!("remora_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    set("process_start_time_seconds", numbers.status.started);
    set("process_resident_memory_bytes", process::resident_bytes());
    set("remora_memory_allocated_bytes", memory.allocated);
    set("remora_memory_active_bytes", memory.active);
    set("remora_memory_peak_bytes", peak);
}

fn link_metrics(numbers: &Numbers<'_>) {
    let (status, link) = (numbers.status, &numbers.status.link);
    let (host, port, replid) = numbers.master;
    let labels = [("host", host.to_owned()), ("port", port.to_string()), ("replid", replid.to_owned())];
    gauge!("remora_master_info", &labels).set(1.0);
    set("remora_master_link_up", link.is_up());
    for phase in LinkPhase::all() {
        gauge!("remora_master_sync_state", "state" => phase.as_str()).set((phase == link.phase()).as_float());
    }
    if let Some(since) = link.down_since() {
        set("remora_master_link_down_since_timestamp_seconds", since);
    }
    if let Some(heard) = link.last_io() {
        set("remora_master_last_io_timestamp_seconds", heard);
    }
    set("remora_loaded", status.is_loaded());
    set("remora_diverged", status.diverged().is_some());
    for (kind, offset) in [("received", link.received()), ("applied", link.applied()), ("acked", link.acked())] {
        gauge!("remora_replication_offset_bytes", "kind" => kind).set(offset.0.as_float());
    }
    lag_metrics(numbers);
    total("remora_applied_commands_total", link.applied_commands());
    total("remora_master_input_bytes_total", link.bytes_in());
    total("remora_master_output_bytes_total", link.bytes_out());
}

fn lag_metrics(numbers: &Numbers<'_>) {
    let lag = numbers.status.lag(numbers.instant, numbers.now);
    if let Some(staleness) = lag.staleness {
        gauge!("remora_replication_staleness_seconds").set(staleness.as_secs_f64());
    }
    for source in Source::all() {
        let is_it = (source == lag.source).as_float();
        gauge!("remora_replication_staleness_source", "source" => source.as_str()).set(is_it);
    }
    set("remora_replication_lag_bytes", lag.bytes);
    set("remora_max_lag_exceeded", numbers.status.lag_exceeded().is_some());
}

fn sync_metrics(status: &Status) {
    let (link, sync) = (&status.link, status.link.sync());
    let sizes =
        [("total", sync.total_bytes.unwrap_or(0)), ("received", sync.read_bytes), ("loaded", sync.loaded_bytes)];
    for (kind, bytes) in sizes {
        gauge!("remora_sync_bytes", "kind" => kind).set(bytes.as_float());
    }
    set("remora_sync_keys", sync.keys);
    set("remora_skipped_keys", status.marked_keys());
    tally("remora_full_syncs_total", "reason", &link.full_syncs);
    tally("remora_partial_syncs_total", "result", &link.partial_syncs);
    tally("remora_reconnects_total", "cause", &link.disconnects);
    tally("remora_apply_errors_total", "command", &link.apply_errors);
}

fn save_metrics(saves: &SaveStatus) {
    tally("remora_saves_total", "result", &saves.results);
    tally("remora_restores_total", "result", &saves.restores);
    set("remora_save_running", saves.is_running());
    if let Some(at) = saves.last_at() {
        set("remora_last_save_timestamp_seconds", at);
        set("remora_last_save_bytes", saves.last_bytes());
    }
}

fn tally(name: &'static str, label: &'static str, tally: &Tally) {
    for (value, count) in tally.all() {
        counter!(name, label => value).absolute(count);
    }
}

/// Only so many sub-replicas have a series of their own.
fn downstream_metrics(status: &Status) {
    let (downstream, applied) = (&status.downstream, status.link.applied());
    let all = downstream.all();
    set("remora_subreplicas", all.len());
    for sub_replica in all.iter().take(SUB_REPLICAS_LABELLED_MAX) {
        let name = format!("{}:{}", sub_replica.ip, sub_replica.port);
        let lag_bytes = applied.since(sub_replica.acked());
        gauge!("remora_subreplica_lag_bytes", "name" => name.clone()).set(lag_bytes.as_float());
        gauge!("remora_subreplica_waiting_bytes", "name" => name).set(sub_replica.waiting_bytes().as_float());
    }
    tally("remora_subreplica_syncs_total", "result", &downstream.syncs);
    tally("remora_subreplica_cuts_total", "reason", &downstream.cuts);
    total("remora_subreplica_snapshots_total", downstream.snapshots.load(Relaxed));
    total("remora_subreplica_output_bytes_total", downstream.bytes_out());
    set("remora_backlog_bytes", downstream.backlog.bytes());
}

fn data_metrics(numbers: &Numbers<'_>) {
    for (db, keys, expiring) in numbers.databases {
        gauge!("remora_db_keys", "db" => format!("db{db}")).set(keys.as_float());
        gauge!("remora_db_keys_expiring", "db" => format!("db{db}")).set(expiring.as_float());
    }
}

fn client_metrics(numbers: &Numbers<'_>, totals: &Totals) {
    let clients = &numbers.status.clients;
    set("remora_clients", numbers.status.connected_clients());
    set("remora_clients_max", numbers.maxclients);
    total("remora_clients_accepted_total", clients.accepted());
    total("remora_clients_rejected_total", clients.rejected());
    total("remora_clients_cut_total", clients.evicted());
    set("remora_pubsub_clients", numbers.pubsub.clients);
    for (kind, names) in ["channel", "pattern", "shard"].into_iter().zip(numbers.pubsub.names) {
        gauge!("remora_pubsub_names", "kind" => kind).set(names.as_float());
    }
    total("remora_client_input_bytes_total", totals.net_in);
    total("remora_client_output_bytes_total", totals.net_out);
    total("remora_keyspace_hits_total", totals.hits);
    total("remora_keyspace_misses_total", totals.misses);
    set("remora_slowlog_entries", numbers.status.slowlog.len());
}

fn tls_metrics(status: &Status) {
    for (purpose, ends) in status.tls.expiries() {
        gauge!("remora_tls_certificate_expiry_timestamp_seconds", "purpose" => purpose).set(ends.as_float());
    }
    tally("remora_tls_reloads_total", "result", &status.tls.reloads);
    tally("remora_tls_handshakes_total", "result", &status.tls.handshakes);
}

fn command_metrics(names: &[&str], totals: &Totals) {
    for (name, stat) in names.iter().zip(&totals.commands) {
        let counts = [
            ("remora_commands_total", stat.calls),
            ("remora_commands_rejected_total", stat.rejected),
            ("remora_commands_failed_total", stat.failed),
        ];
        for (metric, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter!(metric, "cmd" => (*name).to_owned()).absolute(count);
        }
    }
    total("remora_commands_unknown_total", totals.unknown);
    for (code, count) in &totals.errors {
        counter!("remora_errors_total", "code" => code.clone()).absolute(*count);
    }
}

fn cpu_time(text: &mut String) {
    let cpu = process::cpu_time();
    let seconds = cpu.user_s + cpu.system_s;
    // Writing to a string cannot fail.
    let _ = write!(text, "# HELP {CPU} CPU time of all threads\n# TYPE {CPU} counter\n{CPU} {seconds}\n\n");
}

/// Workers keep buckets.
fn durations(names: &[&str], commands: &[CommandTotals], text: &mut String) {
    let ran: Vec<_> = names.iter().zip(commands).filter(|(_, stat)| stat.calls > 0).collect();
    if ran.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "# HELP {DURATION} Time that commands of clients ran, by command\n# TYPE {DURATION} histogram\n"
    );
    for (name, stat) in ran {
        let mut cumulated = 0;
        let (_, closed) = stat.buckets.split_last().unwrap_or((&0, &[]));
        for (index, count) in closed.iter().enumerate() {
            cumulated += count;
            let bound_s = (1024_u64 << index) as f64 / 1e9;
            let _ = writeln!(text, "{DURATION}_bucket{{cmd=\"{name}\",le=\"{bound_s}\"}} {cumulated}");
        }
        let _ = writeln!(text, "{DURATION}_bucket{{cmd=\"{name}\",le=\"+Inf\"}} {}", stat.calls);
        let _ = writeln!(text, "{DURATION}_sum{{cmd=\"{name}\"}} {}", stat.busy_ns as f64 / 1e9);
        let _ = writeln!(text, "{DURATION}_count{{cmd=\"{name}\"}} {}", stat.calls);
    }
    text.push('\n');
}

/// What a gauge can show.
trait AsFloat {
    fn as_float(&self) -> f64;
}

impl AsFloat for bool {
    fn as_float(&self) -> f64 {
        f64::from(u8::from(*self))
    }
}

impl AsFloat for u64 {
    fn as_float(&self) -> f64 {
        *self as f64
    }
}

impl AsFloat for usize {
    fn as_float(&self) -> f64 {
        *self as f64
    }
}

/// In seconds.
impl AsFloat for UnixMs {
    fn as_float(&self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Offset, ReplId};
    use crate::status::SubReplica;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// A status in which everything has happened at least once.
    fn busy() -> Status {
        let status = Status::new(UnixMs(1_000));
        let worker = status.add_worker(2);
        worker.ran(0, 1_500);
        worker.failed(1, 5_000, "WRONGTYPE x");
        worker.rejected(Some(1), "READONLY x");
        worker.rejected(None, "ERR unknown command");
        worker.net(7, 9);
        worker.lookups(3, 4);
        status.link.set_phase(LinkPhase::Connected, UnixMs(1_500));
        status.link.read(100, UnixMs(2_000));
        status.link.set_received(Offset(50));
        status.link.set_applied(Offset(40), 6);
        status.link.set_phase(LinkPhase::Connect, UnixMs(2_500));
        status.link.full_syncs.count("first");
        status.link.partial_syncs.count("ok");
        status.link.disconnects.count("closed");
        status.link.apply_errors.count("zadd");
        status.tls.set_expiries([("server", UnixMs(2_000_000))]);
        status.tls.reloads.count("ok");
        status.tls.handshakes.count("failed");
        status.downstream.joined(Arc::new(SubReplica::new(1, "10.0.0.1".into(), 6379)));
        status.downstream.syncs.count("full");
        status.downstream.cuts.count("closed");
        status.saves.begins(1, UnixMs(1));
        status.saves.succeeded((ReplId::ZERO, Offset(40)), 6, 100, UnixMs(2));
        status.saves.restored((ReplId::ZERO, Offset(40)));
        status
    }

    fn render_busy() -> String {
        render(&Numbers {
            now: UnixMs(5_500),
            instant: crate::clock::instant(),
            status: &busy(),
            commands: &["get", "client|id"],
            databases: &[(3, 10, 2)],
            master: ("host", 6379, "abc"),
            maxclients: 100,
            pubsub: Pubsub::default(),
        })
    }

    #[test]
    fn what_is_shown_is_described_and_what_is_described_is_shown() {
        let text = render_busy();
        let typed = |line: &str| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned);
        let shown: BTreeSet<String> = text.lines().filter_map(typed).collect();
        let described =
            METRICS.iter().map(|(name, ..)| (*name).to_owned()).chain([CPU.to_owned(), DURATION.to_owned()]);
        assert_eq!(shown, described.collect());
        for name in &shown {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }

    #[test]
    fn counters_end_in_total_and_gauges_do_not() {
        for (name, kind, _) in METRICS {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_status() {
        let text = render_busy();
        for line in [
            "remora_master_link_up 0",
            "remora_master_sync_state{state=\"connect\"} 1",
            "remora_master_sync_state{state=\"connected\"} 0",
            "remora_master_link_down_since_timestamp_seconds 2.5",
            "remora_replication_staleness_seconds 3.5",
            "remora_replication_staleness_source{source=\"last-io\"} 1",
            "remora_replication_staleness_source{source=\"probe\"} 0",
            "remora_max_lag_exceeded 0",
            "remora_replication_lag_bytes 10",
            "remora_full_syncs_total{reason=\"first\"} 1",
            "remora_apply_errors_total{command=\"zadd\"} 1",
            "remora_db_keys{db=\"db3\"} 10",
            "remora_commands_total{cmd=\"get\"} 1",
            "remora_commands_rejected_total{cmd=\"client|id\"} 1",
            "remora_commands_unknown_total 1",
            "remora_errors_total{code=\"WRONGTYPE\"} 1",
            "remora_keyspace_misses_total 4",
            "remora_tls_certificate_expiry_timestamp_seconds{purpose=\"server\"} 2000",
            "remora_tls_handshakes_total{result=\"failed\"} 1",
            "remora_command_duration_seconds_bucket{cmd=\"get\",le=\"0.000001024\"} 0",
            "remora_command_duration_seconds_bucket{cmd=\"get\",le=\"0.000002048\"} 1",
            "remora_command_duration_seconds_bucket{cmd=\"get\",le=\"+Inf\"} 1",
            "remora_command_duration_seconds_sum{cmd=\"client|id\"} 0.000005",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
