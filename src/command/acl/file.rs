//! The file of users (`aclfile`): a line each, as ACL LIST shows them.

use super::rule::{RuleError, merge_selectors};
use super::selector::has_spaces;
use super::user::User;
use super::users::UserMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Reads all users of a file. An error lists everything that is wrong; rules that may hold a password are not quoted.
pub(super) fn load(path: &Path, all_channels: bool) -> Result<UserMap, String> {
    let name = path.display();
    let text = std::fs::read(path)
        .map_err(|error| format!("Error loading ACLs, opening file '{name}': {}", reason(&error)))?;
    let (mut users, mut errors) = (UserMap::new(), String::new());
    for (index, line) in text.split(|&c| c == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if let Err(complaint) = add_line(line, index + 1, &name.to_string(), all_channels, &mut users) {
            errors.push_str(&complaint);
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    Err(errors + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
}

/// The operating system's words, without Rust's number behind them.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn add_line(
    line: &[u8],
    number: usize,
    path: &str,
    all_channels: bool,
    users: &mut UserMap,
) -> Result<(), String> {
    let words: Vec<&[u8]> = line.split(|&c| c == b' ').collect();
    let [b"user", name, rules @ ..] = words.as_slice() else {
        return Err(format!("{path}:{number} should start with user keyword followed by the username. "));
    };
    let shown = String::from_utf8_lossy(name);
    if has_spaces(name) {
        return Err(format!("'{path}:{number}: username '{shown}' contains invalid characters. "));
    }
    let slot = match users.entry((*name).into()) {
        Entry::Vacant(slot) => slot,
        Entry::Occupied(_) => return Err(format!("WARNING: Duplicate user '{shown}' found on line {number}. ")),
    };
    let rules = merge_selectors(rules)
        .map_err(|_| format!("{path}:{number}: Unmatched parenthesis in selector definition."))?;
    let mut user = User::new(name, all_channels);
    let mut errors = String::new();
    let mut told = false;
    for rule in &rules {
        match user.apply(rule.trim_ascii(), all_channels) {
            Ok(()) => {}
            Err(why @ RuleError::UnknownCommand) => {
                let rule = String::from_utf8_lossy(rule);
                errors.push_str(&format!("{path}:{number}: Error in applying operation '{rule}': {why}. "));
            }
            // Only the first of these: it may be the cause of the others.
            Err(why) if !told => {
                told = true;
                errors.push_str(&format!("{path}:{number}: {why}. "));
            }
            Err(_) => {}
        }
    }
    slot.insert(Arc::new(user));
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Writes the lines beside the file and moves them in its place.
pub(super) fn save(path: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let beside = folder.join(name);
    let written = write_and_move(&beside, path, lines);
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    std::fs::File::open(folder)?.sync_all()
}

fn write_and_move(beside: &Path, path: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    let mut file = std::fs::File::create(beside)?;
    for line in lines {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    std::fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_and_no_password() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("u.acl");
        let shown = path.display().to_string();
        let check = |text: &str, expected: &str| {
            std::fs::write(&path, text).expect("written");
            let error = load(&path, false).expect_err(text);
            let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
            assert_eq!(error, expected.replace("FILE", &shown) + end);
        };
        check("user", "FILE:1 should start with user keyword followed by the username. ");
        check("# note\n", "FILE:1 should start with user keyword followed by the username. ");
        check("user a\nuser a\n", "WARNING: Duplicate user 'a' found on line 2. ");
        check(
            "user a +foo #secret foo +bar\n",
            "FILE:1: Error in applying operation '+foo': Unknown command or category name in ACL. FILE:1: The password \
             hash must be exactly 64 characters and contain only lowercase hexadecimal characters. FILE:1: Error in \
             applying operation '+bar': Unknown command or category name in ACL. ",
        );
        check("user a (+get\n", "FILE:1: Unmatched parenthesis in selector definition.");
        let missing = load(&dir.path().join("none"), false).expect_err("no such file");
        assert!(
            missing.starts_with("Error loading ACLs, opening file '")
                && missing.ends_with("No such file or directory")
        );
    }
}
