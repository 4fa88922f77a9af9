//! Errors as scripts see them: a text, or a table with the error reply in `err`.
//!
//! A Rust function raises by answering an error; on its way through Lua that is a userdata of mlua's. Wherever a script
//! can get hold of one (pcall, xpcall, coroutines, our own error handler) it is turned into what the real servers have
//! there, see `prelude.lua`.

use mlua::{Error, Lua, LuaString, Value};

/// The name of the prelude in the stack.
pub(super) const PRELUDE: &str = "=prelude";

/// What a function of ours raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// A text, its position in front if it has one.
    Text(Vec<u8>),
    /// A table whose `err` is this error line; `counted`: the errors' statistics have it already.
    Line { line: Vec<u8>, counted: bool },
    /// A value of Lua that waits in the registry under [`PASSED_ON`].
    PassedOn,
    /// The script was killed. No pcall catches this.
    Killed(&'static str),
}

/// Where a value waits that a Rust function passes on as an error.
pub(super) const PASSED_ON: &str = "remora.passed_on";

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) | Self::Line { line: text, .. } => f.write_str(&String::from_utf8_lossy(text)),
            Self::PassedOn => f.write_str("an error of the script"),
            Self::Killed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Raised {}

impl From<Raised> for Error {
    fn from(raised: Raised) -> Self {
        Self::external(raised)
    }
}

/// A text without a position, as C functions raise through the virtual machine.
pub(super) fn bare(text: impl Into<Vec<u8>>) -> Error {
    Raised::Text(text.into()).into()
}

/// A text behind the position of the function that called ours (C: `luaL_error`).
pub(super) fn error(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    bare([position(lua).as_bytes(), text.as_ref()].concat())
}

/// An error line without its `-`, raised as a table. A line without a code gets `ERR`.
pub(super) fn line(text: impl Into<Vec<u8>>) -> Error {
    Raised::Line { line: text.into(), counted: false }.into()
}

/// `bad argument #1 to 'f' (...)` (C: `luaL_argerror`): named as the script called us.
pub(super) fn argument(lua: &Lua, number: usize, complaint: &str) -> Error {
    let (name, method) = lua
        .inspect_stack(0, |frame| {
            let names = frame.names();
            (names.name.map(|name| name.into_owned()), names.name_what == Some("method"))
        })
        .unwrap_or((None, false));
    let name = name.unwrap_or_else(|| "?".into());
    error(
        lua,
        match number.checked_sub(usize::from(method)) {
            Some(0) if method => format!("calling '{name}' on bad self ({complaint})"),
            number => format!("bad argument #{} to '{name}' ({complaint})", number.unwrap_or(0)),
        },
    )
}

/// A function on the stack.
struct Frame {
    source: String,
    short_source: String,
    line: Option<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    C,
    /// A function that is gone: it ended in a call.
    Tail,
    Prelude,
    Script,
}

/// The function at this level; 0 is the one that runs.
fn frame(lua: &Lua, level: usize) -> Option<Frame> {
    lua.inspect_stack(level, |frame| {
        let found = frame.source();
        let text =
            |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned()).unwrap_or_default();
        let (source, short_source) = (text(found.source), text(found.short_src));
        let kind = match found.what {
            "C" => Kind::C,
            "tail" => Kind::Tail,
            _ if source == PRELUDE => Kind::Prelude,
            _ => Kind::Script,
        };
        Frame { source, short_source, line: frame.current_line().filter(|line| *line > 0), kind }
    })
}

/// From `level` on outwards, without what the prelude's functions leave on the stack.
fn outwards(lua: &Lua, level: usize) -> impl Iterator<Item = Frame> {
    let mut in_prelude = false;
    (level..).map_while(|level| frame(lua, level)).filter(move |frame| {
        in_prelude = frame.kind == Kind::Prelude || in_prelude && frame.kind == Kind::Tail;
        !in_prelude
    })
}

/// `source:line: ` of the function that called ours; empty if it has none.
pub(super) fn position(lua: &Lua) -> String {
    outwards(lua, 1).next().map(Frame::position).unwrap_or_default()
}

/// The same of the function that called into the prelude, from whatever the prelude has called.
fn position_before_prelude(lua: &Lua) -> String {
    let prelude = (1..).map_while(|level| Some((level, frame(lua, level)?)));
    let level = prelude.into_iter().find(|(_, frame)| frame.kind == Kind::Prelude).map_or(1, |(level, _)| level);
    outwards(lua, level).next().map(Frame::position).unwrap_or_default()
}

impl Frame {
    fn position(self) -> String {
        self.line.map(|line| format!("{}:{line}: ", self.short_source)).unwrap_or_default()
    }
}

/// Source and line that the error handler tells of: where the error was raised, or its caller if that was in C
/// (as redis 7.0's `__redis__err__handler`).
pub(super) fn origin(lua: &Lua) -> Option<(String, i64)> {
    let mut frames = outwards(lua, 1).peekable();
    frames.next_if(|frame| frame.kind == Kind::C);
    let frame = frames.next()?;
    Some((frame.source, frame.line.and_then(|line| i64::try_from(line).ok()).unwrap_or(-1)))
}

/// What is behind mlua's wrappers.
fn root(error: &Error) -> &Error {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => root(cause),
        error => error,
    }
}

/// What of ours was raised, if it was ours.
pub(super) fn raised(error: &Error) -> Option<Raised> {
    match root(error) {
        Error::ExternalError(error) => error.downcast_ref::<Raised>().cloned(),
        _ => None,
    }
}

/// The value that a script finds in place of an error of mlua's; any other value as it is. A kill is raised anew.
pub(super) fn recover(lua: &Lua, value: Value) -> mlua::Result<Value> {
    let error = match value {
        Value::Error(error) => error,
        Value::String(text) => return replaced(lua, text),
        value => return Ok(value),
    };
    match raised(&error) {
        Some(Raised::Text(text)) => Ok(Value::String(lua.create_string(text)?)),
        Some(Raised::Line { line, counted }) => line_table(lua, &line, counted),
        Some(Raised::PassedOn) => lua.named_registry_value(PASSED_ON),
        Some(killed @ Raised::Killed(_)) => Err(killed.into()),
        None => Ok(Value::String(lua.create_string(foreign_text(&error))?)),
    }
}

/// A text that Lua raised inside the prelude gets the position of its caller.
fn replaced(lua: &Lua, text: LuaString) -> mlua::Result<Value> {
    let behind = |text: &[u8]| {
        let rest = text.strip_prefix(&PRELUDE.as_bytes()[1..])?.strip_prefix(b":")?;
        let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        rest.get(digits..)?.strip_prefix(b": ").map(<[u8]>::to_vec)
    };
    let rest = behind(&text.as_bytes());
    match rest {
        None => Ok(Value::String(text)),
        Some(rest) => {
            Ok(Value::String(lua.create_string([position_before_prelude(lua).into_bytes(), rest].concat())?))
        }
    }
}

/// The text of an error that came from mlua or from Lua through it.
pub(super) fn foreign_text(error: &Error) -> String {
    match root(error) {
        Error::MemoryError(_) => "not enough memory".into(),
        Error::SyntaxError { message, .. } | Error::RuntimeError(message) => {
            message.split("\nstack traceback:").next().unwrap_or_default().into()
        }
        error => error.to_string(),
    }
}

/// `{err = line}`, as redis.pcall answers it.
pub(super) fn line_table(lua: &Lua, line: &[u8], counted: bool) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(line)?)?;
    if counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(Value::Table(table))
}

/// An error reply or a plain message as a line with a code: `-CODE text` gives `CODE text`, `text` gives `ERR text`
/// (as redis 7.0's `luaPushErrorBuff`).
pub(super) fn with_code(message: &[u8]) -> Vec<u8> {
    let text = match message.strip_prefix(b"-") {
        Some(rest) if rest.contains(&b' ') => {
            let space = rest.iter().position(|&c| c == b' ').unwrap_or(rest.len());
            let (code, text) = rest.split_at(space);
            return [code, b" ", trimmed(&text[1..])].concat();
        }
        Some(rest) => rest,
        None => message,
    };
    [b"ERR ", trimmed(text)].concat()
}

fn trimmed(text: &[u8]) -> &[u8] {
    let ends = |c: &u8| !matches!(c, b'\r' | b'\n');
    let start = text.iter().position(ends).unwrap_or(text.len());
    let end = text.iter().rposition(ends).map_or(start, |at| at + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_line_has_a_code() {
        for (message, line) in [
            ("text", "ERR text"),
            ("-CODE some text", "CODE some text"),
            ("-text", "ERR text"),
            ("-WRONG text\r\n", "WRONG text"),
            ("two words", "ERR two words"),
        ] {
            assert_eq!(String::from_utf8(with_code(message.as_bytes())).unwrap(), line, "{message}");
        }
    }
}
