//! `join`: from a join text to a configuration, a key, and a token to show.
//!
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
use crate::cli::conf_text::ConfText;
use crate::cli::init::keys_place;
use crate::cli::join_text::{JoinText, Secret, TEXT_MAX, is_complete};
use crate::cli::setup::{self, Source};
use crate::cli::table::Opt;
use crate::cli::{Done, Failure, asking, keys, shares, start};
use crate::config::{Flavour, finish, values};
use crate::daemon::env;
use crate::daemon::place::{Holder, Place, plain};
use crate::model::escape;
use crate::model::settings::{Address, ShareSettings};

/// How long one address of the reference is tried, to find out which to write down.
const TRIED: Duration = Duration::from_secs(2);

/// Joins a cluster: writes what the text says, and what to do next.
///
/// # Errors
/// The text is broken or too old, something is there already, or cannot be written.
pub fn join(invocation: &Invocation) -> Result<Done, Failure> {
    let file = match Source::of(invocation) {
        Source::File(file) => file,
        Source::Options => PathBuf::from(setup::CONF),
        Source::Uci => {
            return Err(Failure::usage("the configuration is UCI's: name a config file with -c to join by one"));
        }
    };
    if file.exists() {
        return Err(Failure::failed(format!(
            "{} exists and is not overwritten: this node has a configuration; move it away, or name another file with -c",
            file.display()
        )));
    }
    let text = read(invocation)?;
    let text = JoinText::parse(&text).map_err(|broken| Failure::failed(broken.to_string()))?;
    let now = env::Env::new().now().wall;
    if text.secret.is_some() && now >= text.expires {
        let expired = asking::look(invocation).since(text.expires.as_secs());
        return Err(Failure::failed(format!(
            "the join text expired at {expired}: run `owsync invite` on {}",
            text.name
        )));
    }
    if text.secret.is_some() && !cfg!(feature = "encryption") {
        return Err(Failure::failed("this owsync was built without encryption, and the cluster has a key"));
    }
    let text = JoinText {
        addresses: reference(invocation, &text).map_err(Failure::usage)?,
        shares: shares::described(invocation, &text.shares).map_err(Failure::usage)?,
        ..text
    };
    let key_file = keys_place(&file);
    let conf = configuration(invocation, &text, &key_file).map_err(Failure::Usage)?;
    let has_key = existing_key(&key_file, text.secret.as_ref())?;
    let database = database(invocation);
    let place = Place::new(&database);
    place.make_directory().map_err(Failure::failed)?;
    let _lock = place.lock(Holder::Setup).map_err(|taken| Failure::failed(keys::in_use(&taken)))?;

    let mut written = Vec::new();
    if let Some(secret) = &text.secret {
        if !has_key {
            keys::write_key(&key_file, &secret.key).map_err(Failure::failed)?;
            written.push(key_file.display().to_string());
        }
        write_token(&place.token_file(), &secret.token).map_err(Failure::failed)?;
    }
    keys::write_new(&file, &conf).map_err(Failure::failed)?;
    written.push(file.display().to_string());
    Ok(say(invocation, &file, &text, &conf, &written))
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
            // A person pastes the block and sees it end: no end of file is needed then.
            let mut lines = || -> io::Result<usize> {
                while !is_complete(&text) && input.read_line(&mut text)? > 0 {}
                Ok(text.len())
            };
            lines().map_err(|error| format!("cannot read standard input: {}", plain(&error)))
        }
    };
    outcome.map(|_| text).map_err(Failure::failed)
}

/// Where to find the reference: as told, else where the text says; of several, first the one that answers.
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

/// Whether somebody accepts a connection there.
fn answers(address: &Address) -> bool {
    let found: io::Result<Vec<SocketAddr>> =
        (address.host.as_str(), address.port).to_socket_addrs().map(Iterator::collect);
    found.is_ok_and(|all| all.iter().any(|one| TcpStream::connect_timeout(one, TRIED).is_ok()))
}

/// The config file that the text implies.
fn configuration(invocation: &Invocation, text: &JoinText, key_file: &Path) -> Result<Vec<u8>, Vec<String>> {
    let mut conf = ConfText::default();
    conf.comment(&format!(
        "Written by `owsync join`, from the text of {}. What is not here has its default:",
        text.name
    ));
    conf.comment("`owsync check` shows everything.");
    shares::network_lines(invocation, &mut conf);
    match &text.secret {
        Some(_) => conf.set("key_file", key_file.as_os_str().as_encoded_bytes()),
        None => conf.set("plain_mode", "1"),
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
    }
    let conf = conf.finish()?;
    shares::check(&conf)?;
    Ok(conf)
}

/// A node's name as the name of a section.
fn section_name(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() || c.is_control() || "[]".contains(c) { '-' } else { c }).collect()
}

/// Whether the key is there already.
fn existing_key(file: &Path, secret: Option<&Secret>) -> Result<bool, Failure> {
    let Some(secret) = secret else { return Ok(false) };
    match finish::read_key(file, &mut Vec::new()).map_err(Failure::failed)? {
        Some(key) if key == secret.key => Ok(true),
        Some(_) => Err(Failure::failed(format!(
            "{} holds the key of another cluster and is not overwritten: move it away first",
            file.display()
        ))),
        None => Ok(false),
    }
}

/// The database of the configuration that is about to be written.
fn database(invocation: &Invocation) -> PathBuf {
    let told = invocation.path(Opt::Database);
    told.map_or_else(|| finish::default_database(Flavour::Conf), |path| std::path::absolute(&path).unwrap_or(path))
}

/// Leaves the token where the daemon finds it, in place of one that was never shown.
fn write_token(file: &Path, token: &[u8; 16]) -> Result<(), String> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("cannot replace {}: {}", file.display(), plain(&error)));
        }
        _ => {}
    }
    let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(escape::hex(token))));
    keys::write_new(file, text.as_bytes())
}

fn say(invocation: &Invocation, file: &Path, text: &JoinText, conf: &[u8], written: &[String]) -> Done {
    let missing: Vec<&ShareSettings> =
        text.shares.iter().filter(|share| start::directory_problem(&share.dir, share.direction).is_some()).collect();
    if invocation.has(Opt::Json) {
        let names: Vec<&str> = text.shares.iter().map(|share| share.name.as_str()).collect();
        let peer = text.addresses.first().map(ToString::to_string);
        let answer = json!({ "file": file.display().to_string(), "written": written, "shares": names, "peer": peer });
        return Done::text(format!("{answer:#}\n"));
    }
    let mut notes = vec![format!("wrote {}", written.join(" and "))];
    for share in missing {
        let problem = start::directory_problem(&share.dir, share.direction).unwrap_or_default();
        notes.push(format!("share {}: {problem}: until that is mended nothing is synced in it", share.name));
    }
    notes.push(format!(
        "what lies in these directories now is replaced by what {} has, and kept in history (`owsync log`)",
        text.name
    ));
    notes.push(format!(
        "next: start owsync (`systemctl start owsync`, or `owsync daemon -c {}`), then `owsync status`",
        file.display()
    ));
    if invocation.has(Opt::Quiet) {
        return Done::default();
    }
    Done { text: conf.to_vec(), notes, code: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{conf, options};
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

    fn plainly() -> Invocation {
        Invocation { verb: crate::cli::table::Verb::Join, operands: Vec::new(), options: Vec::new() }
    }

    #[test]
    fn the_configuration_is_what_the_text_implies_and_holds_no_secret() {
        let conf = configuration(&plainly(), &text(), Path::new("/k/key")).unwrap();

        let shown = String::from_utf8(conf.clone()).unwrap();
        let (sections, _) = conf::parse(&conf);
        let told = options::build(&sections, Flavour::Conf, "here").result.unwrap();
        assert_eq!(told.settings.shares, text().shares);
        let peer = &told.settings.peers[0];
        assert_eq!((&*peer.name.0, peer.public_key), ("router-1", Some([8; 32])));
        assert_eq!(peer.address.as_ref().unwrap().to_string(), "10.0.0.1:4321");
        assert!(shown.contains("# or address=[fd00::1]:4321\n"), "{shown}");
        assert_eq!(told.key_file, Some("/k/key".into()));
        assert!(!shown.contains("0707") && !shown.contains("0909"), "{shown}");
    }

    #[test]
    fn a_text_cannot_smuggle_lines_into_the_configuration() {
        let mut text = text();
        text.shares[0].include = vec![b"x\nreload=/bin/evil".to_vec()];
        assert!(configuration(&plainly(), &text, Path::new("/k/key")).is_err());
    }
}
