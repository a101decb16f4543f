//! The list of options: names, sections in which they are allowed, meaning.

/// An option: its names, the first of which is its own, and where it may stand.
pub struct Known {
    /// Its name, then its aliases.
    pub names: &'static [&'static str],
    pub(super) places: u8,
    /// What a value means, in a few words; for help and for the tests of completeness.
    pub meaning: &'static str,
}

/// Every option there is.
pub const KNOWN: &[Known] = &[
    Known { names: &["enabled"], places: MAIN | PEER | SHARE, meaning: "whether it is used" },
    Known { names: &["name", "node_name"], places: MAIN, meaning: "name of this node in status, logs and LuCI" },
    Known { names: &["bind_host", "host"], places: MAIN, meaning: "address to listen on" },
    Known { names: &["port"], places: MAIN | PEER, meaning: "port to listen on (0: the kernel's choice), and to dial" },
    Known { names: &["key_file"], places: MAIN, meaning: "file that holds the key" },
    Known { names: &["encryption_key", "key"], places: MAIN, meaning: "the key, 64 hexadecimal digits" },
    Known { names: &["previous_key_file"], places: MAIN, meaning: "file that holds a second accepted key" },
    Known { names: &["plain_mode"], places: MAIN, meaning: "no encryption, no authentication" },
    Known { names: &["accept"], places: MAIN, meaning: "which nodes are accepted: known, key" },
    Known { names: &["first_sync"], places: MAIN, meaning: "how first contact is decided: ask, newest" },
    Known { names: &["database", "db"], places: MAIN, meaning: "file of the database" },
    Known { names: &["poll_interval"], places: MAIN, meaning: "interval of the full rescan" },
    Known { names: &["settle_ms"], places: MAIN, meaning: "quiet time after a change, in milliseconds" },
    Known { names: &["settle_max"], places: MAIN, meaning: "longest time that a change waits for quiet" },
    Known { names: &["max_sessions"], places: MAIN, meaning: "sessions that may be open at a time" },
    Known { names: &["max_clock_skew"], places: MAIN, meaning: "largest difference between two clocks" },
    Known { names: &["log_level"], places: MAIN, meaning: "0 error, 1 warning, 2 info, 3 debug" },
    Known { names: &["firewall_rule"], places: MAIN, meaning: "OpenWrt: whether the firewall opens the port" },
    Known { names: &["firewall_zone"], places: MAIN, meaning: "OpenWrt: firewall zones that firewall_rule opens" },
    Known { names: &["network"], places: MAIN, meaning: "OpenWrt: networks to listen on, instead of bind_host" },
    Known { names: &["mdns"], places: MAIN, meaning: "OpenWrt: whether umdns announces the port" },
    Known { names: &["peer"], places: MAIN, meaning: "address of a peer" },
    Known { names: &["address"], places: PEER, meaning: "address of the peer" },
    Known { names: &["source_address"], places: PEER, meaning: "address to dial from" },
    Known { names: &["public_key"], places: PEER, meaning: "public key that the peer must prove" },
    Known {
        names: &["introducer"],
        places: PEER,
        meaning: "whether nodes that joined through this peer are accepted automatically",
    },
    Known { names: &["share"], places: PEER, meaning: "shares that the peer takes part in" },
    Known { names: &["direction"], places: PEER | MAIN | SHARE, meaning: "both, send, receive, observe" },
    Known { names: &["dir", "sync_dir"], places: MAIN | SHARE, meaning: "root of the share" },
    Known { names: &["include"], places: MAIN | SHARE, meaning: "pattern of what is synced" },
    Known { names: &["exclude"], places: MAIN | SHARE, meaning: "pattern of what is not synced" },
    Known {
        names: &["local"],
        places: MAIN | SHARE,
        meaning: "pattern of UCI options and sections that stay on this node",
    },
    Known { names: &["symlinks"], places: MAIN | SHARE, meaning: "ignore, copy" },
    Known { names: &["max_file_size"], places: MAIN | SHARE, meaning: "largest file; 0: any" },
    Known { names: &["allow_setuid"], places: MAIN | SHARE, meaning: "whether setuid and setgid bits are applied" },
    Known {
        names: &["delete_guard"],
        places: MAIN | SHARE,
        meaning: "percent of files whose disappearance at once holds the share",
    },
    Known { names: &["min_free"], places: MAIN | SHARE, meaning: "bytes that must stay free" },
    Known {
        names: &["reload"],
        places: MAIN | SHARE,
        meaning: "what is notified after a batch was applied: uci, none, a program, init scripts",
    },
    Known {
        names: &["confirm"],
        places: MAIN | SHARE,
        meaning: "time within which an applied change must be confirmed",
    },
    Known { names: &["mode"], places: MAIN | SHARE, meaning: "auto, manual" },
    Known { names: &["validate"], places: MAIN | SHARE, meaning: "program that checks each file before it is applied" },
    Known {
        names: &["probe"],
        places: MAIN | SHARE,
        meaning: "program that must succeed before an applied change is confirmed",
    },
    Known {
        names: &["propagate_approvals"],
        places: MAIN | SHARE,
        meaning: "whether an approval is valid on other nodes too",
    },
    Known {
        names: &["merge"],
        places: MAIN | SHARE,
        meaning: "whether changes that two nodes made to one UCI package are merged",
    },
    Known { names: &["propagate_deletions"], places: MAIN | SHARE, meaning: "both, send, receive, none" },
    Known { names: &["soft_max_time"], places: MAIN | SHARE, meaning: "time after which a long exchange is reported" },
    Known { names: &["hard_max_time"], places: MAIN | SHARE, meaning: "time after which a long exchange is stopped" },
    Known { names: &["hook"], places: MAIN | SHARE, meaning: "program that is run on events" },
    Known { names: &["hook_timeout"], places: MAIN | SHARE, meaning: "time after which a hook is killed" },
    Known {
        names: &["release"],
        places: MAIN,
        meaning: "release of the system, where it is not OpenWrt or numbers its releases differently",
    },
    Known {
        names: &["release_guard"],
        places: MAIN | SHARE,
        meaning: "whether UCI packages wait while the releases of two nodes differ",
    },
    Known { names: &["metrics_file"], places: MAIN, meaning: "file that metrics are written to" },
    Known { names: &["history_size"], places: MAIN, meaning: "bytes of history" },
    Known { names: &["history_days"], places: MAIN, meaning: "days of history; 0: unlimited" },
    Known { names: &["history_versions"], places: MAIN, meaning: "versions of one path in history" },
];

/// Where an option may stand.
pub(super) const MAIN: u8 = 1;

pub(super) const PEER: u8 = 2;

pub(super) const SHARE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::KNOWN;

    #[test]
    fn the_documentation_has_a_row_for_every_option_there_is() {
        let page = include_str!("../../docs/configuration.md");
        let named = |name: &str| page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        let missing: Vec<&str> =
            KNOWN.iter().flat_map(|known| known.names).copied().filter(|name| !named(name)).collect();
        assert_eq!(missing, [] as [&str; 0]);
    }
}
