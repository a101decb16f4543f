//! Tells which names that libuci makes up mean a different section after a change of a package.
//!
//! A section without a name is called `cfgXXXXXX` by libuci, after its number among all sections, named ones included, and
//! a hash of its type (uci, list.c, `uci_alloc_section`, `uci_fixup_section`). `uci set` and LuCI store an uncommitted change
//! under that name, also where the user wrote `@type[n]`: a stored `@type[n]` is passed over by libuci (delta.c,
//! `uci_parse_delta_tuple`). So a change of the package that adds, removes or moves a section, while changes are not
//! committed, can make them end in another section, or in none.

use std::collections::BTreeSet;

use crate::uci::Package;
use crate::uci::pairs::Pairs;
use crate::uci::part;

/// The made-up names that mean a different section in `new` than in `old`, or a section in only one of them.
///
/// A section of `old` is recognised in `new` as in a merge.
pub fn renumbered(old: &Package, new: &Package) -> BTreeSet<String> {
    let pairs = Pairs::find(&part::parts(old), &part::parts(new));
    let mut names = BTreeSet::new();
    for (index, section) in old.sections().iter().enumerate().filter(|(_, section)| section.given_name().is_none()) {
        let same = pairs.other(index).is_some_and(|(other, _)| new.section_at(other).name() == section.name());
        if !same {
            names.insert(section.name().to_string());
        }
    }
    // An uncommitted `uci add` made a section that takes the next number.
    let fresh = new.sections().iter().filter(|section| section.given_name().is_none());
    names.extend(fresh.map(|section| section.name()).filter(|name| old.section(name).is_none()).map(str::to_string));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uci::{PackageName, parse};

    fn package(text: &str) -> Package {
        parse(&PackageName::parse(b"p").unwrap(), text.as_bytes()).unwrap()
    }

    fn names(old: &str, new: &str) -> Vec<String> {
        renumbered(&package(old), &package(new)).into_iter().collect()
    }

    /// The names that routers with the default packages of OpenWrt show.
    #[test]
    fn names_are_those_that_libuci_makes_up() {
        let of = |text: &str| -> Vec<String> {
            package(text).sections().iter().map(|section| section.name().to_string()).collect()
        };
        let firewall = "config defaults\nconfig zone\nconfig zone\nconfig forwarding\nconfig rule\nconfig rule\n";
        assert_eq!(of(firewall), ["cfg01e63d", "cfg02dc81", "cfg03dc81", "cfg04ad58", "cfg0592bd", "cfg0692bd"]);
        assert_eq!(of("config dnsmasq\nconfig dhcp 'lan'\nconfig host\n"), ["cfg01411c", "lan", "cfg03fe63"]);
        assert_eq!(of("config system\nconfig timeserver 'ntp'\n"), ["cfg01e48a", "ntp"]);
    }

    #[test]
    fn what_keeps_its_number_is_not_named() {
        let base = "config dnsmasq\n option a 1\nconfig dhcp 'lan'\nconfig host\n option name x\n option ip 1\n";
        assert_eq!(names(base, base), [""; 0]);
        assert_eq!(names(base, &base.replace("ip 1", "ip 2")), [""; 0]);
        assert_eq!(names(base, &format!("{base}config dhcp 'wan'\n")), [""; 0]);
        assert_eq!(names(base, &base.replace("'lan'", "'guest'")), [""; 0], "one named section for another");
    }

    #[test]
    fn what_moves_goes_or_comes_is_named() {
        let base = "config dnsmasq\n option a 1\nconfig host\n option name x\nconfig host\n option name y\n";
        assert_eq!(names(base, &format!("{base}config host\n option name z\n")), ["cfg04fe63"]);
        let named_before = format!("config dhcp 'lan'\n{base}");
        assert_eq!(
            names(base, &named_before),
            ["cfg01411c", "cfg02411c", "cfg02fe63", "cfg03fe63", "cfg04fe63"],
            "named sections count too"
        );
        let swapped = "config dnsmasq\n option a 1\nconfig host\n option name y\nconfig host\n option name x\n";
        assert_eq!(names(base, swapped), ["cfg02fe63", "cfg03fe63"]);
        let without = "config dnsmasq\n option a 1\nconfig host\n option name y\n";
        assert_eq!(names(base, without), ["cfg02fe63", "cfg03fe63"]);
    }
}
