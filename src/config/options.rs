//! The table of options: what may stand where, what it means, what is wrong with a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Flavour, Kind, Outcome, PORT, Place, Problem, Raw, Section, Told, values};
use crate::model::settings::{Accept, FirstSync, PeerSettings, Reload, ShareSettings, Symlinks};
use crate::model::{Direction, Key, PeerName, Settings, ShareName, escape, limits};
use crate::reconcile::filter;

/// Where an option may stand.
const MAIN: u8 = 1;
const PEER: u8 = 2;
const SHARE: u8 = 4;

/// An option: its names, the first of which is its own, and where it may stand.
pub struct Known {
    /// Its name, then its aliases.
    pub names: &'static [&'static str],
    places: u8,
    /// What a value means, in a few words; for help and for the tests of completeness.
    pub meaning: &'static str,
}

/// Every option there is.
pub const KNOWN: &[Known] = &[
    Known { names: &["enabled"], places: MAIN | PEER | SHARE, meaning: "whether it is used at all" },
    Known { names: &["name", "node_name"], places: MAIN, meaning: "what people call this node" },
    Known { names: &["bind_host", "host"], places: MAIN, meaning: "address to listen on" },
    Known { names: &["port"], places: MAIN | PEER, meaning: "port to listen on (0: the kernel's choice), and to dial" },
    Known { names: &["key_file"], places: MAIN, meaning: "file that holds the key" },
    Known { names: &["encryption_key", "key"], places: MAIN, meaning: "the key, 64 hexadecimal digits" },
    Known { names: &["previous_key_file"], places: MAIN, meaning: "file that holds a second accepted key" },
    Known { names: &["plain_mode"], places: MAIN, meaning: "no encryption, no authentication" },
    Known { names: &["accept"], places: MAIN, meaning: "who may enter: known, key" },
    Known { names: &["first_sync"], places: MAIN, meaning: "what decides at first contact: ask, newest" },
    Known { names: &["database", "db"], places: MAIN, meaning: "where the database lies" },
    Known { names: &["poll_interval"], places: MAIN, meaning: "time between two safety-net rescans" },
    Known { names: &["settle_ms"], places: MAIN, meaning: "quiet time after a change, in milliseconds" },
    Known { names: &["max_clock_skew"], places: MAIN, meaning: "largest difference between two clocks" },
    Known { names: &["log_level"], places: MAIN, meaning: "0 error, 1 warning, 2 info, 3 debug" },
    Known { names: &["peer"], places: MAIN, meaning: "address of a peer" },
    Known { names: &["address"], places: PEER, meaning: "address of the peer" },
    Known { names: &["source_address"], places: PEER, meaning: "address to dial from" },
    Known { names: &["public_key"], places: PEER, meaning: "public key it must show" },
    Known { names: &["share"], places: PEER, meaning: "shares it takes part in" },
    Known { names: &["direction"], places: PEER | MAIN | SHARE, meaning: "both, send, receive, observe" },
    Known { names: &["dir", "sync_dir"], places: MAIN | SHARE, meaning: "root of the share" },
    Known { names: &["include"], places: MAIN | SHARE, meaning: "pattern of what is synced" },
    Known { names: &["exclude"], places: MAIN | SHARE, meaning: "pattern of what is not synced" },
    Known { names: &["symlinks"], places: MAIN | SHARE, meaning: "ignore, copy" },
    Known { names: &["max_file_size"], places: MAIN | SHARE, meaning: "largest file; 0: any" },
    Known { names: &["allow_setuid"], places: MAIN | SHARE, meaning: "whether set-user-id bits land" },
    Known { names: &["delete_guard"], places: MAIN | SHARE, meaning: "percent of files gone at once that hold it" },
    Known { names: &["min_free"], places: MAIN | SHARE, meaning: "bytes that must stay free" },
    Known {
        names: &["reload"],
        places: MAIN | SHARE,
        meaning: "who is told what landed: uci, none, a script, services",
    },
    Known { names: &["history_size"], places: MAIN, meaning: "bytes of history" },
    Known { names: &["history_days"], places: MAIN, meaning: "days of history; 0: for ever" },
    Known { names: &["history_versions"], places: MAIN, meaning: "versions of one path in history" },
];

/// Reads sections by the table.
pub fn build(sections: &[Section], flavour: Flavour, node_name: &str) -> Outcome<Told> {
    let (told, errors, warnings) = read(sections, flavour, node_name);
    Outcome { result: if errors.is_empty() { Ok(told) } else { Err(errors) }, warnings }
}

/// As [`build`]: what could be read, errors, warnings. With errors it is only good for finding more of them.
pub fn read(sections: &[Section], flavour: Flavour, node_name: &str) -> (Told, Vec<Problem>, Vec<Problem>) {
    let mut reader = Reader { flavour, errors: Vec::new(), warnings: Vec::new() };
    let mut told = Told {
        settings: Settings::new(node_name),
        bind_host: "::".into(),
        port: PORT,
        log_level: 2,
        key: None,
        key_file: None,
        previous_key_file: None,
        database: None,
        enabled: flavour == Flavour::Conf,
        has_main_dir: false,
    };
    if flavour == Flavour::Uci {
        told.settings.accept = Accept::Known;
        told.settings.first_sync = FirstSync::Ask;
    }
    let mut main_share = ShareSettings::new(ShareName::main(), PathBuf::from("."));
    let mut shares: BTreeMap<String, ShareSettings> = BTreeMap::new();
    // The port first: peers without one dial it.
    for raw in main_options(sections).filter(|raw| raw.key == "port") {
        if let Some(port) = reader.one(raw, "a port (1 to 65535, or 0: the kernel's choice)", values::any_port) {
            told.port = port;
        }
    }
    for raw in main_options(sections) {
        match reader.find(raw, MAIN) {
            Some("dir") => {
                told.has_main_dir = true;
                reader.share_option("dir", raw, &mut main_share);
            }
            Some(
                name @ ("direction" | "include" | "exclude" | "symlinks" | "max_file_size" | "allow_setuid"
                | "delete_guard" | "min_free" | "reload"),
            ) => reader.share_option(name, raw, &mut main_share),
            Some(name) => reader.main_option(name, raw, &mut told),
            None => {}
        }
    }
    for section in sections {
        match &section.kind {
            Kind::Main => {}
            Kind::Peer(name) => reader.peer(name, section, &mut told),
            Kind::Share(name) => {
                let Some(parsed) = ShareName::parse(name) else {
                    let allowed = format!("letters, digits, '_', '-' and '.', at most {} of them", limits::LABEL_MAX);
                    let reason = match name.as_str() {
                        "" => "a share needs a name, the same on every node".into(),
                        name => format!("'{name}' cannot name a share: {allowed}"),
                    };
                    reader.error(&section.place, "", reason);
                    continue;
                };
                let share = if name == ShareName::MAIN {
                    &mut main_share
                } else {
                    shares.entry(name.clone()).or_insert_with(|| ShareSettings::new(parsed, PathBuf::new()))
                };
                for raw in &section.options {
                    if let Some(option) = reader.find(raw, SHARE) {
                        told.has_main_dir |= option == "dir" && name == ShareName::MAIN;
                        reader.share_option(option, raw, share);
                    }
                }
                if share.dir.as_os_str().is_empty() {
                    reader.error(&section.place, "dir", "a share needs a directory".into());
                }
            }
        }
    }
    // Without a directory there is no share main, unless nothing else is shared.
    if told.has_main_dir || (shares.is_empty() && flavour == Flavour::Conf) {
        told.settings.shares.push(main_share);
    } else if !main_share.include.is_empty() {
        let place = main_options(sections).find(|raw| raw.key == "include").map_or(&Place::Argument, |raw| &raw.place);
        reader.error(place, "include", "the share main has patterns and no directory: set 'dir'".into());
    }
    told.settings.shares.extend(shares.into_values());
    if told.settings.shares.len() > limits::SHARES_MAX {
        reader.error(&Place::Argument, "share", format!("more than {} shares", limits::SHARES_MAX));
    }
    if told.settings.peers.len() > limits::PEERS_MAX {
        reader.error(&Place::Argument, "peer", format!("more than {} peers", limits::PEERS_MAX));
    }
    reader.check_overlap(&told);
    let Reader { errors, warnings, .. } = reader;
    (told, errors, warnings)
}

fn main_options(sections: &[Section]) -> impl Iterator<Item = &Raw> {
    sections.iter().filter(|section| section.kind == Kind::Main).flat_map(|section| &section.options)
}

struct Reader {
    flavour: Flavour,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader {
    fn error(&mut self, place: &Place, key: &str, reason: String) {
        self.errors.push(Problem { place: place.clone(), key: key.into(), reason });
    }

    fn warn(&mut self, raw: &Raw, reason: String) {
        self.warnings.push(Problem { place: raw.place.clone(), key: raw.key.clone(), reason });
    }

    /// The own name of an option that may stand here.
    fn find(&mut self, raw: &Raw, place: u8) -> Option<&'static str> {
        let known = KNOWN.iter().find(|known| known.names.contains(&raw.key.as_str()));
        match known {
            Some(known) if known.places & place != 0 => Some(known.names[0]),
            Some(_) => {
                self.warn(raw, "does not belong in this section and is ignored".into());
                None
            }
            None => {
                self.warn(raw, "unknown option, ignored".into());
                None
            }
        }
    }

    /// The value of an option as text; the last one counts where several are given.
    fn text<'a>(&mut self, raw: &'a Raw) -> Option<&'a str> {
        let value = raw.values.last()?;
        match std::str::from_utf8(value) {
            Ok(text) => Some(text.trim()),
            Err(_) => {
                self.error(&raw.place, &raw.key, format!("'{}' is not a text", escape::escape(value)));
                None
            }
        }
    }

    /// The value of an option in some form; `what` says which.
    fn one<T>(&mut self, raw: &Raw, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(raw)?;
        let value = read(text);
        if value.is_none() {
            let reason = format!("'{}' is not {what}", escape::escape(text.as_bytes()));
            self.error(&raw.place, &raw.key, reason);
        }
        value
    }

    /// As [`Reader::one`], for what the predecessor tolerated in a config file: there it is a warning.
    fn tolerant<T: std::fmt::Debug>(
        &mut self,
        raw: &Raw,
        what: &str,
        default: T,
        shown: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        if self.flavour == Flavour::Uci {
            return self.one(raw, what, read);
        }
        let text = self.text(raw)?;
        Some(read(text).unwrap_or_else(|| {
            self.warnings.push(Problem {
                place: raw.place.clone(),
                key: raw.key.clone(),
                reason: format!("'{}' is not {what}; {shown} is used", escape::escape(text.as_bytes())),
            });
            default
        }))
    }

    fn main_option(&mut self, name: &str, raw: &Raw, told: &mut Told) {
        let settings = &mut told.settings;
        match name {
            "enabled" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    told.enabled = value;
                }
            }
            "name" => {
                if let Some(value) = self.one(raw, "a name of at most 64 printable characters", |text| {
                    (!text.is_empty() && text.len() <= limits::LABEL_MAX && !text.contains(char::is_control))
                        .then(|| text.to_string())
                }) {
                    settings.name = value;
                }
            }
            "bind_host" => {
                if let Some(value) = self.one(raw, "a host name or address", |text| {
                    (!text.is_empty() && !text.contains(char::is_whitespace))
                        .then(|| text.trim_matches(['[', ']']).to_string())
                }) {
                    told.bind_host = value;
                }
            }
            // Read before everything else.
            "port" => {}
            "key_file" => told.key_file = self.path(raw),
            "previous_key_file" => told.previous_key_file = self.path(raw),
            "database" => told.database = self.path(raw),
            "encryption_key" => {
                // The value is never repeated in a message.
                match self.text(raw).map(Key::from_hex) {
                    Some(Some(key)) => told.key = Some(key),
                    Some(None) => {
                        let length = raw.values.last().map_or(0, Vec::len);
                        self.error(&raw.place, &raw.key, format!("a key has 64 hexadecimal digits; this has {length} characters, or others (`owsync genkey` makes one)"));
                    }
                    None => {}
                }
            }
            "plain_mode" => {
                if let Some(value) = self.tolerant(raw, "0 or 1", false, "0", values::boolean) {
                    settings.plain_mode = value;
                }
            }
            "accept" => {
                if let Some(value) = self.one(raw, "'known' or 'key'", |text| {
                    [Accept::Known, Accept::Key].into_iter().find(|a| a.word() == text)
                }) {
                    settings.accept = value;
                }
            }
            "first_sync" => {
                if let Some(value) = self.one(raw, "'ask' or 'newest'", |text| {
                    [FirstSync::Ask, FirstSync::Newest].into_iter().find(|f| f.word() == text)
                }) {
                    settings.first_sync = value;
                }
            }
            "poll_interval" => {
                let read = |text: &str| {
                    values::duration(text).filter(|d| !d.is_zero() && *d <= Duration::from_secs(30 * 86_400))
                };
                if let Some(value) = self.tolerant(raw, "a time from 1 s to 30 d", Duration::from_secs(60), "60", read)
                {
                    settings.poll_interval = value;
                }
            }
            "settle_ms" => {
                if let Some(value) = self.one(raw, "a number of milliseconds from 0 to 60000", |text| {
                    values::number(text).filter(|&ms| ms <= 60_000)
                }) {
                    settings.settle = Duration::from_millis(value);
                }
            }
            "max_clock_skew" => {
                if let Some(value) = self.one(raw, "a time; 0 switches the check off", values::duration) {
                    settings.max_clock_skew = value;
                }
            }
            "log_level" => {
                let read = |text: &str| values::number(text).map(|level| u8::try_from(level.min(3)).unwrap_or(3));
                let strict = |text: &str| {
                    values::number(text).filter(|&level| level <= 3).and_then(|level| u8::try_from(level).ok())
                };
                let value = if self.flavour == Flavour::Uci {
                    self.one(raw, "a number from 0 to 3", strict)
                } else {
                    self.tolerant(raw, "a number from 0 to 3", 2, "2", read)
                };
                if let Some(value) = value {
                    told.log_level = value;
                }
            }
            "peer" => {
                for value in &raw.values {
                    let text = String::from_utf8_lossy(value).into_owned();
                    // A plain option may hold several, as config_get's lists do. A source stands after a comma, and people
                    // put a space there.
                    let joined = text.replace(", ", ",");
                    for one in joined.split_whitespace() {
                        self.peer_short(raw, one, told);
                    }
                }
            }
            "history_size" => {
                if let Some(value) = self.one(raw, "a size, as 1048576 or 1M", values::size) {
                    settings.history.size = value;
                }
            }
            "history_days" => {
                if let Some(value) =
                    self.one(raw, "a number of days", |text| values::number(text).and_then(|n| u32::try_from(n).ok()))
                {
                    settings.history.days = value;
                }
            }
            "history_versions" => {
                if let Some(value) = self.one(raw, "a number from 1", |text| {
                    values::number(text).and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0)
                }) {
                    settings.history.versions = value;
                }
            }
            other => unreachable!("{other} is in the table and read here"),
        }
    }

    fn share_option(&mut self, name: &str, raw: &Raw, share: &mut ShareSettings) {
        match name {
            "enabled" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.enabled = value;
                }
            }
            "dir" => {
                if let Some(value) = self.path(raw) {
                    share.dir = value;
                }
            }
            "include" | "exclude" => {
                for value in &raw.values {
                    match filter::pattern_error(value) {
                        Some(error) => {
                            self.error(&raw.place, &raw.key, format!("the pattern '{}' {error}", escape::escape(value)))
                        }
                        None if name == "include" => share.include.push(value.clone()),
                        None => share.exclude.push(value.clone()),
                    }
                }
                if share.include.len() > limits::PATTERNS_MAX || share.exclude.len() > limits::PATTERNS_MAX {
                    self.error(&raw.place, &raw.key, format!("more than {} patterns", limits::PATTERNS_MAX));
                }
            }
            "direction" => {
                if let Some(value) = self.one(raw, "'both', 'send', 'receive' or 'observe'", Direction::parse) {
                    share.direction = value;
                }
            }
            "symlinks" => {
                if let Some(value) = self.one(raw, "'ignore' or 'copy'", |text| {
                    [Symlinks::Ignore, Symlinks::Copy].into_iter().find(|s| s.word() == text)
                }) {
                    share.symlinks = value;
                }
            }
            "max_file_size" => {
                if let Some(value) = self.one(raw, "a size, as 16777216 or 16M; 0 for any", values::size) {
                    share.max_file_size = value;
                }
            }
            "allow_setuid" => {
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    share.allow_setuid = value;
                }
            }
            "delete_guard" => {
                if let Some(value) = self.one(raw, "a percentage from 0 to 100", |text| {
                    values::number(text).filter(|&n| n <= 100).and_then(|n| u8::try_from(n).ok())
                }) {
                    share.delete_guard = value;
                }
            }
            "min_free" => {
                if let Some(value) = self.one(raw, "a size, as 1048576 or 1M", values::size) {
                    share.min_free = value;
                }
            }
            "reload" => share.reload = self.reload(raw),
            other => unreachable!("{other} is in the table and read here"),
        }
    }

    /// Who is told what landed: a word, a program's path, or names of init scripts.
    fn reload(&mut self, raw: &Raw) -> Option<Reload> {
        let text: Vec<&str> = raw.values.iter().map(|value| std::str::from_utf8(value).unwrap_or("\0")).collect();
        let words: Vec<&str> = text.iter().flat_map(|value| value.split_whitespace()).collect();
        let is_name = |word: &&str| {
            word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) && !word.starts_with('.')
        };
        match &words[..] {
            [] => None,
            ["none"] => Some(Reload::Nobody),
            ["uci"] => Some(Reload::Uci),
            [path] if path.starts_with('/') => Some(Reload::Script(PathBuf::from(*path))),
            names if names.iter().all(is_name) => {
                Some(Reload::Services(names.iter().map(ToString::to_string).collect()))
            }
            _ => {
                let shown = escape::escape(raw.values.join(&b' ').as_slice());
                let reason =
                    format!("'{shown}' is not uci, none, the absolute path of a program, or names of init scripts");
                self.error(&raw.place, &raw.key, reason);
                None
            }
        }
    }

    fn peer(&mut self, name: &str, section: &Section, told: &mut Told) {
        let valid = !name.is_empty() && name.len() <= limits::LABEL_MAX && !name.contains(char::is_control);
        if !valid {
            self.error(&section.place, "", format!("'{}' cannot name a peer", escape::escape(name.as_bytes())));
            return;
        }
        let mut peer = PeerSettings {
            name: PeerName(name.into()),
            enabled: true,
            address: None,
            public_key: None,
            shares: None,
            direction: Direction::Both,
        };
        let mut port = None;
        let mut source = None;
        for raw in &section.options {
            match self.find(raw, PEER) {
                Some("enabled") => {
                    if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                        peer.enabled = value;
                    }
                }
                Some("address") => {
                    let Some(text) = self.text(raw) else { continue };
                    match values::address(text, told.dial_port()) {
                        Ok(address) => peer.address = Some(address),
                        Err(error) => self.error(&raw.place, &raw.key, error),
                    }
                }
                Some("port") => port = self.one(raw, "a port (1 to 65535)", values::port),
                Some("source_address") => source = self.one(raw, "an IP address", |text| text.parse().ok()),
                Some("public_key") => {
                    // An empty one pins nothing, as the shipped configuration has it.
                    if raw.values.iter().any(|value| !value.is_empty()) {
                        peer.public_key = self.one(
                            raw,
                            "a public key: 64 hexadecimal digits, as `owsync identity` prints them",
                            escape::unhex,
                        );
                    }
                }
                Some("share") => {
                    let names = raw.values.iter().flat_map(|value| {
                        String::from_utf8_lossy(value).split_whitespace().map(str::to_string).collect::<Vec<_>>()
                    });
                    for share in names {
                        match ShareName::parse(&share) {
                            Some(share) => peer.shares.get_or_insert_with(Vec::new).push(share),
                            None => self.error(
                                &raw.place,
                                &raw.key,
                                format!("'{}' cannot name a share", escape::escape(share.as_bytes())),
                            ),
                        }
                    }
                }
                Some("direction") => {
                    if let Some(value) = self.one(raw, "'both', 'send', 'receive' or 'observe'", Direction::parse) {
                        peer.direction = value;
                    }
                }
                Some(other) => unreachable!("{other} is in the table and read here"),
                None => {}
            }
        }
        if let Some(address) = &mut peer.address {
            address.port = port.unwrap_or(address.port);
            address.source = source.or(address.source);
        } else if peer.public_key.is_none() {
            self.error(&section.place, "address", "a peer needs an address, or a public key to be known by".into());
        }
        self.add_peer(&section.place, peer, told);
    }

    fn peer_short(&mut self, raw: &Raw, text: &str, told: &mut Told) {
        match values::address(text, told.dial_port()) {
            Ok(address) => {
                let name = text.split(',').next().unwrap_or(text);
                let peer = PeerSettings {
                    name: PeerName(name.into()),
                    enabled: true,
                    address: Some(address),
                    public_key: None,
                    shares: None,
                    direction: Direction::Both,
                };
                self.add_peer(&raw.place, peer, told);
            }
            Err(error) => self.error(&raw.place, &raw.key, error),
        }
    }

    /// A peer given twice is one peer; the section says more than the short form.
    fn add_peer(&mut self, place: &Place, peer: PeerSettings, told: &mut Told) {
        let peers = &mut told.settings.peers;
        let same = |other: &PeerSettings| {
            other.name == peer.name || (other.address.is_some() && other.address == peer.address)
        };
        match peers.iter().position(same) {
            Some(at)
                if *peers[at].name.0 == *peer.name.0
                    && peers[at].address != peer.address
                    && peers[at].address.is_some() =>
            {
                self.error(place, "peer", format!("'{}' names two peers", peer.name));
            }
            Some(at) => {
                let short = peers[at].address.as_ref().is_some_and(|address| *peers[at].name.0 == address.host);
                if short || peers[at].address == peer.address {
                    peers[at] = peer;
                }
            }
            None => peers.push(peer),
        }
    }

    fn path(&mut self, raw: &Raw) -> Option<PathBuf> {
        let value = raw.values.last()?;
        if value.is_empty() || value.contains(&0) {
            self.error(&raw.place, &raw.key, "a path is needed".into());
            return None;
        }
        Some(PathBuf::from(OsString::from_vec(value.clone())))
    }

    /// Two shares of one directory, or one inside the other, would sync each file twice.
    fn check_overlap(&mut self, told: &Told) {
        let shares: Vec<&ShareSettings> = told.settings.shares.iter().filter(|share| share.enabled).collect();
        for (n, a) in shares.iter().enumerate() {
            for b in &shares[n + 1..] {
                if a.dir == b.dir {
                    self.error(
                        &Place::Argument,
                        "dir",
                        format!("the shares {} and {} have the same directory", a.name, b.name),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let mut names: Vec<&str> = KNOWN.iter().flat_map(|known| known.names.iter().copied()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
