//! Reads the arguments of an operation, as the control socket and ubus pass them.
//!
//! A PATH is `SHARE:PATH`, an absolute local path, or a path in the only share; names are escaped as status prints them.
//! `PATH@N` is the version with the number N in `log`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::{PeerName, RelPath, Settings, ShareName, escape};
use crate::node::api::record::Field;
use crate::node::api::{Command, DiffWith, Fault, Former, Pick, Reply, Tree};
use crate::store::state::Why;

/// The arguments of a request, read by type. An empty text is an absent one.
///
/// Every function that reads an argument fails with the reply that says what is wrong with it.
pub struct Arguments<'a> {
    settings: &'a Settings,
    params: &'a Tree,
}

impl<'a> Arguments<'a> {
    /// The arguments in `params`; names of shares and paths mean what they mean in these settings.
    pub fn new(settings: &'a Settings, params: &'a Tree) -> Arguments<'a> {
        Arguments { settings, params }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, Reply> {
        match self.params.get(key) {
            None => Ok(None),
            Some(Tree::Text(text)) if text.is_empty() => Ok(None),
            Some(Tree::Text(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(key, "a text")),
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, Reply> {
        texts(self.params, key)
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool, Reply> {
        match self.params.get(key) {
            None => Ok(false),
            Some(value) => bool::from_tree(value).ok_or_else(|| wrong(key, "true or false")),
        }
    }

    /// Whether a flag is given as false.
    pub(crate) fn is_off(&self, key: &str) -> Result<bool, Reply> {
        Ok(self.params.get(key).is_some() && !self.flag(key)?)
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Reply> {
        match self.params.get(key) {
            None => Ok(None),
            Some(Tree::Int(value)) => u64::try_from(*value).map(Some).map_err(|_| wrong(key, "a number from 0 on")),
            Some(_) => Err(wrong(key, "a number")),
        }
    }

    pub(crate) fn peer(&self) -> Result<Option<PeerName>, Reply> {
        match self.text("peer")? {
            None => Ok(None),
            Some(text) => Ok(Some(PeerName(text.into()))),
        }
    }

    pub(crate) fn share(&self) -> Result<Option<ShareName>, Reply> {
        match self.text("share")? {
            None => Ok(None),
            Some(text) => ShareName::parse(text).map(Some).ok_or_else(|| wrong("share", "the name of a share")),
        }
    }

    pub(crate) fn pick(&self) -> Result<Option<Pick>, Reply> {
        match self.text("pick")? {
            None => Ok(None),
            Some("mine") => Ok(Some(Pick::Mine)),
            Some("theirs") => Ok(Some(Pick::Theirs)),
            Some("newest") => Ok(Some(Pick::Newest)),
            Some(_) => Err(wrong("pick", "mine, theirs or newest")),
        }
    }

    pub(crate) fn why(&self) -> Result<Option<Why>, Reply> {
        let Some(text) = self.text("why")? else { return Ok(None) };
        let words = || Why::ALL.map(|why| why.word().replace(' ', "-")).join(", ");
        Why::from_word(text).map(Some).ok_or_else(|| wrong("why", &format!("one of {}", words())))
    }

    /// The share, and the path in it, that `share` and `key` name together.
    pub(crate) fn place(&self, key: &str) -> Result<(Option<ShareName>, Option<RelPath>), Reply> {
        let share = self.share()?;
        match self.text(key)? {
            None => Ok((share, None)),
            Some(text) => {
                let (found, path) = self.resolve(share.as_ref(), text)?;
                Ok((Some(found).or(share), path))
            }
        }
    }

    /// The version that `number`, or `path` with its `@N`, names; the newest of the path without one.
    pub(crate) fn version(&self) -> Result<Former, Reply> {
        if let Some(number) = self.number("number")? {
            return Ok(Former::Number(number));
        }
        let text =
            self.text("path")?.ok_or_else(|| Reply::failed(Fault::Argument, "name a version: PATH or PATH@N"))?;
        self.former(text)
    }

    /// The version that `PATH@N` names, or the newest of `PATH`.
    fn former(&self, text: &str) -> Result<Former, Reply> {
        let (path, number) = split_version(text);
        match (self.resolve(self.share()?.as_ref(), path)?, number) {
            ((share, Some(path)), Some(number)) => Ok(Former::At { share: Some(share), path, number }),
            ((share, Some(path)), None) => Ok(Former::Newest { share: Some(share), path }),
            ((_, None), _) => Err(Reply::failed(Fault::Argument, "name a version: PATH or PATH@N")),
        }
    }

    /// A path, or a version of it, to be compared with what a peer has.
    pub(crate) fn peer_comparison(&self, peer: PeerName) -> Result<Command, Reply> {
        let missing = || Reply::failed(Fault::Argument, "name what is to be compared: PATH or PATH@N");
        if self.text("with")?.is_some() {
            return Err(Reply::failed(Fault::Argument, "compare with a peer or with a version, not with both"));
        }
        let (path, number) = split_version(self.text("path")?.ok_or_else(missing)?);
        match self.resolve(self.share()?.as_ref(), path)? {
            (share, Some(path)) => {
                let number = number.or(self.number("number")?);
                let options = self.flag("options")?;
                Ok(Command::DiffPeer { peer, share: Some(share), path, number, options })
            }
            (_, None) => Err(missing()),
        }
    }

    /// What `with` names: a version, or the file at a path.
    pub(crate) fn compared_with(&self) -> Result<Option<DiffWith>, Reply> {
        let Some(text) = self.text("with")? else { return Ok(None) };
        match split_version(text) {
            (_, Some(_)) => Ok(Some(DiffWith::Former(self.former(text)?))),
            (path, None) => match self.resolve(self.share()?.as_ref(), path)? {
                (share, Some(path)) => Ok(Some(DiffWith::Current { share: Some(share), path })),
                (_, None) => Err(wrong("with", "a file")),
            },
        }
    }

    fn resolve(&self, share: Option<&ShareName>, text: &str) -> Result<(ShareName, Option<RelPath>), Reply> {
        let bytes = escape::unescape(text).ok_or_else(|| wrong("path", "a path as status prints it"))?;
        let parse = |rest: &[u8]| -> Result<Option<RelPath>, Reply> {
            if rest.is_empty() {
                return Ok(None);
            }
            RelPath::parse(rest).map(Some).map_err(|_| wrong("path", "a path below the share"))
        };
        if bytes.starts_with(b"/") {
            return self.below_root(share, &bytes, parse);
        }
        if let Some(share) = share {
            return Ok((share.clone(), parse(&bytes)?));
        }
        // A file name may hold a colon; what stands before it is a share only where there is such a share.
        let named = bytes.iter().position(|&b| b == b':').and_then(|colon| {
            let name = std::str::from_utf8(&bytes[..colon]).ok().and_then(ShareName::parse)?;
            let known = self.settings.shares.iter().any(|share| share.name == name);
            known.then(|| (name, bytes[colon + 1..].to_vec()))
        });
        match (named, &self.settings.shares[..]) {
            (Some((name, rest)), _) => Ok((name, parse(&rest)?)),
            (None, [only]) => Ok((only.name.clone(), parse(&bytes)?)),
            (None, []) => Err(Reply::failed(Fault::NotFound, "there is no share")),
            (None, _) => Err(Reply::failed(Fault::Argument, "there are several shares: write SHARE:PATH")),
        }
    }

    /// An absolute path, in the share whose root is the longest above it.
    fn below_root(
        &self,
        share: Option<&ShareName>,
        bytes: &[u8],
        parse: impl Fn(&[u8]) -> Result<Option<RelPath>, Reply>,
    ) -> Result<(ShareName, Option<RelPath>), Reply> {
        let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
        let mut found: Option<(&ShareName, &Path, usize)> = None;
        for candidate in self.settings.shares.iter().filter(|c| share.is_none_or(|name| *name == c.name)) {
            if let Ok(rest) = path.strip_prefix(&candidate.dir) {
                let depth = candidate.dir.components().count();
                if found.is_none_or(|(_, _, deepest)| depth > deepest) {
                    found = Some((&candidate.name, rest, depth));
                }
            }
        }
        match found {
            Some((name, rest, _)) => Ok((name.clone(), parse(rest.as_os_str().as_bytes())?)),
            None => Err(Reply::failed(Fault::NotFound, format!("{} is in no share", path.display()))),
        }
    }
}

/// The texts of a list, or one text alone.
///
/// # Errors
/// The reply that says that it is neither.
pub fn texts(params: &Tree, key: &str) -> Result<Vec<String>, Reply> {
    let text = |one: &Tree| match one {
        Tree::Text(text) => Ok(text.clone()),
        _ => Err(wrong(key, "a list of texts")),
    };
    match params.get(key) {
        None => Ok(Vec::new()),
        Some(Tree::List(list)) => list.iter().map(text).collect(),
        Some(one) => Ok(vec![text(one)?]),
    }
}

/// `PATH@N`: the path and the number. A name may hold an `@`: only digits at the end count.
fn split_version(text: &str) -> (&str, Option<u64>) {
    match text.rsplit_once('@') {
        Some((path, number)) => match number.parse() {
            Ok(number) => (path, Some(number)),
            Err(_) => (text, None),
        },
        None => (text, None),
    }
}

fn wrong(key: &str, what: &str) -> Reply {
    Reply::failed(Fault::Argument, format!("{key} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::ShareSettings;
    use crate::ops::{Request, request};

    /// F110: `restore /etc/passwd@1` restored whatever had the number 1.
    #[test]
    fn a_number_after_a_path_is_of_that_path() {
        let settings = Settings {
            shares: vec![ShareSettings::new(ShareName::main(), "/etc/config".into())],
            ..Settings::new("here")
        };
        let ask = |method: &str, key: &str, text: &str| {
            let other = if key == "path" { "share" } else { "path" };
            let value = if key == "path" { "main" } else { "dhcp" };
            request(&settings, method, &Tree::map().with(other, value).with(key, text))
        };
        let at = || Former::At { share: Some(ShareName::main()), path: RelPath::parse(b"dhcp").unwrap(), number: 4 };
        for text in ["dhcp@4", "/etc/config/dhcp@4"] {
            assert_eq!(
                ask("restore", "path", text),
                Ok(Request::Command(Command::Restore { version: at(), options: Vec::new() })),
                "{text}"
            );
            assert_eq!(ask("show", "path", text), Ok(Request::Command(Command::Show { version: at() })), "{text}");
            let with = Some(DiffWith::Former(at()));
            let Ok(Request::Command(Command::Diff { with: found, .. })) = ask("diff", "with", text) else {
                panic!("{text}")
            };
            assert_eq!(found, with, "{text}");
        }
        for (method, key) in [("restore", "path"), ("show", "path"), ("diff", "path"), ("diff", "with")] {
            match ask(method, key, "/etc/passwd@1") {
                Err(Reply::Failed { fault: Fault::NotFound, message }) => {
                    assert!(message.contains("/etc/passwd"), "{message}");
                }
                other => panic!("{method} {key}: {other:?}"),
            }
        }
    }
}
