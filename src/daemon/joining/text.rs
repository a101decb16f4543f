//! The join text: everything that a new node needs, as a block to paste.
//!
//! ```text
//! [owsync-join-1]
//! AUVlcm91dGVyMQKBbTE5Mi4xNjguMS4xOjQzMjEDWCAw...
//! ...
//! [owsync-join-end 3f9a1c2e]
//! ```
//! Between the marks: a CBOR map (`Wire`) as base64url in lines; at the end the first four bytes of its SHA-256. What
//! is before and after the block is for users and is not read; white space inside does not count, since terminals
//! and mail programs wrap. Each way to damage a text has its own message ([`Broken`]). The text contains the
//! cluster's key: it is a secret, never an argument, and no message repeats any of it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::config::values;
use crate::model::settings::{Address, ShareSettings, Symlinks};
use crate::model::{Key, Set, ShareName, WallTime, escape, limits};
use crate::reconcile::filter;

/// Before the block; the number is the form's.
const BEGIN: &str = "[owsync-join-1]";
const BEGINS: &str = "[owsync-join-";
const END: &str = "[owsync-join-end ";

/// Longest text that is read, in bytes: some thousand patterns.
pub const TEXT_MAX: usize = 256 * 1024;

/// Addresses in a text.
pub const ADDRESSES_MAX: usize = 8;

/// Characters in a line: what no terminal and no mail program wraps.
const LINE: usize = 64;

/// What a new node needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinText {
    /// What the reference calls itself.
    pub name: String,
    /// Where it can be reached, best first.
    pub addresses: Vec<Address>,
    /// The cluster's key, the public key of the reference, and the token to show it once; `None` in plain mode.
    pub secret: Option<Secret>,
    /// Until when the token is valid.
    pub expires: WallTime,
    /// The shares.
    pub shares: Vec<ShareSettings>,
}

/// What must not be known to others.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// The cluster's key.
    pub key: Key,
    /// The public key that the reference shows.
    pub public_key: [u8; 32],
    /// Valid once.
    pub token: [u8; 16],
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// There is no beginning.
    NoBegin,
    /// It was made by a version of owsync that writes another form.
    OtherForm,
    /// There is no end.
    NoEnd,
    /// Something in it belongs to no join text; its line counts from the beginning mark.
    Character(usize),
    /// The checksum does not fit.
    Damaged,
    /// The checksum fits, and what it says makes no sense.
    Nonsense(&'static str),
    /// It is longer than any join text.
    TooLong,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::NoBegin => write!(f, "there is no join text: it begins with {BEGIN}"),
            Broken::OtherForm => {
                f.write_str("the join text was made by a different version of owsync: update the older node")
            }
            Broken::NoEnd => write!(f, "the end of the join text is missing: copy all of it, to the line {END}...]"),
            Broken::Character(line) => {
                write!(f, "line {line} of the join text contains an invalid character: copy the text again")
            }
            Broken::Damaged => f.write_str("the join text was cut or changed (its checksum differs): copy it again"),
            Broken::Nonsense(what) => write!(f, "the join text is not valid: {what}"),
            Broken::TooLong => f.write_str("this is too long for a join text"),
        }
    }
}

/// The form in CBOR. Shares and secrets are tables of their own, so that fields can be added at their ends.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    name: String,
    #[n(1)]
    addresses: Vec<String>,
    #[n(2)]
    secret: Option<WireSecret>,
    #[n(3)]
    expires: i64,
    #[n(4)]
    shares: Vec<WireShare>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireSecret {
    #[cbor(n(0), with = "minicbor::bytes")]
    key: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    public_key: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    token: [u8; 16],
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireShare {
    #[n(0)]
    name: String,
    #[n(1)]
    dir: ByteVec,
    #[n(2)]
    include: Vec<ByteVec>,
    #[n(3)]
    exclude: Vec<ByteVec>,
    /// Only where it is not the default, as the two that follow: filters must be alike.
    #[n(4)]
    copy_symlinks: Option<bool>,
    #[n(5)]
    max_file_size: Option<u64>,
}

impl Drop for WireSecret {
    fn drop(&mut self) {
        self.key.zeroize();
        self.token.zeroize();
    }
}

impl JoinText {
    /// The block, in lines.
    pub fn encode(&self) -> Zeroizing<String> {
        // With room enough, so that growing leaves no copy of the key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
        let encoded = minicbor::encode(self.to_wire(), &mut *bytes);
        assert!(encoded.is_ok(), "writing to memory cannot fail");
        let digits = Zeroizing::new(Base64UrlUnpadded::encode_string(&bytes));
        let mut text = Zeroizing::new(format!("{BEGIN}\n"));
        for line in digits.as_bytes().chunks(LINE) {
            text.extend(line.iter().map(|&b| char::from(b)));
            text.push('\n');
        }
        text.push_str(&format!("{END}{}]\n", checksum(&bytes)));
        text
    }

    /// Reads a text that holds a block.
    ///
    /// # Errors
    /// How it is broken.
    pub fn parse(text: &str) -> Result<JoinText, Broken> {
        if text.len() > TEXT_MAX {
            return Err(Broken::TooLong);
        }
        let start = text.find(BEGINS).ok_or(Broken::NoBegin)?;
        let Some(block) = text[start..].strip_prefix(BEGIN) else {
            return Err(if text[start..].starts_with(END) { Broken::NoBegin } else { Broken::OtherForm });
        };
        let (digits, rest) = block.split_once(END).ok_or(Broken::NoEnd)?;
        let (sum, _) = rest.split_once(']').ok_or(Broken::NoEnd)?;
        let mut bare = Zeroizing::new(String::with_capacity(digits.len()));
        for (number, line) in digits.lines().enumerate() {
            for c in line.chars().filter(|c| !c.is_whitespace()) {
                if !matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_') {
                    return Err(Broken::Character(number));
                }
                bare.push(c);
            }
        }
        let bytes = Zeroizing::new(Base64UrlUnpadded::decode_vec(&bare).map_err(|_| Broken::Damaged)?);
        if checksum(&bytes) != sum.trim() {
            return Err(Broken::Damaged);
        }
        let mut decoder = minicbor::Decoder::new(&bytes);
        let wire: Wire = decoder.decode().map_err(|_| Broken::Nonsense("its fields"))?;
        if decoder.position() != bytes.len() {
            return Err(Broken::Nonsense("data follows its fields"));
        }
        JoinText::from_wire(wire)
    }

    fn to_wire(&self) -> Wire {
        let patterns = |list: &[Vec<u8>]| list.iter().cloned().map(ByteVec::from).collect();
        let share = |share: &ShareSettings| WireShare {
            name: share.name.to_string(),
            dir: share.dir.as_os_str().as_bytes().to_vec().into(),
            include: patterns(&share.include),
            exclude: patterns(&share.exclude),
            copy_symlinks: (share.symlinks == Symlinks::Copy).then_some(true),
            max_file_size: Some(share.max_file_size).filter(|size| *size != defaults(&share.name).max_file_size),
        };
        let secret = |secret: &Secret| WireSecret {
            key: *secret.key.bytes(),
            public_key: secret.public_key,
            token: secret.token,
        };
        Wire {
            name: self.name.clone(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            secret: self.secret.as_ref().map(secret),
            expires: self.expires.as_secs(),
            shares: self.shares.iter().map(share).collect(),
        }
    }

    fn from_wire(wire: Wire) -> Result<JoinText, Broken> {
        let name = escape::visible(&wire.name);
        if name.is_empty() || name.len() > limits::LABEL_MAX {
            return Err(Broken::Nonsense("the name of its node"));
        }
        // Without a port there is none to fall back on: the text always has one.
        let address = |text: &String| values::address(text, 0).ok().filter(|address| address.port > 0);
        let addresses: Option<Vec<Address>> = wire.addresses.iter().map(address).collect();
        let addresses = addresses.filter(|list| !list.is_empty() && list.len() <= ADDRESSES_MAX);
        let shares: Option<Vec<ShareSettings>> = wire.shares.into_iter().map(share_from).collect();
        let shares = shares.filter(|list| {
            let names: Set<&ShareName> = list.iter().map(|share| &share.name).collect();
            !list.is_empty() && list.len() <= limits::SHARES_MAX && names.len() == list.len()
        });
        let secret = wire.secret.as_ref().map(|secret| Secret {
            key: Key::new(secret.key),
            public_key: secret.public_key,
            token: secret.token,
        });
        Ok(JoinText {
            name,
            addresses: addresses.ok_or(Broken::Nonsense("its addresses"))?,
            secret,
            expires: WallTime(wire.expires.saturating_mul(1000)),
            shares: shares.ok_or(Broken::Nonsense("its shares"))?,
        })
    }
}

fn defaults(name: &ShareName) -> ShareSettings {
    ShareSettings::new(name.clone(), PathBuf::new())
}

/// A share, checked as far as it can be without a disk.
fn share_from(wire: WireShare) -> Option<ShareSettings> {
    let name = ShareName::parse(&wire.name)?;
    let dir: Vec<u8> = wire.dir.into();
    if dir.first() != Some(&b'/') || dir.contains(&0) || dir.len() > limits::PATH_MAX {
        return None;
    }
    let patterns = |list: Vec<ByteVec>| -> Option<Vec<Vec<u8>>> {
        let list: Vec<Vec<u8>> = list.into_iter().map(Vec::from).collect();
        (list.len() <= limits::PATTERNS_MAX
            && list.iter().all(|one| !matches!(filter::doubt(one), Some(filter::Doubt::Wrong(_)))))
        .then_some(list)
    };
    let standard = defaults(&name);
    Some(ShareSettings {
        dir: OsString::from_vec(dir).into(),
        include: patterns(wire.include)?,
        exclude: patterns(wire.exclude)?,
        symlinks: if wire.copy_symlinks == Some(true) { Symlinks::Copy } else { standard.symlinks },
        max_file_size: wire.max_file_size.unwrap_or(standard.max_file_size),
        ..standard
    })
}

fn checksum(bytes: &[u8]) -> String {
    escape::hex(&Sha256::digest(bytes)[..4])
}

/// Whether `text` holds the end of a block, so that nothing more needs to be read.
pub fn is_complete(text: &str) -> bool {
    text.rsplit_once(END).is_some_and(|(_, rest)| rest.contains(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> JoinText {
        let share = |name: &str, dir: &str| ShareSettings {
            include: vec![b"dhcp".to_vec(), b"fire*\xff".to_vec()],
            exclude: vec![b"network".to_vec()],
            ..ShareSettings::new(ShareName::parse(name).unwrap(), dir.into())
        };
        JoinText {
            name: "router1".into(),
            addresses: vec![
                values::address("192.168.1.1:4321", 1).unwrap(),
                values::address("[fd00::1]:9", 1).unwrap(),
            ],
            secret: Some(Secret { key: Key::new([7; 32]), public_key: [8; 32], token: [9; 16] }),
            expires: WallTime(1_795_162_530_000),
            shares: vec![
                share("main", "/etc/config"),
                ShareSettings { symlinks: Symlinks::Copy, max_file_size: 0, ..share("vpn", "/etc/openvpn") },
            ],
        }
    }

    #[test]
    fn what_was_said_is_heard() {
        let block = text().encode();
        assert_eq!(JoinText::parse(&block), Ok(text()));
        let plain = JoinText { secret: None, ..text() };
        assert_eq!(JoinText::parse(&plain.encode()), Ok(plain));
    }

    #[test]
    fn a_paste_may_be_wrapped_quoted_before_and_followed_by_anything() {
        let block = text().encode();
        let wrapped = block.as_str().replace('\n', "\r\n  ");
        for pasted in [format!("Hi,\nhere it is:\n\n{}-- \nbye [x]", *block), format!("# SECRET\n{wrapped}")] {
            assert_eq!(JoinText::parse(&pasted), Ok(text()), "{pasted}");
            assert!(is_complete(&pasted));
        }
        assert!(block.lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn every_broken_paste_is_named() {
        let block = text().encode();
        let lines: Vec<&str> = block.lines().collect();
        let without = |at: usize| {
            let kept: Vec<&str> = lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line).collect();
            kept.join("\n")
        };
        let other = |from: &str, to: &str| block.as_str().replacen(from, to, 1);
        for (pasted, broken) in [
            (String::new(), Broken::NoBegin),
            (without(0), Broken::NoBegin),
            (without(2), Broken::Damaged),
            (without(lines.len() - 1), Broken::NoEnd),
            (block[..block.len() - 4].to_string(), Broken::NoEnd),
            (other("owsync-join-1", "owsync-join-2"), Broken::OtherForm),
            (other(lines[2], &format!("> {}", lines[2])), Broken::Character(2)),
            (other(&lines[1][..4], "AAAA"), Broken::Damaged),
            (format!("{}{}", *block, "x".repeat(TEXT_MAX)), Broken::TooLong),
        ] {
            assert_eq!(JoinText::parse(&pasted), Err(broken), "{pasted}");
        }
        assert!(!is_complete(&without(lines.len() - 1)));
    }

    #[test]
    fn one_wrong_character_anywhere_is_noticed() {
        let block = text().encode();
        let from = BEGIN.len() + 1;
        let to = block.find(END).unwrap();
        for at in (from..to).filter(|&at| !block.as_bytes()[at].is_ascii_whitespace()) {
            let mut bytes = block.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(JoinText::parse(std::str::from_utf8(&bytes).unwrap()), Err(Broken::Damaged), "{at}");
        }
    }

    #[test]
    fn a_whole_text_with_a_foolish_content_is_refused() {
        let foolish = |change: fn(&mut JoinText)| {
            let mut text = text();
            change(&mut text);
            JoinText::parse(&text.encode())
        };
        let shares = Err(Broken::Nonsense("its shares"));
        assert_eq!(foolish(|text| text.shares.clear()), shares);
        assert_eq!(foolish(|text| text.shares[0].dir = "etc".into()), shares);
        assert_eq!(foolish(|text| text.shares[0].include.push(Vec::new())), shares);
        assert_eq!(foolish(|text| text.shares[0].name = text.shares[1].name.clone()), shares);
        assert_eq!(foolish(|text| text.addresses.clear()), Err(Broken::Nonsense("its addresses")));
        assert_eq!(foolish(|text| text.name.clear()), Err(Broken::Nonsense("the name of its node")));
    }
}
