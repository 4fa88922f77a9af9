//! What monitoring tools and operators read follows the master's family and release: CLIENT LIST, INFO, HELLO, MODULE LIST,
//! LOLWUT, LOADING. Compared with a real replica of the same master.

use crate::support::beside::Beside;
use crate::support::client::{Client, Value};
use crate::support::real::{Real, for_each_master};
use crate::support::remora::Remora;
use crate::support::wait;
use std::collections::BTreeMap;
use std::time::Duration;

for_each_master!(
    client_list_has_the_fields_of_a_real_replica,
    info_has_each_field_of_a_real_replica,
    info_writes_values_and_groups_of_sections_as_a_real_replica,
    hello_and_modules_are_those_of_a_real_replica,
    lolwut_names_the_version_and_checks_its_arguments
);

/// Fields whose values are of this machine or of how a server keeps its buffers.
const OF_THE_MACHINE: [&str; 13] = [
    "id",
    "addr",
    "laddr",
    "fd",
    "age",
    "idle",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "tot-mem",
];

/// The line of the client named `me`, in order.
fn own_line(client: &mut Client) -> Vec<(String, String)> {
    let lines = ["CLIENT SETNAME me", "CLIENT SETINFO lib-name lib", "SELECT 3", "GET a"];
    lines.iter().for_each(|line| drop(client.call(line)));
    let text = client.must("CLIENT LIST").text();
    let line = text.lines().find(|line| line.contains(" name=me ")).expect("its line").to_owned();
    let fields = line.split(' ').map(|field| field.split_once('=').expect("a field"));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn client_list_has_the_fields_of_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    let mut twins = beside.twins(false);
    let shown = |fields: Vec<(String, String)>| -> Vec<(String, String)> {
        let hidden = |name: &str| OF_THE_MACHINE.contains(&name) || name == "io-thread";
        fields
            .into_iter()
            .map(|(name, value)| if hidden(&name) { (name, String::new()) } else { (name, value) })
            .collect()
    };
    let (real, ours) = (own_line(&mut twins.real), own_line(&mut twins.ours));
    assert_eq!(shown(real), shown(ours), "{server}");
}

fn hello_and_modules_are_those_of_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    // A real one of Redis 8.0 has its vector sets as a module, whose values remora does not keep.
    let modules = |value: Value| if server == "redis-8.0" { Value::Null } else { value };
    let short = |version: Value| {
        let text = version.text();
        text.rsplit_once('.').map_or(text.clone(), |(release, _)| release.to_owned())
    };
    let greeting = |client: &mut Client, protocol: u8| -> Vec<(String, String)> {
        let reply = client.must(&format!("HELLO {protocol}"));
        let pairs: Vec<(Value, Value)> = match &reply {
            Value::Map(pairs) => pairs.clone(),
            flat => flat.items().chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        };
        let value = |name: &str, value: Value| match name {
            "version" => short(value),
            "id" => String::new(),
            "modules" => format!("{:?}", modules(value)),
            _ => format!("{value:?}"),
        };
        pairs.into_iter().map(|(name, found)| (name.text(), value(&name.text(), found))).collect()
    };
    let mut twins = beside.twins(false);
    for protocol in [2, 3, 2] {
        assert_eq!(
            greeting(&mut twins.real, protocol),
            greeting(&mut twins.ours, protocol),
            "{server} {protocol}"
        );
        let [real, ours] = [&mut twins.real, &mut twins.ours].map(|client| modules(client.must("MODULE LIST")));
        assert_eq!(real, ours, "{server} MODULE LIST in RESP{protocol}");
    }
}

fn lolwut_names_the_version_and_checks_its_arguments(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    let mut twins = beside.twins(false);
    // An error as it is, of the art the words behind the last sentence without the last number.
    let seen = |client: &mut Client, line: &str| {
        let reply = client.call(line);
        if reply.is_error() {
            return reply.text();
        }
        let text = reply.text();
        let last = text.trim_end().lines().last().unwrap_or_default().to_owned();
        let from = last.rfind("Redis ver.").or_else(|| last.rfind("Valkey ver.")).unwrap_or(0);
        let named = last[from..].replace("ver. ", "ver.");
        named.rsplit_once('.').map_or(named.clone(), |(release, _)| release.to_owned())
    };
    for arguments in [
        "",
        " x",
        " 1",
        " 1 x",
        " 1 2",
        " 1 2 3",
        " 1 2 3 4",
        " 1 2 a b",
        " 1 2 3 4 5",
        " 0 0",
        " VERSION",
        " VERSION x",
        " VERSION 5",
        " VERSION 5 x",
        " VERSION 5 1 1 x",
        " VERSION 5 1 1 1 x",
        " VERSION 6 1 x",
        " VERSION 6 1 1 x",
        " VERSION 7 x",
        " VERSION 8 x",
        " VERSION 9 x",
        " VERSION 9 1 2",
        " VERSION 9 1 2 x y",
        " VERSION -1",
    ] {
        let line = format!("LOLWUT{arguments}");
        assert_eq!(seen(&mut twins.real, &line), seen(&mut twins.ours, &line), "{server} {line}");
    }
}

/// Fields of real replicas that remora leaves out: section, field, why.
const LEFT_OUT: [(&str, &str, &str); 13] = [
    (
        "Server",
        "clients_hz",
        "clients are not looked after at a rate: each worker looks for idle ones once a second",
    ),
    ("CPU", "used_cpu_sys_main_thread", "commands run on several threads, none of which is the main one"),
    ("CPU", "used_cpu_user_main_thread", "the same"),
    ("CPU", "used_active_time_main_thread", "the same; eventloop_duration_sum has the time of all workers"),
    ("Stats", "reply_buffer_shrinks", "connections share a buffer for replies, none has one that could shrink"),
    ("Stats", "reply_buffer_expands", "the same"),
    ("Modules", "module vectorset", "the vector sets of Redis 8.0, which remora does not keep"),
    (
        "TLS",
        "tls_server_cert_serial",
        "certificates are told of by remora_tls_certificate_expiry_timestamp_seconds",
    ),
    ("TLS", "tls_server_cert_expires_in_seconds", "the same"),
    ("TLS", "tls_client_cert_serial", "the same"),
    ("TLS", "tls_client_cert_expires_in_seconds", "the same"),
    ("TLS", "tls_ca_cert_serial", "the same"),
    ("TLS", "tls_ca_cert_expires_in_seconds", "the same"),
];

/// Sections of real replicas that remora leaves out, and why.
const SECTIONS_LEFT_OUT: [(&str, &str); 1] = [(
    "Keysizes",
    "how many strings, lists, sets, sorted sets and hashes of a database have which size, to a power of two (Redis 8.0, in \
     each INFO): counted when asked it is a look at each key, kept up to date a look at the size before and behind each \
     change of a container, for the masters of all families",
)];

/// Sections without a field of their own in common: names of commands and errors.
const NOT_COMPARED: [&str; 3] = ["Commandstats", "Errorstats", "Latencystats"];

/// Sections of INFO with the names of their fields, in order.
fn sections(client: &mut Client) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for line in client.must("INFO everything").text().lines() {
        if let Some(title) = line.strip_prefix("# ") {
            all.push((title.to_owned(), Vec::new()));
        } else if let Some((name, value)) = line.split_once(':') {
            let module =
                value.strip_prefix("name=").filter(|_| name == "module").and_then(|rest| rest.split(',').next());
            let name = module.map_or(name.to_owned(), |module| format!("module {module}"));
            all.last_mut().expect("a section").1.push(name);
        }
    }
    all
}

fn info_has_each_field_of_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &["--io-threads", "1"]) else { return };
    let mut master = beside.master.client();
    master.must("HSET h a 1 b 2");
    if beside.master.has_field_expiry() {
        master.must("HEXPIRE h 1000 FIELDS 1 a");
    }
    beside.settle();
    let mut twins = beside.twins(false);
    let (real, ours) = (sections(&mut twins.real), sections(&mut twins.ours));
    let is_left_out =
        |title: &str, name: &str| LEFT_OUT.iter().any(|(section, field, _)| (*section, *field) == (title, name));
    let mut wrong = Vec::new();
    let is_compared = |title: &str| {
        !NOT_COMPARED.contains(&title) && !SECTIONS_LEFT_OUT.iter().any(|(section, _)| *section == title)
    };
    for (title, names) in real.iter().filter(|(title, _)| is_compared(title)) {
        let expected: Vec<&String> = names.iter().filter(|name| !is_left_out(title, name)).collect();
        let Some((_, found)) = ours.iter().find(|(ours, _)| ours == title) else {
            if !expected.is_empty() {
                wrong.push(format!("no section {title}: {expected:?}"));
            }
            continue;
        };
        let known: Vec<&String> = found.iter().filter(|name| !name.starts_with("remora_")).collect();
        if known != expected {
            let missing: Vec<_> = expected.iter().filter(|name| !known.contains(name)).collect();
            let foreign: Vec<_> = known.iter().filter(|name| !expected.contains(name)).collect();
            wrong.push(format!(
                "{title}: missing {missing:?}, foreign {foreign:?}, or another order:\n{expected:?}\n{known:?}"
            ));
        }
    }
    let is_foreign = |title: &str| title != "Remora" && !real.iter().any(|(real, _)| real == title);
    let foreign = ours.iter().filter(|(title, _)| is_foreign(title));
    wrong.extend(foreign.map(|(title, _)| format!("a section of its own: {title}")));
    assert!(wrong.is_empty(), "{server}:\n{}", wrong.join("\n"));
    for (section, _) in SECTIONS_LEFT_OUT {
        assert!(!ours.iter().any(|(title, _)| title == section), "{section} is there, so no reason is needed");
    }
    for (section, field, _) in LEFT_OUT {
        let has = ours.iter().any(|(title, names)| title == section && names.iter().any(|name| name == field));
        assert!(!has, "{section} {field} is there, so no reason is needed");
    }
}

/// Fields whose values are of a build or of a machine.
const OF_THE_BUILD: [&str; 6] =
    ["redis_build_id", "monotonic_clock", "atomicvar_api", "run_id", "executable", "config_file"];

/// A value with each number as 0, so that `1.50%` and `calls=3` show what they are made of; sizes for people are numbers.
fn form(name: &str, value: &str) -> String {
    let (mut form, mut in_number) = (String::new(), false);
    for c in value.trim_start_matches('-').chars() {
        let is_part = c.is_ascii_digit() || (in_number && c == '.');
        if !is_part {
            form.push(c);
        } else if !in_number {
            form.push('0');
        }
        in_number = is_part;
    }
    if name.ends_with("_human") { form.trim_end_matches(['B', 'K', 'M', 'G']).to_owned() } else { form }
}

fn info_writes_values_and_groups_of_sections_as_a_real_replica(server: &str) {
    let Some(beside) = Beside::start(server, &[], &["--io-threads", "1"]) else { return };
    let mut master = beside.master.client();
    ["SET a 1", "SET b 1 EX 10000"].iter().for_each(|line| drop(master.must(line)));
    beside.settle();
    let mut twins = beside.twins(false);
    let ask = |client: &mut Client| {
        ["GET a", "GET", "SET a 1", "NOSUCH"].iter().for_each(|line| drop(client.call(line)));
        client.info("everything")
    };
    let (real, ours) = (ask(&mut twins.real), ask(&mut twins.ours));
    let common = real.iter().filter_map(|(name, value)| Some((name, value, ours.get(name)?)));
    let common = common.filter(|(name, ..)| !OF_THE_BUILD.contains(&name.as_str())).collect::<Vec<_>>();
    assert!(common.iter().any(|(name, ..)| *name == "cmdstat_get") && common.len() > 80, "{common:?}");
    for (name, real, ours) in common.into_iter().filter(|(name, ..)| !name.starts_with("latency")) {
        assert_eq!(form(name, real), form(name, ours), "{server}: {name}: {real} and {ours}");
    }
    for group in ["", "default", "all", "everything"] {
        let titles = |client: &mut Client| -> Vec<String> {
            let text = client.must(&format!("INFO {group}")).text();
            let titles = text.lines().filter_map(|line| line.strip_prefix("# "));
            // What remora adds, and what is empty as nothing is configured.
            let others =
                ["Remora", "TLS", "Cluster Info"].into_iter().chain(SECTIONS_LEFT_OUT.map(|(title, _)| title));
            let others: Vec<&str> = others.collect();
            titles.filter(|title| !others.contains(title)).map(str::to_owned).collect()
        };
        assert_eq!(titles(&mut twins.real), titles(&mut twins.ours), "{server}: INFO {group}");
    }
}

/// The lines of `# Keyspace` without the average of expiries, which a replica that lets nothing expire does not keep.
fn keyspaces(client: &mut Client) -> BTreeMap<String, String> {
    let lines = client.info("keyspace").into_iter();
    let without_average =
        |line: String| line.split(',').filter(|part| !part.starts_with("avg_ttl")).collect::<Vec<_>>().join(",");
    lines.map(|(name, line)| (name, without_average(line))).collect()
}

fn hashes_with_fields_that_expire_are_counted(server: &str) {
    let Some(beside) = Beside::start(server, &[], &[]) else { return };
    let mut twins = beside.twins(false);
    let mut master = beside.master.client();
    for line in [
        "HSET a f 1 g 2",
        "HEXPIRE a 10000 FIELDS 1 f",
        "HEXPIRE a 10000 FIELDS 1 g",
        "HSET b f 1",
        "HPEXPIRE b 10000000 FIELDS 1 f",
        "COPY b c",
        "COPY b d DB 2",
        "HSET a f 3",
        "RENAME b bb",
        "MOVE bb 1",
        "SET c text",
        "HSETEX e EX 10000 FIELDS 1 f v",
        "HDEL e f",
        "HSETEX e EX 10000 FIELDS 1 f v",
        "RENAME a e",
        "SWAPDB 0 1",
        "FLUSHDB",
        "DEL e",
        "FLUSHALL",
    ] {
        master.must(line);
        beside.settle();
        assert_eq!(keyspaces(&mut twins.real), keyspaces(&mut twins.ours), "{server}: {line}");
    }
}

#[test]
fn hashes_with_fields_that_expire_are_counted_as_by_redis_8_0() {
    hashes_with_fields_that_expire_are_counted("redis-8.0");
}

#[test]
fn hashes_with_fields_that_expire_are_counted_as_by_valkey_9_1() {
    hashes_with_fields_that_expire_are_counted("valkey-9.1");
}

/// Numbers of INFO that grow with what a client does.
#[test]
fn the_turns_of_the_workers_and_what_they_read_are_counted() {
    let Some(master) = Real::start("redis-8.0", &[]) else { return };
    let remora = Remora::follow(master.port, &["--io-threads", "2"]);
    remora.wait_linked();
    let mut clients = [remora.client(), remora.client()];
    let names = [
        "total_reads_processed",
        "total_writes_processed",
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "eventloop_cycles",
        "eventloop_duration_sum",
        "eventloop_duration_cmd_sum",
    ];
    let figures = |client: &mut Client| -> Vec<u64> {
        let info = client.info("stats");
        names.iter().map(|name| info[*name].parse().expect("a number")).collect()
    };
    let before = figures(&mut clients[0]);
    for _ in 0..50 {
        clients.iter_mut().for_each(|client| drop(client.must("PING")));
    }
    let mut grown = Vec::new();
    wait::until("all figures have grown", Duration::from_secs(30), || {
        grown = figures(&mut clients[0])
            .iter()
            .zip(&before)
            .map(|(after, before)| after.saturating_sub(*before))
            .collect();
        grown[..2].iter().all(|count| *count >= 100)
            && grown[2..4].iter().all(|count| *count >= 50)
            && grown[4..].iter().all(|count| *count > 0)
    });
    let threads = clients[0].info("threads");
    assert_eq!(threads.len(), 2, "{threads:?}");
    assert!(threads.values().all(|line| line.starts_with("clients=1,reads=")), "{threads:?}");
}

/// While a real server loads, it says so by its name.
#[test]
fn what_is_not_loaded_is_told_in_the_familys_name() {
    for (server, compat) in [("redis-8.0", "redis"), ("valkey-9.1", "valkey")] {
        let settings = ["--key-load-delay 50000", "--loading-process-events-interval-bytes 1024"];
        let Some(real) = Real::start(server, &settings) else { return };
        let mut client = real.client();
        (0..400).for_each(|n| drop(client.must(&format!("SET key:{n} {}", "x".repeat(100)))));
        let mut reloading = real.client();
        reloading.send(&["DEBUG", "RELOAD"]);
        let mut told = String::new();
        wait::until("the real server is loading", Duration::from_secs(60), || {
            let reply = client.call("GET a");
            let is_error = reply.is_error();
            if is_error {
                told = reply.text();
            }
            is_error
        });
        let remora = Remora::follow(crate::support::ports::free(), &["--compat", compat]);
        assert_eq!(remora.client().call("GET a").text(), told, "{server}");
    }
}
