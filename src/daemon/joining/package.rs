//! Joins where UCI has the configuration: applies a join text to the package `owsync`.
//!
//! Everything else in the package stays: the user may have set the port, the history or the name before.

use crate::config::{self, Flavour, uci as config_uci};
use crate::daemon::joining::text::JoinText;
use crate::fs::uci_file::Dirs;
use crate::model::settings::{ShareSettings, Symlinks};
use crate::model::{ShareName, escape};
use crate::uci::{EditError, Package, Section, write};

/// Options that hold a key itself: they are never printed.
const KEYS: [&str; 2] = ["key", "encryption_key"];

/// Why a node counts as configured: joining would mix two clusters.
///
/// The package as it is shipped names a directory, and neither a pattern nor a peer.
pub fn configured(package: &Package) -> Option<String> {
    let of_node = package.sections().iter().find(|section| section.kind() == "owsync");
    let option = of_node.and_then(|section| {
        ["peer", "include", "key", "encryption_key"]
            .into_iter()
            .find(|option| section.option(option).is_some_and(|value| !value.items().is_empty()))
    });
    if let Some(option) = option {
        return Some(format!("its section of type owsync has an option '{option}'"));
    }
    let other = package.referenced().find(|(_, section)| matches!(section.kind(), "peer" | "share"));
    other.map(|(reference, section)| format!("there is the {} {reference}", section.kind()))
}

/// Changes the package to what the text implies, with these options for the node beside it.
///
/// # Errors
/// A name or value has no form in UCI.
pub fn change(package: &mut Package, text: &JoinText, node: &[(String, Vec<u8>)]) -> Result<(), EditError> {
    let reference =
        package.referenced().find(|(_, section)| section.kind() == "owsync").map(|(reference, _)| reference);
    let reference = match reference {
        Some(reference) => reference,
        None => {
            package.named("owsync", "main")?;
            "main".into()
        }
    };
    let has_main = text.shares.iter().any(|share| share.name == ShareName::main());
    if let Some(main) = package.section_mut(&reference) {
        main.set("enabled", b"1")?;
        for (option, value) in node {
            main.set(option, value)?;
        }
        if !has_main {
            // Without a pattern it would only be a share that no other node has.
            main.set("dir", b"")?;
        }
    }
    for share in &text.shares {
        let section = if share.name == ShareName::main() {
            package.section_mut(&reference)
        } else {
            Some(package.named("share", share.name.as_str())?)
        };
        if let Some(section) = section {
            describe(section, share)?;
        }
    }
    let peer = package.named("peer", &section_name(&text.name))?;
    if let Some(address) = text.addresses.first() {
        peer.set("address", address.to_string().as_bytes())?;
    }
    if let Some(secret) = &text.secret {
        peer.set("public_key", escape::hex(&secret.public_key).as_bytes())?;
        // It introduces the other nodes that it invited.
        peer.set("introducer", b"1")?;
    }
    Ok(())
}

fn describe(section: &mut Section, share: &ShareSettings) -> Result<(), EditError> {
    use std::os::unix::ffi::OsStrExt;
    section.set("dir", share.dir.as_os_str().as_bytes())?;
    section.set_list("include", &share.include)?;
    section.set_list("exclude", &share.exclude)?;
    if share.symlinks == Symlinks::Copy {
        section.set("symlinks", share.symlinks.word().as_bytes())?;
    }
    if share.max_file_size != ShareSettings::new(share.name.clone(), share.dir.clone()).max_file_size {
        section.set("max_file_size", share.max_file_size.to_string().as_bytes())?;
    }
    Ok(())
}

/// A node's name as the name of a UCI section: letters, digits and `_`.
fn section_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Whether the changed package will be read as it is meant.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(package: &Package) -> Result<(), Vec<String>> {
    let (sections, problems) = config_uci::sections(package);
    config::check(&sections, problems, Flavour::Uci)
}

/// The package for output: as `uci export` prints it, without keys.
pub fn shown(package: &Package) -> Vec<u8> {
    let mut package = package.clone();
    let references: Vec<String> = package.referenced().map(|(reference, _)| reference).collect();
    for reference in references {
        for key in KEYS {
            if let Some(section) = package.section_mut(&reference) {
                // Removing what may not be there cannot fail: the names are names.
                let _ = section.set(key, b"");
            }
        }
    }
    write::export(&package)
}

/// The package as it is, empty where there is none.
///
/// # Errors
/// It cannot be read; the text is for users.
pub fn read(dirs: &Dirs) -> Result<Package, String> {
    dirs.read(&config_uci::package_name()).map_err(|error| error.to_string())
}

/// Writes the change.
///
/// # Errors
/// The package is as it was; the text is for users.
pub fn write(dirs: &Dirs, text: &JoinText, node: &[(String, Vec<u8>)]) -> Result<Package, String> {
    let edited = dirs.edit(&config_uci::package_name(), |package| {
        change(package, text, node)?;
        Ok(package.clone())
    });
    edited.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{options, values};
    use crate::daemon::joining::text::Secret;
    use crate::model::{Key, WallTime};
    use crate::uci;

    fn package(text: &str) -> Package {
        uci::parse(&config_uci::package_name(), text.as_bytes()).unwrap()
    }

    fn text() -> JoinText {
        let share = |name: &str, dir: &str| ShareSettings {
            include: vec![b"dhcp".to_vec(), b"a b".to_vec()],
            ..ShareSettings::new(ShareName::parse(name).unwrap(), dir.into())
        };
        JoinText {
            name: "router-1".into(),
            addresses: vec![values::address("10.0.0.1:4321", 1).unwrap()],
            secret: Some(Secret { key: Key::new([7; 32]), public_key: [8; 32], token: [9; 16] }),
            expires: WallTime(0),
            shares: vec![share("main", "/etc/config"), share("vpn", "/etc/openvpn")],
        }
    }

    #[test]
    fn the_shipped_package_becomes_what_the_text_implies_and_keeps_the_rest() {
        let mut package =
            package("config owsync 'general'\n\toption enabled '0'\n\toption dir '/x'\n\toption port '99'\n");
        assert_eq!(configured(&package), None);

        change(&mut package, &text(), &[("bind_host".into(), b"10.0.0.2".to_vec())]).unwrap();

        check(&package).unwrap();
        let (sections, _) = config_uci::sections(&package);
        let told = options::build(&sections, Flavour::Uci, "here").result.unwrap();
        assert_eq!((told.enabled, told.port, told.bind_host.as_str()), (true, 99, "10.0.0.2"));
        assert_eq!(told.settings.shares, text().shares);
        let peer = &told.settings.peers[0];
        assert_eq!((&*peer.name.0, peer.public_key, peer.introducer), ("router_1", Some([8; 32]), true));
        assert!(configured(&package).is_some());
    }

    #[test]
    fn a_node_that_was_configured_says_by_what() {
        for (text, what) in [
            ("config owsync\n\tlist peer '10.0.0.1'\n", "option 'peer'"),
            ("config owsync 'main'\n\tlist include 'dhcp'\n", "option 'include'"),
            ("config owsync 'main'\nconfig share 'vpn'\n\toption dir '/x'\n", "the share vpn"),
            ("config peer\n\toption address '10.0.0.1'\n", "the peer @peer[0]"),
        ] {
            let found = configured(&package(text)).unwrap_or_default();
            assert!(found.contains(what), "{found}");
        }
    }

    #[test]
    fn a_name_that_uci_cannot_have_is_refused_and_a_key_is_not_shown() {
        let mut odd = text();
        odd.shares[1].name = ShareName::parse("my-vpn").unwrap();
        assert!(change(&mut package("config owsync 'main'\n"), &odd, &[]).is_err());

        let with_key =
            package(&format!("config owsync 'main'\n\toption key '{}'\n\toption port '1'\n", "ab".repeat(32)));
        let shown = String::from_utf8(shown(&with_key)).unwrap();
        assert!(!shown.contains("abab") && shown.contains("option port '1'"), "{shown}");
    }
}
