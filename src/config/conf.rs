//! Parses the config file: `key=value` lines, as in owsync 1.x, and sections for newer options.
//!
//! ```text
//! # comment
//! sync_dir=/etc/config
//! include=dhcp
//! peer=192.168.1.2
//!
//! [share vpn]
//! dir=/etc/openvpn
//! include=*
//!
//! [peer router3]
//! address=192.168.1.3
//! ```
//! A value is everything after the first `=`, without white space at either end: there are no quotes and no comments
//! behind a value, because the predecessor had none. A line without `=` is a warning, as it was there.

use crate::config::{Kind, Place, Problem, Raw, Section};
use crate::model::escape;

/// Reads a config file's text; what is wrong with its form is a warning.
pub fn parse(text: &[u8]) -> (Vec<Section>, Vec<Problem>) {
    let mut sections = vec![Section { kind: Kind::Main, place: Place::Line(1), options: Vec::new() }];
    let mut warnings = Vec::new();
    for (number, line) in text.split(|&b| b == b'\n').enumerate() {
        let place = Place::Line(number + 1);
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let mut warn = |reason: String| warnings.push(Problem { place: place.clone(), key: String::new(), reason });
        if line.starts_with(b"[") && line.ends_with(b"]") {
            let inside = String::from_utf8_lossy(&line[1..line.len() - 1]).into_owned();
            let mut words = inside.split_whitespace();
            let kind = match (words.next(), words.next(), words.next()) {
                (Some("share"), Some(name), None) => Kind::Share(name.into()),
                (Some("peer"), Some(name), None) => Kind::Peer(name.into()),
                _ => {
                    warn(format!(
                        "'[{}]' is neither [share NAME] nor [peer NAME]; what follows it is ignored",
                        escape::escape(inside.as_bytes())
                    ));
                    // Options of an unknown section must not become the node's own.
                    Kind::Share(String::new())
                }
            };
            sections.push(Section { kind, place, options: Vec::new() });
            continue;
        }
        let Some(equals) = line.iter().position(|&b| b == b'=') else {
            // Not the line itself: it may be a key that lost its name.
            warn("missing '=', the line is ignored".into());
            continue;
        };
        let key = escape::escape(line[..equals].trim_ascii());
        let value = line[equals + 1..].trim_ascii().to_vec();
        if let Some(section) = sections.last_mut() {
            section.options.push(Raw { place, key, values: vec![value] });
        }
    }
    sections.retain(|section| section.kind != Kind::Share(String::new()));
    (sections, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flavour, options};

    fn read(text: &str) -> (Result<crate::config::Told, Vec<String>>, Vec<String>) {
        let (sections, mut warnings) = parse(text.as_bytes());
        let outcome = options::build(&sections, Flavour::Conf, "node");
        warnings.extend(outcome.warnings);
        let show = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        (outcome.result.map_err(show), show(warnings))
    }

    #[test]
    fn the_predecessors_files_are_read() {
        let (told, warnings) = read(
            "# Network\nbind_host=0.0.0.0\n port = 4322 \n\nsync_dir=/etc/config\ndatabase=/tmp/db\nplain_mode=true\npoll_interval=30\nlog_level=3\npeer=192.168.1.2\npeer=fd00::1\npeer=[2001:db8::1]:4321\npeer=10.0.0.2,10.0.0.1\ninclude=dhcp\ninclude=fire*\nexclude=network\n",
        );
        let told = told.unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!((told.bind_host.as_str(), told.port, told.log_level), ("0.0.0.0", 4322, 3));
        assert_eq!(told.settings.peers.len(), 4);
        assert_eq!(told.settings.peers[0].address.as_ref().unwrap().port, 4322);
        assert_eq!(told.settings.shares[0].include, [b"dhcp".to_vec(), b"fire*".to_vec()]);
        assert!(told.settings.plain_mode);
    }

    #[test]
    fn what_the_predecessor_tolerated_is_a_warning() {
        let (told, warnings) =
            read("nonsense\nfoo=bar\npoll_interval=not_a_number\nlog_level=abc\nplain_mode=maybe\nsync_dir=/x\n");
        let told = told.unwrap();
        assert_eq!(told.settings.poll_interval.as_secs(), 60);
        assert_eq!(told.log_level, 2);
        assert_eq!(
            warnings,
            [
                "line 1: missing '=', the line is ignored",
                "line 2: foo: unknown option, ignored",
                "line 3: poll_interval: 'not_a_number' is not a time from 1 s to 30 d; 60 is used",
                "line 4: log_level: 'abc' is not a number from 0 to 3; 2 is used",
                "line 5: plain_mode: 'maybe' is not 0 or 1; 0 is used",
            ]
        );
    }

    #[test]
    fn nothing_in_a_file_reaches_the_terminal_through_a_message() {
        let (told, _) = read("[share a\u{1b}[2J]\n[peer \u{9b}2J]\naddress=a\n[peer r2]\naddress=b\u{1b}[2J\n");
        let told = told.unwrap_err();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(!told.concat().contains(char::is_control), "{told:?}");
    }

    #[test]
    fn all_errors_are_reported_at_once_with_line_and_reason() {
        let (told, _) = read(
            "port=70000\nencryption_key=abcd\nmax_file_size=lots\n[share a b]\n[share bad/name]\ndir=/x\n[share vpn]\ninclude=*\n[peer r2]\naddress=1:2:3\n",
        );
        assert_eq!(
            told.unwrap_err(),
            [
                "line 1: port: '70000' is not a port (1 to 65535, or 0: the kernel's choice)",
                "line 2: encryption_key: not a key: it must be 64 hexadecimal digits and has 4 characters (`owsync genkey` creates one)",
                "line 3: max_file_size: 'lots' is not a size, as 16777216 or 16M; 0 for any",
                "line 5: 'bad/name' cannot name a share: letters, digits, '_', '-' and '.', at most 64 of them",
                "line 7: dir: a share needs a directory",
                "line 10: address: '1:2:3' is not an IPv6 address",
                "line 9: address: a peer needs an address or a public key",
            ]
        );
    }

    #[test]
    fn a_key_is_never_repeated_in_a_message() {
        let (told, warnings) = read("encryption_key=5ecre75ecre7\n");
        assert!(!format!("{:?}{warnings:?}", told.err()).contains("5ecre7"));
    }

    #[test]
    fn sections_describe_peers_and_shares() {
        let (told, warnings) = read(
            "peer=10.0.0.9\n[peer r2]\naddress=10.0.0.2:9\nsource_address=10.0.0.1\nshare=vpn\ndirection=send\n[share vpn]\ndir=/etc/openvpn\ninclude=*\nmin_free=2M\n",
        );
        let told = told.unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let peer = &told.settings.peers[1];
        assert_eq!((&*peer.name.0, peer.direction), ("r2", Direction::Send));
        assert_eq!(peer.address.as_ref().unwrap().source, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(told.settings.shares[0].min_free, 2 * 1024 * 1024);
    }

    use crate::model::Direction;
}
