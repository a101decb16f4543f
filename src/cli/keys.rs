//! `genkey` and `identity`: create keys, and print this node's identity.

use std::path::Path;

use crate::cli::args::Invocation;
use crate::cli::ask::{self, Absent};
use crate::cli::render::node;
use crate::cli::request::Request;
use crate::cli::table::Opt;
use crate::cli::{Done, Failure, asking, offline, setup};
use crate::config::finish;
use crate::daemon::joining::keys::{new_key, write_key};
use crate::daemon::json;
use crate::daemon::place::{Holder, Place, Taken};
use crate::model::{Key, escape};
use crate::node::api::Command;
use crate::node::api::record::Field;
use crate::node::api::status::Identity;

/// Makes a key: on standard output, or in a new file.
///
/// # Errors
/// There is no randomness, or the file exists or cannot be written.
pub fn genkey(invocation: &Invocation) -> Result<Done, Failure> {
    let key = new_key().map_err(Failure::failed)?;
    match invocation.operand(0).map(Path::new) {
        None => Ok(Done::text(format!("{}\n", *key.to_hex()))),
        Some(file) => {
            write_key(file, &key).map_err(Failure::failed)?;
            Ok(Done::default())
        }
    }
}

/// Prints this node's identity: from the running daemon, else from the files beside the database.
///
/// # Errors
/// It cannot be found out, or a new identity cannot be made.
pub fn identity(invocation: &Invocation) -> Result<Done, Failure> {
    let database = setup::database(invocation)?;
    if !invocation.has(Opt::New) {
        match ask::find(&database) {
            Ok(mut daemon) => {
                return match daemon.ask(&Request::plain("identity")) {
                    Ok(answer) => {
                        Ok(show(invocation, &Identity::from_tree(&json::from_json(&answer)).unwrap_or_default()))
                    }
                    Err(refusal) => asking::refused(refusal, invocation.has(Opt::Json)),
                };
            }
            Err(absent @ Absent::Forbidden(_)) => return Err(Failure::NoDaemon(ask::absence(&absent, &database))),
            Err(Absent::NotRunning) => {}
        }
    }
    let told = setup::load_told(invocation).result.map_err(Failure::Usage)?;
    if told.settings.plain_mode || !cfg!(feature = "encryption") {
        return plain_identity(invocation);
    }
    let place = Place::new(&database);
    let key = match place.read_identity() {
        Ok(Some(key)) if !invocation.has(Opt::New) => key,
        Err(error) if !invocation.has(Opt::New) => return Err(Failure::failed(error)),
        _ => {
            place.make_directory().map_err(Failure::failed)?;
            let _lock = place.lock(Holder::Setup).map_err(|taken| Failure::failed(in_use(&taken)))?;
            if invocation.has(Opt::New) { place.new_identity() } else { place.identity() }.map_err(Failure::failed)?
        }
    };
    let mut notes = Vec::new();
    let key_file = told.key_file.unwrap_or_else(|| Path::new(finish::ETC).join("key"));
    let cluster = match told.key {
        Some(key) => Some(key),
        None => finish::read_key(&key_file, &mut Vec::new()).unwrap_or_else(|problem| {
            notes.push(format!("warning: {problem}"));
            None
        }),
    };
    if invocation.has(Opt::New) {
        notes.push("this node has a new identity: run `owsync accept` on each peer that knew the old one".into());
    }
    let key_fingerprint = cluster.map(|key| key.fingerprint());
    let identity = Identity { key_fingerprint, ..describe(&told.settings.name, &key) };
    Ok(Done { notes, ..show(invocation, &identity) })
}

/// In plain mode the identity is part of the database.
fn plain_identity(invocation: &Invocation) -> Result<Done, Failure> {
    if !invocation.has(Opt::New) {
        return Err(Failure::failed("without encryption the identity is known while owsync is running"));
    }
    let loaded = setup::load(invocation);
    let mut notes: Vec<String> = loaded.warnings.into_iter().map(|warning| format!("warning: {warning}")).collect();
    let config = loaded.result.map_err(Failure::Usage)?;
    match offline::ask(&config, Command::NewIdentity) {
        Ok((tree, warnings)) => {
            notes.extend(warnings);
            Ok(Done { notes, ..show(invocation, &Identity::from_tree(&tree).unwrap_or_default()) })
        }
        Err(refusal) => asking::refused(refusal, invocation.has(Opt::Json)),
    }
}

fn show(invocation: &Invocation, identity: &Identity) -> Done {
    if invocation.has(Opt::Json) {
        return Done::text(format!("{:#}\n", json::to_json(&identity.into())));
    }
    Done::text(crate::cli::render::lines(&node::identity(identity)))
}

#[cfg(feature = "encryption")]
fn describe(name: &str, identity: &Key) -> Identity {
    use crate::proto::handshake;
    let public = handshake::public_key(identity);
    let node = handshake::node_id(&public).to_hex();
    Identity { name: name.into(), node, public_key: Some(escape::hex(&public)), ..Identity::default() }
}

#[cfg(not(feature = "encryption"))]
fn describe(name: &str, _: &Key) -> Identity {
    let _ = escape::hex;
    Identity { name: name.into(), ..Identity::default() }
}

/// The message when another process has the database.
pub fn in_use(taken: &Taken) -> String {
    match taken {
        Taken::By { pid, .. } => format!("the database is in use by owsync (pid {pid}): stop it first"),
        Taken::Failed(reason) => reason.clone(),
    }
}
