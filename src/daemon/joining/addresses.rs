//! Selects the addresses of this machine that other nodes should dial.
//!
//! Never one that moves to another machine: a router's virtual IP (VRRP) leads to the present master, and a cluster that
//! was joined through it would connect to itself. keepalived adds such addresses as /32 or /128, as further addresses in a
//! network that the interface has one in already, or on an interface of their own.

use crate::model::Set;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    interface: String,
    ip: IpAddr,
    /// Length of the network's prefix, in bits.
    prefix: u8,
}

/// This machine's own addresses, the most private first.
pub fn own() -> Vec<IpAddr> {
    let mut found: Vec<Found> = getifaddrs()
        .into_iter()
        .flatten()
        .filter(|one| one.flags.contains(InterfaceFlags::IFF_UP) && !one.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|one| {
            let ip = one.address?.as_sockaddr_in().map(|address| address.ip())?;
            let mask = one.netmask?.as_sockaddr_in().map(|address| address.ip())?;
            let prefix = u8::try_from(u32::from(mask).leading_ones()).ok()?;
            Some(Found { interface: one.interface_name, ip: ip.into(), prefix })
        })
        .collect();
    // getifaddrs does not say which IPv6 addresses are temporary; this file does.
    found.extend(inet6(&std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default()));
    choose(found)
}

/// Addresses in the form of /proc/net/if_inet6: address, interface number, prefix, scope, flags (all hexadecimal), name.
fn inet6(text: &str) -> Vec<Found> {
    // linux/if_addr.h
    const TEMPORARY: u32 = 0x01;
    const DAD_FAILED: u32 = 0x08;
    const DEPRECATED: u32 = 0x20;
    const TENTATIVE: u32 = 0x40;
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, prefix, scope, flags, interface] = words[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        // Scope 0 is global, which includes unique local addresses.
        if scope != "00" || flags & (TEMPORARY | DAD_FAILED | DEPRECATED | TENTATIVE) != 0 {
            return None;
        }
        let ip = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        Some(Found { interface: interface.into(), ip: ip.into(), prefix: u8::from_str_radix(prefix, 16).ok()? })
    };
    text.lines().filter_map(line).collect()
}

fn choose(found: Vec<Found>) -> Vec<IpAddr> {
    let mut networks: Set<(String, IpAddr)> = Set::new();
    let mut chosen: Vec<IpAddr> = Vec::new();
    for one in found {
        let alone = match one.ip {
            IpAddr::V4(ip) => one.prefix == 32 || ip.is_link_local() || ip.is_unspecified(),
            IpAddr::V6(ip) => one.prefix == 128 || ip.is_loopback(),
        };
        if alone || is_virtual(&one.interface) {
            continue;
        }
        // The kernel lists an interface's own address before those that were added to it in the same network.
        if networks.insert((one.interface.clone(), network(one.ip, one.prefix))) && !chosen.contains(&one.ip) {
            let at = chosen.partition_point(|ip| rank(*ip) <= rank(one.ip));
            chosen.insert(at, one.ip);
        }
    }
    chosen
}

/// Interfaces that lead nowhere but into this machine, and those that keepalived makes for virtual addresses.
fn is_virtual(interface: &str) -> bool {
    let bridge_of_containers = || {
        let number = interface.strip_prefix("br-").unwrap_or_default();
        number.len() == 12 && number.bytes().all(|b| b.is_ascii_hexdigit())
    };
    ["vrrp", "docker", "veth", "virbr", "lxc", "cni", "dummy"].iter().any(|name| interface.starts_with(name))
        || bridge_of_containers()
}

fn network(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

/// Routers meet in their own network: private addresses before public ones, IPv4 before IPv6.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_private() => 0,
        IpAddr::V6(ip) if ip.is_unique_local() => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(interface: &str, cidr: &str) -> Found {
        let (ip, prefix) = cidr.split_once('/').unwrap();
        Found { interface: interface.into(), ip: ip.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn a_virtual_address_is_never_chosen() {
        let list = vec![
            found("wan", "203.0.113.7/24"),
            found("br-lan", "192.168.1.2/24"),
            found("br-lan", "192.168.1.1/32"),
            found("br-lan", "192.168.1.9/24"),
            found("br-lan", "fd00::2/64"),
            found("br-lan", "fd00::1/128"),
            found("vrrp.51", "192.168.7.1/24"),
            found("docker0", "172.17.0.1/16"),
            found("br-0123456789ab", "172.18.0.1/16"),
            found("eth1", "169.254.3.4/16"),
            found("eth1", "10.0.0.5/8"),
        ];
        let expected: Vec<IpAddr> =
            ["192.168.1.2", "10.0.0.5", "fd00::2", "203.0.113.7"].iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(choose(list), expected);
    }

    #[test]
    fn only_lasting_global_addresses_are_read_from_the_kernels_list() {
        let text = "\
fd000000000000000000000000000002 02 40 00 80     br-lan
fd000000000000001234567812345678 02 40 00 01     br-lan
20010db8000000000000000000000001 02 40 00 20     br-lan
fe800000000000000000000000000001 02 40 20 80     br-lan
00000000000000000000000000000001 01 80 10 80         lo
nonsense
";
        assert_eq!(inet6(text), [found("br-lan", "fd00::2/64")]);
    }
}
