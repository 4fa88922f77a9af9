//! Scripts and functions: replies byte by byte as a real replica's of the same master, what writes and what runs too
//! long, and that others go on meanwhile.

use crate::support::beside::{Beside, Twins, whole};
use crate::support::client::{Client, Value, encode, words};
use crate::support::folder;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use remora::command::scripting::cache::Sha;
use std::time::Duration;

for_each_master!(scripts_are_judged_when_they_are_queued);

/// The lines of `tests/data/scripts.txt` for one server: those for the master, those that are compared.
fn lines(server: &str) -> (Vec<String>, Vec<String>) {
    let text = std::fs::read_to_string(folder::data("scripts.txt")).expect("tests/data/scripts.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut first, mut compared) = (Vec::new(), Vec::new());
    for line in lines {
        let restricted = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        match (line.strip_prefix('!'), restricted) {
            (Some(line), _) => first.push(line.to_owned()),
            (_, Some((names, line))) if names.split(',').any(|name| name == server) => {
                compared.push(line.to_owned());
            }
            (_, Some(_)) => {}
            _ => compared.push(line.to_owned()),
        }
    }
    (first, compared)
}

fn ask(client: &mut Client, line: &str) -> Vec<u8> {
    client.send_raw(&encode(&words(line)));
    client.raw_reply()
}

/// On a big stack: some replies are nested thousands deep, and the test's client reads them by recursion.
fn replies_agree(server: &'static str) {
    const STACK_BYTES: usize = 256 << 20;
    let test = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| compare_replies(server));
    if let Err(panic) = test.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

fn compare_replies(server: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let (first, compared) = lines(server);
    first.iter().for_each(|line| drop(master.client().must(line)));
    let followed = format!("--replicaof 127.0.0.1 {}", master.port);
    let Some(replica) = Real::start(server, &[&followed]) else { return };
    let remora = Remora::follow(master.port, &[]);
    let offset = remora.wait_caught_up(&mut master.client());
    wait::until("the real replica has caught up", Duration::from_secs(60), || {
        let info = replica.client().info("replication");
        info["master_link_status"] == "up" && info["slave_repl_offset"].parse().is_ok_and(|own: i64| own >= offset)
    });
    let mut wrong = Vec::new();
    for connect in [Client::connect, Client::connect_resp3] {
        let (mut real, mut ours) = (connect(replica.port), connect(remora.port));
        for line in &compared {
            let (expected, found) = (ask(&mut real, line), ask(&mut ours, line));
            if expected != found {
                let shown = |bytes: &[u8]| bytes[..bytes.len().min(500)].escape_ascii().to_string();
                wrong.push(format!("{line}\n  real   {}\n  remora {}", shown(&expected), shown(&found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{server}: {} replies differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared.len() > 400, "only {} lines", compared.len());
}

#[test]
fn scripts_answer_as_on_a_replica_of_redis_8_0() {
    replies_agree("redis-8.0");
}

#[test]
fn scripts_answer_as_on_a_replica_of_redis_7_0() {
    replies_agree("redis-7.0");
}

#[test]
fn scripts_answer_as_on_a_replica_of_valkey_9_1() {
    replies_agree("valkey-9.1");
}

/// A master and a remora that follows it, with these settings; `None` without the peer.
fn pair(settings: &[&str]) -> Option<(Real, Remora)> {
    let master = Real::start("redis-8.0", &[])?;
    master.client().must("SET k v");
    let remora = Remora::follow(master.port, settings);
    remora.wait_caught_up(&mut master.client());
    Some((master, remora))
}

#[test]
fn a_busy_script_holds_up_only_scripts_and_can_be_killed() {
    let Some((master, remora)) = pair(&["--busy-reply-threshold", "100"]) else { return };
    let (mut spinning, mut other) = (remora.client(), remora.client());
    for line in [
        "EVAL \"while true do end\" 0",
        "EVAL \"while true do pcall(function() while true do end end) end\" 0",
        "EVAL \"while true do xpcall(function() while true do end end, function() while true do end end) end\" 0",
        "EVAL \"local co = coroutine.wrap(function() while true do end end) co()\" 0",
        "EVAL \"while true do coroutine.resume(coroutine.create(function() while true do end end)) end\" 0",
        "EVAL \"return string.find(string.rep('a', 100000), '.-.-.-.-.-.-b')\" 0",
        "EVAL \"while true do redis.pcall('GET', 'k') end\" 0",
    ] {
        spinning.send(&words(line));
        wait::until("another script is refused", SOON, || {
            other.call("EVAL \"return 1\" 0").text_starts("BUSY Redis is busy running a script.")
        });
        assert_eq!(other.must("GET k").text(), "v", "others are served meanwhile");
        assert!(other.call("FUNCTION KILL").text_starts("BUSY"), "{line}");
        assert!(other.must("SCRIPT KILL").text_is("OK"));
        let reply = spinning.reply();
        assert!(reply.text().contains("Script killed by user with SCRIPT KILL"), "{line}: {reply:?}");
        assert_eq!(other.must("EVAL \"return 1\" 0").int(), 1);
    }
    assert!(other.call("SCRIPT KILL").text_starts("NOTBUSY"));
    master.client().must("SET k after");
    remora.wait_caught_up(&mut master.client());
    assert_eq!(other.must("EVAL \"return redis.call('GET', 'k')\" 0").text(), "after");
}

#[test]
fn who_waits_behind_a_script_that_becomes_busy_is_told() {
    let Some((master, remora)) = pair(&["--busy-reply-threshold", "2000"]) else { return };
    let spin = "FUNCTION LOAD \"#!lua name=lib\nredis.register_function{function_name='spin', \
                callback=function() while true do end end, flags={'no-writes'}}\"";
    master.client().must(&spin.replace("\n", "\\n"));
    remora.wait_caught_up(&mut master.client());
    let (mut spinning, mut waiting, mut other) = (remora.client(), remora.client(), remora.client());
    spinning.send(&words("FCALL spin 0"));
    wait::until("the function runs", SOON, || other.must("FUNCTION STATS").items()[1] != Value::Null);
    waiting.send(&words("EVAL \"return 1\" 0"));
    assert!(waiting.reply().text_starts("BUSY Redis is busy running a script. You can only call FUNCTION KILL"));
    assert!(other.call("SCRIPT KILL").text_starts("BUSY"));
    other.must("FUNCTION KILL");
    assert!(spinning.reply().is_error());
}

#[test]
fn bombs_end_in_errors_and_the_next_script_runs() {
    let Some((_master, remora)) = pair(&["--busy-reply-threshold", "0"]) else { return };
    let mut client = remora.client();
    for line in [
        "EVAL \"return string.rep('x', 2000000000)\" 0",
        "EVAL \"local s = 'x' while true do s = s .. s end\" 0",
        "EVAL \"local t = {} while true do t[#t + 1] = string.rep('x', 100000) .. #t end\" 0",
        "EVAL \"collectgarbage('stop') local t while true do t = {t} end\" 0",
        "EVAL \"local s = string.rep('x', 50000000) local t = {} for i = 1, 100 do t[i] = s end return t\" 0",
        "EVAL \"local function f() return coroutine.wrap(f)() end return f()\" 0",
        "EVAL \"local f f = function() return (string.gsub('a', 'a', f)) end return f()\" 0",
        "EVAL \"local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end return t.a\" 0",
        "EVAL \"return string.find(string.rep('a', 5000), string.rep('a?', 5000) .. 'b')\" 0",
        "EVAL \"return string.rep('', 2000000000) .. string.format('%s', string.rep('(', 100000)) .. loadstring(string.rep('(', 100000))()\" 0",
        "EVAL \"local t = {} for i = 1, 200000 do t = {t} end return cjson.encode(t)\" 0",
        "EVAL \"error(setmetatable({}, {__index = function() error('x') end}))\" 0",
    ] {
        let reply = client.call(line);
        assert!(reply.is_error(), "{line}: {reply:?}");
        assert_eq!(client.must("EVAL \"return redis.call('GET', 'k')\" 0").text(), "v", "after {line}");
    }
    let memory: i64 = client.info("memory")["used_memory_vm_eval"].parse().expect("a number");
    assert!(memory < 200 << 20, "{memory} bytes stay");
}

#[test]
fn a_transaction_runs_its_scripts_within() {
    // Short for the endless one, long for the others on a machine that has no time for them.
    let Some((_master, remora)) = pair(&["--busy-reply-threshold", "2000"]) else { return };
    let mut client = remora.client();
    let sha = client.must("SCRIPT LOAD \"return redis.call('GET', KEYS[1])\"").text();
    client.must("MULTI");
    for line in [
        "GET k".to_owned(),
        format!("EVALSHA {sha} 1 k"),
        "EVAL \"return redis.call('SET', 'k', 1)\" 0".to_owned(),
        "EVAL \"while true do end\" 0".to_owned(),
        "PING".to_owned(),
    ] {
        assert!(client.must(&line).text_is("QUEUED"), "{line}");
    }
    let replies = client.must("EXEC");
    let [get, script, write, endless, ping] = replies.items() else { panic!("{replies:?}") };
    assert!(get.text_is("v") && script.text_is("v") && ping.text_is("PONG"), "{replies:?}");
    assert!(write.text_starts("READONLY"), "{write:?}");
    assert!(endless.text().contains("Script killed by user"), "{endless:?}");
}

#[test]
fn the_cache_of_scripts_is_kept_and_counted() {
    let Some((_master, remora)) = pair(&[]) else { return };
    let mut client = remora.client();
    let loaded = client.must("SCRIPT LOAD \"return 'loaded'\"").text();
    for n in 0..600 {
        assert_eq!(client.must(&format!("EVAL \"return {n}\" 0")).int(), n);
    }
    let memory = client.info("memory");
    assert_eq!(memory["number_of_cached_scripts"], "501");
    assert_eq!(client.info("stats")["evicted_scripts"], "100");
    assert!(client.must(&format!("EVALSHA {loaded} 0")).text_is("loaded"));
    assert!(client.must("SCRIPT FLUSH").text_is("OK"));
    assert!(client.call(&format!("EVALSHA {loaded} 0")).text_starts("NOSCRIPT"));
    assert_eq!(client.info("memory")["number_of_cached_scripts"], "0");
}

#[test]
fn functions_follow_the_master() {
    let Some((master, remora)) = pair(&[]) else { return };
    let (mut theirs, mut ours) = (master.client(), remora.client());
    let load = |version: i32| {
        format!(
            "FUNCTION LOAD REPLACE \"#!lua name=lib\\nredis.register_function{{function_name='f', \
             callback=function() return {version} end, flags={{'no-writes'}}, description='says {version}'}}\""
        )
    };
    for version in 1..3 {
        theirs.must(&load(version));
        remora.wait_caught_up(&mut theirs);
        assert_eq!(ours.must("FCALL f 0").int(), i64::from(version));
        let sorted = |client: &mut Client| client.must("FUNCTION LIST WITHCODE").sorted();
        assert_eq!(sorted(&mut ours), sorted(&mut theirs));
    }
    assert_eq!(ours.info("memory")["number_of_functions"], "1");
    let payload = ours.must("FUNCTION DUMP");
    theirs.must("FUNCTION FLUSH");
    remora.wait_caught_up(&mut theirs);
    assert!(ours.call("FCALL f 0").text_starts("ERR Function not found"));
    assert!(theirs.command(&[&b"FUNCTION"[..], b"RESTORE", payload.bytes()]).text_is("OK"));
    remora.wait_caught_up(&mut theirs);
    assert_eq!(ours.must("FCALL_RO f 0").int(), 2);
}

#[test]
fn a_script_may_do_no_more_than_who_calls_it() {
    let Some((_master, remora)) = pair(&[]) else { return };
    let mut client = remora.client();
    client.must("ACL SETUSER small on nopass ~k +eval +get +auth");
    client.must("AUTH small x");
    assert_eq!(client.must("EVAL \"return redis.call('GET', 'k')\" 0").text(), "v");
    for line in ["EVAL \"return redis.call('GET', 'other')\" 0", "EVAL \"return redis.call('STRLEN', 'k')\" 0"] {
        let reply = client.call(line);
        assert!(reply.is_error() && reply.text().contains("ACL failure in script"), "{line}: {reply:?}");
    }
    let asked = "EVAL \"return {redis.acl_check_cmd('GET', 'k'), redis.acl_check_cmd('GET', 'x')}\" 0";
    assert_eq!(client.must(asked).items(), [Value::Int(1), Value::Null]);
}

#[test]
fn pipelined_scripts_answer_in_order() {
    let Some((_master, remora)) = pair(&[]) else { return };
    let mut client = remora.client();
    let requests: Vec<Vec<Vec<u8>>> = (0..300)
        .map(|n| words(&if n % 3 == 0 { "GET k".to_owned() } else { format!("EVAL \"return {n}\" 0") }))
        .collect();
    let replies = client.pipeline(&requests);
    for (n, reply) in replies.iter().enumerate() {
        let expected = if n % 3 == 0 { Value::Bulk(b"v".to_vec()) } else { Value::Int(n as i64) };
        assert_eq!(*reply, expected, "{n}");
    }
}

/// What the master has, for a replica's clients to call.
const LIBRARY: &str = "FUNCTION LOAD \"#!lua name=lib\\nlocal function one() return 1 end \
    redis.register_function{function_name='w', callback=one} \
    redis.register_function{function_name='n', callback=one, flags={'no-writes'}} \
    redis.register_function{function_name='ns', callback=one, flags={'no-writes', 'allow-stale'}}\"";

/// First lines of scripts, with and without the promise not to write, and such as are none.
const FIRST_LINES: [&str; 10] = [
    "",
    "#!lua\\n",
    "#!lua flags=no-writes\\n",
    "#!lua flags=no-writes,allow-stale\\n",
    "#!lua flags=allow-stale\\n",
    "#!lua flags=allow-oom\\n",
    "#!lua flags=x\\n",
    "#!python\\n",
    "#!lua",
    "#!lua\\n((",
];

/// Requests that run scripts; those of `FIRST_LINES` are loaded on both replicas, as far as that goes.
fn requests(server: &str) -> Vec<String> {
    let source = |first: &str| format!("{first}return 1").replace("\\n", "\n");
    let sha = |first: &str| Sha::of(source(first).as_bytes()).to_string();
    let mut all = vec!["EVALSHA x 0".to_owned(), format!("EVALSHA {} x", sha("#!lua\\n"))];
    for form in if server == "redis-6.0" { &[""][..] } else { &["", "_RO"] } {
        all.extend(FIRST_LINES.map(|first| format!("EVAL{form} \"{first}return 1\" 0")));
        all.extend(FIRST_LINES.map(|first| format!("EVALSHA{form} {} 0", sha(first))));
        all.extend(["x", "9"].map(|count| format!("EVAL{form} \"#!lua\\nreturn 1\" {count}")));
        all.extend(["x", "9"].map(|count| format!("EVAL{form} \"#!lua flags=no-writes\\nreturn 1\" {count}")));
        all.extend(["x", "9"].map(|count| format!("EVAL{form} \"return 1\" {count}")));
        if server != "redis-6.0" {
            let functions = ["w 0", "W 0", "w x", "n 0", "N x", "ns 0", "nosuch 0", "nosuch x"];
            all.extend(functions.map(|function| format!("FCALL{form} {function}")));
        }
    }
    all
}

/// What becomes known between MULTI and EXEC is judged by EXEC.
fn learnt_behind_queueing(beside: &Beside, twins: &mut Twins, with_functions: bool) {
    let sources = ["#!lua\n", "#!lua flags=no-writes\n", ""].map(|first| format!("{first}return 2"));
    twins.compare("MULTI", &whole);
    for source in &sources {
        twins.compare(&format!("EVALSHA {} 0", Sha::of(source.as_bytes())), &whole);
    }
    if with_functions {
        ["FCALL later 0", "FCALL_RO later 0"].iter().for_each(|line| twins.compare(line, &whole));
        let late = LIBRARY.replace("=lib", "=late").replace("'w'", "'later'").replace("='n", "='m");
        beside.master.client().must(&late);
        beside.settle();
    }
    for source in &sources {
        let load = |mut client: Client| drop(client.command(&["SCRIPT", "LOAD", source]));
        [beside.replica.client(), beside.remora.client()].into_iter().for_each(load);
    }
    twins.compare("EXEC", &whole);
    if with_functions {
        beside.master.client().must(&LIBRARY.replace("=lib", "=next").replace("='", "='next"));
        beside.settle();
        for line in ["MULTI", "FCALL nextn 0", "FCALL nextw 0", "EXEC"] {
            twins.compare(line, &whole);
        }
    }
}

/// How often commands that run scripts ran, were rejected, and failed.
fn script_counts(client: &mut Client) -> Vec<String> {
    let counted = |(name, line): (String, String)| {
        let calls = line.split(',').filter(|field| field.contains("calls=")).collect::<Vec<_>>().join(",");
        (name.starts_with("cmdstat_eval") || name.starts_with("cmdstat_fcall")).then(|| format!("{name}:{calls}"))
    };
    client.info("commandstats").into_iter().filter_map(counted).collect()
}

fn scripts_are_judged_when_they_are_queued(server: &str) {
    let stale = "replica-serve-stale-data no";
    let Some(mut beside) = Beside::start(server, &[&format!("--{stale}")], &["--replica-serve-stale-data", "no"])
    else {
        return;
    };
    if server != "redis-6.0" {
        beside.master.client().must(LIBRARY);
        beside.settle();
        wait::until("remora has looked at the library", SOON, || {
            beside.remora.client().info("memory")["number_of_functions"] == "3"
        });
    }
    let mut twins = beside.twins(false);
    for first in FIRST_LINES {
        twins.compare(&format!("SCRIPT LOAD \"{first}return 1\""), &whole);
    }
    let requests = requests(server);
    let ask_all = |twins: &mut Twins| {
        for request in &requests {
            for line in [request, "MULTI", request, "EXEC"] {
                twins.compare(line, &whole);
            }
        }
    };
    ask_all(&mut twins);
    if server.starts_with("valkey") {
        for line in ["CLIENT CAPA redirect", "READONLY"] {
            twins.compare(line, &whole);
            ask_all(&mut twins);
        }
    }
    learnt_behind_queueing(&beside, &mut twins, server != "redis-6.0");
    let [real, ours] = [&mut twins.real, &mut twins.ours].map(script_counts);
    assert_eq!(real, ours, "{server}");
    // Queued before and run behind the loss of the master.
    let mut queued: Vec<_> = requests.iter().map(|_| beside.twins(false)).collect();
    for (twins, request) in queued.iter_mut().zip(&requests) {
        ["MULTI", request].iter().for_each(|line| twins.compare(line, &whole));
    }
    beside.master.kill();
    wait::until("both have lost their master", SOON, || {
        let lost = |mut client: Client| client.info("replication")["master_link_status"] == "down";
        lost(beside.replica.client()) && lost(beside.remora.client())
    });
    queued.iter_mut().for_each(|twins| twins.compare("EXEC", &whole));
    let mut after = beside.twins(false);
    ask_all(&mut after);
    let wrong: Vec<String> = queued.into_iter().chain([twins, after]).flat_map(|twins| twins.wrong).collect();
    assert!(wrong.is_empty(), "{server}: {} replies differ:\n{}", wrong.len(), wrong.join("\n"));
}
