//! Help, made from the table.

use std::fmt::Write as _;

use crate::cli::table::{self, CommandSpec, OptionSpec, Verb};

/// Columns of help.
const WIDTH: usize = 100;

/// Headings of the list of commands, each with its first command.
const GROUPS: [(&str, Verb); 4] = [
    ("Run", Verb::Daemon),
    ("Set up", Verb::Init),
    ("Ask the running daemon", Verb::Status),
    ("Look at a directory", Verb::Scan),
];

/// Everything there is, in a page.
pub fn overview() -> String {
    let mut text =
        String::from("owsync keeps directories equal on several machines.\n\nUsage: owsync COMMAND [OPTIONS]\n");
    for spec in table::COMMANDS {
        if let Some((heading, _)) = GROUPS.iter().find(|(_, first)| *first == spec.verb) {
            let _ = write!(text, "\n{heading}:\n");
        }
        let name = format!("{} {}", spec.name, spec.operands);
        entry(&mut text, &name, 26, spec.summary);
    }
    text.push_str(
        "\n`owsync COMMAND --help` explains a command and its options.\n\
         Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n",
    );
    text
}

/// A command and its options.
pub fn command(spec: &CommandSpec) -> String {
    let mut text = format!("{}\n\n", usage(spec));
    fill(&mut text, &format!("{}.", capital(spec.summary)), 0);
    for paragraph in spec.detail.lines() {
        fill(&mut text, paragraph, 0);
    }
    text.push_str("\nOptions:\n");
    for option in spec.every_option() {
        let meaning = match option.default {
            "" => option.meaning.to_string(),
            default => format!("{} [default: {default}]", option.meaning),
        };
        entry(&mut text, &names(option), 32, &meaning);
    }
    text
}

/// How a command is called.
pub fn usage(spec: &CommandSpec) -> String {
    let operands = if spec.operands.is_empty() { String::new() } else { format!(" {}", spec.operands) };
    format!("Usage: owsync {}{operands} [OPTIONS]", spec.name)
}

fn names(option: &OptionSpec) -> String {
    let letter = option.short.map_or("    ".into(), |letter| format!("-{letter}, "));
    let names: Vec<String> = option.long.iter().map(|name| format!("--{name}")).collect();
    let value = option.value.map_or(String::new(), |value| format!(" {value}"));
    format!("{letter}{}{value}", names.join(", "))
}

/// A name and what it means beside it, or below it where it is too long.
fn entry(text: &mut String, name: &str, column: usize, meaning: &str) {
    let name = format!("  {}", name.trim_end());
    if name.len() >= column {
        let _ = writeln!(text, "{name}");
    } else {
        let _ = write!(text, "{name:column$}");
    }
    let mut lines = String::new();
    fill(&mut lines, meaning, column);
    text.push_str(if name.len() >= column { &lines } else { lines.trim_start() });
}

/// Writes words in lines of at most [`WIDTH`] columns, indented.
fn fill(text: &mut String, words: &str, indent: usize) {
    let mut column = 0;
    for word in words.split_whitespace() {
        if column > 0 && column + 1 + word.chars().count() > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text.push('\n');
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// The version, and what was left out of this build.
pub fn version() -> String {
    let encryption = if cfg!(feature = "encryption") { "with encryption" } else { "without encryption" };
    format!("owsync {} ({encryption})\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_and_explains_each_of_its_options() {
        let all = overview();
        for spec in table::COMMANDS {
            assert!(all.contains(&format!("  {}", spec.name)), "{}", spec.name);
            let text = command(spec);
            for option in spec.every_option() {
                assert!(text.contains(&format!("--{}", option.long[0])), "{} --{}", spec.name, option.long[0]);
                assert!(option.value.is_none() || text.contains("[default: "), "{}", spec.name);
            }
        }
    }

    #[test]
    fn no_line_is_wider_than_a_page_and_no_group_is_lost() {
        let pages = table::COMMANDS.iter().map(command).chain([overview()]);
        for page in pages {
            assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        }
        for (heading, _) in GROUPS {
            assert!(overview().contains(heading));
        }
    }

    #[test]
    fn an_option_shows_its_names_value_and_default() {
        let text = command(table::command(Verb::Daemon));
        assert!(text.starts_with("Usage: owsync daemon [OPTIONS]\n\nKeep the shares equal"), "{text}");
        assert!(
            text.contains("  -P, --port PORT               port to listen on, and to dial [default: 4321]\n"),
            "{text}"
        );
        assert!(text.contains("  -v, --verbose, --debug        tell everything"), "{text}");
    }
}
