//! The table of options: where they are allowed, what they mean, which values are wrong.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::known::{MAIN, SHARE};
use crate::config::{Flavour, Kind, Outcome, PORT, Place, Problem, Raw, Section, Told, values};
use crate::model::settings::{Accept, FirstSync, Reload, Settle, ShareSettings};
use crate::model::{Key, Map, Release, Settings, ShareName, escape, limits};

pub use crate::config::known::{KNOWN, Known};

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
        metrics_file: None,
        enabled: flavour == Flavour::Conf,
        firewall_rule: false,
        firewall_zones: None,
        networks: Vec::new(),
        mdns: false,
        has_main_dir: false,
        has_history_size: false,
    };
    if flavour == Flavour::Uci {
        told.settings.accept = Accept::Known;
        told.settings.first_sync = FirstSync::Ask;
    }
    let mut main_share = ShareSettings::new(ShareName::main(), PathBuf::from("."));
    let mut shares: Map<String, ShareSettings> = Map::new();
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
                name @ ("direction"
                | "include"
                | "exclude"
                | "local"
                | "symlinks"
                | "max_file_size"
                | "allow_setuid"
                | "delete_guard"
                | "min_free"
                | "reload"
                | "confirm"
                | "mode"
                | "validate"
                | "probe"
                | "propagate_deletions"
                | "propagate_approvals"
                | "merge"
                | "soft_max_time"
                | "hard_max_time"
                | "release_guard"),
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
                    shares.get_or_insert_with(name.clone(), || ShareSettings::new(parsed, PathBuf::new()))
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
    reader.check_settle(sections, &told);
    reader.check_patterns(sections, &mut told);
    reader.check_overlap(&told);
    reader.check_local(sections, &told);
    let all_zones = told.firewall_zones.iter().flatten().any(|zone| zone == ALL_ZONES);
    if told.settings.plain_mode && told.firewall_rule && all_zones {
        let place =
            main_options(sections).find(|raw| raw.key == "firewall_zone").map_or(&Place::Argument, |raw| &raw.place);
        // Every zone includes the Internet, and no other part of the configuration says that this is wanted.
        reader.error(place, "firewall_zone", "plain_mode must not be opened to every zone: name the zones".into());
    }
    for raw in main_options(sections).filter(|raw| raw.key == "firewall_zone") {
        if told.settings.plain_mode
            && told.firewall_rule
            && told.firewall_zones.iter().flatten().any(|zone| zone == "wan")
        {
            reader.warn(
                raw,
                "opens the port to the Internet in plain_mode: nothing is encrypted or authenticated".into(),
            );
        }
    }
    for raw in main_options(sections).filter(|raw| raw.key == "bind_host" || raw.key == "host") {
        if !told.networks.is_empty() {
            reader.warn(raw, "has no effect, because `network` is set".into());
        }
    }
    let Reader { errors, warnings, .. } = reader;
    (told, errors, warnings)
}

fn main_options(sections: &[Section]) -> impl Iterator<Item = &Raw> {
    sections.iter().filter(|section| section.kind == Kind::Main).flat_map(|section| &section.options)
}

/// Every zone of the firewall.
const ALL_ZONES: &str = "*";

pub(super) struct Reader {
    flavour: Flavour,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader {
    /// The longest time must leave room for the quiet time, or the quiet time would not be kept.
    fn check_settle(&mut self, sections: &[Section], told: &Told) {
        let Settle { quiet, most } = told.settings.settle;
        if quiet > most {
            let raw =
                main_options(sections).filter(|raw| matches!(raw.key.as_str(), "settle_ms" | "settle_max")).last();
            let (quiet, most) = (quiet.as_millis(), most.as_secs());
            let reason = format!("settle_ms is {quiet}, which is longer than settle_max ({most} s): raise settle_max");
            match raw {
                Some(raw) => self.error(&raw.place, &raw.key, reason),
                None => self.error(&Place::Argument, "settle_ms", reason),
            }
        }
    }

    pub(crate) fn error(&mut self, place: &Place, key: &str, reason: String) {
        self.errors.push(Problem { place: place.clone(), key: key.into(), reason });
    }

    pub(crate) fn warn(&mut self, raw: &Raw, reason: String) {
        self.warnings.push(Problem { place: raw.place.clone(), key: raw.key.clone(), reason });
    }

    /// The own name of an option that may stand here.
    pub(crate) fn find(&mut self, raw: &Raw, place: u8) -> Option<&'static str> {
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
    pub(crate) fn text<'a>(&mut self, raw: &'a Raw) -> Option<&'a str> {
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
    pub(crate) fn one<T>(&mut self, raw: &Raw, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
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
            "metrics_file" => told.metrics_file = self.path(raw),
            "encryption_key" => {
                // The value is never repeated in a message.
                match self.text(raw).map(Key::from_hex) {
                    Some(Some(key)) => told.key = Some(key),
                    Some(None) => {
                        let length = raw.values.last().map_or(0, Vec::len);
                        self.error(&raw.place, &raw.key, format!("not a key: it must be 64 hexadecimal digits and has {length} characters (`owsync genkey` creates one)"));
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
            "firewall_rule" | "mdns" => {
                if self.flavour == Flavour::Conf {
                    return self.warn(raw, "has no effect in a config file: it is an option of OpenWrt's UCI".into());
                }
                if let Some(value) = self.one(raw, "0 or 1", values::boolean) {
                    *(if name == "mdns" { &mut told.mdns } else { &mut told.firewall_rule }) = value;
                }
            }
            "firewall_zone" | "network" => {
                if self.flavour == Flavour::Conf {
                    return self.warn(raw, "has no effect in a config file: it is an option of OpenWrt's UCI".into());
                }
                let names = self.names_of(raw, name == "firewall_zone");
                if name == "network" {
                    told.networks = names;
                } else if !names.is_empty() {
                    told.firewall_zones = Some(names);
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
            "max_sessions" => {
                if let Some(value) = self.one(raw, "a number from 1 to 2048", |text| {
                    let number = values::number(text).and_then(|number| usize::try_from(number).ok());
                    number.filter(|number| (1..=limits::SESSIONS_CEILING).contains(number))
                }) {
                    settings.max_sessions = value;
                }
            }
            "settle_ms" => {
                if let Some(value) = self.one(raw, "a number of milliseconds from 0 to 60000", |text| {
                    values::number(text).filter(|&ms| ms <= 60_000)
                }) {
                    settings.settle.quiet = Duration::from_millis(value);
                }
            }
            "settle_max" => {
                let read =
                    |text: &str| values::duration(text).filter(|d| !d.is_zero() && *d <= Duration::from_secs(600));
                if let Some(value) = self.one(raw, "a time from 1 s to 10 min", read) {
                    settings.settle.most = value;
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
            "release" => {
                if let Some(value) =
                    self.one(raw, "a release, as 24.10.4: one word of at most 32 characters", Release::parse)
                {
                    settings.release = Some(value);
                }
            }
            "peer" => {
                for value in &raw.values {
                    let text = String::from_utf8_lossy(value).into_owned();
                    // A plain option may have several values, as config_get's lists do. A source follows a comma, and users
                    // put a space there.
                    let joined = text.replace(", ", ",");
                    for one in joined.split_whitespace() {
                        self.peer_short(raw, one, told);
                    }
                }
            }
            "hook" | "hook_timeout" => self.hook(name, raw, &mut settings.hook),
            "history_size" => {
                if let Some(value) = self.one(raw, "a size, as 1048576 or 1M", values::size) {
                    settings.history.size = value;
                    told.has_history_size = true;
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

    /// Names of zones or networks, as UCI has them. `all`: also `*`.
    fn names_of(&mut self, raw: &Raw, all: bool) -> Vec<String> {
        let mut names = Vec::new();
        for value in &raw.values {
            for name in String::from_utf8_lossy(value).split_whitespace() {
                let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
                if (all && name == ALL_ZONES) || (name.len() <= limits::LABEL_MAX && name.bytes().all(valid)) {
                    names.push(name.to_string());
                } else {
                    let reason = format!("'{}' is not a valid name", escape::escape(name.as_bytes()));
                    self.error(&raw.place, &raw.key, reason);
                }
            }
        }
        names
    }

    /// The value of `reload`: a word, a program's path, or names of init scripts.
    pub(crate) fn reload(&mut self, raw: &Raw) -> Option<Reload> {
        let text: Vec<&str> = raw.values.iter().map(|value| std::str::from_utf8(value).unwrap_or("\0")).collect();
        let words: Vec<&str> = text.iter().flat_map(|value| value.split_whitespace()).collect();
        let is_name = |word: &&str| {
            word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) && !word.starts_with('.')
        };
        match &words[..] {
            [] => None,
            ["none"] => Some(Reload::Nobody),
            ["uci"] => Some(Reload::Uci),
            [path] if path.starts_with('/') && !path.contains('\0') => Some(Reload::Script(PathBuf::from(*path))),
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
