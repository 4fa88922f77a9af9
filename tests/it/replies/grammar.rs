//! Requests made from the syntax that a real server tells of itself (COMMAND DOCS), and made wrong in many ways.
//!
//! Comes in: a server's documentation, chance, and the words to choose from. Goes out: requests.

use super::lexicon::Lexicon;
use crate::support::client::{Client, Value};
use std::collections::BTreeMap;

/// A command's arguments as the server describes them.
#[derive(Debug)]
pub(super) struct Syntax {
    /// `sorted-set`, `generic` and so on.
    pub(super) group: String,
    arguments: Vec<Argument>,
}

#[derive(Debug)]
struct Argument {
    name: String,
    kind: String,
    token: Option<String>,
    optional: bool,
    multiple: bool,
    /// The token stands before each of several values.
    multiple_token: bool,
    parts: Vec<Argument>,
}

impl Syntax {
    pub(super) fn has_arguments(&self) -> bool {
        !self.arguments.is_empty()
    }
}

/// The syntax of every command and subcommand (`object encoding`) that this server knows.
pub(super) fn ask(client: &mut Client) -> BTreeMap<String, Syntax> {
    let docs = client.must("COMMAND DOCS");
    let mut all = BTreeMap::new();
    for (name, entry) in pairs(&docs) {
        all.insert(name, syntax(entry));
        for (name, entry) in
            field(entry, "subcommands").map(|all| pairs(all).collect::<Vec<_>>()).unwrap_or_default()
        {
            all.insert(name.replace('|', " "), syntax(entry));
        }
    }
    assert!(all.len() > 200, "COMMAND DOCS tells of {} commands", all.len());
    all
}

fn pairs(flat: &Value) -> impl Iterator<Item = (String, &Value)> {
    flat.items().chunks_exact(2).map(|pair| (pair[0].text(), &pair[1]))
}

fn field<'a>(flat: &'a Value, name: &str) -> Option<&'a Value> {
    pairs(flat).find(|(field, _)| field == name).map(|(_, value)| value)
}

fn syntax(entry: &Value) -> Syntax {
    let group = field(entry, "group").map(Value::text).unwrap_or_default();
    Syntax { group, arguments: arguments(entry) }
}

fn arguments(of: &Value) -> Vec<Argument> {
    field(of, "arguments").map(|all| all.items().iter().map(argument).collect()).unwrap_or_default()
}

fn argument(entry: &Value) -> Argument {
    let text = |name: &str| field(entry, name).map(Value::text);
    let flags: Vec<String> =
        field(entry, "flags").map(|all| all.items().iter().map(Value::text).collect()).unwrap_or_default();
    let flag = |name: &str| flags.iter().any(|flag| flag == name);
    Argument {
        name: text("name").unwrap_or_default(),
        kind: text("type").unwrap_or_default(),
        token: text("token"),
        optional: flag("optional"),
        multiple: flag("multiple"),
        multiple_token: flag("multiple_token"),
        parts: arguments(entry),
    }
}

/// A request in the making.
pub(super) struct Maker<'a> {
    pub(super) random: &'a mut fastrand::Rng,
    pub(super) lexicon: &'a Lexicon,
    words: Vec<Vec<u8>>,
    /// The key that was chosen last: members are rather its own.
    key: Vec<u8>,
    /// Where a count of what follows stands.
    count_at: Option<usize>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(random: &'a mut fastrand::Rng, lexicon: &'a Lexicon) -> Self {
        Self { random, lexicon, words: Vec::new(), key: Vec::new(), count_at: None }
    }

    /// A request of this command: well formed more often than not.
    pub(super) fn request(&mut self, command: &str, syntax: &Syntax) -> Vec<Vec<u8>> {
        self.words = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        (self.key, self.count_at) = (Vec::new(), None);
        let named = self.words.len();
        self.all_of(&syntax.arguments, syntax);
        for _ in 0..[0, 0, 0, 1, 1, 2, 3][self.random.usize(..7)] {
            self.spoil(named, syntax);
        }
        if self.random.u8(..4) == 0 {
            self.in_other_case();
        }
        std::mem::take(&mut self.words)
    }

    fn all_of(&mut self, arguments: &[Argument], syntax: &Syntax) {
        for argument in arguments {
            if !argument.optional || self.random.u8(..5) < 2 {
                self.some_of(argument, syntax);
            }
        }
    }

    fn some_of(&mut self, argument: &Argument, syntax: &Syntax) {
        let times = if argument.multiple { [1, 1, 2, 3, 5][self.random.usize(..5)] } else { 1 };
        let before = self.words.len();
        for time in 0..times {
            if let Some(token) = argument.token.as_ref().filter(|_| time == 0 || argument.multiple_token) {
                self.words.push(token.clone().into_bytes());
            }
            self.one_of(argument, syntax);
        }
        // What a count counts comes right behind it; mostly the count is right.
        if argument.multiple
            && let Some(at) = self.count_at.take()
            && self.random.u8(..8) != 0
        {
            let counted = (self.words.len() - before) / argument.parts.len().max(1);
            self.words[at] = counted.to_string().into_bytes();
        }
    }

    fn one_of(&mut self, argument: &Argument, syntax: &Syntax) {
        match argument.kind.as_str() {
            "pure-token" => {}
            "block" => self.all_of(&argument.parts, syntax),
            "oneof" => {
                let chosen = self.random.usize(..argument.parts.len().max(1));
                argument.parts.get(chosen).into_iter().for_each(|part| self.some_of(part, syntax));
            }
            "key" => {
                let key = self.lexicon.key(self.random, &syntax.group);
                self.key.clone_from(&key);
                self.words.push(key);
            }
            kind => {
                if matches!(argument.name.as_str(), "numkeys" | "numfields" | "num-vertices") {
                    self.count_at = Some(self.words.len());
                }
                let name = (argument.name.as_str(), kind);
                let word = self.lexicon.word(self.random, name, &self.key, &syntax.group);
                self.words.push(word);
            }
        }
    }

    /// One thing that makes a request wrong, or odd. The name stays.
    fn spoil(&mut self, named: usize, syntax: &Syntax) {
        let (len, odd) = (self.words.len(), self.lexicon.odd(self.random));
        if len == named {
            self.words.push(odd);
            return;
        }
        let (at, other) = (self.random.usize(named..len), self.random.usize(named..len));
        match self.random.u8(..9) {
            0 | 1 => self.words[at] = odd,
            2 => drop(self.words.remove(at)),
            3 => self.words.insert(at, self.words[other].clone()),
            4 => self.words.swap(at, other),
            5 => self.words.push(odd),
            6 => self.words.truncate(at),
            7 => self.words[at] = self.lexicon.key(self.random, "generic"),
            _ => {
                let mut tokens = Vec::new();
                tokens_of(&syntax.arguments, &mut tokens);
                if let Some(token) = self.random.choice(tokens) {
                    self.words.insert(self.random.usize(at..=len), token.as_bytes().to_vec());
                }
            }
        }
    }

    fn in_other_case(&mut self) {
        let keyword = |word: &[u8]| word.iter().all(|byte| byte.is_ascii_uppercase());
        for word in &mut self.words {
            if keyword(word) || word.iter().all(u8::is_ascii_lowercase) && self.random.bool() && word.len() > 5 {
                word.iter_mut().filter(|_| self.random.bool()).for_each(|byte| *byte ^= 0x20);
            }
        }
    }
}

fn tokens_of<'a>(arguments: &'a [Argument], out: &mut Vec<&'a str>) {
    for argument in arguments {
        out.extend(argument.token.as_deref());
        tokens_of(&argument.parts, out);
    }
}
