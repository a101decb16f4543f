//! The methods of the object `owsync`, their arguments, and the status codes of their answers.
//!
//! The table is what `ubus -v list owsync` prints, and the only list there is: what it does not name cannot be called,
//! and of the arguments only those that it names are passed on (LuCI sends `ubus_rpc_session` with every call). The words
//! are those of the control socket; `daemon::request` understands them.

use ubus::{BlobBuilder, BlobType};

use crate::daemon::ubus::blobmsg;
use crate::model::limits;
use crate::node::api::{Fault, Reply, Tree};

/// The name of the object.
pub const OBJECT: &str = "owsync";

/// `enum ubus_msg_status` (ubus:ubusmsg.h), as far as owsync answers with it.
pub mod status {
    /// It was done.
    pub const OK: i32 = 0;
    /// The arguments make no sense.
    pub const INVALID_ARGUMENT: i32 = 2;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i32 = 3;
    /// What the arguments name does not exist.
    pub const NOT_FOUND: i32 = 4;
    /// It cannot be done in the present state.
    pub const NOT_SUPPORTED: i32 = 8;
    /// Something that it needed failed.
    pub const UNKNOWN_ERROR: i32 = 9;
    /// Too many questions wait for their answers.
    pub const NO_MEMORY: i32 = 11;
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false; also 1 or 0, since a shell has nothing else.
    Flag,
    /// A list of texts; also one text.
    Texts,
}

/// A method and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, as [`request::parse`](crate::daemon::request::parse) knows it.
    pub name: &'static str,
    /// Its arguments; all of them may be left out here, and the method says what it needs.
    pub arguments: &'static [(&'static str, Kind)],
}

use Kind::{Flag, Number, Text, Texts};

/// Every method.
pub const METHODS: &[Method] = &[
    Method { name: "status", arguments: &[] },
    // `wait` is left out on purpose: callers give up after 20 or 30 s, and an event tells of the end.
    Method { name: "sync", arguments: &[("peer", Text), ("share", Text), ("dry_run", Flag)] },
    Method { name: "peers", arguments: &[] },
    Method { name: "shares", arguments: &[] },
    Method { name: "files", arguments: &[("share", Text), ("from", Text)] },
    Method {
        name: "history",
        arguments: &[("share", Text), ("path", Text), ("why", Text), ("node", Text), ("limit", Number)],
    },
    Method { name: "show", arguments: &[("path", Text), ("number", Number)] },
    Method { name: "diff", arguments: &[("path", Text), ("number", Number), ("with", Text), ("peer", Text)] },
    Method { name: "restore", arguments: &[("path", Text), ("number", Number)] },
    Method { name: "undo", arguments: &[("run", Number)] },
    Method { name: "confirm", arguments: &[("share", Text)] },
    Method { name: "rollback", arguments: &[("share", Text)] },
    Method { name: "forget", arguments: &[("share", Text), ("path", Text)] },
    Method { name: "approve", arguments: &[("share", Text), ("path", Text), ("pick", Text), ("dry_run", Flag)] },
    Method { name: "reject", arguments: &[("share", Text), ("path", Text), ("dry_run", Flag)] },
    Method { name: "accept", arguments: &[("peer", Text)] },
    Method { name: "forget_peer", arguments: &[("peer", Text)] },
    Method { name: "pause", arguments: &[("peer", Text), ("share", Text), ("reason", Text), ("for", Number)] },
    Method { name: "resume", arguments: &[("peer", Text), ("share", Text)] },
    Method { name: "reload", arguments: &[] },
    Method { name: "identity", arguments: &[] },
    Method { name: "metrics", arguments: &[] },
    // These two give the join text, which holds the cluster's key; no other method gives a key.
    Method { name: "init", arguments: &[("address", Texts)] },
    Method { name: "invite", arguments: &[("address", Texts)] },
    Method { name: "join", arguments: &[("text", Text), ("address", Texts)] },
];

/// The method of this name.
pub fn named(name: &[u8]) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name.as_bytes() == name)
}

/// What ubusd is told of the methods. Integers are declared as INT32: `ubus -v list` has no name for longer ones.
pub fn signature(methods: &[Method]) -> Vec<u8> {
    let mut builder = BlobBuilder::new();
    for method in methods {
        builder.open_table(Some(method.name));
        for (name, kind) in method.arguments {
            let form = match kind {
                Text => BlobType::String,
                Number => BlobType::Int32,
                Flag => BlobType::Int8,
                Texts => BlobType::Array,
            };
            builder.put_i32(Some(name), form as i32);
        }
        builder.close_table();
    }
    builder.finish()
}

impl Method {
    /// The arguments of a call.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn arguments(&self, content: &[u8]) -> Result<Tree, String> {
        if content.len() > limits::CONTROL_LINE {
            return Err("the arguments are too long".into());
        }
        let Ok(given) = blobmsg::decode(content) else { return Err("the arguments make no sense".into()) };
        let mut arguments = Tree::map();
        for (name, kind) in self.arguments {
            let Some(value) = given.get(name) else { continue };
            match kind.of(value) {
                Some(value) => arguments = arguments.with(*name, value),
                None => return Err(format!("{name} is not {}", kind.phrase())),
            }
        }
        Ok(arguments)
    }
}

impl Kind {
    /// The value, if it is of this kind.
    fn of(self, value: &Tree) -> Option<Tree> {
        match (self, value) {
            (Text, Tree::Text(_)) | (Number, Tree::Int(_)) | (Flag, Tree::Bool(_)) => Some(value.clone()),
            (Number, Tree::Text(text)) => text.parse().ok().map(Tree::Int),
            (Flag, Tree::Int(value @ (0 | 1))) => Some(Tree::Bool(*value == 1)),
            (Flag, Tree::Text(text)) => match text.as_str() {
                "1" | "true" => Some(Tree::Bool(true)),
                "0" | "false" => Some(Tree::Bool(false)),
                _ => None,
            },
            (Texts, Tree::Text(_)) => Some(Tree::List(vec![value.clone()])),
            (Texts, Tree::List(list)) => list.iter().all(|one| matches!(one, Tree::Text(_))).then(|| value.clone()),
            _ => None,
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Text => "a text",
            Number => "a number",
            Flag => "true or false",
            Texts => "a list of texts",
        }
    }
}

/// The status code of a reply, and what goes before it.
pub fn answer(reply: Reply) -> (i32, Tree) {
    match reply {
        Reply::Done(tree) => (status::OK, tree),
        Reply::Failed { fault, message } => {
            let status = match fault {
                Fault::Argument => status::INVALID_ARGUMENT,
                Fault::NotFound => status::NOT_FOUND,
                Fault::State => status::NOT_SUPPORTED,
                Fault::System => status::UNKNOWN_ERROR,
            };
            (status, failure(fault, &message))
        }
    }
}

/// A failure for people. ubus itself has no place for a text, so this goes out as data in front of the status: `ubus call`
/// prints it, and LuCI gets it.
pub fn failure(fault: Fault, message: &str) -> Tree {
    Tree::map().with("code", fault.word()).with("message", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::request::{self, Request};
    use crate::model::Settings;
    use crate::model::ShareName;
    use crate::model::settings::ShareSettings;

    fn settings() -> Settings {
        let mut settings = Settings::new("r1");
        settings.shares = vec![ShareSettings::new(ShareName::parse("main").unwrap(), "/etc/config".into())];
        settings
    }

    #[test]
    fn the_documentation_has_every_method_with_its_arguments() {
        let page = include_str!("../../../docs/ubus.md");
        let (_, part) = page.split_once("\n## Methods\n").unwrap();
        let (part, _) = part.split_once("\n## ").unwrap();
        for method in METHODS {
            let named =
                |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{}`", method.name)));
            let row = part.lines().find(named).unwrap_or_else(|| panic!("{} has no row", method.name));
            let said = row.split('|').nth(2).unwrap().matches('`').count() / 2;
            assert_eq!(said, method.arguments.len(), "{row}");
            for (argument, _) in method.arguments {
                assert!(row.contains(&format!("`{argument}`")), "{argument}: {row}");
            }
        }
    }

    #[test]
    fn every_method_of_the_table_is_understood() {
        for method in METHODS {
            let mut arguments = Tree::map();
            // What is compared with a peer is not compared with a version.
            for (name, kind) in method.arguments.iter().filter(|(name, _)| *name != "with") {
                arguments = match (*name, kind) {
                    ("share", _) => arguments.with(*name, "main"),
                    ("pick", _) => arguments.with(*name, "mine"),
                    ("why", _) => arguments.with(*name, "first-contact"),
                    (_, Text) => arguments.with(*name, "x@1"),
                    (_, Number) => arguments.with(*name, 1i64),
                    (_, Flag) => arguments.with(*name, true),
                    (_, Texts) => arguments.with(*name, vec![Tree::from("x")]),
                };
            }
            let given = method.arguments(&blobmsg::encode(&arguments));
            assert_eq!(given.as_ref(), Ok(&arguments), "{}", method.name);
            let request = request::parse(&settings(), method.name, &arguments);
            assert!(
                matches!(request, Ok(Request::Command(_) | Request::Reload | Request::Join { .. })),
                "{}: {request:?}",
                method.name
            );
        }
    }

    #[test]
    fn arguments_of_the_wrong_kind_are_named() {
        let sync = named(b"sync").unwrap();
        let given = |arguments: Tree| sync.arguments(&blobmsg::encode(&arguments));
        assert_eq!(given(Tree::map().with("peer", 7i64)), Err("peer is not a text".into()));
        assert_eq!(given(Tree::map().with("dry_run", "maybe")), Err("dry_run is not true or false".into()));
        assert_eq!(given(Tree::map().with("dry_run", 2i64)), Err("dry_run is not true or false".into()));
        assert_eq!(sync.arguments(b"\x83\0\0"), Err("the arguments make no sense".into()));
        let history = named(b"history").unwrap();
        let limit = |value: Tree| history.arguments(&blobmsg::encode(&Tree::map().with("limit", value)));
        assert_eq!(limit("many".into()), Err("limit is not a number".into()));
        assert_eq!(limit("5".into()), Ok(Tree::map().with("limit", 5i64)));
        let long = Tree::map().with("path", "x".repeat(limits::CONTROL_LINE));
        assert_eq!(history.arguments(&blobmsg::encode(&long)), Err("the arguments are too long".into()));
    }

    #[test]
    fn flags_are_read_as_shells_write_them_and_other_arguments_are_left_out() {
        let sync = named(b"sync").unwrap();
        for (value, meant) in [
            (Tree::Bool(true), true),
            (Tree::Int(1), true),
            (Tree::from("1"), true),
            (Tree::from("true"), true),
            (Tree::Int(0), false),
            (Tree::from("false"), false),
        ] {
            let arguments = Tree::map().with("ubus_rpc_session", "x").with("dry_run", value).with("wait", true);
            assert_eq!(sync.arguments(&blobmsg::encode(&arguments)), Ok(Tree::map().with("dry_run", meant)));
        }
    }

    #[test]
    fn a_failure_has_a_code_and_a_text() {
        for (fault, code) in [(Fault::Argument, 2), (Fault::NotFound, 4), (Fault::State, 8), (Fault::System, 9)] {
            let (status, tree) = answer(Reply::failed(fault, "so it is"));
            assert_eq!((status, tree.get("message")), (code, Some(&Tree::from("so it is"))));
        }
        assert_eq!(answer(Reply::Done(Tree::map())), (0, Tree::map()));
    }
}
