use crate::clock::UnixMs;
use crate::command::testing::Bench;
use crate::dataset::{Dialect, ValueRef};
use crate::resp::reply::Proto;
use std::collections::BTreeMap;

const REDIS: Dialect = Dialect::Redis(8, 0);
const VALKEY: Dialect = Dialect::Valkey(9, 1);

fn bench(dialect: Dialect, lines: &[&str]) -> Bench {
    let mut bench = Bench::new();
    bench.data.limits.dialect = dialect;
    bench.now = UnixMs(1_000);
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
    match bench.data.db(bench.db).unwrap().get(key).unwrap().value() {
        ValueRef::Hash(hash) => hash.encoding(bench.data.limits.dialect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_as_the_servers_do() {
    let mut bench = bench(REDIS, &["HSET h f v g 5", "SADD s a"]);
    check(
        &bench,
        &[
            ("HGET h f", "$1 v"),
            ("HGET h z", "$-1"),
            ("HGET s f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HMGET h g z f", "*3 $1 5 $-1 $1 v"),
            ("HMGET missing a", "*1 $-1"),
            ("HGETALL h", "*4 $1 f $1 v $1 g $1 5"),
            ("HGETALL missing", "*0"),
            ("HKEYS h", "*2 $1 f $1 g"),
            ("HVALS h", "*2 $1 v $1 5"),
            ("HLEN h", ":2"),
            ("HEXISTS h f", ":1"),
            ("HSTRLEN h g", ":1"),
            ("HSTRLEN h z", ":0"),
            ("HRANDFIELD missing", "$-1"),
            ("HRANDFIELD missing 1 withvalues", "*0"),
            ("HRANDFIELD missing x y", "-ERR value is not an integer or out of range"),
            ("HRANDFIELD h 1 foo", "-ERR syntax error"),
            ("HRANDFIELD h 4611686018427387904 withvalues", "-ERR value is out of range"),
            ("HRANDFIELD h -4611686018427387904 withvalues", "-ERR value is out of range"),
            ("HRANDFIELD h 0", "*0"),
            (
                "HRANDFIELD missing -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("HSCAN h 0", "*2 $1 0 *4 $1 f $1 v $1 g $1 5"),
            ("HSCAN h 0 novalues match g*", "*2 $1 0 *1 $1 g"),
            ("HSCAN missing 0 nope", "*2 $1 0 *0"),
            ("HSCAN missing x", "-ERR invalid cursor"),
            ("HSCAN h 0 nope", "-ERR syntax error"),
        ],
    );
    bench.proto = Proto::Resp3;
    check(
        &bench,
        &[
            ("HGETALL h", "%2 $1 f $1 v $1 g $1 5"),
            ("HGETALL missing", "%0"),
            ("HGET h z", "_"),
            ("HKEYS h", "*2 $1 f $1 g"),
            ("HSCAN h 0", "*2 $1 0 *4 $1 f $1 v $1 g $1 5"),
        ],
    );
    bench.apply("HDEL h g").unwrap();
    check(
        &bench,
        &[
            ("HRANDFIELD h -2 withvalues", "*2 *2 $1 f $1 v *2 $1 f $1 v"),
            ("HRANDFIELD h 9", "*1 $1 f"),
            ("HRANDFIELD h", "$1 f"),
        ],
    );
}

#[test]
fn expired_fields_are_hidden_but_counted() {
    for dialect in [REDIS, VALKEY] {
        let mut bench = bench(dialect, &["HSET h a 1 b 2", "HPEXPIREAT h 1500 FIELDS 1 a"]);
        check(&bench, &[("HGET h a", "$1 1"), ("HPTTL h FIELDS 2 a b", "*2 :500 :-1")]);
        bench.now = UnixMs(1_500);
        check(&bench, &[("HGET h a", "$1 1"), ("HPTTL h FIELDS 1 a", "*1 :0")]);
        bench.now = UnixMs(1_501);
        let cases = [
            ("HGET h a", "$-1"),
            ("HMGET h a b", "*2 $-1 $1 2"),
            ("HEXISTS h a", ":0"),
            ("HSTRLEN h a", ":0"),
            ("HPTTL h FIELDS 2 a b", "*2 :-2 :-1"),
            ("HPEXPIRETIME h FIELDS 1 a", "*1 :-2"),
            ("HGETALL h", "*2 $1 b $1 2"),
            ("HKEYS h", "*1 $1 b"),
            ("HVALS h", "*1 $1 2"),
            ("HSCAN h 0", "*2 $1 0 *2 $1 b $1 2"),
            ("HLEN h", ":2"),
        ];
        check(&bench, &cases);
        let all_picked = if dialect.is_valkey() { "*1 $1 b" } else { "*2" };
        assert!(bench.ask("HRANDFIELD h 10").starts_with(all_picked));
        bench.apply("HDEL h b").unwrap();
        check(&bench, &[("HLEN h", ":1"), ("HGETALL h", "*0"), ("HKEYS h", "*0")]);
        let picked = if dialect.is_valkey() { ["$-1", "*0"] } else { ["$1 a", "*1 $1 a"] };
        check(&bench, &[("HRANDFIELD h", picked[0]), ("HRANDFIELD h 3", picked[1])]);
    }
}

#[test]
fn seconds_are_rounded_as_each_server_does() {
    let lines = ["HSET h a 1 b 2", "HPEXPIREAT h 2400 FIELDS 1 a", "HPEXPIREAT h 2600 FIELDS 1 b"];
    check(&bench(REDIS, &lines), &[("HTTL h FIELDS 2 a b", "*2 :2 :2"), ("HEXPIRETIME h FIELDS 1 a", "*1 :3")]);
    check(&bench(VALKEY, &lines), &[("HTTL h FIELDS 2 a b", "*2 :1 :2"), ("HEXPIRETIME h FIELDS 1 a", "*1 :2")]);
}

#[test]
fn refusals_about_field_times_are_those_of_each_server() {
    let redis = bench(REDIS, &["HSET h f v", "SADD s a"]);
    check(
        &redis,
        &[
            ("HTTL h FIELDS 2 f", "-ERR The `numfields` parameter must match the number of arguments"),
            ("HTTL missing FIELDS 1 f g", "-ERR The `numfields` parameter must match the number of arguments"),
            ("HTTL h FIELDS 0 f", "-ERR Number of fields must be a positive integer"),
            ("HTTL h FIELDS x f", "-ERR Number of fields must be a positive integer"),
            ("HTTL h nope 1 f", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
            ("HTTL s FIELDS 0 f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HTTL missing FIELDS 2 f g", "*2 :-2 :-2"),
        ],
    );
    let valkey = bench(VALKEY, &["HSET h f v", "SADD s a"]);
    check(
        &valkey,
        &[
            ("HTTL h FIELDS 2 f", "-ERR syntax error"),
            ("HTTL h FIELDS 0 f", "-ERR syntax error"),
            ("HTTL h FIELDS x f", "-ERR value is not an integer or out of range"),
            ("HTTL h nope 1 f", "-ERR syntax error"),
            ("HTTL s FIELDS 0 f", "-ERR syntax error"),
            ("HTTL s FIELDS 1 f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ],
    );
}

#[test]
fn field_expiry_is_dropped_kept_and_set_as_the_protocol_says() {
    for dialect in [REDIS, VALKEY] {
        let check = |line: &str, expected: &str| {
            let mut bench = bench(dialect, &["HSET h f 1 g 2", "HPEXPIREAT h 5000 FIELDS 1 f"]);
            bench.apply(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            let seen = format!("{} {}", bench.ask("HGET h f"), bench.ask("HPEXPIRETIME h FIELDS 1 f"));
            assert_eq!(seen, expected, "{line}");
        };
        check("HSET h f 7", "$1 7 *1 :-1");
        check("HMSET h g 5 f 7", "$1 7 *1 :-1");
        check("HSETNX h f 7", "$1 1 *1 :5000");
        check("HINCRBY h f 2", "$1 3 *1 :5000");
        check("HSETEX h FIELDS 1 f 7", "$1 7 *1 :-1");
        check("HSETEX h KEEPTTL FIELDS 1 f 7", "$1 7 *1 :5000");
        check("hsetex h pxat 7000 fields 2 f 7 x y", "$1 7 *1 :7000");
        check("HSETEX h FNX EX 3 FIELDS 1 f 7", "$1 7 *1 :4000");
        check("HSETEX h FXX PX 3 FIELDS 1 f 7", "$1 7 *1 :1003");
        check("HSETEX h EXAT 3 FIELDS 1 f 7", "$1 7 *1 :3000");
        check("HPERSIST h FIELDS 2 f zz", "$1 1 *1 :-1");
        check("HPEXPIREAT h 6000 FIELDS 2 f zz", "$1 1 *1 :6000");
        check("HPEXPIREAT h 6000 NX FIELDS 1 f", "$1 1 *1 :5000");
        check("HPEXPIREAT h 6000 xx fields 1 f", "$1 1 *1 :6000");
        check("HPEXPIREAT h 6000 GT FIELDS 1 f", "$1 1 *1 :6000");
        check("HPEXPIREAT h 5000 GT FIELDS 1 f", "$1 1 *1 :5000");
        check("HPEXPIREAT h 4000 LT FIELDS 1 f", "$1 1 *1 :4000");
        check("HPEXPIREAT h 5000 LT FIELDS 1 f", "$1 1 *1 :5000");
        check("HPEXPIREAT h 4000 GT FIELDS 1 f", "$1 1 *1 :5000");
        check("HEXPIRE h 3 FIELDS 1 f", "$1 1 *1 :4000");
        check("HPEXPIRE h 3 FIELDS 1 f", "$1 1 *1 :1003");
        check("HEXPIREAT h 3 FIELDS 1 f", "$1 1 *1 :3000");
        check("HDEL h g", "$1 1 *1 :5000");
    }
}

#[test]
fn conditions_treat_no_expiry_as_the_latest() {
    let bench = bench(
        REDIS,
        &[
            "HSET h a 1 b 2 c 3 d 4",
            "HPEXPIREAT h 5000 GT FIELDS 1 a",
            "HPEXPIREAT h 5000 LT FIELDS 1 b",
            "HPEXPIREAT h 5000 XX FIELDS 1 c",
            "HPEXPIREAT h 5000 NX FIELDS 1 d",
        ],
    );
    check(&bench, &[("HPEXPIRETIME h FIELDS 4 a b c d", "*4 :-1 :5000 :-1 :5000")]);
}

#[test]
fn a_hash_goes_with_its_last_field() {
    for line in ["HDEL h f g zz", "HGETDEL h FIELDS 2 f g"] {
        let mut bench = bench(VALKEY, &["HSET h f 1 g 2"]);
        bench.apply(line).unwrap();
        assert!(bench.data.db(bench.db).unwrap().get(b"h").is_none(), "{line}");
    }
    let mut bench = bench(VALKEY, &["HSET h f 1 g 2", "HGETDEL h FIELDS 1 f", "HDEL missing f"]);
    bench.apply("HPEXPIREAT missing 5 FIELDS 1 f").unwrap();
    check(&bench, &[("HGETALL h", "*2 $1 g $1 2")]);
}

#[test]
fn what_cannot_be_applied_changes_nothing() {
    let mut bench = bench(REDIS, &["HSET h f abc n 9223372036854775807", "SADD s a"]);
    for (line, why) in [
        ("HSET h f", "ERR wrong number of arguments for 'hset' command"),
        ("HSET h f x g", "ERR wrong number of arguments for 'hset' command"),
        ("HSET s f x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HSETNX s f x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HDEL s f", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HINCRBY h f 1", "ERR hash value is not an integer"),
        ("HINCRBY h n 1", "ERR increment or decrement would overflow"),
        ("HINCRBY h new x", "ERR value is not an integer or out of range"),
        ("HINCRBYFLOAT h f 1", "ERR hincrbyfloat is not applied"),
        ("HGETEX h FIELDS 1 f", "ERR hgetex is not applied"),
        ("HSETEX h FIELDS 1 f", "ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 2 f x", "ERR syntax error"),
        ("HSETEX h FIELDS 0 f x", "ERR syntax error"),
        ("HSETEX h KEEPTTL PXAT 5 FIELDS 1 f x", "ERR syntax error"),
        ("HSETEX h PXAT 0 FIELDS 1 f x", "ERR invalid expire time in 'hsetex' command"),
        ("HSETEX h PXAT", "ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h PXAT 5 PXAT 6 PXAT", "ERR syntax error"),
        ("HPEXPIREAT h x FIELDS 1 f", "ERR value is not an integer or out of range"),
        ("HPEXPIREAT h 5 FIELDS 2 f", "ERR syntax error"),
        ("HPEXPIREAT h 5 FIELDS 9223372036854775807 f", "ERR syntax error"),
        ("HPEXPIREAT h 5 NX f g", "ERR syntax error"),
        ("HPERSIST h FIELDS 1 f g", "ERR syntax error"),
    ] {
        assert_eq!(bench.apply(line).map_err(|why| why.to_string()), Err(why.to_owned()), "{line}");
    }
    check(&bench, &[("HGETALL h", "*4 $1 f $3 abc $1 n $19 9223372036854775807"), ("HLEN new", ":0")]);
}

#[test]
fn encodings_follow_the_dialect() {
    let check = |dialect, lines: &[&str], expected: &str| {
        assert_eq!(encoding(&bench(dialect, lines), b"h"), expected, "{dialect:?} {lines:?}");
    };
    let long = format!("HSET h f {}", "v".repeat(65));
    let expire_persist = ["HSET h f v", "HPEXPIREAT h 5000 FIELDS 1 f", "HPERSIST h FIELDS 1 f"];
    let same = format!("HSET h{}", " f v".repeat(600));
    check(Dialect::Redis(6, 0), &["HSET h f v"], "ziplist");
    check(Dialect::Redis(7, 0), &[&same], "listpack");
    for dialect in [REDIS, VALKEY] {
        check(dialect, &["HSET h f v"], "listpack");
        check(dialect, &[&same], "hashtable");
        check(dialect, &[&long], "hashtable");
        check(dialect, &["HSETEX h FIELDS 1 f v"], "listpack");
        check(dialect, &["HSETEX h KEEPTTL FIELDS 1 f v"], "listpack");
    }
    check(REDIS, &expire_persist, "listpackex");
    check(VALKEY, &expire_persist, "hashtable");
    check(REDIS, &["HSETEX h PXAT 5000 FIELDS 1 f v"], "listpackex");
    check(VALKEY, &["HSETEX h PXAT 5000 FIELDS 1 f v"], "hashtable");
}

#[test]
fn a_long_scan_sees_every_field() {
    let mut bench = bench(REDIS, &[]);
    for i in 0..2_000 {
        bench.apply(&format!("HSET h f{i} {i}")).unwrap();
    }
    let (mut cursor, mut seen) = ("0".to_owned(), BTreeMap::new());
    loop {
        let reply = bench.ask(&format!("HSCAN h {cursor} COUNT 50"));
        let words: Vec<&str> = reply.split(' ').collect();
        // *2 $n cursor *m, then $n field $n value ...
        for pair in words[4..].chunks(4) {
            seen.insert(pair[1].to_owned(), pair[3].to_owned());
        }
        cursor = words[2].to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 2_000);
    assert!(seen.iter().all(|(field, value)| field[1..] == **value));
}

#[test]
fn picks_from_big_hashes_are_distinct() {
    let mut bench = bench(REDIS, &[]);
    for i in 0..3_000 {
        bench.apply(&format!("HSET h f{i} {i}")).unwrap();
    }
    for count in [5, 900, 2_999, 4_000] {
        let reply = bench.ask(&format!("HRANDFIELD h {count}"));
        let mut fields: Vec<&str> = reply.split(' ').filter(|word| word.starts_with('f')).collect();
        assert_eq!(fields.len(), count.min(3_000));
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), count.min(3_000));
    }
    assert!(bench.ask("HRANDFIELD h -7 WITHVALUES").starts_with("*14 "));
    assert_eq!(bench.ask("HRANDFIELD h -999999999"), "-ERR value is out of range");
}
