//! Typed answers: a type of named fields is also a [`Tree`], and can be read from one.
//!
//! `record!` declares such a type. The key of a field is its name. A field that has the default value of its type is
//! left out of the tree, unless it is marked `always`; the fields of a field that is marked `flat` stand among those of
//! the type itself. Reading is tolerant, because an answer may come from another version of owsync: what is absent, or of
//! another form, becomes the default value.
//!
//! Why not serde? An answer goes to blobmsg and to JSON, in an order that helps its reader, so it needs a form that has
//! both. A serializer for [`Tree`] and the derived code would be several times as long as this file. What would reopen it: a
//! third form.

use std::collections::BTreeMap;

use crate::model::WallTime;
use crate::node::api::Tree;

/// A value that can be in an answer.
pub trait Field: Sized {
    /// Its form; `None` where there is no value.
    fn to_tree(&self) -> Option<Tree>;

    /// The value of this form; `None` where the form is another one.
    fn from_tree(tree: &Tree) -> Option<Self>;
}

impl Field for bool {
    fn to_tree(&self) -> Option<Tree> {
        Some(Tree::Bool(*self))
    }

    fn from_tree(tree: &Tree) -> Option<bool> {
        match tree {
            Tree::Bool(value) => Some(*value),
            // blobmsg has no other form for it.
            Tree::Int(value @ (0 | 1)) => Some(*value == 1),
            _ => None,
        }
    }
}

impl Field for u64 {
    fn to_tree(&self) -> Option<Tree> {
        Some(Tree::from(*self))
    }

    fn from_tree(tree: &Tree) -> Option<u64> {
        match tree {
            Tree::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }
}

impl Field for String {
    fn to_tree(&self) -> Option<Tree> {
        Some(Tree::Text(self.clone()))
    }

    fn from_tree(tree: &Tree) -> Option<String> {
        match tree {
            Tree::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// In whole seconds since 1970.
impl Field for WallTime {
    fn to_tree(&self) -> Option<Tree> {
        Some(Tree::from(*self))
    }

    fn from_tree(tree: &Tree) -> Option<WallTime> {
        match tree {
            Tree::Int(secs) => Some(WallTime(secs.saturating_mul(1000))),
            _ => None,
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn to_tree(&self) -> Option<Tree> {
        self.as_ref().and_then(Field::to_tree)
    }

    fn from_tree(tree: &Tree) -> Option<Option<T>> {
        Some(T::from_tree(tree))
    }
}

impl<T: Field> Field for Vec<T> {
    fn to_tree(&self) -> Option<Tree> {
        Some(Tree::List(self.iter().filter_map(Field::to_tree).collect()))
    }

    fn from_tree(tree: &Tree) -> Option<Vec<T>> {
        match tree {
            Tree::List(list) => Some(list.iter().filter_map(T::from_tree).collect()),
            _ => None,
        }
    }
}

/// A table whose keys are names.
impl<T: Field> Field for BTreeMap<String, T> {
    fn to_tree(&self) -> Option<Tree> {
        Some(Tree::Map(self.iter().filter_map(|(name, value)| Some((name.clone(), value.to_tree()?))).collect()))
    }

    fn from_tree(tree: &Tree) -> Option<BTreeMap<String, T>> {
        match tree {
            Tree::Map(fields) => {
                Some(fields.iter().filter_map(|(name, value)| Some((name.clone(), T::from_tree(value)?))).collect())
            }
            _ => None,
        }
    }
}

/// Adds a field to those of a tree.
pub(crate) fn put<T: Field + Default + PartialEq>(
    fields: &mut Vec<(String, Tree)>,
    key: &str,
    value: &T,
    always: bool,
) {
    if always || *value != T::default() {
        fields.extend(value.to_tree().map(|tree| (key.to_string(), tree)));
    }
}

/// The value of a field of a tree.
pub(crate) fn take<T: Field + Default>(tree: &Tree, key: &str) -> T {
    tree.get(key).and_then(T::from_tree).unwrap_or_default()
}

/// Declares a type of named fields: see the module's text.
macro_rules! record {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident { $( $(#[$doc:meta])* $field:ident: $type:ty $(= $mark:ident)?, )* }
    )*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name { $( $(#[$doc])* pub $field: $type, )* }

        impl $crate::node::api::record::Field for $name {
            fn to_tree(&self) -> Option<$crate::node::api::Tree> {
                let mut fields = Vec::new();
                $( $crate::node::api::record::record!(@put fields, self, $field $(, $mark)?); )*
                Some($crate::node::api::Tree::Map(fields))
            }

            fn from_tree(tree: &$crate::node::api::Tree) -> Option<Self> {
                Some($name { $( $field: $crate::node::api::record::record!(@take tree, $field $(, $mark)?), )* })
            }
        }

        impl From<&$name> for $crate::node::api::Tree {
            fn from(value: &$name) -> $crate::node::api::Tree {
                use $crate::node::api::record::Field;
                value.to_tree().unwrap_or_else($crate::node::api::Tree::map)
            }
        }
    )* };
    (@put $fields:ident, $self:ident, $field:ident) => {
        $crate::node::api::record::put(&mut $fields, stringify!($field), &$self.$field, false)
    };
    (@put $fields:ident, $self:ident, $field:ident, always) => {
        $crate::node::api::record::put(&mut $fields, stringify!($field), &$self.$field, true)
    };
    (@put $fields:ident, $self:ident, $field:ident, flat) => {
        if let Some($crate::node::api::Tree::Map(inner)) = $self.$field.to_tree() {
            $fields.extend(inner);
        }
    };
    (@take $tree:ident, $field:ident, flat) => {
        $crate::node::api::record::Field::from_tree($tree).unwrap_or_default()
    };
    (@take $tree:ident, $field:ident $(, $mark:ident)?) => {
        $crate::node::api::record::take($tree, stringify!($field))
    };
}

/// Declares an enum whose values are words. A word of another version of owsync is `Unknown`.
macro_rules! words {
    ($(
        $(#[$about:meta])*
        pub enum $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal, )* }
    )*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name {
            $( $(#[$doc])* $variant, )*
            /// None that this version of owsync knows.
            #[default]
            Unknown,
        }

        impl $name {
            /// The word that scripts test.
            pub fn word(self) -> &'static str {
                match self {
                    $( $name::$variant => $word, )*
                    $name::Unknown => "unknown",
                }
            }
        }

        impl $crate::node::api::record::Field for $name {
            fn to_tree(&self) -> Option<$crate::node::api::Tree> {
                Some(self.word().into())
            }

            fn from_tree(tree: &$crate::node::api::Tree) -> Option<Self> {
                match tree {
                    $( $crate::node::api::Tree::Text(text) if text == $word => Some($name::$variant), )*
                    _ => None,
                }
            }
        }
    )* };
}

pub(crate) use {record, words};

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        /// Some of it.
        pub struct Inner {
            /// A number.
            number: u64 = always,
        }

        /// All of it.
        pub struct Outer {
            /// Its fields stand among those of `Outer`.
            inner: Inner = flat,
            /// Left out when empty.
            names: Vec<String>,
            /// There even when false.
            is_there: bool = always,
            /// Left out without a value.
            since: Option<WallTime>,
            /// A word.
            side: Side,
        }
    }

    words! {
        /// A side.
        pub enum Side {
            /// This one.
            Here = "here",
        }
    }

    #[test]
    fn a_record_is_a_tree_and_is_read_from_one() {
        let empty = Tree::from(&Outer::default());
        assert_eq!(empty, Tree::map().with("number", 0u64).with("is_there", false));
        assert_eq!(Outer::from_tree(&empty), Some(Outer::default()));

        let full = Outer {
            inner: Inner { number: 7 },
            names: vec!["a".into()],
            is_there: true,
            since: Some(WallTime(3_000)),
            side: Side::Here,
        };
        let names = vec![Tree::from("a")];
        let tree = Tree::map().with("number", 7u64).with("names", names).with("is_there", true);
        let tree = tree.with("since", 3u64).with("side", "here");
        assert_eq!(Tree::from(&full), tree);
        assert_eq!(Outer::from_tree(&tree), Some(full));
    }

    #[test]
    fn what_another_version_says_differently_is_the_default() {
        let other = Tree::map().with("names", "no list").with("side", "elsewhere").with("more", 1u64);
        assert_eq!(Outer::from_tree(&other), Some(Outer::default()));
    }
}
