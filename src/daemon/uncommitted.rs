//! Finds uncommitted changes of packages for status, because they are not synced until they are committed.
//!
//! `uci set` stores its changes below /tmp/.uci, and a session of LuCI below /var/run/rpcd, until they are
//! committed. An administrator who wonders why a change is not on the other router finds the reason here; on a router that
//! received a package meanwhile, such changes will be applied on top of it. They are searched when status is requested,
//! and never otherwise: they cause no wake-up.

use crate::fs::uci_file::{Dirs, Pending, UciFileError};
use crate::model::settings::ShareSettings;
use crate::model::{RelPath, Set};
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
        let path = dirs.path(package).canonicalize().ok();
        let below = path.as_ref().and_then(|path| path.strip_prefix(&self.dir).ok());
        let below = below.and_then(|below| RelPath::parse(below.as_os_str().as_encoded_bytes()).ok());
        below.is_some_and(|below| self.filter.holds(&below))
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
