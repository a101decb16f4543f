//! Edits of a router's configuration as LuCI makes them, from a seed.

use std::path::Path;

use owsync::uci::{Package, parse_shared, write};

use crate::dice::Dice;
use crate::notation::{name, text};

/// Some of these packages, and the real ones where they are at hand.
pub fn packages() -> Vec<Package> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openwrt-config");
    let mut packages: Vec<Package> = (0..5).map(|seed| package(&mut Dice::new(seed))).collect();
    if let Ok(dir) = std::fs::read_dir(root) {
        let mut paths: Vec<_> = dir.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
        paths.sort();
        packages.extend(paths.iter().filter_map(|path| parse_shared(&name(), &std::fs::read(path).unwrap()).ok()));
    }
    packages
}

/// A package as it lies on a router of a small site.
pub fn package(dice: &mut Dice) -> Package {
    let mut sections = vec!["dnsmasq - domain=lan local=/lan/ server+1.1.1.1+9.9.9.9 authoritative=1".to_string()];
    sections.push("dhcp pool interface=lan start=100 limit=150 leasetime=12h".into());
    sections.push("dhcp uplink interface=wan ignore=1".into());
    sections.push("interface lan proto=static ipaddr=192.168.1.1 netmask=255.255.255.0 device=br-lan".into());
    sections.push("interface wan proto=dhcp device=eth1 metric=10".into());
    sections.push("defaults - input=REJECT output=ACCEPT forward=REJECT synflood=1".into());
    sections.push("zone - name=lan network+lan input=ACCEPT output=ACCEPT forward=ACCEPT".into());
    sections.push("zone - name=wan network+wan input=REJECT output=ACCEPT forward=REJECT masq=1".into());
    sections.push("forwarding - src=lan dest=wan".into());
    for n in 0..dice.below(8) {
        sections.push(format!("host - name=pc{n} mac=00:11:22:33:44:{n:02} ip=192.168.1.{}", 20 + n));
    }
    for n in 0..2 + dice.below(8) {
        sections.push(
            format!("rule - name=Allow-{n} src=wan proto=tcp dest-port={} target=ACCEPT", 1000 + n)
                .replace("dest-port", "destport"),
        );
    }
    for n in 0..dice.below(4) {
        sections.push(format!(
            "redirect - src=wan srcdport={} destip=192.168.1.{} destport=80 target=DNAT",
            8000 + n,
            20 + n
        ));
    }
    owsync::uci::parse(&name(), &text(&sections.join(" / "))).unwrap()
}

/// Does one thing to a package, as a user of LuCI would.
pub fn edit(package: &mut Package, dice: &mut Dice) {
    let number = dice.below(200);
    let references: Vec<(String, String)> =
        package.referenced().map(|(place, section)| (place, section.kind().to_string())).collect();
    let one_of = |kind: &str, dice: &mut Dice| {
        let of: Vec<&String> = references.iter().filter(|(_, known)| known == kind).map(|(place, _)| place).collect();
        (!of.is_empty()).then(|| (*dice.pick::<&String>(&of)).clone())
    };
    let mut set = |place: Option<String>, option: &str, value: String| {
        if let Some(section) = place.and_then(|place| package.section_mut(&place)) {
            section.set(option, value.as_bytes()).unwrap();
        }
    };
    match dice.below(16) {
        0..=2 => {
            let host = package.unnamed("host").unwrap();
            host.set("name", format!("new{number}").as_bytes()).unwrap();
            host.set("mac", format!("00:aa:00:00:00:{number:02x}").as_bytes()).unwrap();
            host.set("ip", format!("192.168.1.{number}").as_bytes()).unwrap();
        }
        3 => set(one_of("host", dice), "ip", format!("192.168.1.{number}")),
        4 => {
            if let Some(host) = one_of("host", dice) {
                package.remove(&host);
            }
        }
        5 | 6 => {
            let rule = package.unnamed("rule").unwrap();
            rule.set("name", format!("Rule-{number}").as_bytes()).unwrap();
            rule.set("src", dice.pick::<&str>(&["lan", "wan"]).as_bytes()).unwrap();
            rule.set("destport", number.to_string().as_bytes()).unwrap();
            rule.set("target", dice.pick::<&str>(&["ACCEPT", "DROP"]).as_bytes()).unwrap();
        }
        7 => set(one_of("rule", dice), "target", (*dice.pick::<&str>(&["ACCEPT", "DROP", "REJECT"])).to_string()),
        8 => set(one_of("rule", dice), "enabled", dice.below(2).to_string()),
        9 => {
            if let Some(rule) = one_of("rule", dice) {
                package.remove(&rule);
            }
        }
        10 => set(Some("lan".into()), dice.pick::<&str>(&["limit", "start", "ipaddr"]), number.to_string()),
        11 => set(Some("wan".into()), dice.pick::<&str>(&["metric", "mtu", "proto"]), number.to_string()),
        12 => package
            .section_mut("@dnsmasq[0]")
            .unwrap()
            .add_to_list("server", format!("10.0.0.{number}").as_bytes())
            .unwrap(),
        13 => set(Some("@dnsmasq[0]".into()), dice.pick::<&str>(&["domain", "local", "rebind"]), format!("v{number}")),
        14 => set(one_of("redirect", dice), "destip", format!("192.168.1.{number}")),
        _ => {
            let zone = package.unnamed("zone").unwrap();
            zone.set("name", format!("z{number}").as_bytes()).unwrap();
            zone.set("input", b"REJECT").unwrap();
            let forwarding = package.unnamed("forwarding").unwrap();
            forwarding.set("src", format!("z{number}").as_bytes()).unwrap();
            forwarding.set("dest", b"wan").unwrap();
        }
    }
}

/// A package after a few edits, as text.
pub fn edited(package: &Package, dice: &mut Dice) -> Vec<u8> {
    let mut package = package.clone();
    for _ in 0..1 + dice.below(3) {
        edit(&mut package, dice);
    }
    write::committed(&package)
}

/// Does something to any package: what no user of LuCI would do, too.
pub fn mangle(package: &mut Package, dice: &mut Dice) {
    let places: Vec<String> = package.referenced().map(|(place, _)| place).collect();
    if places.is_empty() {
        package.unnamed("made").unwrap().set("o", b"1").unwrap();
        return;
    }
    let place = dice.pick(&places).clone();
    let value = dice.below(5).to_string();
    let options: Vec<String> =
        package.section(&place).unwrap().options().map(|(option, _)| option.to_string()).collect();
    match dice.below(10) {
        0 => drop(package.remove(&place)),
        1 => package.unnamed(dice.pick::<&str>(&["rule", "host", "made"])).unwrap().set("o", value.as_bytes()).unwrap(),
        2 => package
            .named("made", &format!("n{value}"))
            .map(|made| made.set("o", value.as_bytes()).unwrap())
            .unwrap_or(()),
        3 => package.section_mut(&place).unwrap().set("added", value.as_bytes()).unwrap(),
        4 => package.section_mut(&place).unwrap().add_to_list("items", value.as_bytes()).unwrap(),
        5 => package.section_mut(&place).unwrap().set("name", value.as_bytes()).unwrap(),
        6 if !options.is_empty() => {
            package.section_mut(&place).unwrap().mark_local(dice.pick::<String>(&options)).unwrap();
        }
        7 if !options.is_empty() => {
            package.section_mut(&place).unwrap().set(dice.pick::<String>(&options), b"").unwrap();
        }
        _ if !options.is_empty() => {
            let option = dice.pick::<String>(&options).clone();
            package.section_mut(&place).unwrap().set(&option, value.as_bytes()).unwrap();
        }
        _ => {}
    }
}
