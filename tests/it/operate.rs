//! What operators and tools ask of a server: HELP, COMMAND, MEMORY, CLUSTER, DEBUG. Replies are those of a real replica
//! byte by byte where they are determined, and of the same shape where they are a machine's.

use crate::support::beside::{Beside, whole};
use crate::support::client::{Client, Value, parsed};
use remora::command::facts::Facts;
use remora::command::table;

macro_rules! for_both_families {
    ($($test:ident),*) => {
        mod of_redis { $(#[test] fn $test() { super::$test("redis-8.0") })* }
        mod of_valkey { $(#[test] fn $test() { super::$test("valkey-9.1") })* }
    };
}

for_both_families!(
    help_and_refusals_are_those_of_a_real_replica,
    command_tells_of_each_command_what_a_real_replica_tells,
    figures_have_the_shape_of_a_real_replicas
);

fn begin(server: &str) -> Option<Beside> {
    Beside::start(server, &[], &[])
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} replies differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same words on both sides.
const SAME: &str = "
    CLUSTER INFO
    CLUSTER SLOTS
    CLUSTER SHARDS
    CLUSTER NODES
    CLUSTER MYID
    CLUSTER LINKS
    CLUSTER KEYSLOT foo
    CLUSTER KEYSLOT {a}b
    CLUSTER KEYSLOT {}b
    CLUSTER KEYSLOT a{b
    CLUSTER KEYSLOT \"\"
    CLUSTER KEYSLOT
    CLUSTER COUNTKEYSINSLOT 0
    CLUSTER GETKEYSINSLOT 0 10
    CLUSTER REPLICAS x
    CLUSTER FAILOVER
    CLUSTER ADDSLOTS
    CLUSTER ADDSLOTS x
    CLUSTER nosuch
    CLUSTER
    ASKING
    MODULE LOAD x
    MODULE LOADEX x
    MODULE UNLOAD x
    MODULE nosuch
    MEMORY USAGE nokey
    MEMORY USAGE nokey SAMPLES
    MEMORY USAGE nokey SAMPLES -1
    MEMORY USAGE nokey SAMPLES x
    MEMORY USAGE nokey FOO 1
    MEMORY USAGE
    MEMORY nosuch
    MEMORY
    MEMORY PURGE
    LATENCY DOCTOR
    LATENCY GRAPH command
    LATENCY LATEST
    DEBUG nosuch
    DEBUG OBJECT nokey
    DEBUG OBJECT
    DEBUG ERROR foo
    DEBUG ERROR \"a b\"
    DEBUG LOG hello
    DEBUG SET-ACTIVE-EXPIRE 1
    DEBUG PROTOCOL string
    DEBUG PROTOCOL integer
    DEBUG PROTOCOL double
    DEBUG PROTOCOL null
    DEBUG PROTOCOL array
    DEBUG PROTOCOL set
    DEBUG PROTOCOL map
    DEBUG PROTOCOL verbatim
    DEBUG PROTOCOL true
    DEBUG PROTOCOL false
    DEBUG PROTOCOL bignum
    DEBUG PROTOCOL nosuch
    COMMAND nosuch
    COMMAND COUNT x
    COMMAND LIST x
    COMMAND LIST FILTERBY MODULE nosuch
    COMMAND LIST FILTERBY ACLCAT nosuch
    COMMAND LIST FILTERBY PATTERN client|k*
    COMMAND LIST FILTERBY PATTERN
    COMMAND INFO nosuch get
    COMMAND DOCS nosuch
    COMMAND GETKEYS get
    COMMAND GETKEYS nosuch a
    COMMAND GETKEYS ping a
    COMMAND GETKEYS spublish a b
    COMMAND GETKEYS eval x 1 a b
    COMMAND GETKEYS eval x 0
    COMMAND GETKEYS sort a by b store c
    COMMAND GETKEYS zunionstore d 2 a b
    COMMAND GETKEYS xread streams a b 0 0
    COMMAND GETKEYS memory usage k
    COMMAND GETKEYSANDFLAGS set k v
    COMMAND GETKEYSANDFLAGS set k v get
    COMMAND GETKEYSANDFLAGS bitfield k get u8 0
    COMMAND GETKEYSANDFLAGS bitfield k set u8 0 1
    COMMAND GETKEYSANDFLAGS georadius k 0 0 1 m
    COMMAND GETKEYSANDFLAGS georadius k 0 0 1 m store d
    COMMAND GETKEYSANDFLAGS memory usage k
    COMMAND GETKEYSANDFLAGS migrate h 1 \"\" 0 100 keys a b
    COMMAND GETKEYSANDFLAGS migrate h 1 k 0 100
";

fn help_and_refusals_are_those_of_a_real_replica(server: &str) {
    let Some(beside) = begin(server) else { return };
    let mut lines = SAME.to_owned();
    if server == "valkey-9.1" {
        lines.push_str("CLUSTER SLOT-STATS SLOTSRANGE 0 1\nCLUSTERSCAN 0\n");
    }
    let helped: Vec<String> =
        names(&mut beside.replica.client()).into_iter().filter(|n| n.ends_with("|help")).collect();
    assert!(helped.len() >= 15, "{helped:?}");
    helped.iter().for_each(|name| lines.push_str(&format!("{}\n", name.replace('|', " "))));
    let in_resp3 = "DEBUG PROTOCOL attrib\nDEBUG PROTOCOL push\n";
    let mut wrong = beside.differences(&lines, false, whole);
    wrong.extend(beside.differences(&(lines + in_resp3), true, whole));
    assert_none(&wrong);
}

/// Texts that are not repeated word by word: commands that Redis got after 7.2 (see `facts/make.py`).
const OWN_TEXTS: [&str; 3] = ["summary", "complexity", "history"];

fn command_tells_of_each_command_what_a_real_replica_tells(server: &str) {
    let Some(beside) = begin(server) else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for resp3 in [false, true] {
        let mut twins = beside.twins(resp3);
        let known = names(&mut twins.real);
        for facts in Facts::all().filter(|facts| known.contains(&facts.name.to_owned())) {
            if table::rows().all(|row| row.name.replace(' ', "|") != facts.name) {
                wrong.push(format!("{} is no command", facts.name));
                continue;
            }
            compared += 1;
            let docs = |client: &mut Client| document(client, facts.name, resp3);
            let (expected, found) = (docs(&mut twins.real), docs(&mut twins.ours));
            let later = server == "redis-8.0" && facts.since.starts_with(['7', '8']) && facts.since > "7.3";
            let is_free = |name: &str| {
                OWN_TEXTS.contains(&name) && (later || name == "history" && facts.name.starts_with("client|"))
            };
            let fields = |docs: &[(String, Value)]| -> Vec<(String, Value)> {
                docs.iter().filter(|(name, _)| !is_free(name)).cloned().collect()
            };
            if fields(&expected) != fields(&found) {
                wrong.push(format!("DOCS {}\n  real   {expected:?}\n  remora {found:?}", facts.name));
            }
            let info = |client: &mut Client| described(&client.call(&format!("COMMAND INFO {}", facts.name)));
            let (expected, found) = (info(&mut twins.real), info(&mut twins.ours));
            if expected != found {
                wrong.push(format!("INFO {}\n  real   {expected:?}\n  remora {found:?}", facts.name));
            }
        }
    }
    assert_none(&wrong);
    assert!(compared > 700, "only {compared} were compared");
}

/// The commands and subcommands of a server that are not those of its modules (vector sets).
fn names(client: &mut Client) -> Vec<String> {
    let all = client.must("COMMAND LIST").items().iter().map(Value::text).collect::<Vec<_>>();
    all.into_iter().filter(|name| name.chars().all(|c| !c.is_uppercase())).collect()
}

/// The fields of COMMAND DOCS in order, without the subcommands, which are asked for one by one.
fn document(client: &mut Client, name: &str, resp3: bool) -> Vec<(String, Value)> {
    let reply = client.call(&format!("COMMAND DOCS {name}"));
    let pairs = |value: &Value| -> Vec<(Value, Value)> {
        match value {
            Value::Map(pairs) if resp3 => pairs.clone(),
            Value::Array(items) if !resp3 => {
                items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
            }
            other => panic!("COMMAND DOCS {name}: {other:?}"),
        }
    };
    let fields = pairs(&reply).first().map(|(_, fields)| pairs(fields)).unwrap_or_default();
    let fields = fields.into_iter().map(|(name, value)| (name.text(), value));
    fields.filter(|(name, _)| name != "subcommands").collect()
}

/// An entry of COMMAND INFO: flags, categories and tips in any order, without its subcommands.
fn described(reply: &Value) -> Value {
    let mut entry = reply.items()[0].items().to_vec();
    assert_eq!(entry.len(), 10, "{entry:?}");
    entry.truncate(9);
    for at in [2, 6, 7] {
        let mut words = entry[at].items().to_vec();
        words.sort_by_key(|word| format!("{word:?}"));
        entry[at] = Value::Array(words);
    }
    Value::Array(entry).sorted()
}

fn figures_have_the_shape_of_a_real_replicas(server: &str) {
    let Some(beside) = begin(server) else { return };
    let mut master = beside.master.client();
    master.must("SET s:a v");
    master.must("RPUSH l a b c");
    master.must("SET n 12");
    for n in 0..300 {
        master.must(&format!("HSET h field:{n} {}", "x".repeat(30)));
        master.must(&format!("RPUSH long {}", "y".repeat(200)));
    }
    beside.settle();
    let mut wrong = beside.differences("MEMORY STATS\nMEMORY USAGE h\nMEMORY USAGE l SAMPLES 0\n", false, shape);
    wrong.extend(beside.differences("MEMORY STATS\nMEMORY DOCTOR\nMEMORY MALLOC-STATS\n", true, shape));
    let objects = "DEBUG OBJECT s:a\nDEBUG OBJECT n\nDEBUG OBJECT l\nDEBUG OBJECT h\nDEBUG OBJECT long\n";
    wrong.extend(beside.differences(objects, false, without_addresses));
    assert_none(&wrong);
    // A key's figure is what its deletion gives back, within what the allocator's books show.
    let mut ours = beside.remora.client();
    let weight = ours.must("MEMORY USAGE h SAMPLES 0").int();
    assert!((300 * 38..300 * 90).contains(&weight), "{weight} bytes for 300 fields of 38 and more bytes");
}

/// Names of fields, types, and nothing of numbers.
fn shape(_: &str, reply: &[u8]) -> String {
    fn of(value: &Value) -> Value {
        let digit = |text: &str| Value::Status(text.to_owned());
        match value {
            Value::Int(_) => digit("integer"),
            Value::Double(_) => digit("double"),
            Value::Bulk(text) if text.len() > 60 || text.iter().all(|c| b"0123456789.".contains(c)) => {
                digit("text")
            }
            Value::Array(items) => Value::Array(items.iter().map(of).collect()),
            Value::Map(pairs) => Value::Map(pairs.iter().map(|(name, value)| (name.clone(), of(value))).collect()),
            other => other.clone(),
        }
    }
    format!("{:?}", of(&parsed(reply)))
}

/// DEBUG OBJECT without where the value is, when it was used, and how its bytes are cut: LZF may do so differently.
fn without_addresses(_: &str, reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply).trim_end().to_owned();
    let machine = ["at:", "lru:", "lru_seconds_idle:", "serializedlength:"];
    let kept = text.split(' ').filter(|word| !machine.iter().any(|name| word.starts_with(name)));
    kept.collect::<Vec<_>>().join(" ")
}
