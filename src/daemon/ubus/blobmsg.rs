//! Trees as blobmsg, and blobmsg as trees.
//!
//! Whole numbers are INT32 where they fit and INT64 where not, truths are INT8: what `ubus` and LuCI show as numbers and
//! booleans. A tree that is too large for one message loses the ends of its lists and says so; nothing is ever sent that
//! ubusd would cut the connection for. What comes in is read with bounds and without trust: any process that may call
//! owsync may send any bytes.

use ubus::{BlobBuilder, BlobIter, BlobRef, BlobType, BlobValue};

use crate::model::escape;
use crate::node::api::Tree;

/// Tables within tables that are read: what owsync asks for has one level, what others answer a few.
const DEPTH: usize = 32;

/// Fields of a table that is a record, not a list by name; these are never cut.
const FIELDS: usize = 32;

/// These bytes are no blobmsg, or none that owsync reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// The content of the table that `tree` is, whatever its size.
pub fn encode(tree: &Tree) -> Vec<u8> {
    write(tree, Cut::NOTHING)
}

/// As [`encode`], in at most `limit` bytes; `None` where no cut makes it that small.
///
/// Where something had to go, lists, tables by name and texts all have a common bound, the largest that fits, and the
/// table says `truncated`.
pub fn encode_within(tree: &Tree, limit: usize) -> Option<Vec<u8>> {
    if content_size(tree, Cut::NOTHING) <= limit {
        return Some(encode(tree));
    }
    let tree = marked(tree);
    let mut cut = Cut { items: 4096, text: 512 * 1024 };
    while content_size(&tree, cut) > limit {
        if cut.items == 0 {
            return None;
        }
        cut = Cut { items: cut.items / 2, text: (cut.text / 2).max(256) };
    }
    Some(write(&tree, cut))
}

/// The table that the content describes.
///
/// # Errors
/// [`Garbage`].
pub fn decode(content: &[u8]) -> Result<Tree, Garbage> {
    table(content, DEPTH)
}

/// What of a tree is kept.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Elements of a list; fields of a table, if there are more than [`FIELDS`].
    items: usize,
    /// Bytes of a text.
    text: usize,
}

impl Cut {
    const NOTHING: Cut = Cut { items: usize::MAX, text: usize::MAX };

    fn list(self, list: &[Tree]) -> &[Tree] {
        &list[..list.len().min(self.items)]
    }

    fn fields(self, fields: &[(String, Tree)]) -> &[(String, Tree)] {
        &fields[..fields.len().min(self.items.max(FIELDS))]
    }

    fn text(self, text: &str) -> &str {
        let mut end = text.len().min(self.text);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        &text[..end]
    }
}

/// The tree, saying that it was cut.
fn marked(tree: &Tree) -> Tree {
    let Tree::Map(fields) = tree else { return tree.clone() };
    let rest = fields.iter().filter(|(key, _)| key != "truncated").cloned();
    Tree::Map(std::iter::once(("truncated".to_string(), Tree::Bool(true))).chain(rest).collect())
}

fn write(tree: &Tree, cut: Cut) -> Vec<u8> {
    let mut builder = BlobBuilder::new();
    if let Tree::Map(fields) = tree {
        cut.fields(fields).iter().for_each(|(key, value)| put(&mut builder, Some(key), value, cut));
    }
    builder.finish()
}

fn put(builder: &mut BlobBuilder, name: Option<&str>, tree: &Tree, cut: Cut) {
    match tree {
        Tree::Bool(value) => builder.put_bool(name, *value),
        Tree::Int(value) => match i32::try_from(*value) {
            Ok(value) => builder.put_i32(name, value),
            Err(_) => builder.put_i64(name, *value),
        },
        Tree::Text(text) => builder.put_str(name, cut.text(text)),
        Tree::List(list) => {
            builder.open_array(name);
            cut.list(list).iter().for_each(|value| put(builder, None, value, cut));
            builder.close_array();
        }
        Tree::Map(fields) => {
            builder.open_table(name);
            cut.fields(fields).iter().for_each(|(key, value)| put(builder, Some(key), value, cut));
            builder.close_table();
        }
    }
}

/// Bytes that [`write`] makes of this.
fn content_size(tree: &Tree, cut: Cut) -> usize {
    match tree {
        Tree::Map(fields) => cut.fields(fields).iter().map(|(key, value)| size(key, value, cut)).sum(),
        _ => 0,
    }
}

fn size(name: &str, tree: &Tree, cut: Cut) -> usize {
    let value = match tree {
        Tree::Bool(_) => 1,
        Tree::Int(value) if i32::try_from(*value).is_ok() => 4,
        Tree::Int(_) => 8,
        Tree::Text(text) => cut.text(text).len() + 1,
        Tree::List(list) => cut.list(list).iter().map(|value| size("", value, cut)).sum(),
        Tree::Map(_) => content_size(tree, cut),
    };
    // An attribute's head, its name's length, the name with its NUL; each padded to four.
    4 + (2 + name.len() + 1).next_multiple_of(4) + value.next_multiple_of(4)
}

fn table(content: &[u8], depth: usize) -> Result<Tree, Garbage> {
    let mut fields = Vec::new();
    each(content, |one| {
        if let Some(value) = value(one, depth)? {
            fields.push((one.name.unwrap_or_default().to_string(), value));
        }
        Ok(())
    })?;
    Ok(Tree::Map(fields))
}

fn list(content: &[u8], depth: usize) -> Result<Tree, Garbage> {
    let mut list = Vec::new();
    each(content, |one| {
        list.extend(value(one, depth)?);
        Ok(())
    })?;
    Ok(Tree::List(list))
}

fn each<'a>(content: &'a [u8], mut then: impl FnMut(&BlobRef<'a>) -> Result<(), Garbage>) -> Result<(), Garbage> {
    let mut rest = BlobIter::new(content);
    while let Some(one) = rest.try_next().map_err(|_| Garbage)? {
        then(&one)?;
    }
    Ok(())
}

/// The value of an attribute; `None` for a null, which says nothing.
fn value(one: &BlobRef<'_>, depth: usize) -> Result<Option<Tree>, Garbage> {
    if one.ty == BlobType::String {
        // Up to its end as C sees it; a name on disk need not be UTF-8.
        let end = one.payload.iter().position(|&b| b == 0).ok_or(Garbage)?;
        return Ok(Some(Tree::Text(escape::as_typed(&one.payload[..end]))));
    }
    Ok(Some(match one.value().map_err(|_| Garbage)? {
        BlobValue::Int8(value) => Tree::Bool(value != 0),
        BlobValue::Int16(value) => Tree::Int(value.into()),
        BlobValue::Int32(value) => Tree::Int(value.into()),
        BlobValue::Int64(value) => Tree::Int(value),
        BlobValue::Double(value) => Tree::Int(cut(value)),
        BlobValue::Table(content) => table(content, depth.checked_sub(1).ok_or(Garbage)?)?,
        BlobValue::Array(content) => list(content, depth.checked_sub(1).ok_or(Garbage)?)?,
        BlobValue::Raw(_) | BlobValue::String(_) => return Ok(None),
    }))
}

/// A number without its fraction, as the control socket takes it: owsync asks for whole ones.
#[allow(clippy::cast_possible_truncation)]
fn cut(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Tree {
        Tree::map()
            .with("state", "idle")
            .with("enabled", true)
            .with("peers", 2u64)
            .with("bytes", 1_099_511_627_776u64)
            .with("list", vec![Tree::from("a"), Tree::map().with("x", 1u64)])
            .with("neg", -5i64)
    }

    #[test]
    fn a_tree_survives_blobmsg() {
        let content = encode(&status());
        assert_eq!(decode(&content), Ok(status()));
        assert_eq!(content.len(), content_size(&status(), Cut::NOTHING));
        assert_eq!(decode(&[]), Ok(Tree::map()));
    }

    #[test]
    fn numbers_take_the_smallest_form_that_ubus_shows_as_a_number() {
        let types = |value: i64| {
            let content = encode(&Tree::map().with("n", value));
            let one = BlobIter::new(&content).try_next().unwrap().unwrap();
            one.ty
        };
        for (value, kind) in [
            (0, BlobType::Int32),
            (i64::from(i32::MAX), BlobType::Int32),
            (i64::from(i32::MIN), BlobType::Int32),
            (i64::from(i32::MAX) + 1, BlobType::Int64),
            (i64::MIN, BlobType::Int64),
        ] {
            assert_eq!(types(value), kind, "{value}");
        }
    }

    #[test]
    fn what_scripts_send_is_read_as_they_mean_it() {
        let mut builder = BlobBuilder::new();
        builder.put_null(Some("nothing"));
        builder.put_double(Some("whole"), 3.9);
        builder.put_double(Some("none"), f64::NAN);
        builder.put_i64(Some("long"), 1 << 40);
        let content = builder.finish();
        assert_eq!(decode(&content), Ok(Tree::map().with("whole", 3i64).with("none", 0i64).with("long", 1i64 << 40)));

        // A name that is not UTF-8, as a shell passes it on.
        let content = encode(&Tree::map().with("path", "ab"));
        let at = content.iter().position(|&b| b == b'b').unwrap();
        let mut bytes = content;
        bytes[at] = 0xff;
        assert_eq!(decode(&bytes), Ok(Tree::map().with("path", "a\\xff")));
    }

    #[test]
    fn tables_without_end_are_garbage() {
        let nest = |depth: usize| {
            let mut builder = BlobBuilder::new();
            (0..depth).for_each(|_| builder.open_table(Some("t")));
            (0..depth).for_each(|_| builder.close_table());
            decode(&builder.finish())
        };
        assert!(nest(DEPTH).is_ok());
        assert_eq!(nest(DEPTH + 1), Err(Garbage));
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let long = |count: usize| vec![Tree::map().with("path", "dhcp").with("size", 1u64); count];
        let tree = Tree::map().with("truncated", false).with("files", long(5000)).with("share", "main");
        let limit = 20_000;

        let content = encode_within(&tree, limit).unwrap();

        let cut = decode(&content).unwrap();
        let Some(Tree::List(files)) = cut.get("files") else { panic!("{cut:?}") };
        assert!(content.len() <= limit && content.len() > limit / 4, "{}", content.len());
        assert!(files.len() > 100 && files[0] == long(1)[0]);
        assert_eq!((cut.get("truncated"), cut.get("share")), (Some(&Tree::Bool(true)), Some(&Tree::from("main"))));
        // What fits is as it was.
        assert_eq!(decode(&encode_within(&tree, 1 << 20).unwrap()), Ok(tree));
    }

    #[test]
    fn many_names_and_long_texts_are_cut_too() {
        let mut peers = Tree::map();
        for n in 0..3000 {
            peers = peers.with(format!("r{n}"), Tree::map().with("state", "away"));
        }
        let tree = Tree::map().with("peers", peers).with("text", "\u{e9}".repeat(50_000));

        let cut = decode(&encode_within(&tree, 20_000).unwrap()).unwrap();

        let (Some(Tree::Map(peers)), Some(Tree::Text(text))) = (cut.get("peers"), cut.get("text")) else { panic!() };
        assert!(peers.len() >= FIELDS && peers[0].1 == Tree::map().with("state", "away"));
        assert!(text.len() > 256 && text.chars().all(|c| c == '\u{e9}'));
        assert_eq!(encode_within(&tree, 100), None);
    }
}
