//! Help, made from the table.

use std::fmt::Write as _;

use crate::cli::table::{self, CommandSpec, Group, OptionSpec};

/// Columns of help.
const WIDTH: usize = 100;

/// Everything there is, in a page.
pub fn overview() -> String {
    let mut text =
        String::from("owsync keeps directories in sync on several machines.\n\nUsage: owsync COMMAND [OPTIONS]\n");
    for group in Group::ALL {
        let _ = write!(text, "\n{}:\n", group.heading());
        for spec in table::commands().filter(|spec| spec.group() == group) {
            let name = format!("{} {}", spec.name(), spec.operands());
            entry(&mut text, &name, 26, spec.summary());
        }
    }
    text.push_str(
        "\n`owsync COMMAND --help` explains a command and its options.\n\
         Exit codes: 0 success, 1 failure, 2 wrong usage or configuration, 3 no daemon to ask.\n",
    );
    text
}

/// A command and its options.
pub fn command(spec: &CommandSpec) -> String {
    let mut text = format!("{}\n\n", usage(spec));
    fill(&mut text, &format!("{}.", capital(spec.summary())), 0);
    for paragraph in spec.detail().lines() {
        fill(&mut text, paragraph, 0);
    }
    let operands = spec.operand_help();
    if !operands.is_empty() {
        text.push_str("\nArguments:\n");
    }
    for (label, help) in operands {
        entry(&mut text, label, 32, help);
    }
    text.push_str("\nOptions:\n");
    for option in spec.options() {
        let meaning = match option.default {
            "" => option.meaning.to_string(),
            default => format!("{} [default: {default}]", option.meaning),
        };
        entry(&mut text, &names(&option), 32, &meaning);
    }
    text
}

/// How a command is called.
pub fn usage(spec: &CommandSpec) -> String {
    let operands = spec.operands();
    let space = if operands.is_empty() { "" } else { " " };
    format!("Usage: owsync {}{space}{operands} [OPTIONS]", spec.name())
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
        for spec in table::commands() {
            assert!(all.contains(&format!("  {}", spec.name())), "{}", spec.name());
            let text = command(&spec);
            for option in spec.options() {
                assert!(text.contains(&format!("--{}", option.long[0])), "{} --{}", spec.name(), option.long[0]);
                assert!(option.value.is_none() || text.contains("[default: "), "{}", spec.name());
            }
        }
    }

    #[test]
    fn no_line_is_wider_than_a_page() {
        let pages = table::commands().map(|spec| command(&spec)).chain([overview()]);
        for page in pages {
            assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        }
    }

    #[test]
    fn an_option_shows_its_names_value_and_default() {
        let daemon = table::commands().find(|spec| spec.name() == "daemon").unwrap();
        let text = command(&daemon);
        assert!(text.starts_with("Usage: owsync daemon [OPTIONS]\n\nRun the daemon.\n"), "{text}");
        assert!(
            text.contains("  -P, --port PORT               port to listen on and to connect to [default: 4321]\n"),
            "{text}"
        );
        assert!(text.contains("  -v, --verbose, --debug        print more"), "{text}");
    }

    #[test]
    fn an_operation_of_the_table_explains_its_arguments() {
        let pause = table::commands().find(|spec| spec.name() == "pause").unwrap();
        let text = command(&pause);
        assert!(text.starts_with("Usage: owsync pause [PEER] [OPTIONS]\n\nStop syncing with a peer"), "{text}");
        assert!(text.contains("\nArguments:\n  [PEER]                        a peer, by its name"), "{text}");
        assert!(text.contains("      --for TIME                duration: seconds, or 5m, 2h, 1d [default: "), "{text}");
        let approve = table::commands().find(|spec| spec.name() == "approve").unwrap();
        let text = command(&approve);
        assert!(["--mine", "--theirs", "--newest"].iter().all(|flag| text.contains(flag)), "{text}");
    }
}
