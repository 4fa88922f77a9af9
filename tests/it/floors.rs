//! Who may import whom: the floors stand in `lib.rs`, this reads them there and looks at every file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules with their floor, from the `// floor N` comments and the `mod` lines below each.
fn floors(lib: &str) -> BTreeMap<String, u32> {
    let mut floor = None;
    let mut floors = BTreeMap::new();
    for line in lib.lines() {
        if let Some(n) = line.strip_prefix("// floor ") {
            floor = Some(n.trim().parse().expect("a floor is a number"));
        } else if let Some(name) = line.trim_start_matches("pub ").strip_prefix("mod ") {
            let name = name.trim_end_matches(';').to_string();
            floors.insert(name.clone(), floor.unwrap_or_else(|| panic!("{name} stands under no floor")));
        }
    }
    floors
}

/// The part of a file that is the program: unit tests at its end may look wherever they like.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// Modules of ours that a text names: `crate::a::b`, `use crate::{a, b::c}`.
fn named(text: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(group) => names.extend(heads_of_group(group).into_iter().map(|head| word(&head))),
        }
    }
    names
}

/// The heads of a `{a, b::{c, d}, e::f}` whose first brace is already gone.
fn heads_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut head) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(std::mem::take(&mut head)),
            c if depth == 0 => head.push(c),
            _ => {}
        }
    }
    heads.push(head);
    heads.iter().map(|head| head.trim().to_string()).filter(|head| !head.is_empty()).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(rust_files(&path)),
            false => files.push(path),
        }
    }
    files.retain(|file| file.extension().is_some_and(|ending| ending == "rs"));
    files
}

#[test]
fn every_module_uses_only_the_floors_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors(&fs::read_to_string(src.join("lib.rs")).expect("lib.rs"));
    let mut wrong = Vec::new();
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).expect("below src");
        let first = inside.iter().next().expect("a name").to_string_lossy();
        let own = first.trim_end_matches(".rs");
        let Some(own_floor) = floors.get(own) else { continue };
        let text = fs::read_to_string(&file).expect("a readable source");
        for name in named(without_tests(&text)) {
            let Some(floor) = floors.get(&name) else { continue };
            if name != own && floor >= own_floor {
                wrong.push(format!("{}: {own} (floor {own_floor}) uses {name} (floor {floor})", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "modules that reach upwards or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_stands_on_a_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    let floors = floors(&lib);
    for module in ["clock", "config", "dataset", "rdb", "command", "repl", "upstream", "serve", "node"] {
        assert!(floors.contains_key(module), "{module} is missing among the floors: {floors:?}");
    }
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let check = |text: &str, expected: &[&str]| assert_eq!(named(text), expected, "in {text}");
    check("use crate::dataset::Value;", &["dataset"]);
    check("use crate::{clock::UnixMs, resp::{reply, refusal}, limits};", &["clock", "resp", "limits"]);
    check("let x = crate::clock::now();", &["clock"]);
    check("use super::row;", &[]);
}
