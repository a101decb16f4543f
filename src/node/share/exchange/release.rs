//! Keeps UCI packages from crossing between two nodes whose system releases differ.
//!
//! A system upgrade migrates the packages in `/etc/config`. To the cluster a migrated package is an edit like any other, and
//! the routers that were not upgraded yet would take it, although their release may not understand it; and the reverse, once
//! an old router is edited. So each Hello names the release of the node's system, and each share in it says whether its
//! packages are guarded (`release_guard`). If either side guards the share and the two release series differ, what the peer
//! offers is pending with [`Reason::ReleaseDiffers`], on both sides, until the next session finds the same series.
//!
//! # Why a reason per path, and not a share that is held?
//! A share is held for all peers, and the routers of one release must go on with each other. As pending changes, what
//! waits is recorded, shown on both sides with its paths and counted by tombstones like everything else that is not
//! applied.
//!
//! # Why is the release not part of each entry?
//! A package written on 24.10 and not changed since is good on 25.12 too: `sysupgrade` keeps it. Only what crosses between
//! two systems that run now matters. The price: a hub between two routers passes packages on unless it has a `release` of
//! its own, so one that is not OpenWrt is given the release of its routers in its configuration.

use crate::fs::Fs;
use crate::model::Reason;
use crate::node::LinkId;
use crate::node::api::Level;
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::peers::link::Link;
use crate::node::share::Share;

impl<F: Fs> Share<F> {
    /// Why what a peer offers in a share must wait for an upgrade; `None` if it need not.
    pub(crate) fn release_gap(&self, cx: &Context<F>, link: &Link<F::Root>) -> Option<Reason> {
        let name = &self.name;
        let hello = link.hello.as_ref()?;
        let (from, to) = (hello.release.as_ref()?, cx.settings.release.as_ref()?);
        let here = self.settings.guards_release();
        // Both sides must come to the same, whichever of them was told to guard.
        let guards = here || link.exchanges.get(name).is_some_and(|exchange| exchange.theirs.release_guard);
        (guards && from.differs_from(to)).then(|| Reason::ReleaseDiffers { from: from.clone(), to: to.clone() })
    }

    /// An exchange begins: a gap is logged once, and not for each path. (What waited is sorted again once the exchange
    /// has completed.)
    pub(crate) fn log_release_gap(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, id: LinkId) {
        let name = &self.name;
        let Some(link) = peers.links.get(&id) else { return };
        if let Some(Reason::ReleaseDiffers { from, to }) = self.release_gap(cx, link) {
            let peer = peers.peer_label(cx, id);
            cx.log(
                Level::Notice,
                format!("share {name}: {peer} runs release {from} and this node {to}: UCI packages wait until both run the same release"),
            );
        }
    }
}
