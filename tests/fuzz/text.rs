//! Text from users, programs and files.

use std::path::PathBuf;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use owsync::cli::conf_text::ConfText;
use owsync::cli::zone::Zone;
use owsync::config::{Flavour, Problem, Section, Told, conf as config_file, options, uci as config_package};
use owsync::daemon::joining::text::JoinText;
use owsync::daemon::{control as control_socket, json};
use owsync::model::settings::ShareSettings;
use owsync::model::{Digest, RelPath, Settings, ShareName, escape as escaping, limits};
use owsync::ops;
use owsync::reconcile::filter::{Doubt, Filter, absolute, doubt, matches};
use owsync::uci as packages;

use super::{Source, is_printable};

pub fn path(data: &[u8]) -> bool {
    let component = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && name.len() <= limits::NAME_MAX;
    let right = data.len() <= limits::PATH_MAX && !data.contains(&0) && data.split(|&b| b == b'/').all(component);
    let parsed = RelPath::parse(data);
    assert_eq!(parsed.is_ok(), right, "{parsed:?}");
    let Ok(path) = parsed else { return false };
    assert_eq!(path.as_bytes(), data);
    assert_eq!(escaping::unescape(&path.to_text()).as_deref(), Some(data));
    assert!(is_printable(&path.to_text()));
    match path.parent() {
        Some(parent) => {
            assert!(path.is_below(&parent) && !parent.is_below(&path));
            assert_eq!(parent.join(path.name()).as_ref(), Ok(&path));
            let (from, to) = parent.subtree();
            assert!(from <= path && path < to);
        }
        None => assert_eq!(path.name(), data),
    }
    assert_eq!(path.ancestors().count(), data.iter().filter(|&&b| b == b'/').count());
    true
}

pub fn escape(data: &[u8]) -> bool {
    let text = escaping::escape(data);
    assert!(is_printable(&text));
    assert_eq!(escaping::unescape(&text).as_deref(), Some(data));
    let read = std::str::from_utf8(data).ok().and_then(escaping::unescape);
    assert!(read.as_ref().is_none_or(|bytes| bytes.len() <= data.len()));
    read.is_some()
}

/// Lines: `+` an include, `-` an exclude, anything else a path.
pub fn filter(data: &[u8]) -> bool {
    let (mut include, mut exclude, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for line in data.split(|&b| b == b'\n').take(20) {
        match line.split_first() {
            Some((b'+', pattern)) if !matches!(doubt(pattern), Some(Doubt::Wrong(_))) => include.push(pattern.to_vec()),
            Some((b'-', pattern)) if !matches!(doubt(pattern), Some(Doubt::Wrong(_))) => exclude.push(pattern.to_vec()),
            _ => paths.extend(RelPath::parse(line)),
        }
    }
    data.split(|&b| b == b'\n').for_each(|line| drop(absolute(line, b"/etc/config")));
    let filter = Filter::new(&include, &exclude, &[]);
    let wider = Filter::new(&include, &[], &[]);
    assert_eq!(filter.is_empty(), include.is_empty());
    for path in &paths {
        let holds = filter.holds(path);
        assert!(!holds || filter.holds_as(path, owsync::model::Kind::Dir));
        assert!(!holds || wider.holds(path), "an exclude took {path} in");
        assert!(!holds || path.ancestors().all(|dir| filter.may_hold_below(&dir)), "no scan would find {path}");
        for pattern in include.iter().chain(&exclude) {
            // Without special characters a pattern is itself.
            if !pattern.iter().any(|b| b"*?[\\".contains(b)) {
                assert_eq!(matches(pattern, path.as_bytes()), pattern == path.as_bytes());
            }
            assert!(matches(&[b"*", &pattern[..]].concat(), path.as_bytes()) || !matches(pattern, path.as_bytes()));
            if pattern.len() < 12 && path.as_bytes().len() < 24 {
                assert_eq!(matches(pattern, path.as_bytes()), means(pattern, path.as_bytes()), "{path}");
            }
        }
    }
    paths.iter().any(|path| filter.holds(path))
}

/// A pattern's meaning, without regard to what it costs.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|taken| means(rest, &text[taken..])),
        [b'?', rest @ ..] => !text.is_empty() && means(rest, &text[1..]),
        // Sets have their tables beside the code.
        [b'[', ..] | [b'\\'] => matches(pattern, text),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => text.first() == Some(literal) && means(rest, &text[1..]),
    }
}

/// What must hold of every configuration, whatever it was read from.
fn configured(
    sections: &[Section],
    warnings: &[Problem],
    flavour: Flavour,
    lines: usize,
) -> Option<(Told, Vec<String>)> {
    let outcome = options::build(sections, flavour, "node");
    let problems = outcome.result.as_ref().err().into_iter().flatten();
    for problem in warnings.iter().chain(&outcome.warnings).chain(problems) {
        let text = problem.to_string();
        assert!(is_printable(&text), "{text:?}");
        if let owsync::config::Place::Line(line) = problem.place {
            assert!((1..=lines.max(1)).contains(&line), "{text}");
        }
    }
    if let Err(problems) = &outcome.result {
        assert!(!problems.is_empty(), "refused without a reason");
    }
    let tolerated = outcome.warnings.into_iter().map(|warning| warning.reason).collect();
    Some((outcome.result.ok()?, tolerated))
}

pub fn conf(data: &[u8]) -> bool {
    let (sections, warnings) = config_file::parse(data);
    let Some((told, tolerated)) = configured(&sections, &warnings, Flavour::Conf, data.split(|&b| b == b'\n').count())
    else {
        return false;
    };
    let shares = &told.settings.shares;
    let mut text = ConfText::default();
    for share in shares {
        text.section("share", share.name.as_str());
        text.share(share, true);
    }
    let written = text.finish().expect("what was read from lines fits lines");
    let (sections, warnings) = config_file::parse(&written);
    assert_eq!(warnings, []);
    let again = options::build(&sections, Flavour::Conf, "node");
    // A pattern that is kept as it was written is warned of each time; nothing else is.
    for warning in &again.warnings {
        assert!(tolerated.contains(&warning.reason), "{warning}, after {tolerated:?}");
    }
    // Defaults are written too.
    let told = |share: &ShareSettings| ShareSettings { reload: Some(share.reload()), ..share.clone() };
    let shares: Vec<ShareSettings> = shares.iter().map(told).collect();
    assert_eq!(again.result.expect("what is written can be read").settings.shares, shares);
    true
}

/// A line of the control socket, down to what the node is asked.
pub fn control(data: &[u8]) -> bool {
    let Ok((id, method, params)) = control_socket::parse(data) else { return false };
    let line = serde_json::json!({ "id": id, "method": method, "params": json::to_json(&params) }).to_string();
    let again = control_socket::parse(line.as_bytes()).expect("what is written can be read");
    // A client may number its questions by fractions; it gets them back as nearly as JSON has them.
    drop(id);
    assert_eq!((again.1, again.2), (method.clone(), params.clone()));
    let mut settings = Settings::new("node");
    for (name, dir) in [("main", "/etc/config"), ("vpn", "/etc/config/vpn")] {
        settings.shares.push(ShareSettings::new(ShareName::parse(name).expect("a name"), PathBuf::from(dir)));
    }
    ops::request(&settings, &method, &params).is_ok()
}

/// The first byte says whether the rest is a text, or the CBOR of one that gets the right frame and checksum here.
pub fn join(data: &[u8]) -> bool {
    let Some((&first, rest)) = data.split_first() else { return false };
    let text = if first & 1 == 0 { framed(rest) } else { String::from_utf8_lossy(rest).into_owned() };
    let read = match JoinText::parse(&text) {
        Ok(read) => read,
        Err(broken) => {
            assert!(is_printable(&broken.to_string()));
            return false;
        }
    };
    assert!(is_printable(&read.name));
    let written = read.encode();
    assert_eq!(JoinText::parse(&written).as_ref(), Ok(&read));
    true
}

fn framed(bytes: &[u8]) -> String {
    let digits = Base64UrlUnpadded::encode_string(bytes);
    assert_eq!(Base64UrlUnpadded::decode_vec(&digits).as_deref(), Ok(bytes));
    format!("[owsync-join-1]\n{digits}\n[owsync-join-end {}]", &Digest::of(bytes).to_hex()[..8])
}

pub fn uci(data: &[u8]) -> bool {
    let name = packages::PackageName::parse(b"test").expect("a name");
    let package = match packages::parse(&name, data) {
        Ok(package) => package,
        Err(error) => {
            assert!(is_printable(&error.to_string()));
            return false;
        }
    };
    let written = packages::write::committed(&package);
    let again = packages::parse(&name, &written).expect("what is written can be read");
    assert_eq!(packages::write::show(&again), packages::write::show(&package));
    let exported = packages::parse(&name, &packages::write::export(&package)).expect("and exported");
    assert_eq!(packages::write::committed(&exported), written);
    // Any package may be called owsync.
    let (sections, warnings) = config_package::sections(&package);
    configured(&sections, &warnings, Flavour::Uci, 0);
    true
}

/// A package that the seeds of uncommitted changes are about.
const UNCOMMITTED_ON: &[u8] =
    b"config interface 'lan'\n\tlist dns '9.9.9.9'\n\tlist dns '1.1.1.1'\n\toption mtu '1500'\n\
    config interface 'wan'\n\toption note 'x'\nconfig route\n\toption target '10.0.0.0/8'\n";

/// Uncommitted changes, and what a commit makes of them.
pub fn uci_delta(data: &[u8]) -> bool {
    let name = packages::PackageName::parse(b"network").expect("a name");
    let found = packages::delta::parse(&name, data);
    let lines = data.split(|&b| b == b'\n').count();
    assert!(found.changes.len() + found.unreadable <= lines);
    assert!(found.changes.iter().all(|change| is_printable(&change.to_string())));
    for base in [&b""[..], UNCOMMITTED_ON] {
        match packages::delta::apply(&name, base, &found.changes) {
            Ok(result) => {
                packages::parse(&name, &result).expect("what is committed can be read");
                let again = packages::delta::apply(&name, &result, &[]).expect("and stays as it is");
                assert_eq!(again, result);
            }
            Err(refused) => assert!(is_printable(&refused.to_string())),
        }
    }
    !found.changes.is_empty()
}

/// A moment, and a file of the zone database.
pub fn zone(data: &[u8]) -> bool {
    let mut source = Source::new(data);
    let ms = source.number() as i64;
    let Some(zone) = Zone::from_file(source.take(usize::MAX)) else { return false };
    for at in [ms / 1000, 0, i64::MIN / 1000, i64::MAX / 1000] {
        let (date, time) = zone.date_and_time(at);
        assert!(is_printable(&date) && is_printable(&time));
    }
    true
}
