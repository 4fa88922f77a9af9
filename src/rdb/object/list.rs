//! Lists: strings one by one (type 1), a ziplist (10), ziplists (14), listpacks and plain elements (18).

use crate::dataset::list::{List, Node, NodeRef};
use crate::dataset::packed::listpack::Listpack;
use crate::dataset::{Dialect, EncodingLimits, Value};
use crate::rdb::LoadError;
use crate::rdb::legacy::ziplist;
use crate::rdb::primitive::{capped, length, put_length, put_listpack, put_plain, put_string, string};
use crate::rdb::source::Source;

const STRINGS: u8 = 1;
const ZIPLIST: u8 = 10;
const ZIPLISTS: u8 = 14;
const NODES: u8 = 18;

/// How type 18 marks a node of one large element, and one of many.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

/// Reads the value; nodes are kept as they are, ziplists become listpacks of the same elements.
pub fn load(src: &mut Source<'_>, byte: u8, limits: &EncodingLimits) -> Result<Option<Value>, LoadError> {
    let list = match byte {
        STRINGS => List::from_elements(strings(src)?, limits),
        ZIPLIST => List::from_nodes([Node::Packed(ziplist::to_listpack(string(src)?)?)], limits),
        ZIPLISTS => List::from_nodes(nodes(src, ziplist_node)?, limits),
        _ => List::from_nodes(nodes(src, node)?, limits),
    };
    Ok((!list.is_empty()).then(|| Value::List(Box::new(list))))
}

fn strings(src: &mut Source<'_>) -> Result<Vec<Vec<u8>>, LoadError> {
    let count = length(src)?;
    let mut all = Vec::with_capacity(capped(count));
    for _ in 0..count {
        all.push(string(src)?.to_vec());
    }
    Ok(all)
}

fn nodes(
    src: &mut Source<'_>,
    read: fn(&mut Source<'_>) -> Result<Node, LoadError>,
) -> Result<Vec<Node>, LoadError> {
    let count = length(src)?;
    let mut nodes = Vec::with_capacity(capped(count));
    for _ in 0..count {
        nodes.push(read(src)?);
    }
    Ok(nodes)
}

fn ziplist_node(src: &mut Source<'_>) -> Result<Node, LoadError> {
    Ok(Node::Packed(ziplist::to_listpack(string(src)?)?))
}

fn node(src: &mut Source<'_>) -> Result<Node, LoadError> {
    match length(src)? {
        PLAIN => Ok(Node::Plain(string(src)?.into())),
        PACKED => Ok(Node::Packed(Listpack::parse(string(src)?)?)),
        _ => Err(src.error("list: a node is neither plain nor packed")),
    }
}

/// Appends the body in the newest form; answers the type byte.
pub fn save(list: &List, dialect: Dialect, out: &mut Vec<u8>) -> u8 {
    let type_byte = begin(list, out);
    list.nodes().for_each(|node| put_node(node, dialect, out));
    type_byte
}

/// Appends what is before the nodes; answers the type byte.
pub(super) fn begin(list: &List, out: &mut Vec<u8>) -> u8 {
    put_length(out, list.nodes().len() as u64);
    NODES
}

pub(super) fn put_node(node: NodeRef<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    match node {
        NodeRef::Plain(bytes) => {
            put_length(out, PLAIN);
            put_plain(out, bytes);
        }
        NodeRef::Packed(pack) => {
            put_length(out, PACKED);
            put_listpack(out, pack, dialect);
        }
    }
}

/// Appends the body in the form that every server reads, for sub-replicas that know no listpacks; answers the
/// type byte.
pub fn save_one_by_one(list: &List, out: &mut Vec<u8>) -> u8 {
    let type_byte = begin_one_by_one(list, out);
    let mut scratch = Default::default();
    for element in list.iter() {
        put_string(out, element.text(&mut scratch));
    }
    type_byte
}

/// Appends what is before the elements; answers the type byte.
pub(super) fn begin_one_by_one(list: &List, out: &mut Vec<u8>) -> u8 {
    put_length(out, list.len() as u64);
    STRINGS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_list(byte: u8, body: &[u8]) -> Result<Option<List>, LoadError> {
        let mut src = Source::from_slice(body);
        Ok(load(&mut src, byte, &EncodingLimits::default())?.map(|value| match value {
            Value::List(list) => *list,
            other => panic!("{other:?}"),
        }))
    }

    fn texts(list: &List) -> Vec<String> {
        list.iter().map(|e| String::from_utf8(e.to_vec()).expect("text")).collect()
    }

    #[test]
    fn every_form_gives_the_same_list() {
        // list "a" 5 as redis 8.0 writes it; the ziplist of the same by 6.0
        let listpack = b"\x01\x02\x0c\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff";
        let ziplist = b"\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf6\xff";
        let ziplists = [b"\x01".as_slice(), ziplist].concat();
        for (byte, body) in [(1, b"\x02\x01a\xc0\x05".as_slice()), (10, ziplist), (14, &ziplists), (18, listpack)]
        {
            let list = load_list(byte, body).expect("valid").expect("not empty");
            assert_eq!(texts(&list), ["a", "5"], "type {byte}");
            let mut out = Vec::new();
            assert_eq!(
                (save(&list, Dialect::default(), &mut out), out.as_slice()),
                (18, listpack.as_slice()),
                "type {byte}"
            );
        }
    }

    #[test]
    fn plain_nodes_come_back_as_they_were() {
        let large = "x".repeat(9000);
        let list = List::from_elements(["a", &large, "b"], &EncodingLimits::default());
        let mut out = Vec::new();
        let byte = save(&list, Dialect::default(), &mut out);
        let again = load_list(byte, &out).expect("valid").expect("not empty");
        assert!(list.nodes().eq(again.nodes()));
        let mut old = Vec::new();
        let byte = save_one_by_one(&list, &mut old);
        assert_eq!(texts(&load_list(byte, &old).expect("valid").expect("not empty")), ["a", &large, "b"]);
    }

    #[test]
    fn empty_lists_are_skipped_and_wrong_nodes_refused() {
        assert!(matches!(load_list(1, b"\0"), Ok(None)));
        assert!(matches!(load_list(18, b"\0"), Ok(None)));
        assert!(matches!(load_list(18, b"\x01\x02\x07\x07\0\0\0\0\0\xff"), Ok(None)));
        for body in [b"\x01\x03\x01a".as_slice(), b"\x01\x02\x01a", b"\x02\x01\x01a", b""] {
            assert!(load_list(18, body).is_err(), "{body:?}");
        }
    }
}
