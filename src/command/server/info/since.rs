//! Which release of a family has which field and section of INFO: those not named here are in all of Redis from 6.0 and
//! Valkey from 8.0 on, or their section asks for itself.

use crate::dataset::Dialect;

/// Has a server of this family and release such a field?
pub(super) fn has_field(name: &str, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Redis(major, minor) => (major, minor) >= redis(name),
        Dialect::Valkey(major, minor) => (major, minor) >= valkey(name),
    }
}

/// Has a server of this family and release such a section?
pub(super) fn has_section(section: &str, dialect: Dialect) -> bool {
    let since = |release| !matches!(dialect, Dialect::Redis(major, minor) if (major, minor) < release);
    match section {
        "errorstats" => since((6, 2)),
        "latencystats" => since((7, 0)),
        "threads" => dialect.is_redis_8(),
        "scriptingengines" => dialect.has_engine_modules(),
        _ => true,
    }
}

/// The first Redis that has it.
fn redis(name: &str) -> (u8, u8) {
    match name {
        "monotonic_clock"
        | "process_supervised"
        | "server_time_usec"
        | "cluster_connections"
        | "maxclients"
        | "lazyfreed_objects"
        | "current_cow_size"
        | "current_cow_size_age"
        | "current_fork_perc"
        | "current_save_keys_processed"
        | "current_save_keys_total"
        | "total_forks"
        | "total_error_replies"
        | "dump_payload_sanitizations"
        | "rejected_calls"
        | "slave_read_repl_offset"
        | "replica_announced"
        | "master_failover_state" => (6, 2),
        "used_memory_vm_eval"
        | "used_memory_scripts_eval"
        | "number_of_functions"
        | "number_of_libraries"
        | "used_memory_vm_functions"
        | "used_memory_vm_total"
        | "used_memory_vm_total_human"
        | "used_memory_functions"
        | "mem_total_replication_buffers"
        | "mem_cluster_links"
        | "async_loading"
        | "current_cow_peak"
        | "rdb_saves"
        | "rdb_last_load_keys_expired"
        | "rdb_last_load_keys_loaded"
        | "aof_rewrites"
        | "aof_rewrites_consecutive_failures"
        | "total_net_repl_input_bytes"
        | "total_net_repl_output_bytes"
        | "instantaneous_input_repl_kbps"
        | "instantaneous_output_repl_kbps"
        | "evicted_clients"
        | "total_eviction_exceeded_time"
        | "current_eviction_exceeded_time"
        | "pubsubshard_channels"
        | "total_active_defrag_time"
        | "current_active_defrag_time" => (7, 0),
        "listener0"
        | "listener1"
        | "listener2"
        | "total_blocking_keys"
        | "total_blocking_keys_on_nokey"
        | "eventloop_cycles"
        | "eventloop_duration_sum"
        | "eventloop_duration_cmd_sum"
        | "instantaneous_eventloop_cycles_per_sec"
        | "instantaneous_eventloop_duration_usec"
        | "acl_access_denied_auth"
        | "acl_access_denied_cmd"
        | "acl_access_denied_key"
        | "acl_access_denied_channel" => (7, 2),
        "pubsub_clients"
        | "watching_clients"
        | "total_watched_keys"
        | "allocator_muzzy"
        | "mem_overhead_db_hashtable_rehashing"
        | "expired_subkeys"
        | "evicted_scripts"
        | "client_query_buffer_limit_disconnections"
        | "client_output_buffer_limit_disconnections" => (7, 4),
        "mem_replica_full_sync_buffer" | "replica_full_sync_buffer_size" | "replica_full_sync_buffer_peak" => {
            (8, 0)
        }
        _ => (0, 0),
    }
}

/// The first Valkey that has it.
fn valkey(name: &str) -> (u8, u8) {
    match name {
        "mem_replicas_repl_buffer"
        | "mem_cluster_slot_import"
        | "mem_cluster_slot_export"
        | "slot_migration_fork_in_progress"
        | "total_net_cluster_slot_import_bytes"
        | "total_net_cluster_slot_export_bytes"
        | "expired_fields"
        | "expired_keys_with_volatile_items_stale_perc" => (9, 0),
        "acl_access_denied_tls_cert" | "acl_access_denied_db" => (9, 1),
        _ => (0, 0),
    }
}
