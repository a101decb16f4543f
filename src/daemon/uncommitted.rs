//! Finds uncommitted changes of packages for status, because they are not synced until they are committed.
//!
//! `uci set` stores its changes below /tmp/.uci, and a session of LuCI below /var/run/rpcd, until they are
//! committed. An administrator who wonders why a change is not on the other router finds the reason here; on a router that
//! received a package meanwhile, such changes will be applied on top of it. They are searched when status is requested, and
//! when a package is about to be replaced, and never otherwise: they cause no wake-up.

use crate::fs::uci_file::{Dirs, Pending, UciFileError};
use crate::model::settings::ShareSettings;
use crate::model::{Map, RelPath, Set};
use crate::node::References;
use crate::reconcile::filter::Filter;
use crate::uci::PackageName;

/// A share as far as it holds packages.
pub struct Holder {
    dir: std::path::PathBuf,
    filter: Filter,
}

impl Holder {
    /// The packages of a share; `None` where it has none: it is disabled, or its directory is elsewhere.
    pub fn new(dirs: &Dirs, share: &ShareSettings, filter: Filter) -> Option<Holder> {
        let dir = share.dir.canonicalize().ok().filter(|_| share.enabled)?;
        dirs.config.canonicalize().ok()?.starts_with(&dir).then_some(Holder { dir, filter })
    }

    /// Whether a commit of the package changes a file of the share. It does not where another file counts in its place,
    /// as /var/run/uci may have one.
    fn holds(&self, dirs: &Dirs, package: &PackageName) -> bool {
        self.path_of(dirs, package).is_some()
    }

    /// The path in the share of the file that a commit of the package changes.
    fn path_of(&self, dirs: &Dirs, package: &PackageName) -> Option<RelPath> {
        let path = dirs.path(package).canonicalize().ok();
        let below = path.as_ref().and_then(|path| path.strip_prefix(&self.dir).ok());
        let below = below.and_then(|below| RelPath::parse(below.as_os_str().as_encoded_bytes()).ok());
        below.filter(|below| self.filter.holds(below))
    }

    /// The sections that uncommitted changes of these packages refer to by the names that libuci makes up.
    ///
    /// # Errors
    /// The changes cannot be read.
    pub fn references(&self, dirs: &Dirs, paths: &[RelPath]) -> Result<Map<RelPath, References>, UciFileError> {
        let mut all: Map<RelPath, References> = Map::new();
        let wanted = |package: &PackageName| self.path_of(dirs, package).is_some_and(|path| paths.contains(&path));
        for Pending { package, dir, changes } in dirs.pending(wanted)? {
            let Some(path) = self.path_of(dirs, &package) else { continue };
            let names = changes.into_iter().map(|change| change.section).filter(|name| name.starts_with("cfg"));
            let names: Set<String> = names.collect();
            if !names.is_empty() {
                let references = all.get_or_default(path);
                references.in_luci |= dir != dirs.changes;
                references.names.extend(names);
            }
        }
        Ok(all)
    }

    /// The packages of the share that have such changes.
    ///
    /// # Errors
    /// They cannot be looked for.
    pub fn packages(&self, dirs: &Dirs) -> Result<Vec<String>, UciFileError> {
        let pending = dirs.pending(|package| self.holds(dirs, package))?;
        let packages: Set<PackageName> = pending.into_iter().map(|Pending { package, .. }| package).collect();
        Ok(packages.iter().map(|package| package.as_str().to_string()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ShareName;
    use std::fs;

    /// A router's tree that goes with the test.
    struct Router(std::path::PathBuf);

    impl Router {
        fn new(name: &str) -> Router {
            let root = std::env::temp_dir().join(format!("owsync-uncommitted-{name}-{}", std::process::id()));
            let router = Router(root.canonicalize().unwrap_or(root));
            for package in ["dhcp", "network", "firewall"] {
                router.put(&format!("etc/config/{package}"), "config x 'y'\n");
            }
            router
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// The packages with uncommitted changes in a share of this directory.
        fn packages(&self, dir: &str, include: &str) -> Result<Vec<String>, UciFileError> {
            let dirs = Dirs::below(&self.0);
            let include: Vec<Vec<u8>> = include.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let share = ShareSettings::new(ShareName::main(), self.0.join(dir));
            let filter = Filter::new(&include, &[], &[]);
            Holder::new(&dirs, &share, filter).map_or(Ok(Vec::new()), |holder| holder.packages(&dirs))
        }
    }

    impl Drop for Router {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn uncommitted_packages_are_those_of_the_share_and_no_others() {
        let router = Router::new("filter");
        assert_eq!(router.packages("etc/config", "*").unwrap(), [""; 0]);

        router.put("tmp/.uci/network", "network.y.proto='dhcp'\n");
        router.put("var/run/rpcd/uci-0123/firewall", "firewall.y.a='1'\n");
        router.put("var/run/rpcd/uci-4567/firewall", "firewall.y.b='1'\n");
        // Committed, or never made.
        router.put("tmp/.uci/dhcp", "");
        router.put("tmp/.uci/nosuch", "nosuch.a=b\n");

        assert_eq!(router.packages("etc/config", "*").unwrap(), ["firewall", "network"]);
        assert_eq!(router.packages("etc/config", "network dhcp").unwrap(), ["network"]);
        assert_eq!(router.packages("etc", "config/firewall").unwrap(), ["firewall"]);
        assert_eq!(router.packages("etc/openvpn", "*").unwrap(), [""; 0]);
        assert_eq!(router.packages("tmp", "*").unwrap(), [""; 0]);
    }

    #[test]
    fn references_by_number_are_those_of_the_packages_that_are_asked_for() {
        let router = Router::new("references");
        router.put(
            "tmp/.uci/firewall",
            "firewall.cfg03dc81.input='DROP'\n+firewall.cfg0592bd='rule'\nfirewall.lan.x='1'\n",
        );
        router.put("var/run/rpcd/uci-0123/dhcp", "-dhcp.cfg03fe63\n");
        router.put("tmp/.uci/network", "network.cfg01.a='1'\n");
        router.put("tmp/.uci/dhcp", "dhcp.lan.limit='9'\n");
        let dirs = Dirs::below(&router.0);
        let share = ShareSettings::new(ShareName::main(), router.0.join("etc/config"));
        let holder = Holder::new(&dirs, &share, Filter::new(&[b"*".to_vec()], &[], &[])).unwrap();
        let path = |name: &str| RelPath::parse(name.as_bytes()).unwrap();

        let found = holder.references(&dirs, &[path("firewall"), path("dhcp"), path("system")]).unwrap();
        let found: Vec<(String, Vec<String>, bool)> = found
            .iter()
            .map(|(path, one)| (path.to_text(), one.names.iter().cloned().collect(), one.in_luci))
            .collect();
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("dhcp".into(), list(&["cfg03fe63"]), true),
                ("firewall".into(), list(&["cfg03dc81", "cfg0592bd"]), false)
            ]
        );
    }

    #[test]
    fn a_package_that_counts_elsewhere_does_not_travel_by_a_commit() {
        let router = Router::new("override");
        router.put("tmp/.uci/network", "network.y.proto='dhcp'\n");
        router.put("var/run/uci/network", "config x 'y'\n");
        assert_eq!(router.packages("etc/config", "*").unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let router = Router::new("unreadable");
        fs::create_dir(router.0.join("tmp")).unwrap();
        std::os::unix::fs::symlink(".uci", router.0.join("tmp/.uci")).unwrap();
        let error = router.packages("etc/config", "*").unwrap_err().to_string();
        assert!(error.contains("/tmp/.uci"), "{error}");
    }
}
