//! Shares that are described by options, for a configuration that is about to be written.
//!
//! `--share NAME=DIR` begins a share, and `-i` and `-e` behind it are its own; in front of the first they belong to the
//! share `main`, as does `--dir`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::cli::args::Invocation;
use crate::cli::table::Opt;
use crate::config::{self, Flavour, conf};
use crate::model::ShareName;
use crate::model::settings::ShareSettings;

/// The shares that the options describe, on top of these.
///
/// # Errors
/// An option makes no sense.
pub fn described(invocation: &Invocation, known: &[ShareSettings]) -> Result<Vec<ShareSettings>, String> {
    let mut shares = known.to_vec();
    // What --dir, -i and -e mean in front of any --share.
    let first = match known {
        [only] => only.name.clone(),
        _ => ShareName::main(),
    };
    let mut current = first.clone();
    for (opt, value) in &invocation.options {
        match opt {
            Opt::Dir => share(&mut shares, &first).dir = absolute(value.into()),
            Opt::ShareDir => {
                let bytes = value.as_bytes();
                let equals = bytes.iter().position(|&b| b == b'=').ok_or("--share needs NAME=DIR")?;
                let name = std::str::from_utf8(&bytes[..equals]).ok().and_then(ShareName::parse);
                let dir = OsString::from_vec(bytes[equals + 1..].to_vec());
                let name = name
                    .filter(|_| !dir.is_empty())
                    .ok_or("--share needs NAME=DIR: a name of letters, digits, '_', '-' and '.', and a directory")?;
                if !known.is_empty() && !known.iter().any(|share| share.name == name) {
                    return Err(format!("the join text has no share {name}"));
                }
                share(&mut shares, &name).dir = absolute(dir.into());
                current = name;
            }
            Opt::Include => share(&mut shares, &current).include.push(value.as_bytes().to_vec()),
            Opt::Exclude => share(&mut shares, &current).exclude.push(value.as_bytes().to_vec()),
            _ => {}
        }
    }
    if !known.is_empty() {
        if let Some(stranger) = shares.iter().find(|share| !known.iter().any(|one| one.name == share.name)) {
            return Err(format!("the join text has no share {}: name the share with --share NAME=DIR", stranger.name));
        }
    }
    match shares.iter().find(|share| share.dir.as_os_str().is_empty()) {
        Some(share) => Err(format!("share {}: it has patterns and no directory: add --dir DIR", share.name)),
        None => Ok(shares),
    }
}

/// The share of this name, new where there was none.
fn share<'a>(shares: &'a mut Vec<ShareSettings>, name: &ShareName) -> &'a mut ShareSettings {
    let at = match shares.iter().position(|share| share.name == *name) {
        Some(at) => at,
        None => {
            shares.push(ShareSettings::new(name.clone(), PathBuf::new()));
            shares.len() - 1
        }
    };
    &mut shares[at]
}

/// A relative path means the same from now on, wherever a daemon is started.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The options for the network and the database, as lines of a configuration.
pub fn network(invocation: &Invocation) -> Vec<(String, Vec<u8>)> {
    let mut lines = Vec::new();
    for (opt, key) in [(Opt::Host, "bind_host"), (Opt::Port, "port")] {
        if let Some(value) = invocation.last(opt) {
            lines.push((key.to_string(), value.as_bytes().to_vec()));
        }
    }
    if let Some(database) = invocation.path(Opt::Database) {
        lines.push(("database".to_string(), absolute(database).as_os_str().as_bytes().to_vec()));
    }
    lines
}

/// Whether a config file that is about to be written will be read as it is meant.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(text: &[u8]) -> Result<(), Vec<String>> {
    let (sections, problems) = conf::parse(text);
    config::check(&sections, problems, Flavour::Conf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Wish, parse};

    fn shares(line: &str, known: &[ShareSettings]) -> Result<Vec<(String, String, usize, usize)>, String> {
        let Ok(Wish::Run(invocation)) = parse(line.split_whitespace().map(Into::into)) else { panic!("{line}") };
        let shares = described(&invocation, known)?;
        let brief =
            |s: &ShareSettings| (s.name.to_string(), s.dir.display().to_string(), s.include.len(), s.exclude.len());
        Ok(shares.iter().map(brief).collect())
    }

    fn named(name: &str, dir: &str) -> ShareSettings {
        ShareSettings {
            include: vec![b"*".to_vec()],
            ..ShareSettings::new(ShareName::parse(name).unwrap(), dir.into())
        }
    }

    #[test]
    fn patterns_belong_to_the_share_they_stand_behind() {
        assert_eq!(
            shares("init --dir /a -i x -e y --share vpn=/v -i z -i w", &[]),
            Ok(vec![("main".into(), "/a".into(), 1, 1), ("vpn".into(), "/v".into(), 2, 0)])
        );
        assert_eq!(shares("init", &[]), Ok(Vec::new()));
        assert!(shares("init -i x", &[]).unwrap_err().contains("no directory"));
        assert!(shares("init --share vpn", &[]).is_err());
        assert!(shares("init --share =/x", &[]).is_err());
    }

    #[test]
    fn a_joining_node_may_say_where_a_share_lies_and_add_patterns() {
        let one = [named("etc", "/etc")];
        let two = [named("main", "/a"), named("vpn", "/v")];
        assert_eq!(shares("join --dir /here -e y", &one), Ok(vec![("etc".into(), "/here".into(), 1, 1)]));
        assert_eq!(
            shares("join --share vpn=/w -i q", &two),
            Ok(vec![("main".into(), "/a".into(), 1, 0), ("vpn".into(), "/w".into(), 2, 0)])
        );
        assert!(shares("join --share other=/w", &two).unwrap_err().contains("no share other"));
        assert!(shares("join --dir /w", &[named("a", "/a"), named("b", "/b")]).is_err());
    }

    #[test]
    fn a_configuration_is_read_as_it_is_meant_or_not_written() {
        assert_eq!(check(b"accept=known\n[share main]\ndir=/a\n"), Ok(()));
        assert_eq!(check(b"port=x\nnonsense\n").unwrap_err().len(), 2);
    }
}
