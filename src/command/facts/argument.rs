//! The syntax of a command's arguments as `facts.tsv` writes it:
//!
//! ```text
//! key,key,d,k0;condition,oneof,fo[nx,pure-token,d,tNX;xx,pure-token,d,tXX]
//! ```
//!
//! Arguments have `;` between, fields `,`; the arguments inside stand in brackets. The first fields are name and type,
//! each further one begins with its letter: `d` text to show (empty: the name), `k` number of the key specification,
//! `t` token, `m` summary, `s` since, `x` deprecated since, `f` flags (`o` optional, `m` multiple, `t` multiple_token).

/// One argument; those inside of it are [`arguments`] of `inner`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    pub name: &'static str,
    pub kind: &'static str,
    pub shown: Option<&'static str>,
    pub key_spec: Option<i64>,
    pub token: Option<&'static str>,
    pub summary: Option<&'static str>,
    pub since: Option<&'static str>,
    pub deprecated_since: Option<&'static str>,
    pub flags: Vec<&'static str>,
    pub inner: Option<&'static str>,
}

/// The arguments of a text.
pub fn arguments(text: &'static str) -> impl Iterator<Item = Argument> + use<> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut depth = 0_usize;
        let end = rest.find(|c| {
            depth = match c {
                '[' => depth + 1,
                ']' => depth.saturating_sub(1),
                _ => depth,
            };
            c == ';' && depth == 0
        });
        let (one, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.get(1..).unwrap_or_default();
        Some(Argument::parse(one))
    })
}

impl Argument {
    fn parse(text: &'static str) -> Self {
        let (fields, inner) = match text.split_once('[') {
            Some((fields, inner)) => (fields, inner.strip_suffix(']')),
            None => (text, None),
        };
        let mut fields = fields.split(',');
        let mut next = || fields.next().unwrap_or_default();
        let mut found = Self { name: next(), kind: next(), inner, ..Self::default() };
        for field in fields {
            let (letter, value) = field.split_at(field.len().min(1));
            match letter {
                "d" => found.shown = Some(if value.is_empty() { found.name } else { value }),
                "k" => found.key_spec = value.parse().ok(),
                "t" => found.token = Some(value),
                "m" => found.summary = Some(value),
                "s" => found.since = Some(value),
                "x" => found.deprecated_since = Some(value),
                _ => found.flags = value.chars().map(flag).collect(),
            }
        }
        found
    }
}

fn flag(letter: char) -> &'static str {
    match letter {
        'o' => "optional",
        'm' => "multiple",
        _ => "multiple_token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_nest() {
        let found: Vec<_> =
            arguments("key,key,d,k0;cond,oneof,s1.0,fot[nx,pure-token,dNx,tNX;in,block[a,string]]").collect();
        let key =
            Argument { name: "key", kind: "key", shown: Some("key"), key_spec: Some(0), ..Argument::default() };
        assert_eq!(found[0], key);
        assert_eq!(
            (found[1].since, found[1].flags.as_slice()),
            (Some("1.0"), &["optional", "multiple_token"][..])
        );
        let inner: Vec<_> = arguments(found[1].inner.expect("some")).collect();
        assert_eq!((inner[0].shown, inner[0].token), (Some("Nx"), Some("NX")));
        assert_eq!((inner[1].name, inner[1].inner), ("in", Some("a,string")));
        assert_eq!(arguments("").count(), 0);
    }
}
