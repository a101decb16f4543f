//! `join`: makes a configuration, a key and a token from a join text.
//!
//! The configuration is a config file that is not there yet, or, where UCI is, a change of its package.
//! Everything is checked before the first file is written, and the configuration is written last: where it is there, the
//! join is complete; where it is not, the same command can be given again. Nothing that is there is overwritten, except
//! the token of an earlier text.

use std::io::{self, BufRead, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::args::Invocation;
use crate::cli::ask::{self, Daemon};
use crate::cli::conf_text::ConfText;
use crate::cli::init::keys_place;
use crate::cli::request::Request;
use crate::cli::setup::{self, Source};
use crate::cli::table::Opt;
use crate::cli::{Done, Failure, asking, shares, start};
use crate::config::{Flavour, finish, uci, values};
use crate::daemon::env;
use crate::daemon::joining::text::{JoinText, TEXT_MAX, is_complete};
use crate::daemon::joining::{self, keys, package as join_uci};
use crate::daemon::place::{Holder, Place, plain};
use crate::fs::uci_file::Dirs;
use crate::model::escape;
use crate::model::settings::Address;

/// How long one address of the reference is tried, to find out which to write down.
const TRIED: Duration = Duration::from_secs(2);

/// Where the configuration goes.
enum Target {
    /// Into a config file that is not there yet.
    File(PathBuf),
    /// Into the package of UCI.
    Uci(Dirs),
}

/// Joins a cluster: writes what the text says, and what to do next.
///
/// # Errors
/// The text is broken or too old, something is there already, or cannot be written.
pub fn join(invocation: &Invocation) -> Result<Done, Failure> {
    let target = target(invocation)?;
    let text = understood(invocation)?;
    let (key_file, database) = places(invocation, &target)?;
    joining::check_mode(&text, plain_mode(invocation, &target)?).map_err(Failure::failed)?;
    let mut node = shares::network(invocation);
    if invocation.has(Opt::Plain) {
        node.push(("plain_mode".into(), b"1".to_vec()));
    }
    // As it would be, before anything is written.
    let conf = match &target {
        Target::File(_) => configuration(&node, &text, &key_file).map_err(Failure::Usage)?,
        Target::Uci(dirs) => {
            let mut package = join_uci::read(dirs).map_err(Failure::failed)?;
            join_uci::change(&mut package, &text, &node).map_err(|error| Failure::usage(error.to_string()))?;
            join_uci::check(&package).map_err(Failure::Usage)?;
            Vec::new()
        }
    };
    if let (Target::Uci(dirs), true, Ok(mut daemon)) = (&target, node.is_empty(), ask::find(&database)) {
        return by_daemon(invocation, &mut daemon, dirs, &text);
    }
    let has_key = joining::is_key_there(&key_file, text.secret.as_ref()).map_err(Failure::failed)?;
    let place = Place::new(&database);
    place.make_directory().map_err(Failure::failed)?;
    let _lock = place.lock(Holder::Setup).map_err(|taken| Failure::failed(crate::cli::keys::in_use(&taken)))?;

    let mut written = Vec::new();
    if let Some(secret) = &text.secret {
        if !has_key {
            keys::write_key(&key_file, &secret.key).map_err(Failure::failed)?;
            written.push(key_file.display().to_string());
        }
        joining::write_token(&place.token_file(), &secret.token).map_err(Failure::failed)?;
    }
    let (name, shown) = match target {
        Target::File(file) => {
            keys::write_new(&file, &conf).map_err(Failure::failed)?;
            (file, conf)
        }
        Target::Uci(dirs) => {
            let package = join_uci::write(&dirs, &text, &node).map_err(Failure::failed)?;
            (dirs.path(&uci::package_name()), join_uci::shown(&package))
        }
    };
    written.push(name.display().to_string());
    let next = match Source::of(invocation) {
        Source::Uci => "next: `service owsync restart`, then `owsync status`".into(),
        _ => {
            let file = name.display();
            format!("next: start owsync (`systemctl start owsync`, or `owsync daemon -c {file}`), then `owsync status`")
        }
    };
    Ok(say(invocation, &text, shown, &written, next))
}

/// The daemon that runs and waits for a configuration does it itself, and needs no restart.
fn by_daemon(invocation: &Invocation, daemon: &mut Daemon, dirs: &Dirs, text: &JoinText) -> Result<Done, Failure> {
    // With what the options say instead of the text that was given.
    let request = Request { params: json!({ "text": *text.encode() }), ..Request::plain("join") };
    if let Err(refusal) = daemon.ask(&request) {
        return asking::refused(refusal, invocation.has(Opt::Json));
    }
    let package = join_uci::read(dirs).map_err(Failure::failed)?;
    let written = [dirs.path(&uci::package_name()).display().to_string()];
    let next = "owsync already runs with this configuration: see `owsync status`".into();
    Ok(say(invocation, text, join_uci::shown(&package), &written, next))
}

/// Where the configuration goes; not where there is one.
fn target(invocation: &Invocation) -> Result<Target, Failure> {
    let file = match Source::of(invocation) {
        Source::File(file) => file,
        Source::Options => PathBuf::from(setup::CONF),
        Source::Uci => {
            let dirs = env::uci_dirs();
            let package = join_uci::read(&dirs).map_err(Failure::failed)?;
            return match join_uci::configured(&package) {
                None => Ok(Target::Uci(dirs)),
                Some(why) => Err(Failure::failed(format!(
                    "this node is already configured ({why}): remove that from {} first, or name a config file with -c",
                    dirs.path(&uci::package_name()).display()
                ))),
            };
        }
    };
    if file.exists() {
        return Err(Failure::failed(format!(
            "{} exists and is not overwritten: move it away, or name a different file with -c",
            file.display()
        )));
    }
    Ok(Target::File(file))
}

/// The text, with what the options say instead.
fn understood(invocation: &Invocation) -> Result<JoinText, Failure> {
    let text = JoinText::parse(&read(invocation)?).map_err(|broken| Failure::failed(broken.to_string()))?;
    let now = env::Env::new().now().wall;
    if text.secret.is_some() && now >= text.expires {
        let expired = asking::look(invocation).since(text.expires.as_secs());
        let message = format!("the join text expired at {expired}: run `owsync invite` on {}", text.name);
        return Err(Failure::failed(message));
    }
    if text.secret.is_some() && !cfg!(feature = "encryption") {
        return Err(Failure::failed("this owsync was built without encryption, and the cluster has a key"));
    }
    Ok(JoinText {
        addresses: reference(invocation, &text).map_err(Failure::usage)?,
        shares: shares::described(invocation, &text.shares).map_err(Failure::usage)?,
        ..text
    })
}

/// Where key and database will lie.
fn places(invocation: &Invocation, target: &Target) -> Result<(PathBuf, PathBuf), Failure> {
    match target {
        Target::File(file) => {
            let told = invocation.path(Opt::Database);
            let database = told.unwrap_or_else(|| finish::default_database(Flavour::Conf));
            Ok((keys_place(file), std::path::absolute(&database).unwrap_or(database)))
        }
        Target::Uci(_) => {
            let told = setup::load_told(invocation).result.map_err(Failure::Usage)?;
            let key_file = told.key_file.unwrap_or_else(|| Path::new(finish::ETC).join("key"));
            Ok((key_file, setup::database(invocation)?))
        }
    }
}

/// Whether the user chose plain mode for this node: by `--plain`, or in the UCI package before.
fn plain_mode(invocation: &Invocation, target: &Target) -> Result<bool, Failure> {
    match target {
        Target::File(_) => Ok(invocation.has(Opt::Plain)),
        // The options count as if they were written last.
        Target::Uci(_) => Ok(setup::load_told(invocation).result.map_err(Failure::Usage)?.settings.plain_mode),
    }
}

/// The text, from a file or standard input, up to its end mark.
fn read(invocation: &Invocation) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let outcome = match invocation.operand(0).map(Path::new) {
        Some(file) => std::fs::File::open(file)
            .and_then(|open| open.take(TEXT_MAX as u64 + 1).read_to_string(&mut text))
            .map_err(|error| format!("cannot read {}: {}", file.display(), plain(&error))),
        None => {
            let mut input = io::stdin().lock().take(TEXT_MAX as u64 + 1);
            // The user pastes the block, and its end mark is enough: no end of file is needed.
            let mut lines = || -> io::Result<usize> {
                while !is_complete(&text) && input.read_line(&mut text)? > 0 {}
                Ok(text.len())
            };
            lines().map_err(|error| format!("cannot read standard input: {}", plain(&error)))
        }
    };
    outcome.map(|_| text).map_err(Failure::failed)
}

/// Where to find the reference: the given addresses, else those of the text; of several, first one that responds.
fn reference(invocation: &Invocation, text: &JoinText) -> Result<Vec<Address>, String> {
    let port = text.addresses.first().map_or(crate::config::PORT, |address| address.port);
    let told: Result<Vec<Address>, String> =
        invocation.all(Opt::Address).map(|one| values::address(&one.to_string_lossy(), port)).collect();
    let told = told.map_err(|error| format!("address: {error}"))?;
    let mut addresses = if told.is_empty() { text.addresses.clone() } else { told };
    if addresses.len() > 1 {
        if let Some(at) = addresses.iter().position(answers) {
            addresses.swap(0, at);
        }
    }
    Ok(addresses)
}

/// Whether a connection there is accepted.
fn answers(address: &Address) -> bool {
    let found: io::Result<Vec<SocketAddr>> =
        (address.host.as_str(), address.port).to_socket_addrs().map(Iterator::collect);
    found.is_ok_and(|all| all.iter().any(|one| TcpStream::connect_timeout(one, TRIED).is_ok()))
}

/// The config file that the text implies.
fn configuration(node: &[(String, Vec<u8>)], text: &JoinText, key_file: &Path) -> Result<Vec<u8>, Vec<String>> {
    let mut conf = ConfText::default();
    conf.comment(&format!(
        "Written by `owsync join` from the join text of {}. Other options have their defaults:",
        text.name
    ));
    conf.comment("`owsync check` shows all of them.");
    node.iter().for_each(|(key, value)| conf.set(key, value));
    if text.secret.is_some() {
        conf.set("key_file", key_file.as_os_str().as_encoded_bytes());
    }
    conf.set("accept", "known");
    for share in &text.shares {
        conf.section("share", share.name.as_str());
        conf.share(share, false);
    }
    conf.section("peer", &section_name(&text.name));
    for (at, address) in text.addresses.iter().enumerate() {
        match at {
            0 => conf.set("address", address.to_string()),
            _ => conf.comment(&format!("or address={address}")),
        }
    }
    if let Some(secret) = &text.secret {
        conf.set("public_key", escape::hex(&secret.public_key));
        // It introduces the other nodes that it invited.
        conf.set("introducer", "1");
    }
    let conf = conf.finish()?;
    shares::check(&conf)?;
    Ok(conf)
}

/// A node's name as the name of a section.
fn section_name(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() || c.is_control() || "[]".contains(c) { '-' } else { c }).collect()
}

fn say(invocation: &Invocation, text: &JoinText, shown: Vec<u8>, written: &[String], next: String) -> Done {
    if invocation.has(Opt::Json) {
        let names: Vec<&str> = text.shares.iter().map(|share| share.name.as_str()).collect();
        let peer = text.addresses.first().map(ToString::to_string);
        let answer = json!({ "written": written, "shares": names, "peer": peer });
        return Done::text(format!("{answer:#}\n"));
    }
    if invocation.has(Opt::Quiet) {
        return Done::default();
    }
    let mut notes = vec![format!("wrote {}", written.join(" and "))];
    for share in &text.shares {
        if let Some(problem) = start::directory_problem(&share.dir, share.direction) {
            notes.push(format!("share {}: {problem}: nothing in it is synced until this is fixed", share.name));
        }
    }
    notes.push(format!(
        "files that differ in these directories will be replaced by those of {}, and kept in the history (`owsync log`)",
        text.name
    ));
    notes.push(next);
    Done { text: shown, notes, code: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{conf, options};
    use crate::daemon::joining::text::Secret;
    use crate::model::settings::ShareSettings;
    use crate::model::{Key, ShareName, WallTime};

    fn text() -> JoinText {
        let share = ShareSettings {
            include: vec![b"dhcp".to_vec()],
            ..ShareSettings::new(ShareName::main(), "/etc/config".into())
        };
        JoinText {
            name: "router 1".into(),
            addresses: ["10.0.0.1:4321", "[fd00::1]:4321"].map(|one| values::address(one, 1).unwrap()).to_vec(),
            secret: Some(Secret { key: Key::new([7; 32]), public_key: [8; 32], token: [9; 16] }),
            expires: WallTime(0),
            shares: vec![share],
        }
    }

    #[test]
    fn the_configuration_is_what_the_text_implies_and_holds_no_secret() {
        let conf = configuration(&[], &text(), Path::new("/k/key")).unwrap();

        let shown = String::from_utf8(conf.clone()).unwrap();
        let (sections, _) = conf::parse(&conf);
        let told = options::build(&sections, Flavour::Conf, "here").result.unwrap();
        assert_eq!(told.settings.shares, text().shares);
        let peer = &told.settings.peers[0];
        assert_eq!((&*peer.name.0, peer.public_key, peer.introducer), ("router-1", Some([8; 32]), true));
        assert_eq!(peer.address.as_ref().unwrap().to_string(), "10.0.0.1:4321");
        assert!(shown.contains("# or address=[fd00::1]:4321\n"), "{shown}");
        assert_eq!(told.key_file, Some("/k/key".into()));
        assert!(!shown.contains("0707") && !shown.contains("0909"), "{shown}");
    }

    #[test]
    fn a_text_cannot_smuggle_lines_into_the_configuration() {
        let mut text = text();
        text.shares[0].include = vec![b"x\nreload=/bin/evil".to_vec()];
        assert!(configuration(&[], &text, Path::new("/k/key")).is_err());
    }
}
