//! When two replies to the same request count as equal, command by command.

use crate::support::client::{Client, Value};

/// How two replies to a sample are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Agree {
    /// Byte by byte.
    Exactly,
    /// The same elements in any order.
    AsSet,
    /// The same pairs in any order.
    AsPairs,
    /// Whatever comes, in the same form and number: chance or the server's own clock decides.
    InForm,
    /// Chance picks: the same form and number, and nothing that is not there.
    Picked,
    /// Numbers that run with the clock.
    Nearly,
    /// The whole iteration, as a set; the cursor is this argument.
    Iterated(usize),
    /// A payload: put back on the master, it has the digest of the original.
    Restored,
}

pub(super) fn agreement(row: &str) -> Agree {
    match row {
        "keys" | "smembers" | "sinter" | "sunion" | "sdiff" | "hkeys" | "hvals" => Agree::AsSet,
        "hgetall" => Agree::AsPairs,
        "srandmember" | "hrandfield" | "zrandmember" => Agree::Picked,
        "randomkey" | "object idletime" | "object freq" | "memory usage" => Agree::InForm,
        "ttl" | "pttl" | "httl" | "hpttl" | "xinfo consumers" | "xpending" => Agree::Nearly,
        "scan" => Agree::Iterated(1),
        "hscan" | "sscan" | "zscan" => Agree::Iterated(2),
        "dump" => Agree::Restored,
        _ => Agree::Exactly,
    }
}

/// Everything in a reply, for commands that pick from a collection by chance: is it all there?
pub(super) fn is_part_of(picked: &Value, whole: &Value) -> bool {
    let (mut some, mut all) = (Vec::new(), Vec::new());
    leaves(picked, &mut some);
    leaves(whole, &mut all);
    some.iter().all(|item| all.contains(item))
}

fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) | Value::Set(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            leaves(key, out);
            leaves(value, out);
        }),
        other => out.push(format!("{other:?}")),
    }
}

/// Elements in groups of `by`, sorted.
pub(super) fn sorted(value: Value, by: usize) -> Value {
    match value {
        Value::Array(items) => {
            let mut groups: Vec<Vec<Value>> = items.chunks(by).map(<[Value]>::to_vec).collect();
            groups.sort_by_key(|group| format!("{group:?}"));
            Value::Array(groups.concat())
        }
        other => other.sorted(),
    }
}

pub(super) fn form(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("array of {} {}", items.len(), items.first().map(form).unwrap_or_default()),
        Value::Null => "null".into(),
        Value::Int(_) => "integer".into(),
        Value::Bulk(_) => "bulk".into(),
        Value::Double(_) => "double".into(),
        other => format!("{other:?}"),
    }
}

pub(super) fn nearly(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b || (*a > 0 && *b > 0 && (a - b).abs() < 5000),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly(&a.0, &b.0) && nearly(&a.1, &b.1))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly(a, b)),
        _ => a == b,
    }
}

/// All elements of an iteration from its beginning, each as often as one likes, as a set.
pub(super) fn iterated(
    client: &mut Client,
    request: &[Vec<u8>],
    cursor_at: usize,
) -> std::collections::BTreeSet<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut request = request.to_vec();
    request[cursor_at] = b"0".to_vec();
    let pairs = matches!(request[0].to_ascii_lowercase().as_slice(), b"hscan" | b"zscan")
        && !request
            .iter()
            .any(|word| word.eq_ignore_ascii_case(b"novalues") || word.eq_ignore_ascii_case(b"noscores"));
    loop {
        let reply = client.command(&request);
        let [cursor, items] = reply.items() else { panic!("{reply:?}") };
        found.extend(items.items().chunks(if pairs { 2 } else { 1 }).map(|group| format!("{group:?}")));
        request[cursor_at] = cursor.bytes().to_vec();
        if request[cursor_at] == b"0" {
            return found;
        }
    }
}
