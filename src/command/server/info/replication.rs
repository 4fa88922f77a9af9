//! Section about the link, as a real replica writes it (field order as captured). `role` is `slave` and not
//! `replica`: that is what exporters and Sentinel look for.

use super::Text;
use crate::clock::UnixMs;
use crate::command::context::SessionCx;
use crate::status::LinkPhase;

pub(super) fn replication(cx: &SessionCx<'_>, text: &mut Text) {
    let (status, config, position) = (&cx.server.status, cx.server.config.get(), &cx.data.position);
    let (link, master) = (&status.link, cx.server.master.borrow().address.clone());
    // An order to follow another master counts from when it is given: a Sentinel would take the old link for the new one.
    let phase = link.phase_towards(&master.host(), master.port());
    let up = phase == LinkPhase::Connected;
    let seconds_ago = |at: Option<UnixMs>| at.map_or(-1, |at| (cx.now.0 - at.0).max(0) / 1000);
    text.field("role", "slave");
    text.field("master_host", master.host());
    text.field("master_port", master.port());
    text.field("master_link_status", if up { "up" } else { "down" });
    // As the real ones: -1 while the link is down.
    text.field("master_last_io_seconds_ago", seconds_ago(link.last_io().filter(|_| up)));
    text.field("master_sync_in_progress", u8::from(phase == LinkPhase::Sync));
    // A real replica that never had a master shows 1.
    let applied = if status.is_loaded() { position.offset.0 } else { 1 };
    text.field("slave_read_repl_offset", link.received().0.max(applied));
    text.field("slave_repl_offset", applied);
    buffers(cx, text);
    if phase == LinkPhase::Sync {
        syncing(cx, text);
    }
    if !up {
        text.field("master_link_down_since_seconds", seconds_ago(link.down_since()));
    }
    // Whatever else it is told, Sentinel may choose us, be refused, and promote nobody.
    text.field("slave_priority", 0);
    text.field("slave_read_only", 1);
    match config.replica_announced {
        true => text.field("replica_announced", 1),
        // Also beside redis 6.0: a Sentinel of a later release understands it.
        false => text.own_field("replica_announced", 0),
    }
    sub_replicas(cx, text);
    if cx.dialect().is_valkey() {
        text.field("replicas_waiting_psync", 0);
    }
    text.field("master_failover_state", "no-failover");
    text.field("master_replid", position.replid);
    text.field("master_replid2", position.replid2);
    text.field("master_repl_offset", position.offset);
    match position.second_offset {
        Some(offset) => text.field("second_repl_offset", offset),
        None => text.field("second_repl_offset", -1),
    }
    let backlog = &status.downstream.backlog;
    text.field("repl_backlog_active", u8::from(backlog.is_active()));
    text.field("repl_backlog_size", config.repl_backlog_size_bytes);
    text.field("repl_backlog_first_byte_offset", backlog.first());
    text.field("repl_backlog_histlen", backlog.bytes());
}

/// A line for each sub-replica; Valkey's have a type behind.
fn sub_replicas(cx: &SessionCx<'_>, text: &mut Text) {
    let all = cx.server.status.downstream.all();
    let kind = if cx.dialect().is_valkey() { ",type=replica" } else { "" };
    text.field("connected_slaves", all.len());
    for (n, sub_replica) in all.iter().enumerate() {
        let (ip, port, state) = (&sub_replica.ip, sub_replica.port, sub_replica.phase().as_str());
        let (offset, lag) = (sub_replica.acked(), sub_replica.lag_s(cx.now));
        let line = format_args!("ip={ip},port={port},state={state},offset={offset},lag={lag}{kind}");
        text.field(&format!("slave{n}"), line);
    }
}

fn buffers(cx: &SessionCx<'_>, text: &mut Text) {
    text.fixed(if cx.dialect().is_valkey() {
        "replicas_repl_buffer_size:0 replicas_repl_buffer_peak:0"
    } else {
        "replica_full_sync_buffer_size:0 replica_full_sync_buffer_peak:0"
    });
}

fn syncing(cx: &SessionCx<'_>, text: &mut Text) {
    let link = &cx.server.status.link;
    let sync = link.sync();
    // 0 where the master has not told the size.
    let total = sync.total_bytes.unwrap_or(0);
    let perc = if total == 0 { 0.0 } else { sync.read_bytes as f64 * 100.0 / total as f64 };
    let quiet_s = link.last_io().map_or(0, |at| (cx.now.0 - at.0).max(0) / 1000);
    text.field("master_sync_total_bytes", total);
    text.field("master_sync_read_bytes", sync.read_bytes);
    text.field("master_sync_left_bytes", total.saturating_sub(sync.read_bytes));
    text.field("master_sync_perc", format_args!("{perc:.2}"));
    text.field("master_sync_last_io_seconds_ago", quiet_s);
}
