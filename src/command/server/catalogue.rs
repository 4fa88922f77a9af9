//! COMMAND: what the table knows, told in the servers' form.

use crate::command::args::Args;
use crate::command::context::SessionCx;
use crate::command::facts::{Argument, Begin, Facts, Find, KeySpec, arguments, words};
use crate::command::keys_of::{KeysRefused, keys_of};
use crate::command::row::{Row, Run};
use crate::command::{glob, table};
use crate::dataset::Dialect;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::sync::LazyLock;

/// A command with what is known of it, and its subcommands.
#[derive(Debug)]
struct Entry {
    row: &'static Row,
    facts: &'static Facts,
    subs: Vec<Self>,
}

/// All commands with facts, in the order of the table. What no real server has is not told.
static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let (subs, mut entries): (Vec<_>, Vec<_>) = table::rows()
        .filter_map(|row| Some(Entry { row, facts: Facts::of(row.name)?, subs: Vec::new() }))
        .partition(|entry| entry.row.name.contains(' '));
    for sub in subs {
        let (container, _) = sub.row.name.split_once(' ').unwrap_or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.row.name == container) {
            entry.subs.push(sub);
        }
    }
    entries
});

/// Commands and subcommands, each behind its container.
fn all() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.iter().flat_map(|entry| std::iter::once(entry).chain(&entry.subs))
}

/// A command or subcommand by the name a client writes: `get`, `config|get`.
fn by_name(name: &[u8]) -> Option<&'static Entry> {
    all().find(|entry| entry.facts.name.as_bytes().eq_ignore_ascii_case(name))
}

pub(super) fn command(cx: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.array(CATALOGUE.len());
    CATALOGUE.iter().for_each(|entry| describe(entry, cx.dialect(), out));
    Ok(())
}

pub(super) fn count(_: &mut SessionCx<'_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    out.count(CATALOGUE.len());
    Ok(())
}

/// `COMMAND INFO [name ...]`: null for names that are not known.
pub(super) fn info(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.is_empty() {
        return command(cx, args, out);
    }
    out.array(args.remaining());
    for name in args {
        match by_name(name) {
            Some(entry) => describe(entry, cx.dialect(), out),
            None if cx.dialect().is_before_redis_7() => out.null_array(),
            None => out.null(),
        }
    }
    Ok(())
}

fn describe(entry: &Entry, dialect: Dialect, out: &mut Reply) {
    let facts = entry.facts.as_told(dialect.is_valkey());
    out.array(10);
    out.bulk(facts.name);
    out.integer(facts.arity.into());
    simple_set(facts.flags, out);
    out.integer(facts.first_key.into());
    out.integer(facts.last_key.into());
    out.integer(facts.step.into());
    simple_set(facts.acl, out);
    out.set(words(facts.tips).count());
    words(facts.tips).for_each(|tip| out.bulk(tip));
    out.set(facts.key_specs().count());
    facts.key_specs().for_each(|spec| describe_keys(spec, out));
    // No subcommands are an empty set to Redis.
    if entry.subs.is_empty() && !dialect.is_valkey() {
        out.set(0);
        return;
    }
    out.array(entry.subs.len());
    entry.subs.iter().for_each(|sub| describe(sub, dialect, out));
}

fn simple_set(list: &'static str, out: &mut Reply) {
    out.set(words(list).count());
    words(list).for_each(|word| out.simple(word));
}

fn describe_keys(spec: KeySpec, out: &mut Reply) {
    out.map(3 + usize::from(spec.note.is_some()));
    if let Some(note) = spec.note {
        out.bulk("notes");
        out.bulk(note);
    }
    out.bulk("flags");
    simple_set(spec.flags, out);
    out.bulk("begin_search");
    match spec.begin {
        Begin::Index(at) => typed("index", &[("index", at)], out),
        Begin::Unknown => typed("unknown", &[], out),
        Begin::Keyword(word, from) => {
            out.map(2);
            out.bulk("type");
            out.bulk("keyword");
            out.bulk("spec");
            out.map(2);
            out.bulk("keyword");
            out.bulk(word);
            out.bulk("startfrom");
            out.integer(from);
        }
    }
    out.bulk("find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            typed("range", &[("lastkey", last), ("keystep", step), ("limit", limit)], out);
        }
        Find::Count { index, first, step } => {
            typed("keynum", &[("keynumidx", index), ("firstkey", first), ("keystep", step)], out);
        }
        Find::Unknown => typed("unknown", &[], out),
    }
}

fn typed(kind: &str, numbers: &[(&str, i64)], out: &mut Reply) {
    out.map(2);
    out.bulk("type");
    out.bulk(kind);
    out.bulk("spec");
    out.map(numbers.len());
    for (name, number) in numbers {
        out.bulk(name);
        out.integer(*number);
    }
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`, subcommands included.
pub(super) fn list(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    if args.is_empty() {
        return names(|_| true, out);
    }
    let filter = (args.take("filterby"), args.optional(), args.optional(), args.is_empty());
    let (true, Some(kind), Some(value), true) = filter else { return Err(Refusal::SYNTAX) };
    match kind.to_ascii_lowercase().as_slice() {
        b"module" => names(|_| false, out),
        b"aclcat" => names(|facts| words(facts.acl).any(|cat| is_category(cat, value)), out),
        b"pattern" => names(|facts| glob::matches_any_case(value, facts.name.as_bytes()), out),
        _ => Err(Refusal::SYNTAX),
    }
}

/// `@read` is the category `READ`.
fn is_category(word: &str, name: &[u8]) -> bool {
    word.strip_prefix('@').is_some_and(|category| category.as_bytes().eq_ignore_ascii_case(name))
}

fn names(wanted: impl Fn(&Facts) -> bool, out: &mut Reply) -> Result<(), Refusal> {
    out.deferred(Reply::array, |out| {
        let wanted = all().filter(|entry| wanted(entry.facts));
        Ok(wanted.map(|entry| out.bulk(entry.facts.name)).count())
    })
}

/// `COMMAND DOCS [name ...]`
pub(super) fn docs(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let wanted: Vec<_> =
        if args.is_empty() { CATALOGUE.iter().collect() } else { args.by_ref().filter_map(by_name).collect() };
    out.map(wanted.len());
    let valkey = cx.dialect().is_valkey();
    wanted.into_iter().for_each(|entry| document(entry, valkey, out));
    Ok(())
}

/// Fields in the servers' order; those that say nothing are left out.
fn document(entry: &Entry, valkey: bool, out: &mut Reply) {
    let facts = entry.facts.as_told(valkey);
    out.bulk(facts.name);
    let mut fields = Fields::default();
    fields.text("summary", facts.summary);
    fields.text("since", facts.since);
    fields.text("group", facts.group);
    fields.text("complexity", facts.complexity);
    fields.add("doc_flags", facts.doc_flags.is_empty(), |out| simple_set(facts.doc_flags, out));
    fields.text("deprecated_since", facts.deprecated_since);
    fields.text("replaced_by", facts.replaced_by);
    fields.add("history", facts.history.is_empty(), |out| {
        out.set(facts.changes().count());
        for (version, text) in facts.changes() {
            out.array(2);
            out.bulk(version);
            out.bulk(text);
        }
    });
    fields.add("arguments", facts.arguments.is_empty(), |out| document_arguments(facts.arguments, out));
    fields.add("subcommands", entry.subs.is_empty(), |out| {
        out.map(entry.subs.len());
        entry.subs.iter().for_each(|sub| document(sub, valkey, out));
    });
    fields.write(out);
}

fn document_arguments(text: &'static str, out: &mut Reply) {
    let all: Vec<Argument> = arguments(text).collect();
    out.array(all.len());
    for argument in &all {
        let mut fields = Fields::default();
        fields.text("name", argument.name);
        fields.text("type", argument.kind);
        fields.optional("display_text", argument.shown);
        fields.add("key_spec_index", argument.key_spec.is_none(), |out| {
            out.integer(argument.key_spec.unwrap_or_default());
        });
        fields.optional("token", argument.token);
        fields.optional("summary", argument.summary);
        fields.optional("since", argument.since);
        fields.optional("deprecated_since", argument.deprecated_since);
        fields.add("flags", argument.flags.is_empty(), |out| {
            out.set(argument.flags.len());
            argument.flags.iter().for_each(|flag| out.simple(flag));
        });
        fields.add("arguments", argument.inner.is_none(), |out| {
            document_arguments(argument.inner.unwrap_or_default(), out);
        });
        fields.write(out);
    }
}

/// The fields of a map that is written once it is known how many there are.
#[derive(Default)]
struct Fields<'a>(Vec<(&'static str, WriteValue<'a>)>);

type WriteValue<'a> = Box<dyn FnOnce(&mut Reply) + 'a>;

impl<'a> Fields<'a> {
    fn add(&mut self, name: &'static str, missing: bool, value: impl FnOnce(&mut Reply) + 'a) {
        if !missing {
            self.0.push((name, Box::new(value)));
        }
    }

    fn text(&mut self, name: &'static str, text: &'a str) {
        self.add(name, text.is_empty(), move |out| out.bulk(text));
    }

    fn optional(&mut self, name: &'static str, text: Option<&'a str>) {
        self.add(name, text.is_none(), move |out| out.bulk(text.unwrap_or_default()));
    }

    fn write(self, out: &mut Reply) {
        out.map(self.0.len());
        for (name, value) in self.0 {
            out.bulk(name);
            value(out);
        }
    }
}

pub(super) fn getkeys(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let keys = keys_of_request(args)?;
    out.array(keys.len());
    keys.iter().for_each(|(key, _)| out.bulk(key));
    Ok(())
}

pub(super) fn getkeysandflags(_: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let keys = keys_of_request(args)?;
    out.array(keys.len());
    for (key, flags) in keys {
        out.array(2);
        out.bulk(key);
        let shown = words(flags).filter(|flag| !matches!(*flag, "variable_flags" | "incomplete"));
        out.set(shown.clone().count());
        shown.for_each(|flag| out.simple(flag));
    }
    Ok(())
}

fn keys_of_request<'a>(args: &mut Args<'a>) -> Result<Vec<(&'a [u8], &'static str)>, Refusal> {
    let request: Vec<&[u8]> = args.collect();
    let Some((found, _)) = request.first().and_then(|name| table::find(name, request.get(1).copied())) else {
        return Err(Refusal::text("ERR Invalid command specified"));
    };
    let row = found.row;
    // A container whose subcommand there is not.
    if matches!(row.run, Run::Container) && request.len() > 1 {
        return Err(Refusal::text("ERR Invalid command specified"));
    }
    if Facts::of(row.name).is_none_or(|facts| facts.key_specs().all(|spec| spec.flags.starts_with("not_key"))) {
        return Err(Refusal::text("ERR The command has no key arguments"));
    }
    if !row.arity_fits(request.len()) {
        return Err(Refusal::text("ERR Invalid number of arguments specified for command"));
    }
    match keys_of(found, &request) {
        Err(KeysRefused) if Facts::of(row.name).is_some_and(|facts| facts.has("no_mandatory_keys")) => {
            Ok(Vec::new())
        }
        keys => keys.map_err(|KeysRefused| Refusal::text("ERR Invalid arguments specified for command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Session as Harness;

    #[test]
    fn info_has_ten_fields_and_null_for_unknown_names() {
        let mut client = Harness::new(&[]);
        let get = "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n\
                   *3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n\
                   *1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n\
                   $5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n\
                   $5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n\
                   $5\r\nlimit\r\n:0\r\n*0\r\n";
        assert_eq!(client.ask("COMMAND INFO nosuch GET"), format!("*2\r\n$-1\r\n{get}"));
        let config = client.ask("COMMAND INFO config");
        assert!(config.contains("config|get") && config.contains("config|rewrite"), "{config}");
        let top = CATALOGUE.len();
        assert_eq!(client.ask("COMMAND COUNT"), format!(":{top}\r\n"));
        assert!(client.ask("COMMAND").starts_with(&format!("*{top}\r\n")));
        assert!(client.ask("COMMAND INFO").starts_with(&format!("*{top}\r\n")));
    }

    #[test]
    fn lists_are_filtered_by_category_and_pattern() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("COMMAND LIST FILTERBY PATTERN client|k*", "*1\r\n$11\r\nclient|kill\r\n"),
            ("COMMAND LIST FILTERBY MODULE x", "*0\r\n"),
            ("COMMAND LIST FILTERBY ACLCAT nosuch", "*0\r\n"),
            ("COMMAND LIST FILTERBY foo bar", "-ERR syntax error\r\n"),
            ("COMMAND LIST FILTERBY PATTERN", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
        assert!(client.ask("COMMAND LIST FILTERBY ACLCAT connection").contains("client|id"));
        assert!(client.ask("COMMAND LIST").contains("\r\nget\r\n"));
    }

    #[test]
    fn docs_tell_what_a_command_is_for() {
        let mut client = Harness::new(&[]);
        let text = client.ask("COMMAND DOCS get nosuch");
        assert!(text.starts_with("*2\r\n$3\r\nget\r\n*10\r\n$7\r\nsummary\r\n"), "{text}");
        assert!(client.ask("COMMAND DOCS slaveof").contains("$16\r\ndeprecated_since\r\n$5\r\n5.0.0\r\n"));
        assert!(client.ask("COMMAND DOCS config|get").starts_with("*2\r\n$10\r\nconfig|get\r\n"));
    }

    #[test]
    fn keys_are_found_in_requests() {
        let mut client = Harness::new(&[]);
        for (request, reply) in [
            ("COMMAND GETKEYS mset a b c d", "*2\r\n$1\r\na\r\n$1\r\nc\r\n"),
            ("COMMAND GETKEYS get", "-ERR Invalid number of arguments specified for command\r\n"),
            ("COMMAND GETKEYS nosuch", "-ERR Invalid command specified\r\n"),
            ("COMMAND GETKEYS ping", "-ERR The command has no key arguments\r\n"),
            ("COMMAND GETKEYS xread a b c", "-ERR Invalid arguments specified for command\r\n"),
            ("COMMAND GETKEYSANDFLAGS get x", "*1\r\n*2\r\n$1\r\nx\r\n*2\r\n+RO\r\n+access\r\n"),
        ] {
            assert_eq!(client.ask(request), reply, "{request}");
        }
    }
}
