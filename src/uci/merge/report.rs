//! What a merge reports: what was lost, what is worth reading again, and why two texts were not merged.

use std::fmt;

use crate::model::escape;
use crate::uci::ParseError;
use crate::uci::part::{self, Setting};

/// A text of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What both sides started from.
    Base,
    /// The side whose values stay.
    Winner,
    /// The other side.
    Loser,
    /// The result.
    Merged,
}

/// A change of the loser that is not in the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// An option has the winner's value.
    Option {
        /// The section, as `uci show` calls it, or by its option `name`.
        section: String,
        /// The option.
        option: String,
        /// What is in the result; `None`: the option is not set.
        kept: Option<Setting>,
        /// What the loser had.
        lost: Option<Setting>,
    },
    /// A section was removed by one side and changed by the other.
    Section {
        /// The section, as `uci show` calls it in the base.
        section: String,
        /// What holds.
        kept: Fate,
        /// What the loser did.
        lost: Fate,
    },
    /// A section has the winner's type.
    Type {
        /// The section.
        section: String,
        /// The type in the result.
        kept: String,
        /// The loser's type.
        lost: String,
    },
    /// Both sides reordered the sections of this type.
    Order {
        /// The type.
        kind: String,
    },
}

/// What became of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Removed,
    /// It has other options.
    Changed,
    /// Both sides removed it, and one has something like it.
    Rewritten,
}

/// Something worth reading again, though nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Both sides changed this section, in different options.
    ChangedByBoth(String),
    /// Both sides put a section of this type in the same place.
    SamePlace(String),
}

/// Why texts are not merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A text is no UCI package.
    NoPackage(Side, ParseError),
    /// More sections than [`limits::MERGE_SECTIONS`](crate::model::limits::MERGE_SECTIONS).
    TooManySections,
    /// A section was changed on one side; the other removed it and added one of its type.
    PerhapsRewritten(String),
    /// A name of a section is still used, and its section would be gone.
    StillNamed(Vec<u8>),
    /// Two sections would have this name.
    TwoOfOneName(Vec<u8>),
    /// The result cannot be written so that it is read as it was meant.
    Unreadable,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Removed => "removed",
            Fate::Changed => "changed",
            Fate::Rewritten => "changed beyond recognition",
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Option { section, option, kept, lost } => {
                let (kept, lost) = (part::setting(kept.as_ref()), part::setting(lost.as_ref()));
                write!(f, "{section}.{option}: kept {kept}, not {lost}")
            }
            Loss::Section { section, kept, lost } => write!(f, "{section}: kept {kept}, not {lost}"),
            Loss::Type { section, kept, lost } => {
                let (kept, lost) = (escape::escape(kept.as_bytes()), escape::escape(lost.as_bytes()));
                write!(f, "{section}: kept type {kept}, not {lost}")
            }
            Loss::Order { kind } => {
                let kind = escape::escape(kind.as_bytes());
                write!(f, "order of the {kind} sections: kept one side's, both changed it")
            }
        }
    }
}

/// Parts of the names of options whose values are not for everybody who reads a log.
const SECRETS: [&str; 6] = ["key", "passw", "secret", "psk", "pin", "token"];

impl Loss {
    /// The same for the log and for events, which more users read than may read the packages: without a value that is a
    /// password or a key, as far as the option's name says so.
    pub fn without_secrets(&self) -> String {
        match self {
            Loss::Option { section, option, .. } if SECRETS.iter().any(|part| option.contains(part)) => {
                format!("{section}.{option}: kept one value, not the other (neither is shown here)")
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::ChangedByBoth(section) => write!(f, "{section}: changed on both sides, different options"),
            Note::SamePlace(kind) => {
                let kind = escape::escape(kind.as_bytes());
                write!(f, "both sides put a {kind} in the same place: the winner's comes first")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoPackage(_, error) => write!(f, "no UCI package: {}", error.reason),
            Refusal::TooManySections => f.write_str("too many sections"),
            Refusal::PerhapsRewritten(section) => {
                write!(f, "{section} was changed on one side; on the other it was removed or replaced")
            }
            Refusal::StillNamed(word) => write!(f, "{} is still named, and would be gone", escape::escape(word)),
            Refusal::TwoOfOneName(name) => write!(f, "two sections would be named {}", escape::escape(name)),
            Refusal::Unreadable => f.write_str("the merged text would be read differently"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uci::model::Value;

    #[test]
    fn a_lost_key_is_named_without_its_value() {
        let loss = |option: &str| Loss::Option {
            section: "wifinet0".into(),
            option: option.into(),
            kept: Some(Setting::Value(Value::One(b"one".to_vec()))),
            lost: Some(Setting::Value(Value::One(b"two".to_vec()))),
        };
        assert_eq!(loss("ssid").without_secrets(), loss("ssid").to_string());
        for option in ["key", "private_key", "password", "auth_secret", "sae_psk"] {
            let text = loss(option).without_secrets();
            assert!(text.contains(option) && !text.contains("'one'") && !text.contains("two"), "{text}");
        }
    }
}
