use super::*;
use crate::config::Encodings;
use std::collections::VecDeque;

fn limits(list_size: i64) -> EncodingLimits {
    Encodings { list_size, ..Encodings::default() }.into()
}

fn texts(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(|element| element.to_vec()).collect()
}

fn elements(node: NodeRef<'_>) -> usize {
    match node {
        NodeRef::Packed(pack) => pack.len(),
        NodeRef::Plain(_) => 1,
    }
}

fn one(text: &[u8]) -> std::iter::Once<&[u8]> {
    std::iter::once(text)
}

/// A text of the kinds that matter: integers, short, long, and larger than a node.
fn random_text(random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(..20) {
        0..8 => random.i64(-300..300).to_string().into_bytes(),
        8..16 => vec![random.u8(b'a'..b'e'); random.usize(..4)],
        16..19 => vec![random.u8(b'a'..b'c'); random.usize(..300)],
        _ => vec![b'x'; random.usize(4000..9000)],
    }
}

/// One random step on both; the model is a deque of texts.
fn step(list: &mut List, model: &mut VecDeque<Vec<u8>>, random: &mut fastrand::Rng, limits: &EncodingLimits) {
    let text = random_text(random);
    let at = random.usize(..=model.len());
    let known = model.get(at).cloned().unwrap_or_else(|| text.clone());
    match random.u8(..36) {
        0..6 => {
            list.push(End::Right, one(&text), limits);
            model.push_back(text);
        }
        6..10 => {
            list.push(End::Left, one(&text), limits);
            model.push_front(text);
        }
        10..15 => {
            let behind = random.bool();
            let found = model.iter().position(|t| *t == known);
            assert_eq!(list.insert(&known, behind, &text, limits), found.is_some());
            found.into_iter().for_each(|at| model.insert(at + usize::from(behind), text.clone()));
        }
        15..19 => {
            assert_eq!(list.set(at, &text, limits), at < model.len());
            model.get_mut(at).into_iter().for_each(|old| old.clone_from(&text));
        }
        19 => {
            list.drop_from(End::Left, 1, limits);
            model.pop_front();
        }
        20 => {
            let count = random.usize(..4);
            list.drop_from(End::Right, count, limits);
            model.truncate(model.len().saturating_sub(count));
        }
        21 => {
            let count = random.usize(1..4);
            let mut gone = 0;
            for _ in 0..count {
                let Some(at) = model.iter().rposition(|t| *t == known) else { break };
                model.remove(at);
                gone += 1;
            }
            assert_eq!(list.remove_equal(&known, End::Right, count, limits), gone);
        }
        22 => {
            let before = model.len();
            model.retain(|t| *t != known);
            let gone = list.remove_equal(&known, End::Left, usize::MAX, limits);
            assert_eq!(gone, before - model.len());
        }
        23 => {
            let start = random.usize(..=model.len().min(20));
            let end = model.len().saturating_sub(random.usize(..10)).max(start);
            list.trim(start..end, limits);
            *model = model.drain(start..end).collect();
        }
        _ => {
            list.push(End::Right, [&text[..], b"7"].into_iter(), limits);
            model.extend([text, b"7".to_vec()]);
        }
    }
}

#[test]
fn a_list_agrees_with_a_deque_of_texts() {
    for (seed, list_size) in [(1, -2), (2, -1), (3, 4), (4, 1), (5, 128)] {
        println!("seed {seed}, size {list_size}");
        let mut random = fastrand::Rng::with_seed(seed);
        let limits = limits(list_size);
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for at in 0..4000 {
            step(&mut list, &mut model, &mut random, &limits);
            assert_eq!(list.len(), model.len(), "step {at}");
            if at % 20 == 0 {
                assert!(texts(&list).iter().eq(&model), "step {at}");
                let backwards: Vec<_> = list.iter().rev().map(|e| e.to_vec()).collect();
                assert!(backwards.iter().rev().eq(&model), "step {at}");
                assert!(list.is_empty() || list.nodes().all(|node| elements(node) > 0));
            }
            let index = random.usize(..=model.len());
            assert_eq!(list.get(index).map(|e| e.to_vec()).as_ref(), model.get(index), "step {at}");
        }
        assert!(list.len() > 50, "the list has grown");
    }
}

#[test]
fn one_node_within_limits_is_a_listpack_and_shrinks_back_at_half() {
    let check = |list: &List, expected| assert_eq!(list.encoding(Dialect::Redis(8, 0)), expected);
    let limits = limits(4);
    let mut list = List::from_elements(["a", "b", "c", "d"], &limits);
    check(&list, "listpack");
    list.push(End::Right, one(b"e"), &limits);
    check(&list, "quicklist");
    list.drop_from(End::Right, 1, &limits);
    check(&list, "quicklist");
    list.drop_from(End::Right, 1, &limits);
    check(&list, "quicklist");
    list.drop_from(End::Right, 1, &limits);
    check(&list, "listpack");
    assert_eq!(list.encoding(Dialect::Redis(7, 0)), "quicklist");
}

#[test]
fn elements_larger_than_a_node_stand_alone() {
    let limits = limits(-2);
    let large = vec![b'x'; 9000];
    let mut list = List::from_elements(["a", "b"], &limits);
    list.insert(b"a", true, &large, &limits);
    assert_eq!(list.nodes().map(elements).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(list.encoding(Dialect::Redis(8, 0)), "quicklist");
    list.set(1, b"c", &limits);
    assert_eq!(texts(&list), [b"a", b"c", b"b"]);
    list.set(0, &large, &limits);
    assert_eq!(list.get(0), Some(Element::Str(&large)));
}

#[test]
fn ranges_count_from_the_end_too() {
    let check = |start, stop, expected| assert_eq!(index_range(start, stop, 5), expected, "{start} {stop}");
    check(0, -1, 0..5);
    check(-2, -1, 3..5);
    check(1, 2, 1..3);
    check(0, -100, 0..0);
    check(-100, 100, 0..5);
    check(5, 9, 0..0);
    check(3, 2, 0..0);
    check(i64::MIN, i64::MAX, 0..5);
    assert_eq!(index_range(0, -1, 0), 0..0);
}
