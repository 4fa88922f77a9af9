//! The snapshots and sessions of `tests/data` with what their `.json` says of them.

use super::folder;
use serde_json::Value;
use std::fs;

/// A data file and its description.
#[derive(Debug)]
pub struct Fixture {
    pub name: String,
    pub bytes: Vec<u8>,
    pub json: Value,
}

impl Fixture {
    /// `name` with its ending: `redis-8.0.rdb`, `redis-8.0.session.bin`.
    pub fn load(name: &str) -> Self {
        let bytes = fs::read(folder::data(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (stem, _) = name.rsplit_once('.').expect("an ending");
        let json = fs::read(folder::data(&format!("{stem}.json"))).expect("a .json beside it");
        Self { name: name.to_string(), bytes, json: serde_json::from_slice(&json).expect("valid JSON") }
    }

    /// All snapshots, whose names start with one of these.
    pub fn snapshots(starts: &[&str]) -> Vec<Self> {
        let files = fs::read_dir(folder::data("")).expect("tests/data");
        let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names
            .filter(|name| name.ends_with(".rdb") && starts.iter().any(|start| name.starts_with(start)))
            .collect();
        names.sort();
        names.iter().map(|name| Self::load(name)).collect()
    }

    /// A field of the description, by its path.
    pub fn get(&self, path: &[&str]) -> &Value {
        path.iter().fold(&self.json, |value, name| &value[name])
    }

    /// Which of the three digests in the `.json` a server of this kind prints; remora prints as its master.
    pub fn digest_style(&self) -> &'static str {
        match self.get(&["made_by"]).as_str().unwrap_or("hand") {
            "redis-8.0" => "redis-8.0",
            maker if maker.starts_with("valkey") => "valkey-9.1",
            _ => "redis-7.0",
        }
    }

    /// Keys of each database.
    pub fn sizes(&self) -> Vec<(u32, i64)> {
        let sizes = self.get(&["dbsize"]).as_object().expect("dbsize");
        sizes.iter().map(|(db, keys)| (db.parse().expect("a number"), keys.as_i64().expect("a number"))).collect()
    }
}

/// A text of a `.json` as bytes: `\\xNN` stands for what is not printable.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\\x") {
        out.extend_from_slice(before.as_bytes());
        out.push(u8::from_str_radix(&behind[..2], 16).expect("two hexadecimal digits"));
        rest = &behind[2..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
