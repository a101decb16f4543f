//! Listens on networks of OpenWrt by their names, with the addresses from netifd.
//!
//! It is asked at the start, when ubusd is there again, with every new configuration, when SIGUSR1 says that a network
//! changed (procd's trigger in the init script sends it), and every 5 s while an address is missing.

use std::net::IpAddr;

use crate::daemon::shell::Shell;
use crate::daemon::ubus::calls::{Answer, CallId};
use crate::model::Now;
use crate::node::api::Tree;

impl Shell {
    /// Asks netifd for the addresses of the networks that this node listens on, if it does.
    pub(super) fn ask_for_networks(&mut self) {
        let now = self.p.env.now();
        if self.p.config.networks.is_empty() || self.p.listener.is_none() || self.network_question.is_some() {
            return;
        }
        if let Some(ubus) = &mut self.p.ubus {
            // netifd:ubus.c, netifd_dump_status
            self.network_question = Some(ubus.call(now.mono, "network.interface", "dump", &Tree::map()));
        }
    }

    /// Whether this was netifd's answer.
    pub(super) fn handle_networks(&mut self, now: Now, call: CallId, answer: &Answer) -> bool {
        if self.network_question != Some(call) {
            return false;
        }
        self.network_question = None;
        let networks = &self.p.config.networks;
        let addresses = match answer {
            Ok(dump) => Ok(addresses_of(dump, networks)),
            Err(failure) => Err(format!("the addresses cannot be read from netifd: {failure}")),
        };
        if self.p.listener.as_mut().is_some_and(|listener| listener.set_addresses(now.mono, addresses)) {
            self.report_listener();
        }
        true
    }
}

/// The addresses of these networks in what netifd's `dump` says, in its order, each once.
fn addresses_of(dump: &Tree, networks: &[String]) -> Vec<IpAddr> {
    let list = |tree: &Tree, key: &str| match tree.get(key) {
        Some(Tree::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for network in list(dump, "interface") {
        let ours = matches!(network.get("interface"), Some(Tree::Text(name)) if networks.contains(name));
        if !ours || network.get("up") == Some(&Tree::Bool(false)) {
            continue;
        }
        // What was delegated to the network: its own address in that prefix is one level deeper.
        let delegated = list(&network, "ipv6-prefix-assignment");
        let delegated = delegated.iter().filter_map(|prefix| prefix.get("local-address")).cloned();
        for address in list(&network, "ipv4-address").into_iter().chain(list(&network, "ipv6-address")).chain(delegated)
        {
            let Some(Tree::Text(text)) = address.get("address") else { continue };
            let Ok(ip) = text.parse::<IpAddr>() else { continue };
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Tree {
        Tree::map().with("address", value)
    }

    fn network(name: &str, up: bool, v4: &str, v6: &str) -> Tree {
        let prefix = Tree::map().with("address", "fd00:1::").with("local-address", text(v6));
        Tree::map()
            .with("interface", name)
            .with("up", up)
            .with("ipv4-address", vec![text(v4)])
            .with("ipv6-address", vec![text(v6)])
            .with("ipv6-prefix-assignment", vec![prefix, Tree::map().with("local-address", Tree::map())])
    }

    /// F133: only networks that were named, and are up.
    #[test]
    fn netifd_says_which_addresses_the_networks_have() {
        let dump = Tree::map().with(
            "interface",
            vec![
                network("loopback", true, "127.0.0.1", "::1"),
                network("lan", true, "192.168.1.1", "fd00:1::1"),
                network("wan", true, "203.0.113.7", "2001:db8::7"),
                network("vpn", true, "10.9.0.1", "not an address"),
                network("guest", false, "192.168.9.1", "fd00:9::1"),
            ],
        );
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            addresses_of(&dump, &names).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(&["vpn", "lan", "guest"]), ["192.168.1.1", "fd00:1::1", "10.9.0.1"]);
        assert_eq!(of(&["other"]), [] as [&str; 0]);
        assert_eq!(addresses_of(&Tree::map(), &["lan".into()]), [] as [IpAddr; 0]);
    }
}
