//! The form of HELP replies: a headline, then each subcommand with its sentence.

use crate::resp::reply::Reply;

const LINE_CHARS_MAX: usize = 76;

/// Writes the help of a container. `lines` are usage and what it does; HELP itself is added.
pub(super) fn write(out: &mut Reply, name: &str, lines: &[(&str, &str)]) {
    let mut text = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for (usage, meaning) in lines.iter().chain(&[("HELP", "Prints this help.")]) {
        text.push((*usage).to_owned());
        wrap(meaning, &mut text);
    }
    out.array(text.len());
    text.iter().for_each(|line| out.simple(line));
}

/// The same with lines as a real server words and breaks them.
pub(super) fn lines(out: &mut Reply, name: &str, lines: &[&str]) {
    out.array(lines.len() + 3);
    out.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().chain(&["HELP", "    Print this help."]).for_each(|line| out.simple(line));
}

fn wrap(meaning: &str, text: &mut Vec<String>) {
    let mut line = String::from("   ");
    for word in meaning.split(' ') {
        if line.len() + word.len() >= LINE_CHARS_MAX {
            text.push(std::mem::replace(&mut line, String::from("   ")));
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::reply::Proto;

    #[test]
    fn long_sentences_are_wrapped() {
        let mut out = Reply::new(Proto::Resp2);
        write(&mut out, "X", &[("ONE", &"word ".repeat(20))]);
        let text = String::from_utf8_lossy(out.bytes()).into_owned();
        assert!(
            text.starts_with("*6\r\n+X <subcommand>") && text.ends_with("+HELP\r\n+    Prints this help.\r\n")
        );
        assert!(text.lines().all(|line| line.len() <= LINE_CHARS_MAX + 1), "{text}");
    }
}
