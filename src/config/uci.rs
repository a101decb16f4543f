//! Converts the UCI package `owsync` to sections.
//!
//! ```text
//! config owsync 'main'
//!         option enabled '1'
//!         list peer '192.168.1.2'
//!
//! config peer 'router3'
//!         option address '192.168.1.3'
//!
//! config share 'vpn'
//!         option dir '/etc/openvpn'
//!         list include '*'
//! ```
//! The first section of type `owsync` describes the node, whatever its name is. What has several values may be a list, or
//! one option with spaces between them; only in a list can a pattern hold a space. Empty items of a list are none, as an
//! empty option is none.
//!
//! A section without a name has no identity, because the one that UCI makes up changes with the file: such a peer is called
//! by its address or public key, and a share must have a name.

use crate::config::{Kind, Place, Problem, Raw, Section};
use crate::fs::uci_file::{Dirs, UciFileError};
use crate::uci::{self, Package, PackageName, Value};

/// The package's name.
pub fn package_name() -> PackageName {
    PackageName::parse(b"owsync").unwrap_or_else(|| unreachable!("six letters are a package's name"))
}

/// Options that may have several values.
const SEVERAL: [&str; 7] = ["peer", "include", "exclude", "local", "share", "firewall_zone", "network"];

/// Reads the package's file; its sections, and what is tolerated in it.
///
/// # Errors
/// It is not there, or is no UCI package.
pub fn load(dirs: &Dirs) -> Result<(Vec<Section>, Vec<Problem>), Vec<Problem>> {
    let failed = |place: Place, reason: String| vec![Problem { place, key: String::new(), reason }];
    match dirs.read(&package_name()) {
        Ok(package) => Ok(sections(&package)),
        Err(UciFileError::Syntax(_, error)) => Err(failed(Place::Line(error.line), error.reason.to_string())),
        Err(error) => Err(failed(Place::Argument, error.to_string())),
    }
}

/// The sections of a package; what is wrong with their form is a warning.
pub fn sections(package: &Package) -> (Vec<Section>, Vec<Problem>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut warnings = Vec::new();
    let mut main_seen = false;
    for (reference, section) in package.referenced() {
        let place = Place::Section(format!("{}.{reference}", package.name()));
        let mut warn = |key: &str, reason: &str| {
            warnings.push(Problem { place: place.clone(), key: key.into(), reason: reason.into() });
        };
        let kind = match section.kind() {
            "owsync" if main_seen => {
                warn("", "only the first section of type 'owsync' is used; this one is ignored");
                continue;
            }
            "owsync" => Kind::Main,
            "peer" => Kind::Peer(peer_name(section, &reference)),
            "share" => Kind::Share(section.given_name().unwrap_or_default().into()),
            kind => {
                warn("", &format!("a section of type '{kind}' is unknown and ignored"));
                continue;
            }
        };
        main_seen |= kind == Kind::Main;
        let mut options = Vec::new();
        for (key, value) in section.options() {
            let values = values_of(key, value);
            if values.len() > 1 && !SEVERAL.contains(&key) {
                warn(key, "has several values; the last one is used");
            }
            if !values.is_empty() {
                options.push(Raw { place: place.clone(), key: key.into(), values });
            }
        }
        sections.push(Section { kind, place, options });
    }
    if !main_seen {
        let reason = "there is no section of type 'owsync', so owsync is not enabled";
        let place = Place::Section(package.name().to_string());
        warnings.push(Problem { place, key: String::new(), reason: reason.into() });
    }
    (sections, warnings)
}

/// The values of an option, none of them empty.
fn values_of(key: &str, value: &Value) -> Vec<Vec<u8>> {
    match value {
        // A peer's spaces are read where its commas are.
        Value::One(value) if SEVERAL.contains(&key) && key != "peer" => {
            value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
        }
        value => value.items().iter().filter(|item| !item.is_empty()).cloned().collect(),
    }
}

/// What a peer is called: its section's name, or what it is reached or known by.
fn peer_name(section: &uci::Section, reference: &str) -> String {
    let text = |option: &str| {
        let value = section.option(option)?.items().last()?;
        Some(String::from_utf8_lossy(value).trim().to_string()).filter(|text| !text.is_empty())
    };
    let address = || Some(text("address")?.split(',').next()?.trim().to_string());
    // The first digits are enough to tell keys apart, and a name has to fit in a status line.
    let key = || Some(text("public_key")?.chars().take(16).collect());
    section.given_name().map(Into::into).or_else(address).or_else(key).unwrap_or_else(|| reference.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::{self, KNOWN};
    use crate::config::{Flavour, Told};
    use crate::model::Direction;

    fn read(text: &str) -> (Result<Told, Vec<String>>, Vec<String>) {
        let (sections, mut warnings) = sections(&uci::parse(&package_name(), text.as_bytes()).unwrap());
        let outcome = options::build(&sections, Flavour::Uci, "node");
        warnings.extend(outcome.warnings);
        let show = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        (outcome.result.map_err(show), show(warnings))
    }

    /// What a package without anything wrong says.
    fn told(text: &str) -> Told {
        let (told, warnings) = read(text);
        assert_eq!(warnings, Vec::<String>::new(), "{text}");
        told.unwrap_or_else(|errors| panic!("{errors:?}: {text}"))
    }

    fn peers(told: &Told) -> Vec<String> {
        let text = |peer: &crate::model::settings::PeerSettings| {
            let address = peer.address.as_ref().map_or("-".into(), ToString::to_string);
            match peer.address.as_ref().and_then(|address| address.source) {
                Some(source) => format!("{} {address} from {source}", peer.name),
                None => format!("{} {address}", peer.name),
            }
        };
        told.settings.peers.iter().map(text).collect()
    }

    #[test]
    fn the_shipped_form_is_read() {
        let told = told(
            "config owsync 'main'\n\toption enabled '1'\n\tlist peer '192.168.1.2'\n\toption dir '/etc/config'\n\tlist include 'dhcp'\n\tlist include 'fire wall'\n\tlist exclude 'network'\n\n\
             config peer 'router3'\n\toption address '192.168.1.3'\n\toption public_key ''\n\tlist share 'main'\n\n\
             config share 'vpn'\n\toption dir '/etc/openvpn'\n\tlist include '*'\n\toption direction 'receive'\n",
        );
        assert!(told.enabled);
        assert_eq!(peers(&told), ["192.168.1.2 192.168.1.2:4321", "router3 192.168.1.3:4321"]);
        assert_eq!(told.settings.peers[1].shares.as_ref().unwrap().len(), 1);
        let [main, vpn] = &told.settings.shares[..] else { panic!("{:?}", told.settings.shares) };
        assert_eq!(main.include, [b"dhcp".to_vec(), b"fire wall".to_vec()]);
        assert_eq!(main.exclude, [b"network".to_vec()]);
        assert_eq!((vpn.name.as_str(), vpn.direction), ("vpn", Direction::Receive));
        assert_eq!(vpn.include, [b"*".to_vec()]);
    }

    #[test]
    fn f61_a_pattern_is_a_pattern_whatever_the_working_directory_holds() {
        for form in ["list include '*'", "option include '*'", "option include *"] {
            let told = told(&format!("config owsync\n option dir /x\n {form}\n"));
            assert_eq!(told.settings.shares[0].include, [b"*".to_vec()], "{form}");
        }
    }

    #[test]
    fn the_predecessors_package_is_read() {
        let told = told(&format!(
            "config owsync 'general'\n\toption enabled '1'\n\toption host '::'\n\toption port '4322'\n\toption dir '/etc/config'\n\toption db '/etc/owsync/owsync.db'\n\toption key '{}'\n\toption poll_interval '30'\n\toption plain_mode '0'\n\tlist peer '10.0.0.2,10.0.0.1'\n\tlist include 'dhcp'\n\tlist exclude 'x'\n",
            "ab".repeat(32)
        ));
        assert_eq!((told.port, told.bind_host.as_str(), told.key.is_some()), (4322, "::", true));
        assert_eq!(told.database.unwrap().to_str(), Some("/etc/owsync/owsync.db"));
        assert_eq!(told.settings.poll_interval.as_secs(), 30);
        assert_eq!(told.settings.shares[0].dir.to_str(), Some("/etc/config"));
    }

    #[test]
    fn peers_and_patterns_may_be_an_option_a_list_or_words() {
        let forms = [
            "option peer '10.0.0.2 10.0.0.3:99 [fd00::1]:98 10.0.0.4, 10.0.0.1'",
            "list peer '10.0.0.2'\n list peer '10.0.0.3:99'\n list peer ''\n list peer '[fd00::1]:98'\n list peer '10.0.0.4,10.0.0.1'",
            "option peer '10.0.0.2\n10.0.0.3:99'\n list peer '[fd00::1]:98 10.0.0.4,10.0.0.1'",
        ];
        for form in forms {
            let told = told(&format!("config owsync\n {form}\n"));
            assert_eq!(
                peers(&told),
                [
                    "10.0.0.2 10.0.0.2:4321",
                    "10.0.0.3:99 10.0.0.3:99",
                    "[fd00::1]:98 [fd00::1]:98",
                    "10.0.0.4 10.0.0.4:4321 from 10.0.0.1",
                ],
                "{form}"
            );
        }
        for form in ["option include 'a\tb  c'", "list include 'a'\n list include ''\n list include b\n list include c"]
        {
            let told = told(&format!("config owsync\n option dir /x\n {form}\n"));
            assert_eq!(told.settings.shares[0].include, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], "{form}");
        }
        let told = told("config owsync\nconfig peer a\n option address b\n option share 'x y'\n");
        assert_eq!(told.settings.peers[0].shares.as_ref().unwrap().len(), 2);
    }

    #[test]
    fn a_peer_without_a_section_name_is_called_by_what_it_is_reached_by() {
        let key = "0123456789abcdef".repeat(4);
        let told = told(&format!(
            "config owsync\nconfig peer\n option address '10.0.0.2, 10.0.0.1'\nconfig peer\n option public_key {key}\nconfig peer\n option address r4.lan\n option port 99\n"
        ));
        assert_eq!(peers(&told), ["10.0.0.2 10.0.0.2:4321 from 10.0.0.1", "0123456789abcdef -", "r4.lan r4.lan:99"]);
    }

    #[test]
    fn values_are_taken_as_the_ecosystem_writes_them() {
        for (text, value) in [
            ("1", true),
            ("on", true),
            ("true", true),
            ("yes", true),
            ("enabled", true),
            ("0", false),
            ("off", false),
            ("false", false),
            ("no", false),
            ("disabled", false),
        ] {
            assert_eq!(told(&format!("config owsync\n option enabled {text}\n")).enabled, value, "{text}");
        }
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400)] {
            let told = told(&format!("config owsync\n option poll_interval {text}\n"));
            assert_eq!(told.settings.poll_interval.as_secs(), seconds, "{text}");
        }
        for (text, bytes) in [("4096", 4096), ("16K", 16 << 10), ("2M", 2 << 20), ("1G", 1 << 30), ("0", 0)] {
            let told = told(&format!("config owsync\n option dir /x\n option max_file_size {text}\n"));
            assert_eq!(told.settings.shares[0].max_file_size, bytes, "{text}");
        }
    }

    #[test]
    fn all_errors_are_reported_at_once_with_section_option_and_reason() {
        let (told, warnings) = read(
            "config owsync 'general'\n option port 70000\n option plain_mode maybe\n option poll_interval soon\n option log_level 9\n option accept all\n list include dhcp\n\
             config peer 'r2'\n option address '1:2:3'\n\
             config peer\n option port 1\n\
             config share\n option dir /x\n\
             config share 'vpn'\n list include '*'\n",
        );
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(
            told.unwrap_err(),
            [
                "owsync.general.port: '70000' is not a port (1 to 65535, or 0: the kernel's choice)",
                "owsync.general.plain_mode: 'maybe' is not 0 or 1",
                "owsync.general.poll_interval: 'soon' is not a time from 1 s to 30 d",
                "owsync.general.log_level: '9' is not a number from 0 to 3",
                "owsync.general.accept: 'all' is not 'known' or 'key'",
                "owsync.r2.address: '1:2:3' is not an IPv6 address",
                "owsync.r2.address: a peer needs an address or a public key",
                "owsync.@peer[1].address: a peer needs an address or a public key",
                "owsync.@share[0]: a share needs a name, the same on every node",
                "owsync.vpn.dir: a share needs a directory",
                "owsync.general.include: the share main has patterns and no directory: set 'dir'",
            ]
        );
    }

    #[test]
    fn what_is_tolerated_is_a_warning() {
        let (told, warnings) = read(
            "config owsync 'main'\n list port 1\n list port 2\n option colour red\n option address 10.0.0.1\n\
             config owsync 'second'\n option port 99\nconfig cluster\n\
             config peer r2\n option address b\n list port ''\n option dir /x\n",
        );
        assert_eq!(told.unwrap().port, 2);
        assert_eq!(
            warnings,
            [
                "owsync.main.port: has several values; the last one is used",
                "owsync.second: only the first section of type 'owsync' is used; this one is ignored",
                "owsync.@cluster[0]: a section of type 'cluster' is unknown and ignored",
                "owsync.main.colour: unknown option, ignored",
                "owsync.main.address: does not belong in this section and is ignored",
                "owsync.r2.dir: does not belong in this section and is ignored",
            ]
        );
        let (told, warnings) = read("config peer r2\n option address b\n");
        assert!(!told.unwrap().enabled);
        assert_eq!(warnings, ["owsync: there is no section of type 'owsync', so owsync is not enabled"]);
    }

    #[test]
    fn strangers_are_kept_out_and_nothing_is_enabled_unless_somebody_said_so() {
        use crate::model::settings::{Accept, FirstSync};
        let told = told("config owsync 'main'\n");
        assert!(!told.enabled);
        assert_eq!((told.settings.accept, told.settings.first_sync), (Accept::Known, FirstSync::Ask));
        assert!(told.settings.shares.is_empty());
    }

    #[test]
    fn patterns_that_cannot_be_meant_are_errors_with_their_reason() {
        let of = |option: &str| read(&format!("config owsync main\n option dir /etc/config\n{option}")).0;
        assert_eq!(
            of(" list local network.lan.ipaddr\n list local '!firewall.@rule[name=Allow-*]'\n")
                .unwrap()
                .settings
                .shares[0]
                .local
                .len(),
            2
        );
        for (pattern, why) in [
            ("network", "expected PACKAGE.SECTION"),
            ("owsync.main.name", "never synced"),
            (&format!("network.{}", "x".repeat(128)), "longer than 128 bytes"),
        ] {
            let errors = of(&format!(" list local '{pattern}'\n")).unwrap_err();
            assert!(errors[0].contains("owsync.main.local: the pattern '") && errors[0].contains(why), "{errors:?}");
        }
        let many: String = (0..65).map(|n| format!(" list local network.lan.o{n}\n")).collect();
        assert!(of(&many).unwrap_err()[0].contains("more than 64 patterns"));
        let errors = read("config owsync main\n option dir /srv\n list local network.lan.ipaddr\n").0.unwrap_err();
        assert!(errors[0].contains("has no UCI packages"), "{errors:?}");
    }

    /// A value of each option that is not its default, in sections that are complete without it.
    const OTHER: [(&str, &str); 55] = [
        ("enabled", "1"),
        ("name", "other"),
        ("bind_host", "192.0.2.1"),
        ("port", "99"),
        ("key_file", "/k"),
        ("encryption_key", "abababababababababababababababababababababababababababababababab"),
        ("previous_key_file", "/k"),
        ("plain_mode", "1"),
        ("accept", "key"),
        ("first_sync", "newest"),
        ("database", "/d"),
        ("poll_interval", "61"),
        ("settle_ms", "201"),
        ("settle_max", "3"),
        ("max_clock_skew", "61"),
        ("max_sessions", "7"),
        ("log_level", "3"),
        ("firewall_rule", "1"),
        ("firewall_zone", "vpn"),
        ("mdns", "1"),
        ("network", "lan"),
        ("peer", "10.0.0.9"),
        ("address", "10.0.0.9"),
        ("source_address", "10.0.0.9"),
        ("public_key", "abababababababababababababababababababababababababababababababab"),
        ("introducer", "1"),
        ("share", "s"),
        ("direction", "send"),
        ("dir", "/other"),
        ("include", "a"),
        ("exclude", "a"),
        ("local", "network.lan.ipaddr"),
        ("symlinks", "copy"),
        ("max_file_size", "1"),
        ("reload", "none"),
        ("confirm", "30"),
        ("mode", "manual"),
        ("validate", "/v"),
        ("probe", "/p"),
        ("propagate_deletions", "none"),
        ("propagate_approvals", "0"),
        ("merge", "0"),
        ("soft_max_time", "5m"),
        ("hard_max_time", "1h"),
        ("allow_setuid", "1"),
        ("delete_guard", "1"),
        ("min_free", "1"),
        ("hook", "/h"),
        ("hook_timeout", "31"),
        ("release", "24.10.4"),
        ("release_guard", "0"),
        ("metrics_file", "/m"),
        ("history_size", "1"),
        ("history_days", "1"),
        ("history_versions", "1"),
    ];

    #[test]
    fn every_option_is_read_under_each_of_its_names_wherever_it_may_stand() {
        // Only a peer with a public key can be an introducer.
        let sections = [
            "config owsync main\n option dir /etc/config/m\n",
            "config peer p\n option address 10.0.0.1\n option public_key cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\n",
            "config share s\n option dir /etc/config/s\n",
        ];
        let with = |place: usize, option: &str| {
            let mut parts = sections.map(String::from);
            parts[place].push_str(option);
            read(&parts.concat())
        };
        let plain = format!("{:?}", with(0, "").0.unwrap());
        for known in KNOWN {
            let (_, other) = OTHER
                .iter()
                .find(|(name, _)| *name == known.names[0])
                .unwrap_or_else(|| panic!("{} has no row in this table", known.names[0]));
            for name in known.names {
                let mut places = 0;
                for (place, section) in sections.iter().enumerate() {
                    // Where everything is enabled already, the other value is off.
                    let other =
                        if (*name, place) == ("enabled", 1) || (*name, place) == ("enabled", 2) { "0" } else { other };
                    let (told, warnings) = with(place, &format!(" option {name} {other}\n"));
                    if warnings.iter().any(|warning| warning.contains("does not belong in this section")) {
                        continue;
                    }
                    places += 1;
                    assert_eq!(warnings, Vec::<String>::new(), "{name}");
                    assert_ne!(format!("{:?}", told.unwrap()), plain, "{name} in {section} is not read");
                }
                assert!(places > 0, "{name} may stand nowhere");
            }
        }
        assert_eq!(OTHER.len(), KNOWN.len());
        assert!(SEVERAL.iter().all(|name| KNOWN.iter().any(|known| known.names[0] == *name)));
    }
}
