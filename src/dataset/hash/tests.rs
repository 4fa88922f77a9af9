use super::*;
use crate::config::Encodings;
use std::collections::BTreeMap;

const REDIS_6: Dialect = Dialect::Redis(6, 0);
const REDIS_7: Dialect = Dialect::Redis(7, 0);
const REDIS_8: Dialect = Dialect::Redis(8, 0);
const VALKEY_9: Dialect = Dialect::Valkey(9, 1);

fn limits(dialect: Dialect) -> EncodingLimits {
    EncodingLimits { dialect, ..EncodingLimits::default() }
}

fn with_entries(limits: EncodingLimits, hash_entries: usize) -> EncodingLimits {
    EncodingLimits { sizes: Encodings { hash_entries, ..limits.sizes }, ..limits }
}

fn text(element: Element<'_>) -> String {
    String::from_utf8_lossy(&element.to_vec()).into_owned()
}

/// `field=value` and `@expiry`, in order.
fn shown(hash: &Hash) -> String {
    let entries = hash.iter().map(|entry| {
        let expiry = entry.expiry.map(|at| format!("@{}", at.0)).unwrap_or_default();
        format!("{}={}{expiry}", text(entry.field), text(entry.value))
    });
    entries.collect::<Vec<_>>().join(" ")
}

#[test]
fn becomes_a_table_where_the_masters_do() {
    let long = "f".repeat(65);
    let check = |dialect, what: &str, encoding: &str| {
        let limits = limits(dialect);
        let mut hash = Hash::new();
        match what {
            "512 fields" | "513 fields" => {
                let n: u32 = what[..3].parse().unwrap();
                (0..n).for_each(|i| assert!(hash.set(i.to_string().as_bytes(), b"v", Expiry::Dropped, &limits)));
            }
            "same field 600 times" => {
                hash.expect(600, &limits);
                hash.set(b"f", b"v", Expiry::Dropped, &limits);
            }
            "long field" => drop(hash.set(long.as_bytes(), b"v", Expiry::Dropped, &limits)),
            "long value" => drop(hash.set(b"f", long.as_bytes(), Expiry::Dropped, &limits)),
            "64 bytes" => drop(hash.set(b"f", &long.as_bytes()[1..], Expiry::Dropped, &limits)),
            "expiry, persisted" => {
                hash.set(b"f", b"v", Expiry::Dropped, &limits);
                hash.set_expiry(b"f", Some(UnixMs(5)), &limits);
                hash.set_expiry(b"f", None, &limits);
            }
            "expiry of a missing field" => {
                hash.set(b"f", b"v", Expiry::Dropped, &limits);
                assert!(!hash.set_expiry(b"g", Some(UnixMs(5)), &limits));
            }
            "set with expiry" => drop(hash.set(b"f", b"v", Expiry::At(UnixMs(5)), &limits)),
            "long with expiry" => drop(hash.set(long.as_bytes(), b"v", Expiry::At(UnixMs(5)), &limits)),
            _ => panic!("{what}"),
        }
        assert_eq!(hash.encoding(dialect), encoding, "{dialect:?}, {what}");
    };
    for dialect in [REDIS_7, REDIS_8, VALKEY_9] {
        check(dialect, "512 fields", "listpack");
        check(dialect, "513 fields", "hashtable");
        check(dialect, "64 bytes", "listpack");
        check(dialect, "long field", "hashtable");
        check(dialect, "long value", "hashtable");
        check(dialect, "expiry of a missing field", "listpack");
    }
    check(REDIS_6, "512 fields", "ziplist");
    check(REDIS_6, "same field 600 times", "ziplist");
    check(REDIS_7, "same field 600 times", "listpack");
    check(REDIS_8, "same field 600 times", "hashtable");
    check(VALKEY_9, "same field 600 times", "hashtable");
    check(REDIS_8, "expiry, persisted", "listpackex");
    check(VALKEY_9, "expiry, persisted", "hashtable");
    check(REDIS_8, "set with expiry", "listpackex");
    check(VALKEY_9, "set with expiry", "hashtable");
    check(REDIS_8, "long with expiry", "hashtable");
}

/// Each step and the order that redis 8.0 showed after it.
#[test]
fn fields_with_expiry_are_in_the_order_of_redis_8() {
    let limits = limits(REDIS_8);
    let mut hash = Hash::new();
    for (field, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")] {
        hash.set(field, value, Expiry::Dropped, &limits);
    }
    let mut expire = |field: &[u8], ms: i64, expected: &str| {
        hash.set_expiry(field, (ms > 0).then_some(UnixMs(ms)), &limits);
        assert_eq!(shown(&hash), expected);
    };
    expire(b"b", 5, "b=2@5 a=1 c=3 d=4");
    expire(b"c", 5, "c=3@5 b=2@5 a=1 d=4");
    expire(b"d", 1, "d=4@1 c=3@5 b=2@5 a=1");
    expire(b"b", 5, "d=4@1 b=2@5 c=3@5 a=1");
    let mut set = |field: &[u8], value: &[u8], expiry, expected: &str| {
        hash.set(field, value, expiry, &limits);
        assert_eq!(shown(&hash), expected);
    };
    set(b"d", b"9", Expiry::Dropped, "b=2@5 c=3@5 a=1 d=9");
    set(b"b", b"3", Expiry::Kept, "b=3@5 c=3@5 a=1 d=9");
    set(b"a", b"7", Expiry::At(UnixMs(9)), "b=3@5 c=3@5 a=7@9 d=9");
    set(b"a", b"8", Expiry::Kept, "b=3@5 c=3@5 a=8@9 d=9");
    set(b"y", b"0", Expiry::Kept, "b=3@5 c=3@5 a=8@9 d=9 y=0");
    set(b"d", b"x", Expiry::Dropped, "b=3@5 c=3@5 a=8@9 d=x y=0");
    hash.set_expiry(b"c", None, &limits);
    assert_eq!(shown(&hash), "b=3@5 a=8@9 d=x y=0 c=3");
    assert_eq!(hash.expiring(), 2);
}

#[test]
fn blobs_of_a_snapshot_are_checked() {
    let pack = |texts: &[&str]| {
        let mut pack = Listpack::new();
        texts.iter().for_each(|text| pack.push(text.as_bytes()));
        pack
    };
    let limits = limits(REDIS_8);
    assert!(Hash::from_packed(pack(&["f", "v", "g"]), &limits).is_err());
    assert!(Hash::from_packed(pack(&["f", "v", "f", "w"]), &limits).is_err());
    assert!(Hash::from_packed_with_expiry(pack(&["f", "v", "x"]), &limits).is_err());
    assert!(Hash::from_packed_with_expiry(pack(&["f", "v", "-1"]), &limits).is_err());
    let hash = Hash::from_packed_with_expiry(pack(&["f", "v", "7", "g", "w", "0"]), &limits).unwrap();
    assert_eq!(shown(&hash), "f=v@7 g=w");
    let few = with_entries(limits, 1);
    let hash = Hash::from_packed(pack(&["f", "v", "g", "w"]), &few).unwrap();
    assert_eq!((hash.encoding(REDIS_8), hash.len()), ("hashtable", 2));
}

#[test]
fn agrees_with_a_map_in_every_form() {
    for (seed, dialect) in [(1, REDIS_6), (2, REDIS_8), (3, VALKEY_9), (4, REDIS_8), (5, VALKEY_9)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let limits = with_entries(limits(dialect), 40);
        let (mut hash, mut model) = (Hash::new(), BTreeMap::<String, (String, Option<UnixMs>)>::new());
        for step in 0..3_000 {
            let field = random.u32(0..60).to_string();
            let expires = dialect > REDIS_7 && random.u8(..) < 60;
            match random.u8(0..10) {
                0..=3 => {
                    let value = random.u32(..).to_string().repeat(if random.u8(..) == 0 { 9 } else { 1 });
                    let at = UnixMs(random.i64(1..9));
                    let kept = model.get(&field).and_then(|(_, expiry)| *expiry);
                    let (expiry, after) = match random.u8(0..3) {
                        0 if expires => (Expiry::At(at), Some(at)),
                        1 => (Expiry::Kept, kept),
                        _ => (Expiry::Dropped, None),
                    };
                    let is_new = hash.set(field.as_bytes(), value.as_bytes(), expiry, &limits);
                    assert_eq!(is_new, model.insert(field, (value, after)).is_none());
                }
                4 => {
                    let at = (expires).then(|| UnixMs(random.i64(1..9)));
                    let found = hash.set_expiry(field.as_bytes(), at, &limits);
                    assert_eq!(found, model.get_mut(&field).map(|(_, expiry)| *expiry = at).is_some());
                }
                _ => assert_eq!(hash.remove(field.as_bytes()), model.remove(&field).is_some()),
            }
            let seen: BTreeMap<_, _> =
                hash.iter().map(|entry| (text(entry.field), (text(entry.value), entry.expiry))).collect();
            assert_eq!(seen, model, "seed {seed}, step {step}");
            assert_eq!(hash.len(), model.len());
            assert_eq!(hash.expiring(), model.values().filter(|(_, expiry)| expiry.is_some()).count());
            for (field, (value, expiry)) in model.iter().take(1) {
                let entry = hash.get(field.as_bytes()).expect("is in the model");
                assert_eq!((&text(entry.value), entry.expiry), (value, *expiry));
            }
        }
    }
}
