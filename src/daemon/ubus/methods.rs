//! Declares the operations of [`crate::ops`] as methods of the object `owsync`, converts their arguments, and gives the
//! status codes of answers.

use ubus::{BlobBuilder, BlobType};

use crate::daemon::ubus::blobmsg;
use crate::model::limits;
use crate::node::api::{Fault, Reply, Tree};
use crate::ops::{self, Argument, Kind, Op};

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

/// The methods of the object: the operations that are not bound to a connection of the control socket.
pub fn methods() -> impl Iterator<Item = &'static Op> {
    ops::OPS.iter().filter(|op| op.is_method())
}

/// The method of this name.
pub fn named(name: &[u8]) -> Option<&'static Op> {
    methods().find(|op| op.name.as_bytes() == name)
}

/// The arguments of a method.
fn arguments_of(op: &Op) -> impl Iterator<Item = &Argument> {
    op.arguments.iter().filter(|argument| argument.on_ubus)
}

/// What ubusd is given as the methods' arguments. Integers are declared as INT32: `ubus -v list` has no name for longer
/// ones.
pub fn signature<'a>(methods: impl Iterator<Item = &'a Op>) -> Vec<u8> {
    let mut builder = BlobBuilder::new();
    for op in methods {
        builder.open_table(Some(op.name));
        for argument in arguments_of(op) {
            let form = match argument.kind {
                Kind::Text | Kind::Path | Kind::Word(_) => BlobType::String,
                Kind::Number | Kind::Seconds => BlobType::Int32,
                Kind::Flag => BlobType::Int8,
                Kind::Texts => BlobType::Array,
            };
            builder.put_i32(Some(argument.name), form as i32);
        }
        builder.close_table();
    }
    builder.finish()
}

/// The arguments of a call: those that the method has, and no others (LuCI sends `ubus_rpc_session` with every call).
///
/// # Errors
/// What is wrong with them, for users.
pub fn arguments(op: &Op, content: &[u8]) -> Result<Tree, String> {
    if content.len() > limits::CONTROL_LINE {
        return Err("the arguments are too long".into());
    }
    let Ok(given) = blobmsg::decode(content) else { return Err("the arguments cannot be read".into()) };
    let mut arguments = Tree::map();
    for argument in arguments_of(op) {
        let Some(value) = given.get(argument.name) else { continue };
        match converted(argument.kind, value) {
            Some(value) => arguments = arguments.with(argument.name, value),
            None => return Err(format!("{} is not {}", argument.name, phrase(argument.kind))),
        }
    }
    Ok(arguments)
}

/// The value as this kind, if it is one. A shell writes numbers and flags as texts.
fn converted(kind: Kind, value: &Tree) -> Option<Tree> {
    match (kind, value) {
        (Kind::Text | Kind::Path | Kind::Word(_), Tree::Text(_))
        | (Kind::Number | Kind::Seconds, Tree::Int(_))
        | (Kind::Flag, Tree::Bool(_)) => Some(value.clone()),
        (Kind::Number | Kind::Seconds, Tree::Text(text)) => text.parse().ok().map(Tree::Int),
        (Kind::Flag, Tree::Int(value @ (0 | 1))) => Some(Tree::Bool(*value == 1)),
        (Kind::Flag, Tree::Text(text)) => match text.as_str() {
            "1" | "true" => Some(Tree::Bool(true)),
            "0" | "false" => Some(Tree::Bool(false)),
            _ => None,
        },
        (Kind::Texts, Tree::Text(_)) => Some(Tree::List(vec![value.clone()])),
        (Kind::Texts, Tree::List(list)) => list.iter().all(|one| matches!(one, Tree::Text(_))).then(|| value.clone()),
        _ => None,
    }
}

fn phrase(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Path | Kind::Word(_) => "a text",
        Kind::Number | Kind::Seconds => "a number",
        Kind::Flag => "true or false",
        Kind::Texts => "a list of texts",
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

/// A failure, with its message for users. ubus itself has no place for a text, so this goes out as data in front of the status: `ubus call`
/// prints it, and LuCI gets it.
pub fn failure(fault: Fault, message: &str) -> Tree {
    Tree::map().with("code", fault.word()).with("message", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Access;

    #[test]
    fn the_documentation_has_every_method_with_its_arguments() {
        let page = include_str!("../../../docs/ubus.md");
        let (_, part) = page.split_once("\n## Methods\n").unwrap();
        let (part, _) = part.split_once("\n## ").unwrap();
        for op in methods() {
            let named =
                |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{}`", op.name)));
            let row = part.lines().find(named).unwrap_or_else(|| panic!("{} has no row", op.name));
            let said = row.split('|').nth(2).unwrap().matches('`').count() / 2;
            assert_eq!(said, arguments_of(op).count(), "{row}");
            for argument in arguments_of(op) {
                assert!(row.contains(&format!("`{}`", argument.name)), "{}: {row}", argument.name);
            }
        }
    }

    /// rpcd lets a LuCI user call what this file lists; what needs the user is only for those who may write.
    #[test]
    fn the_rights_of_luci_are_those_of_the_table() {
        let text = include_str!("../../../luci-app-owsync/root/usr/share/rpcd/acl.d/luci-app-owsync.json");
        let acl: serde_json::Value = serde_json::from_str(text).unwrap();
        for (right, access) in [("read", Access::Read), ("write", Access::User)] {
            let listed = acl["luci-app-owsync"][right]["ubus"]["owsync"].as_array().unwrap();
            let mut listed: Vec<&str> = listed.iter().map(|name| name.as_str().unwrap()).collect();
            let mut expected: Vec<&str> = methods().filter(|op| op.access == access).map(|op| op.name).collect();
            listed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(listed, expected, "{right}");
        }
    }

    #[test]
    fn arguments_of_the_wrong_kind_are_named() {
        let sync = named(b"sync").unwrap();
        let given = |given: Tree| arguments(sync, &blobmsg::encode(&given));
        assert_eq!(given(Tree::map().with("peer", 7i64)), Err("peer is not a text".into()));
        assert_eq!(given(Tree::map().with("dry_run", "maybe")), Err("dry_run is not true or false".into()));
        assert_eq!(given(Tree::map().with("dry_run", 2i64)), Err("dry_run is not true or false".into()));
        assert_eq!(arguments(sync, b"\x83\0\0"), Err("the arguments cannot be read".into()));
        let history = named(b"history").unwrap();
        let limit = |value: Tree| arguments(history, &blobmsg::encode(&Tree::map().with("limit", value)));
        assert_eq!(limit("many".into()), Err("limit is not a number".into()));
        assert_eq!(limit("5".into()), Ok(Tree::map().with("limit", 5i64)));
        let long = Tree::map().with("path", "x".repeat(limits::CONTROL_LINE));
        assert_eq!(arguments(history, &blobmsg::encode(&long)), Err("the arguments are too long".into()));
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
            let given = Tree::map().with("ubus_rpc_session", "x").with("dry_run", value).with("wait", true);
            assert_eq!(arguments(sync, &blobmsg::encode(&given)), Ok(Tree::map().with("dry_run", meant)));
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
