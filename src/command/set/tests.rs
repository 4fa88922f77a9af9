use crate::command::testing::Bench;
use crate::dataset::{Dialect, ValueRef};
use crate::resp::reply::Proto;
use std::collections::BTreeSet;

const OLD: Dialect = Dialect::Redis(7, 0);
const NEW: Dialect = Dialect::Redis(8, 0);
const VALKEY: Dialect = Dialect::Valkey(9, 1);

fn bench(dialect: Dialect, lines: &[&str]) -> Bench {
    let mut bench = Bench::new();
    bench.data.limits.dialect = dialect;
    for line in lines {
        bench.apply(line).unwrap_or_else(|why| panic!("{line}: {why}"));
    }
    bench
}

fn check(bench: &Bench, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(bench.ask(line), *expected, "{line}");
    }
}

fn encoding(bench: &Bench, key: &[u8]) -> &'static str {
    match bench.data.db(bench.db).unwrap().get(key).map(|entry| entry.value()) {
        Some(ValueRef::Set(set)) => set.encoding(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_as_the_servers_do() {
    let mut bench = bench(NEW, &["SADD s a b c", "SADD i 3 1 2", "SADD one x", "HSET h f v"]);
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(
        &bench,
        &[
            ("SMEMBERS s", "*3 $1 a $1 b $1 c"),
            ("SMEMBERS i", "*3 $1 1 $1 2 $1 3"),
            ("SMEMBERS missing", "*0"),
            ("SMEMBERS h", wrong_type),
            ("SISMEMBER s b", ":1"),
            ("SISMEMBER i 03", ":0"),
            ("SMISMEMBER s a z", "*2 :1 :0"),
            ("SMISMEMBER missing a z", "*2 :0 :0"),
            ("SCARD i", ":3"),
            ("SRANDMEMBER one", "$1 x"),
            ("SRANDMEMBER one 9223372036854775807", "*1 $1 x"),
            ("SRANDMEMBER one -2", "*2 $1 x $1 x"),
            ("SRANDMEMBER one 0", "*0"),
            ("SRANDMEMBER missing", "$-1"),
            ("SRANDMEMBER missing 2", "*0"),
            ("SRANDMEMBER missing x y", "-ERR syntax error"),
            ("SRANDMEMBER missing x", "-ERR value is not an integer or out of range"),
            ("SSCAN s 0 match [ab]", "*2 $1 0 *2 $1 a $1 b"),
            ("SSCAN i 0", "*2 $1 0 *3 $1 1 $1 2 $1 3"),
            ("SINTER s s", "*3 $1 a $1 b $1 c"),
            ("SINTER s missing", "*0"),
            ("SINTER missing h", wrong_type),
            ("SUNION i missing one", "*4 $1 1 $1 2 $1 3 $1 x"),
            ("SDIFF i one", "*3 $1 1 $1 2 $1 3"),
            ("SDIFF missing h", wrong_type),
            ("SINTERCARD 2 s i", ":0"),
            ("SINTERCARD 1 i", ":3"),
            ("SINTERCARD 1 i LIMIT 2", ":2"),
            ("SINTERCARD 1 i LIMIT 0", ":3"),
            ("SINTERCARD 1 i LIMIT 1 LIMIT 2", ":2"),
            ("SINTERCARD 0 i", "-ERR numkeys should be greater than 0"),
            ("SINTERCARD x i", "-ERR numkeys should be greater than 0"),
            ("SINTERCARD 2 i", "-ERR Number of keys can't be greater than number of args"),
            ("SINTERCARD 1 i LIMIT", "-ERR syntax error"),
            ("SINTERCARD 1 i LIMIT x", "-ERR LIMIT can't be negative"),
            ("SINTERCARD 1 i LIMIT -1", "-ERR LIMIT can't be negative"),
            ("SINTERCARD 1 i nope", "-ERR syntax error"),
            ("SINTERCARD 2 missing h", wrong_type),
            ("SINTERCARD 2 missing h LIMIT -1", "-ERR LIMIT can't be negative"),
        ],
    );
    bench.proto = Proto::Resp3;
    check(
        &bench,
        &[
            ("SMEMBERS s", "~3 $1 a $1 b $1 c"),
            ("SMEMBERS missing", "~0"),
            ("SINTER i i", "~3 $1 1 $1 2 $1 3"),
            ("SUNION missing", "~0"),
            ("SRANDMEMBER one 1", "*1 $1 x"),
            ("SRANDMEMBER missing", "_"),
            ("SISMEMBER s a", ":1"),
        ],
    );
}

#[test]
fn stored_results_take_the_form_they_have_on_the_masters() {
    let long = format!("SADD t {} 1 2", "x".repeat(65));
    let ints = |key: &str| {
        let ints: Vec<String> = (0..300).map(|i| i.to_string()).collect();
        format!("SADD {key} {}{key} {}", "x".repeat(65), ints.join(" "))
    };
    let (big, other) = (ints("u"), ints("v"));
    let check = |lines: &[&str], old: &str, new: &str| {
        for (dialect, expected) in [(OLD, old), (NEW, new), (VALKEY, new)] {
            assert_eq!(encoding(&bench(dialect, lines), b"d"), expected, "{dialect:?} {lines:?}");
        }
    };
    // all as measured on redis 6.0 to valkey 9.1
    check(&[&long, "SADD o 1 2 3", "SINTERSTORE d t o"], "intset", "intset");
    check(&[&long, "SREM t xx", "SDIFFSTORE d t missing"], "hashtable", "hashtable");
    check(&["SADD a x 1 2", "SADD b y 1 2", "SINTERSTORE d a b"], "intset", "intset");
    check(&["SADD a x 1 2", "SDIFFSTORE d a missing"], "hashtable", "listpack");
    check(&[&big, &other, "SINTERSTORE d u v"], "intset", "intset");
    check(&[&big, "SDIFFSTORE d u missing"], "hashtable", "hashtable");
    check(&["SADD a 1 2", "SADD b 3", "SUNIONSTORE d a b"], "intset", "intset");
    check(&["SADD a 1 2", "SMOVE a d 1"], "intset", "intset");
    check(&["SADD a x 2", "SMOVE a d x"], "hashtable", "listpack");
}

#[test]
fn a_difference_that_was_a_table_on_the_way_stays_one() {
    // Removing ten small sets from a copy is less work than asking each of them for every member.
    let members: Vec<String> = (0..200).map(|i| format!("m{i}")).collect();
    let mut lines = vec![format!("SADD a {}", members.join(" "))];
    lines.extend((0..10).map(|k| format!("SADD k{k} x {}", members[(k * 20).max(3)..k * 20 + 20].join(" "))));
    lines.push(format!("SADD big {}", members[3..].join(" ")));
    lines.push("SDIFFSTORE d a k0 k1 k2 k3 k4 k5 k6 k7 k8 k9".to_owned());
    lines.push("SDIFFSTORE e a big".to_owned());
    let bench = bench(NEW, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    check(&bench, &[("SCARD d", ":3"), ("SCARD e", ":3"), ("SMISMEMBER d m0 m1 m2", "*3 :1 :1 :1")]);
    assert_eq!(encoding(&bench, b"d"), "hashtable");
    assert_eq!(encoding(&bench, b"e"), "listpack");
}

#[test]
fn members_move_and_empty_sets_go() {
    let mut bench = bench(NEW, &["SADD s a b", "SADD t a", "SMOVE s t a", "SMOVE s t zz", "SMOVE missing t a"]);
    check(&bench, &[("SMEMBERS s", "*1 $1 b"), ("SMEMBERS t", "*1 $1 a")]);
    bench.apply("SMOVE s s b").unwrap();
    bench.apply("SMOVE s new b").unwrap();
    check(&bench, &[("SMEMBERS s", "*0"), ("SMEMBERS new", "*1 $1 b")]);
    bench.apply("SREM t a zz").unwrap();
    bench.apply("SREM missing a").unwrap();
    bench.apply("SPOP new 5").unwrap();
    assert!(bench.data.db(bench.db).unwrap().is_empty());
    for line in ["SADD d x", "SADD s a", "SINTERSTORE d s missing"] {
        bench.apply(line).unwrap();
    }
    check(&bench, &[("SCARD d", ":0")]);
}

#[test]
fn a_result_replaces_a_key_of_any_type_and_its_own_sources() {
    let bench = bench(NEW, &["SADD s 1 2 3", "HSET d f v", "SDIFFSTORE d s missing", "SUNIONSTORE s s d"]);
    check(&bench, &[("SMEMBERS d", "*3 $1 1 $1 2 $1 3"), ("SCARD s", ":3")]);
}

#[test]
fn what_cannot_be_applied_changes_nothing() {
    let mut bench = bench(NEW, &["SADD s a b", "HSET h f v"]);
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for (line, why) in [
        ("SADD h a", wrong_type),
        ("SREM h a", wrong_type),
        ("SMOVE s h a", wrong_type),
        ("SMOVE h s a", wrong_type),
        ("SUNIONSTORE s s h", wrong_type),
        ("SINTERSTORE s missing h", wrong_type),
        ("SPOP s", "ERR SPOP takes members by chance, which cannot be repeated"),
        ("SPOP s -1", "ERR value is out of range, must be positive"),
        ("SPOP s 1 2", "ERR syntax error"),
    ] {
        assert_eq!(bench.apply(line).map_err(|why| why.to_string()), Err(why.to_owned()), "{line}");
    }
    check(&bench, &[("SMEMBERS s", "*2 $1 a $1 b"), ("HLEN h", ":1")]);
}

#[test]
fn algebra_agrees_with_a_model_in_every_form() {
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = bench([OLD, NEW, VALKEY][random.usize(0..3)], &[]);
        let keys = ["a", "b", "c", "d"];
        let mut model: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 3];
        for (key, members) in keys.iter().zip(&mut model) {
            let (prefix, count) = ([("", 300), ("m", 60), ("", 40), ("m", 300)])[random.usize(0..4)];
            for _ in 0..random.usize(0..count) {
                let member = format!("{}{}", if random.u8(..) < 200 { prefix } else { "" }, random.u8(..));
                bench.apply(&format!("SADD {key} {member}")).unwrap();
                members.insert(member);
            }
        }
        let [a, b, c] = &model[..] else { panic!("three sets") };
        let of = |picked: Box<dyn Fn(&String) -> bool + '_>| -> BTreeSet<String> {
            a.iter().chain(b).chain(c).filter(|member| picked(member)).cloned().collect()
        };
        for (name, expected) in [
            ("INTER", of(Box::new(|m| a.contains(m) && b.contains(m) && c.contains(m)))),
            ("UNION", of(Box::new(|_| true))),
            ("DIFF", of(Box::new(|m| a.contains(m) && !b.contains(m) && !c.contains(m)))),
        ] {
            bench.apply(&format!("S{name}STORE d a b c")).unwrap();
            for line in [format!("S{name} a b c"), "SMEMBERS d".to_owned()] {
                let seen: BTreeSet<String> =
                    bench.ask(&line).split(' ').skip(2).step_by(2).map(str::to_owned).collect();
                assert_eq!(seen, expected, "seed {seed}: {line} after S{name}STORE");
            }
        }
    }
}
