//! Reads and writes UCI text as libuci does.
//!
//! [`parse`] reads a package as `uci` does in its strict mode: the whole file, or the first error with its place.
//! [`write`](mod@write) gives the three forms there are: what `uci commit` leaves on disk, what `uci export` prints, what
//! `uci show` prints. [`merge`](mod@merge) combines what two sides made of one package. [`changes`](mod@changes) lists what
//! differs between two texts. [`delta`] reads the changes that `uci set` keeps until a commit. [`model`] is the package
//! between reading and writing: look up a section, change it, write it back.
//!
//! What holds for every input: values are bytes, reading takes time in proportion to the text (times the logarithm of the
//! number of names), and nothing panics. What was written reads as the model it was written from; comments do not survive,
//! as they do not survive a commit. Files, locks and directories are the business of `fs::uci_file`.
//!
//! Why not a crate: `uci_rs` 0.1.2 agrees with libuci on 11 of the 26 files that this module is tested against, loops for
//! ever on a file that ends in `option x`, and cannot read the quotes that a commit writes. Bindings to libuci itself would
//! need it and libclang wherever owsync is built.
//!
//! Facts about the format are from openwrt/uci: file.c (`parse_str`, `uci_parse_line`, `uci_export_package`), list.c
//! (`uci_set`, `uci_add_list`, `uci_fixup_section`), util.c (`uci_validate_str`), delta.c; and from running `uci`.

pub mod changes;
pub mod delta;
pub mod form;
mod lexer;
pub mod local;
pub mod merge;
pub mod model;
mod name;
pub mod numbers;
mod pairs;
mod parse;
mod part;
pub mod pick;
mod sections;
pub mod write;

use std::fmt;

pub use model::{EditError, Package, Section, Value};
pub use name::PackageName;
pub use parse::{parse, parse_shared};
pub use sections::SectionCounter;

/// Why a text is not a UCI package, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub reason: Reason,
    /// The line, counted from 1: the last one, where a value goes over several.
    pub line: usize,
    /// How many bytes of the line, or of the lines that belong together, were read.
    pub byte: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {}, byte {}", self.reason, self.line, self.byte)
    }
}

impl std::error::Error for ParseError {}

/// What is wrong with a text. The words are those of `uci`, so that what one finds about the one helps with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A line starts with something else than package, config, option or list.
    InvalidCommand,
    /// A command at the very end of the text, with nothing behind it.
    Bare(Command),
    /// A package, section type or option name is missing.
    TooFew,
    /// Something stands behind the last argument.
    TooMany,
    /// A section or option name with something else than letters, digits and `_`.
    BadName,
    /// A section type with something else than printable ASCII.
    BadType,
    /// An option before the first section.
    NoSection,
    /// The section's name was used before, for another type.
    OtherType,
    /// The text ends inside quotes of this kind.
    Unterminated(Quote),
    /// A NUL byte, which no value can hold.
    Nul,
    /// A shared form marks an option as local twice, or one that has a value.
    Marker,
}

/// What a line may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `package NAME`: read and ignored, because the file's name counts.
    Package,
    /// `config TYPE [NAME]`.
    Config,
    /// `option NAME VALUE`.
    Option,
    /// `list NAME VALUE`.
    List,
    /// `local NAME`, in shared forms only: the option has a value of its own on every router.
    Local,
}

/// The two kinds of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// `'`: everything up to the next one stands for itself.
    Single,
    /// `"`: a backslash takes away the meaning of the next byte.
    Double,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::InvalidCommand => "invalid command",
            Reason::Bare(Command::Package) => "package without name",
            Reason::Bare(Command::Config) => "config without name",
            Reason::Bare(Command::Option | Command::List | Command::Local) => "option without name",
            Reason::TooFew => "insufficient arguments",
            Reason::TooMany => "too many arguments",
            Reason::BadName => "invalid character in name field",
            Reason::BadType => "invalid character in type field",
            Reason::NoSection => "option/list command found before the first section",
            Reason::OtherType => "section of different type overwrites prior section with same name",
            Reason::Unterminated(Quote::Single) => "EOF with unterminated '",
            Reason::Unterminated(Quote::Double) => "EOF with unterminated \"",
            Reason::Nul => "NUL byte",
            Reason::Marker => "option marked as local twice, or beside a value",
        })
    }
}
