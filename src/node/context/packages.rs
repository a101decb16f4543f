//! The current content of the UCI packages of all shares, in memory.
//!
//! A local edit replaces a file before owsync sees it, and an undo or a merge of that edit needs what was there before.

use std::rc::Rc;

use crate::model::{Digest, Map, RelPath, ShareName, limits};

/// The current content of UCI packages, as far as it fits. See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    contents: Map<(ShareName, RelPath), Known>,
    /// Bytes of all of them.
    size: usize,
}

#[derive(Debug)]
struct Known {
    digest: Digest,
    bytes: Rc<[u8]>,
}

impl Packages {
    /// The content of a package, if it is the one with this digest.
    pub fn get(&self, share: &ShareName, path: &RelPath, digest: Digest) -> Option<Rc<[u8]>> {
        let known = self.contents.get(&(share.clone(), path.clone()))?;
        (known.digest == digest).then(|| known.bytes.clone())
    }

    /// Remembers the content of a package; `false` where it does not fit.
    pub fn put(&mut self, share: &ShareName, path: &RelPath, digest: Digest, bytes: Rc<[u8]>) -> bool {
        self.remove(share, path);
        if bytes.len() > limits::PACKAGE_KEPT || self.size + bytes.len() > limits::PACKAGES_KEPT {
            return false;
        }
        self.size += bytes.len();
        self.contents.insert((share.clone(), path.clone()), Known { digest, bytes });
        true
    }

    /// Forgets the content of a package.
    pub fn remove(&mut self, share: &ShareName, path: &RelPath) {
        if let Some(known) = self.contents.remove(&(share.clone(), path.clone())) {
            self.size -= known.bytes.len();
        }
    }

    /// Forgets every package of a share.
    pub fn forget_share(&mut self, share: &ShareName) {
        self.contents.retain(|(of, _), _| of != share);
        self.size = self.contents.values().map(|known| known.bytes.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_remembered_and_makes_room_when_it_goes() {
        let mut packages = Packages::default();
        let share = ShareName::main();
        let path = |name: usize| RelPath::parse(name.to_string().as_bytes()).unwrap();
        let large: Rc<[u8]> = vec![0; limits::PACKAGE_KEPT].into();
        assert!(!packages.put(&share, &path(0), Digest::NONE, vec![0; limits::PACKAGE_KEPT + 1].into()));
        let fit = limits::PACKAGES_KEPT / limits::PACKAGE_KEPT;
        for name in 0..fit {
            assert!(packages.put(&share, &path(name), Digest::NONE, large.clone()), "{name} of {fit}");
        }
        assert!(!packages.put(&share, &path(fit), Digest::NONE, large.clone()));
        assert!(
            packages.put(&share, &path(0), Digest::of(b"other"), large.clone()),
            "it replaces its previous content"
        );
        assert_eq!(packages.get(&share, &path(0), Digest::NONE), None);
        packages.forget_share(&share);
        assert!(packages.put(&share, &path(fit), Digest::NONE, large));
    }
}
