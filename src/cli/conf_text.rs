//! Writes config files: for `check`, `init` and `join`.

use std::os::unix::ffi::OsStrExt;

use crate::config::Config;
use crate::model::settings::{PeerSettings, ShareSettings};
use crate::model::{Direction, Hook, escape};

/// A config file in the making.
#[derive(Debug, Default)]
pub struct ConfText {
    bytes: Vec<u8>,
    /// What could not be written.
    problems: Vec<String>,
}

impl ConfText {
    /// Adds a comment of one line.
    pub fn comment(&mut self, text: &str) {
        self.push(format!("# {}\n", escape::visible(text)).as_bytes());
    }

    /// Begins a section.
    pub fn section(&mut self, kind: &str, name: &str) {
        if name.contains(|c: char| c.is_whitespace() || c.is_control()) || name.is_empty() {
            self.problems.push(format!("'{}' cannot name a section", escape::visible(name)));
        }
        self.push(format!("\n[{kind} {name}]\n").as_bytes());
    }

    /// Adds an option. A line has no quotes, so a value with a line break, or white space at an end, cannot be written:
    /// it would be read as something else.
    pub fn set(&mut self, key: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        if value.contains(&b'\n') || value.contains(&0) || value.trim_ascii().len() != value.len() || value.is_empty() {
            self.problems.push(format!("{key}: '{}' cannot be written in a config file", escape::escape(value)));
            return;
        }
        self.push(key.as_bytes());
        self.push(b"=");
        self.push(value);
        self.push(b"\n");
    }

    /// The file.
    ///
    /// # Errors
    /// Everything that could not be written.
    pub fn finish(self) -> Result<Vec<u8>, Vec<String>> {
        if self.problems.is_empty() { Ok(self.bytes) } else { Err(self.problems) }
    }

    /// The options of a share, in the section that was begun for it or outside any.
    pub fn share(&mut self, share: &ShareSettings, whole: bool) {
        let standard = ShareSettings::new(share.name.clone(), share.dir.clone());
        self.set("dir", share.dir.as_os_str().as_bytes());
        share.include.iter().for_each(|pattern| self.set("include", pattern));
        share.exclude.iter().for_each(|pattern| self.set("exclude", pattern));
        share.local.iter().for_each(|pattern| self.set("local", pattern));
        let mut unless_standard = |key: &str, value: String, same: bool| {
            if whole || !same {
                self.set(key, value);
            }
        };
        unless_standard("enabled", bit(share.enabled), share.enabled);
        unless_standard("direction", share.direction.word().into(), share.direction == Direction::Both);
        unless_standard("symlinks", share.symlinks.word().into(), share.symlinks == standard.symlinks);
        let size = share.max_file_size;
        unless_standard("max_file_size", size.to_string(), size == standard.max_file_size);
        unless_standard("allow_setuid", bit(share.allow_setuid), !share.allow_setuid);
        let approvals = share.propagate_approvals;
        unless_standard("propagate_approvals", bit(approvals), approvals);
        unless_standard("merge", bit(share.merge), share.merge);
        let guard = share.delete_guard;
        unless_standard("delete_guard", guard.to_string(), guard == standard.delete_guard);
        unless_standard("min_free", share.min_free.to_string(), share.min_free == standard.min_free);
        unless_standard("reload", share.reload().to_string(), share.reload() == standard.reload());
        unless_standard("release_guard", bit(share.release_guard), share.release_guard);
        unless_standard("mode", share.mode.word().into(), share.mode == standard.mode);
        let deletions = if share.deletions == Direction::Observe { "none" } else { share.deletions.word() };
        unless_standard("propagate_deletions", deletions.into(), share.deletions == Direction::Both);
        for (key, limit) in [("soft_max_time", share.soft_max_time), ("hard_max_time", share.hard_max_time)] {
            unless_standard(key, limit.map_or(0, |limit| limit.as_secs()).to_string(), limit.is_none());
        }
        if let Some(confirm) = share.confirm {
            self.set("confirm", confirm.to_string());
        }
        for (key, program) in [("validate", &share.validate), ("probe", &share.probe)] {
            program.iter().for_each(|program| self.set(key, program.as_os_str().as_bytes()));
        }
        self.hook(&share.hook);
    }

    /// The hook, if there is one.
    fn hook(&mut self, hook: &Hook) {
        if let Some(program) = &hook.program {
            self.set("hook", program.as_os_str().as_bytes());
            self.set("hook_timeout", hook.time.as_secs().to_string());
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

fn bit(value: bool) -> String {
    u8::from(value).to_string()
}

/// Every option, also with its default. Keys are named by their fingerprints.
///
/// # Errors
/// Every value that has no form in a config file, as some of UCI's.
pub fn effective(config: &Config) -> Result<Vec<u8>, Vec<String>> {
    let settings = &config.settings;
    let mut text = ConfText::default();
    text.set("name", &settings.name);
    if config.networks.is_empty() {
        text.set("bind_host", &config.bind_host);
    } else {
        text.comment(&format!("listening on the addresses of {}", config.networks.join(", ")));
    }
    text.set("port", config.port.to_string());
    text.set("plain_mode", bit(settings.plain_mode));
    if let Some(key) = &settings.key {
        text.comment(&format!("the key has the fingerprint {}", key.fingerprint()));
    }
    if config.key_file.exists() {
        text.set("key_file", config.key_file.as_os_str().as_bytes());
    }
    if let Some(key) = &settings.previous_key {
        text.comment(&format!("a second key is accepted, with the fingerprint {}", key.fingerprint()));
    }
    text.set("accept", settings.accept.word());
    text.set("first_sync", settings.first_sync.word());
    text.set("database", config.database.as_os_str().as_bytes());
    text.set("poll_interval", settings.poll_interval.as_secs().to_string());
    text.set("settle_ms", settings.settle.quiet.as_millis().to_string());
    text.set("settle_max", settings.settle.most.as_secs().to_string());
    text.set("max_clock_skew", settings.max_clock_skew.as_secs().to_string());
    text.set("max_sessions", settings.max_sessions.to_string());
    text.set("log_level", config.log_level.to_string());
    match &settings.release {
        Some(release) if config.configured_release => text.set("release", release.as_str()),
        // Written down, it would stay what it is through an upgrade.
        Some(release) => text.comment(&format!("the release of the system is {release}")),
        None => {}
    }
    text.hook(&settings.hook);
    if let Some(file) = &config.metrics_file {
        text.set("metrics_file", file.as_os_str().as_bytes());
    }
    text.set("history_size", settings.history.size.to_string());
    text.set("history_days", settings.history.days.to_string());
    text.set("history_versions", settings.history.versions.to_string());
    for share in &settings.shares {
        text.section("share", share.name.as_str());
        text.share(share, true);
    }
    for peer in &settings.peers {
        text.section("peer", &peer.name.0);
        self::peer(&mut text, peer);
    }
    text.finish()
}

/// The options of a peer.
fn peer(text: &mut ConfText, peer: &PeerSettings) {
    text.set("enabled", bit(peer.enabled));
    if let Some(address) = &peer.address {
        text.set("address", address.to_string());
        if let Some(source) = address.source {
            text.set("source_address", source.to_string());
        }
    }
    if let Some(key) = &peer.public_key {
        text.set("public_key", escape::hex(key));
    }
    text.set("introducer", bit(peer.introducer));
    for share in peer.shares.iter().flatten() {
        text.set("share", share.as_str());
    }
    text.set("direction", peer.direction.word());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::finish::{Surroundings, finish};
    use crate::config::{Flavour, conf, options};

    fn config(text: &[u8]) -> Config {
        let encrypted = cfg!(feature = "encryption");
        let mode = if encrypted { "" } else { "plain_mode=1\n" };
        let (sections, _) = conf::parse(&[mode.as_bytes(), text].concat());
        let told = options::build(&sections, Flavour::Conf, "node").result.unwrap();
        let env_key = encrypted.then(|| zeroize::Zeroizing::new("ab".repeat(32)));
        finish(told, Flavour::Conf, &Surroundings { env_key, ..Surroundings::default() }).result.unwrap()
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let config = config(
            b"name=r1\nport=99\nsync_dir=/a b\nreload=uci\ninclude=*\xff\nexclude=x=y\nlocal=!network.@rule[name=a b].x\ndatabase=/d/b.db\npeer=10.0.0.2,10.0.0.1\nhook=/h 1\nhook_timeout=2m\n[share vpn]\ndir=/v\nsymlinks=copy\nmax_file_size=0\nmin_free=2M\nenabled=0\nhook=/h\n[peer r2]\naddress=[fd00::2]:7\nshare=vpn\ndirection=send\n",
        );

        let text = effective(&config).unwrap();

        let (sections, problems) = conf::parse(&text);
        let again = options::build(&sections, Flavour::Conf, "other");
        assert_eq!((problems, again.warnings), (Vec::new(), Vec::new()));
        let again = again.result.unwrap();
        // Defaults are written too.
        let mut expected = config.settings.clone();
        expected.shares.iter_mut().for_each(|share| share.reload = Some(share.reload()));
        assert_eq!(again.settings.shares, expected.shares);
        assert_eq!(again.settings.peers, config.settings.peers);
        let keyless = |settings: &crate::model::Settings| crate::model::Settings { key: None, ..settings.clone() };
        assert_eq!(keyless(&again.settings), keyless(&expected));
        assert_eq!((again.port, again.database), (99, Some("/d/b.db".into())));
        assert!(!String::from_utf8_lossy(&text).contains("abab"));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_not_written() {
        for value in ["a\nplain_mode=1", " a", "a ", "", "a\0b"] {
            let mut text = ConfText::default();
            text.set("include", value);
            assert!(text.finish().is_err(), "{value:?}");
        }
        let mut text = ConfText::default();
        text.section("peer", "a b");
        assert!(text.finish().is_err());
    }
}
