//! The form of every answer.

use crate::model::WallTime;

/// An answer's form: what JSON and blobmsg have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text; what was not UTF-8 is escaped.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// A table; its keys are in the order in which a person wants to read them.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// An empty table.
    pub fn map() -> Tree {
        Tree::Map(Vec::new())
    }

    /// This table with one more key.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Tree>) -> Tree {
        if let Tree::Map(fields) = &mut self {
            fields.push((key.into(), value.into()));
        }
        self
    }

    /// This table with one more key, if there is a value.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<impl Into<Tree>>) -> Tree {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The value of a key of this table.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl From<bool> for Tree {
    fn from(value: bool) -> Tree {
        Tree::Bool(value)
    }
}

impl From<u64> for Tree {
    fn from(value: u64) -> Tree {
        Tree::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Tree {
    fn from(value: usize) -> Tree {
        Tree::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Tree {
    fn from(value: u32) -> Tree {
        Tree::Int(i64::from(value))
    }
}

impl From<i64> for Tree {
    fn from(value: i64) -> Tree {
        Tree::Int(value)
    }
}

/// Seconds since 1970.
impl From<WallTime> for Tree {
    fn from(value: WallTime) -> Tree {
        Tree::Int(value.as_secs())
    }
}

impl From<&str> for Tree {
    fn from(value: &str) -> Tree {
        Tree::Text(value.into())
    }
}

impl From<String> for Tree {
    fn from(value: String) -> Tree {
        Tree::Text(value)
    }
}

impl From<Vec<Tree>> for Tree {
    fn from(value: Vec<Tree>) -> Tree {
        Tree::List(value)
    }
}
