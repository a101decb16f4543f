//! Makes join texts from a running node, and configures a router from a join text.
//!
//! The commands use this, and the daemon when it is asked over ubus. Existing files are not
//! overwritten, except the token of an earlier text.

pub mod addresses;
pub mod keys;
pub mod package;
pub mod text;

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::{Config, finish, values};
use crate::daemon::place::plain;
use crate::model::settings::Address;
use crate::model::{WallTime, escape, limits};
use crate::node::api::Tree;

use text::{ADDRESSES_MAX, JoinText, Secret};

/// Where other nodes are to dial this node: the given addresses, else the listening ones, else the machine's own.
///
/// # Errors
/// A given address is malformed, or none was given and there is none.
pub fn reachable_at(told: &[String], config: &Config) -> Result<Vec<Address>, String> {
    let port = config.dial_port();
    if told.len() > ADDRESSES_MAX {
        return Err(format!("more than {ADDRESSES_MAX} addresses"));
    }
    if !told.is_empty() {
        let read = |text: &String| values::address(text, port).map_err(|error| format!("address: {error}"));
        return told.iter().map(read).collect();
    }
    let any = ["::", "0.0.0.0", "*"].contains(&config.bind_host.as_str());
    let hosts: Vec<String> = if any {
        addresses::own().iter().map(ToString::to_string).take(ADDRESSES_MAX).collect()
    } else if config.bind_host.contains('%') {
        // The name of this node's interface has no meaning on another machine.
        return Err(
            "this node listens on a link-local address, which other nodes cannot use as it is: name an address (option address)"
                .into(),
        );
    } else {
        vec![config.bind_host.clone()]
    };
    if hosts.is_empty() {
        return Err("no address of this machine that other nodes can use was found: name one (option address)".into());
    }
    Ok(hosts.into_iter().map(|host| Address { host, port, source: None }).collect())
}

/// Where other nodes can dial this node, as addresses: what a reference passes on to those that it introduces.
pub fn reported(config: &Config) -> Vec<SocketAddr> {
    let all = reachable_at(&[], config).unwrap_or_default();
    let ip = |one: &Address| Some(SocketAddr::new(one.host.parse().ok()?, one.port));
    all.iter().filter_map(ip).take(limits::ADDRESSES_TOLD).collect()
}

/// The text that the node's answer to `init` or `invite` makes.
///
/// # Errors
/// The answer lacks something, or there is nothing to join.
pub fn invitation(config: &Config, answer: &Tree, addresses: Vec<Address>, now: WallTime) -> Result<JoinText, String> {
    let said = |key: &str| match answer.get(key) {
        Some(Tree::Text(text)) => text.as_str(),
        _ => "",
    };
    let missing = |what: &str| format!("the node did not report its {what}");
    let secret = match &config.settings.key {
        Some(key) => Some(Secret {
            key: key.clone(),
            public_key: escape::unhex(said("public_key")).ok_or_else(|| missing("public key"))?,
            token: escape::unhex(said("token")).ok_or_else(|| missing("token"))?,
        }),
        None if config.settings.plain_mode => None,
        // A text without a key says that the cluster runs in plain mode, so a key that is missing must never make one.
        None => return Err(config.key_problem.clone().unwrap_or_else(|| "the node has no key".into())),
    };
    let shares: Vec<_> = config.settings.shares.iter().filter(|share| share.enabled).cloned().collect();
    if shares.is_empty() {
        return Err("no share is configured: there is nothing to join".into());
    }
    Ok(JoinText {
        name: config.settings.name.clone(),
        addresses,
        secret,
        expires: now.plus(limits::TOKEN_LIFE),
        shares,
    })
}

/// Whether a text may be used by a node that was, or was not, set to plain mode: a text never changes the mode.
///
/// # Errors
/// It belongs to a cluster of the other mode; the text says what to do.
pub fn check_mode(text: &JoinText, plain_mode: bool) -> Result<(), String> {
    match (&text.secret, plain_mode) {
        (Some(_), false) | (None, true) => Ok(()),
        (None, false) => Err(format!(
            "the join text of {0} contains no key: {0} runs in plain mode, without encryption and authentication. Give {0} a key (remove plain_mode there, then run `owsync init`), or, to use plain mode here too, set plain_mode on this node (`owsync join --plain`)",
            text.name
        )),
        (Some(_), true) => Err(format!(
            "this node is in plain mode, and the join text of {} contains a key: remove plain_mode here first",
            text.name
        )),
    }
}

/// Whether the key is there already.
///
/// # Errors
/// Another one is there, or it cannot be read.
pub fn is_key_there(file: &Path, secret: Option<&Secret>) -> Result<bool, String> {
    let Some(secret) = secret else { return Ok(false) };
    match finish::read_key(file, &mut Vec::new())? {
        Some(key) if key == secret.key => Ok(true),
        Some(_) => Err(format!(
            "{} contains the key of a different cluster and is not overwritten: move it away first",
            file.display()
        )),
        None => Ok(false),
    }
}

/// Leaves the token where the daemon finds it, in place of one that was never shown.
///
/// # Errors
/// It cannot be written.
pub fn write_token(file: &Path, token: &[u8; 16]) -> Result<(), String> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("cannot replace {}: {}", file.display(), plain(&error)));
        }
        _ => {}
    }
    let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(escape::hex(token))));
    keys::write_new(file, text.as_bytes())
}
