//! Suggests local options when a cluster is set up: values that every router has for itself in packages that are synced.

use std::path::Path;

use crate::fs::local;
use crate::model::RelPath;
use crate::model::limits;
use crate::model::settings::{Reload, ShareSettings};
use crate::reconcile::filter::Filter;
use crate::uci::local::{Pattern, USUAL};
use crate::uci::{PackageName, form};

/// The patterns that a share may need: they match something in a package that it syncs, and nothing of that package is
/// local yet.
pub fn patterns(share: &ShareSettings) -> Vec<&'static str> {
    if share.reload() != Reload::Uci || !share.enabled {
        return Vec::new();
    }
    let filter = Filter::new(&share.include, &share.exclude, &[]);
    let known: Vec<Pattern> = share.local.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
    let fits = |text: &&&str| {
        let Ok(pattern) = Pattern::parse(text) else { return false };
        let package = pattern.package();
        let is_known = known.iter().any(|known| known.package() == package);
        let path = RelPath::parse(package.as_str().as_bytes());
        !is_known && path.is_ok_and(|path| filter.holds(&path)) && matches(&share.dir, package, &pattern)
    };
    USUAL.iter().filter(fits).copied().collect()
}

/// Whether a pattern matches something in a package of this directory.
fn matches(dir: &Path, package: &PackageName, pattern: &Pattern) -> bool {
    let Ok(text) = local::read(&dir.join(package.as_str()), limits::PACKAGE_KEPT as u64) else { return false };
    form::is_covered(package, &text, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::local::Scratch;
    use crate::model::ShareName;

    #[test]
    fn what_packages_contain_is_suggested_once() {
        let scratch = Scratch::new("suggest");
        let dir = scratch.dir("etc");
        scratch.write("etc/network", "config interface 'lan'\n\toption ipaddr '10.0.0.1'\n");
        scratch.write("etc/system", "config system\n\toption hostname 'attic'\n");
        scratch.write("etc/dhcp", "config dhcp 'lan'\n\toption start '100'\n");
        let mut share = ShareSettings::new(ShareName::main(), dir);
        share.include = vec![b"network".to_vec(), b"dhcp".to_vec()];
        assert_eq!(patterns(&share), [""; 0], "it has no packages");
        share.reload = Some(Reload::Uci);
        assert_eq!(patterns(&share), ["network.*.ipaddr"], "system is not synced");
        share.include = vec![b"*".to_vec()];
        assert_eq!(patterns(&share), ["system.@system[0].hostname", "network.*.ipaddr"]);
        share.local = vec!["network.lan.ipaddr".into()];
        assert_eq!(patterns(&share), ["system.@system[0].hostname"], "network has a pattern already");
    }
}
