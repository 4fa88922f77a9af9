//! HELP of commands with subcommands, in the servers' words: `help.txt` has what redis 8.0 and valkey 9.1 answer, a section
//! for each container, two where the families differ. Of DEBUG it has only what there is here.
//!
//! Comes in: a request `CONTAINER HELP`. Goes out: a headline, then each subcommand with its sentence.

use super::args::Args;
use super::context::SessionCx;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

static TEXTS: &str = include_str!("help.txt");

/// `CONTAINER HELP`: the row of each container.
pub(super) fn help(cx: &mut SessionCx<'_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Refusal> {
    let container = String::from_utf8_lossy(args.word(0).unwrap_or_default()).to_ascii_uppercase();
    let lines = section(&container, cx.dialect().is_valkey());
    out.array(lines.len() + 3);
    out.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().chain(&["HELP", "    Print this help."]).for_each(|line| out.simple(line));
    Ok(())
}

/// The lines of a container's section; none if it has no section.
fn section(container: &str, valkey: bool) -> Vec<&'static str> {
    let family = if valkey { "valkey" } else { "redis" };
    let is_wanted = |line: &str| {
        let title = line.strip_prefix("## ").and_then(|title| title.strip_prefix(container));
        title.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(' ') == Some(family))
    };
    let behind = TEXTS.lines().skip_while(|line| !is_wanted(line)).skip(1);
    behind.take_while(|line| !line.starts_with("## ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_container_has_a_section_for_both_families() {
        for title in TEXTS.lines().filter_map(|line| line.strip_prefix("## ")) {
            let container = title.split(' ').next().unwrap_or_default();
            assert!(!section(container, false).is_empty() && !section(container, true).is_empty(), "{container}");
        }
        let with_capa = |valkey| section("CLIENT", valkey).contains(&"CAPA <option> [options...]");
        assert_eq!((with_capa(false), with_capa(true)), (false, true));
        assert_eq!(section("COMMAND", true).first(), Some(&"(no subcommand)"));
        assert_eq!(section("NOSUCH", true), Vec::<&str>::new());
    }
}
