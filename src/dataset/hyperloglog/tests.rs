use super::*;
use sha1::{Digest, Sha1};

const SPARSE_MAX: usize = 3000;

fn added(elements: impl Iterator<Item = String>) -> Vec<u8> {
    let mut bytes = empty();
    for element in elements {
        add(&mut bytes, std::iter::once(element.as_bytes()), SPARSE_MAX).expect("valid");
    }
    bytes
}

fn named(prefix: &str, count: usize) -> Vec<u8> {
    added((0..count).map(|n| format!("{prefix}{n}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn merged(sources: &[&[u8]]) -> Vec<u8> {
    let (mut target, mut registers, mut dense) = (empty(), no_registers(), false);
    for source in sources {
        dense |= merge_into(&mut registers, source).expect("valid");
    }
    raise(&mut target, &registers, dense, SPARSE_MAX).expect("valid");
    target
}

/// The expected bytes are those of all five servers.
#[test]
fn small_ones_are_the_bytes_of_the_servers() {
    assert_eq!(hex(&empty()), "48594c4c0100000000000000000000807fff");
    let mut abc = added(["a", "b", "c"].map(str::to_owned).into_iter());
    assert_eq!(hex(&abc), "48594c4c01000000000000000000008060f38050b1844bfb80425a");
    assert_eq!(count(&abc), Ok(3));
    store_count(&mut abc, 3);
    assert_eq!(hex(&abc), "48594c4c01000000030000000000000060f38050b1844bfb80425a");
    let twenty = named("element:", 20);
    assert_eq!(
        hex(&twenty),
        "48594c4c010000000000000000000080448e80453b844093844158882288308043c580407c9045018043d38046de84407280440680\
         452080450a80407d8043659046c080444f84409a8041b1"
    );
    assert_eq!(
        hex(&merged(&[&abc, &twenty])),
        "48594c4c010000000000000000000080448e80453b844093844158882288308043c580407c9045018043d38046de84407280407080\
         439480452080450a80407d80426e8440f59046c0804442800b84409a8041b1"
    );
}

/// Lengths, SHA-1 of the bytes with the count cached, and counts as on all five servers.
#[test]
fn large_ones_are_the_bytes_of_the_servers() {
    for (elements, len, sha1, expected) in [
        (100, 285, "10284d924957df904fe939f436df8ee09605b6ef", 100),
        (500, 1068, "2a673333d3f17bfe003bd229fbc4aa9c00cdd35a", 506),
        (1000, 1906, "5b90d5bb9790139af3f5b0b6e8ffc2ab1fcc86da", 1008),
        (1200, 2235, "70333b25936ab6fb7089b9ad82ec2bcbe2d2f6a6", 1207),
        (3000, 12304, "dd640a880ffefbaabc92371fff4b1b0974887003", 2979),
    ] {
        let mut bytes = named("e", elements);
        assert_eq!(count(&bytes), Ok(expected), "{elements}");
        store_count(&mut bytes, expected);
        assert_eq!((bytes.len(), hex(&Sha1::digest(&bytes))), (len, sha1.to_owned()), "{elements}");
    }
    let merged = merged(&[&named("e", 3000), &named("element:", 20)]);
    assert_eq!((merged.len(), count(&merged)), (12304, Ok(3000)));
    assert_eq!(hex(&Sha1::digest(&merged)), "d9d6f6c9bd7d1894905bad63301ba4d9b0a00be1");
}

#[test]
fn sparse_and_dense_hold_the_same_registers() {
    for elements in [0, 1, 10, 300, 1400] {
        let sparse = named("e", elements);
        let mut dense = sparse.clone();
        make_dense(&mut dense).expect("valid");
        let (mut a, mut b) = (no_registers(), no_registers());
        assert_eq!(merge_into(&mut a, &sparse), Ok(false));
        assert_eq!(merge_into(&mut b, &dense), Ok(true));
        assert!(a == b, "{elements}");
        assert_eq!(dense[5..16], sparse[5..16]);
    }
}

#[test]
fn the_header_is_checked() {
    let check = |bytes: &[u8], expected| assert_eq!(is_hyperloglog(bytes), expected, "{bytes:?}");
    check(&empty(), true);
    check(b"HYLL", false);
    check(b"hyll\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", false);
    check(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", false);
    check(b"HYLL\x00\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", false);
    check(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0", true);
}

#[test]
fn wrong_registers_are_an_error_and_never_a_panic() {
    let seed = 11;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let good = named("e", 40);
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(HEADER..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(HEADER..=bytes.len()));
        bytes[15] |= STALE;
        let counted = count(&bytes);
        let mut dense = bytes.clone();
        assert_eq!(make_dense(&mut dense).is_ok(), counted.is_ok());
        let _ = add(&mut bytes, [b"x".as_slice(), b"y"].into_iter(), SPARSE_MAX);
    }
    assert!(count(&[&good[..HEADER], b"\x80"].concat()).is_err());
}
