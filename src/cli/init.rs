//! `init` and `invite`: make this node the reference, and print join texts.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::args::Invocation;
use crate::cli::ask::{self, Absent, Refusal};
use crate::cli::conf_text::ConfText;
use crate::cli::request::Request;
use crate::cli::setup::{self, Source};
use crate::cli::table::{Opt, Verb};
use crate::cli::{Done, Failure, asking, offline, shares, start, suggest};
use crate::config::{Config, finish};
use crate::daemon::joining::{self, keys};
use crate::daemon::{env, json as trees};
use crate::node::api::Command;

/// Declares this node the reference and prints a join text, after making what is missing: configuration, key, identity.
///
/// # Errors
/// Something cannot be made or used; what is there already is never overwritten.
pub fn init(invocation: &Invocation) -> Result<Done, Failure> {
    let mut notes = Vec::new();
    let invocation = &with_configuration(invocation, &mut notes)?;
    let made = make_key(invocation, &mut notes)?;
    let config = usable(invocation, &mut notes)?;
    for share in &config.settings.shares {
        let patterns = suggest::patterns(share);
        if !patterns.is_empty() {
            notes.push(format!(
                "share {}: these values usually belong to one router, and the nodes that join would take them over; add to \
                 the share what must stay on each: list local {}",
                share.name,
                patterns.iter().map(|pattern| format!("'{pattern}'")).collect::<Vec<_>>().join(", list local ")
            ));
        }
    }
    if made {
        // A daemon that idles for want of a key has to hear of it first.
        if let Ok(mut daemon) = ask::find(&config.database) {
            if let Err(refusal) = daemon.ask(&Request::plain("reload")) {
                return asking::refused(refusal, invocation.has(Opt::Json));
            }
        }
    }
    invite_by(invocation, &config, Command::Init, notes)
}

/// Prints another join text.
///
/// # Errors
/// The configuration cannot be used, or the node refuses.
pub fn invite(invocation: &Invocation) -> Result<Done, Failure> {
    let mut notes = Vec::new();
    let config = usable(invocation, &mut notes)?;
    invite_by(invocation, &config, Command::Invite, notes)
}

fn usable(invocation: &Invocation, notes: &mut Vec<String>) -> Result<Config, Failure> {
    let loaded = setup::load(&bare(invocation));
    notes.extend(loaded.warnings.into_iter().map(|warning| format!("warning: {warning}")));
    let config = loaded.result.map_err(Failure::Usage)?;
    // Under UCI a daemon without a key idles; a join text without one would say that the cluster runs in plain mode.
    match &config.key_problem {
        Some(problem) => Err(Failure::failed(problem.clone())),
        None => Ok(config),
    }
}

/// The same command with only the present configuration: its options are written in it.
fn bare(invocation: &Invocation) -> Invocation {
    let kept = |(opt, value): &(Opt, _)| {
        let says_where = *opt == Opt::Config || (*opt == Opt::Database && invocation.verb == Verb::Invite);
        says_where.then(|| (*opt, std::ffi::OsString::clone(value)))
    };
    Invocation {
        verb: invocation.verb,
        operands: Vec::new(),
        options: invocation.options.iter().filter_map(kept).collect(),
    }
}

/// Writes the configuration where there is none; the command with the file that there is now.
fn with_configuration(invocation: &Invocation, notes: &mut Vec<String>) -> Result<Invocation, Failure> {
    let shaping = invocation
        .options
        .iter()
        .filter(|(opt, _)| !matches!(opt, Opt::Config | Opt::Address | Opt::Json | Opt::Quiet));
    let file = match Source::of(invocation) {
        Source::File(file) => file,
        Source::Options => PathBuf::from(setup::CONF),
        Source::Uci => {
            return match shaping.count() {
                0 => Ok(Invocation { options: invocation.options.clone(), operands: Vec::new(), ..*invocation }),
                _ => Err(Failure::usage(
                    "the configuration is UCI's: change it there (uci, LuCI), then run `owsync init` alone",
                )),
            };
        }
    };
    if file.exists() {
        if shaping.count() > 0 {
            return Err(Failure::usage(format!(
                "{} exists already, so options would change nothing: edit that file and run `owsync init` without \
                 options, or name another file with -c",
                file.display()
            )));
        }
    } else {
        let text = configuration(invocation, &file)?;
        keys::write_new(&file, &text).map_err(Failure::failed)?;
        notes.push(format!("wrote {}", file.display()));
    }
    let mut options = invocation.options.clone();
    options.push((Opt::Config, file.into()));
    Ok(Invocation { options, operands: Vec::new(), ..*invocation })
}

/// The configuration that the options describe.
fn configuration(invocation: &Invocation, file: &Path) -> Result<Vec<u8>, Failure> {
    if !cfg!(feature = "encryption") && !invocation.has(Opt::Plain) {
        return Err(Failure::usage(
            "this owsync was built without encryption: init needs --plain, which is only for links that are already private",
        ));
    }
    let shares = shares::described(invocation, &[]).map_err(Failure::usage)?;
    if shares.is_empty() {
        return Err(Failure::usage(
            "init needs --dir DIR, the directory to sync, and -i PATTERN for what to sync in it",
        ));
    }
    let problems: Vec<String> =
        shares.iter().filter_map(|share| start::directory_problem(&share.dir, share.direction)).collect();
    if !problems.is_empty() {
        return Err(Failure::Failed(problems));
    }
    let mut text = ConfText::default();
    text.comment("Written by `owsync init`. Other options have their defaults: `owsync check` shows all of them.");
    shares::network(invocation).iter().for_each(|(key, value)| text.set(key, value));
    if invocation.has(Opt::Plain) {
        text.set("plain_mode", "1");
    } else {
        text.set("key_file", keys_place(file).as_os_str().as_encoded_bytes());
    }
    // Nodes are accepted by join texts, or by the user.
    text.set("accept", "known");
    for share in &shares {
        text.section("share", share.name.as_str());
        text.share(share, false);
        let patterns = suggest::patterns(share);
        if !patterns.is_empty() {
            text.comment("Values that usually belong to one router. Those that must stay on each need no # in front:");
            patterns.iter().for_each(|pattern| text.comment(&format!("local={pattern}")));
        }
    }
    let text = text.finish().map_err(Failure::Usage)?;
    shares::check(&text).map_err(Failure::Usage)?;
    Ok(text)
}

/// The key file beside a config file.
pub fn keys_place(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    file.parent().unwrap_or(Path::new("/")).join("key")
}

/// Makes the key where the configuration wants one and there is none; whether it did.
fn make_key(invocation: &Invocation, notes: &mut Vec<String>) -> Result<bool, Failure> {
    let told = setup::load_told(&bare(invocation)).result.map_err(Failure::Usage)?;
    let file = told.key_file.clone().unwrap_or_else(|| Path::new(finish::ETC).join("key"));
    let elsewhere = told.key.is_some() || (told.key_file.is_none() && env::variable("OWSYNC_KEY").is_some());
    if told.settings.plain_mode
        || elsewhere
        || finish::read_key(&file, &mut Vec::new()).map_err(Failure::failed)?.is_some()
    {
        return Ok(false);
    }
    let key = keys::new_key().map_err(Failure::failed)?;
    keys::write_key(&file, &key).map_err(Failure::failed)?;
    notes.push(format!("created the key {}", file.display()));
    Ok(true)
}

/// Asks the node, running or not, and prints what it gave as a join text.
fn invite_by(
    invocation: &Invocation,
    config: &Config,
    command: Command,
    mut notes: Vec<String>,
) -> Result<Done, Failure> {
    let told: Vec<String> = invocation.all(Opt::Address).map(|one| one.to_string_lossy().into_owned()).collect();
    let addresses = joining::reachable_at(&told, config).map_err(Failure::usage)?;
    let method = if command == Command::Init { "init" } else { "invite" };
    let answer = match ask::find(&config.database) {
        Ok(mut daemon) => daemon.ask(&Request::plain(method)).map(|answer| trees::from_json(&answer)),
        Err(absent @ Absent::Forbidden(_)) => {
            return Err(Failure::NoDaemon(ask::absence(&absent, &config.database)));
        }
        Err(Absent::NotRunning) => offline::ask(config, command).map(|(tree, warnings)| {
            notes.extend(warnings);
            tree
        }),
    };
    let now = env::Env::new().now().wall;
    let text = answer.and_then(|answer| joining::invitation(config, &answer, addresses, now).map_err(Refusal::Broken));
    let text = match text {
        Ok(text) => text,
        Err(refusal) => return asking::refused(refusal, invocation.has(Opt::Json)),
    };
    let expires = asking::look(invocation).moment(text.expires.as_secs());
    let listed: Vec<String> = text.addresses.iter().map(ToString::to_string).collect();
    if invocation.has(Opt::Json) {
        let answer = json!({ "join_text": *text.encode(), "addresses": listed, "expires": text.expires.as_secs() });
        return Ok(Done { text: format!("{answer:#}\n").into(), ..Done::default() });
    }
    if invocation.has(Opt::Quiet) {
        notes.clear();
    } else {
        notes.push(format!("this text is valid for one node, until {expires}: run `owsync join` there and paste it"));
        notes.push("keep it secret: it gives access to everything that is synced".into());
        notes.push(format!("the node will connect to {}", listed.join(", ")));
        if config.settings.plain_mode {
            notes.push(
                "in plain mode only configured peers may connect: add the node's address here, as peer=ADDRESS".into(),
            );
        }
        for share in text.shares.iter().filter(|share| share.include.is_empty()) {
            notes.push(format!("share {}: no include pattern, so nothing is synced", share.name));
        }
    }
    Ok(Done { text: text.encode().as_bytes().to_vec(), notes, code: 0 })
}
