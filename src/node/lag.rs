//! What keeps a share and a peer from being in sync.

use crate::fs::Fs;
use crate::model::{Direction, Now, PeerName, Reason, RelPath, ShareName};
use crate::node::status::{AWAY, away_label};
use crate::node::{LinkId, Node};

/// What keeps one share and one peer from being in sync.
pub(crate) struct Lag {
    /// The word that scripts test.
    pub code: &'static str,
    /// For people.
    pub text: String,
    /// It goes on by itself at this moment.
    pub moving: bool,
}

impl Lag {
    pub(crate) fn new(code: &'static str, text: impl Into<String>, moving: bool) -> Lag {
        Lag { code, text: text.into(), moving }
    }
}

impl<F: Fs> Node<F> {
    /// What keeps a share from being in sync with a peer; `None` when nothing does. Paths left out by choice do not
    /// count: they are listed as owed, with that reason.
    pub(crate) fn lag(&self, id: LinkId, name: &ShareName) -> Option<Lag> {
        let link = self.links.get(&id)?;
        let exchange = link.exchanges.get(name)?;
        let share = self.shares.get(name)?;
        let node = link.node?;
        if let Some((error, _)) = &self.store_trouble {
            return Some(Lag::new("database", format!("the database here cannot be written: {error}"), false));
        }
        if let Some(hold) = self.hold_of(name) {
            return Some(Lag::new("held", format!("held here: {hold}"), false));
        }
        if let Some(pause) = self.pause_of_share(name) {
            return Some(Lag::new("paused", pause.to_string(), false));
        }
        if let Some(trial) = self.trial_of(name) {
            let text = format!("run {} is not confirmed yet: it goes back unless its origin is reached", trial.run);
            return Some(Lag::new("on_trial", text, true));
        }
        if let Some(held) = &exchange.theirs.held {
            return Some(Lag::new("held_there", format!("held there: {held}"), false));
        }
        if !share.ready {
            return Some(Lag::new("looking", "its files are being looked at", true));
        }
        let state = self.store.state().shares.get(name)?;
        let owed: Vec<(&RelPath, &Reason)> = state
            .owed
            .iter()
            .filter(|((owner, path), owed)| *owner == node && !owed.reason.is_choice() && !share.is_coming(node, path))
            .map(|((_, path), owed)| (path, &owed.reason))
            .collect();
        if let [(path, reason), rest @ ..] = &owed[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            return Some(Lag::new("owed", format!("owed here: {path}: {reason}{more}"), false));
        }
        if let Some((path, _)) = self.flapping(name).next() {
            return Some(Lag::new("held", format!("held here: {path}: {}", Reason::Flapping), false));
        }
        let there: Vec<&(RelPath, Reason)> =
            exchange.owed_there_paths.iter().filter(|(_, reason)| !reason.is_choice()).collect();
        if let [(path, reason), rest @ ..] = &there[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            return Some(Lag::new("owed_there", format!("owed there: {path}: {reason}{more}"), false));
        }
        let (pending, crosses) = (self.pending(name).count(), self.crosses(name));
        if pending > 0 && !crosses {
            let text = format!("mode manual: {pending} changed here, waiting for `owsync sync`");
            return Some(Lag::new("pending", text, false));
        }
        if exchange.pending_there > 0 {
            let text =
                format!("mode manual there: {} changed, waiting for `owsync sync` there", exchange.pending_there);
            return Some(Lag::new("pending_there", text, false));
        }
        if exchange.late {
            return Some(Lag::new("late", "it has not answered a change for 10 s", true));
        }
        if exchange.pace.stopped.is_some() {
            let text = format!("stopped by hard_max_time, for the {}. time: it goes on by itself", exchange.pace.stops);
            return Some(Lag::new("stopped", text, false));
        }
        if !exchange.listening || !exchange.heard_all || !exchange.completed {
            return Some(Lag::new("exchanging", "exchanging", true));
        }
        let coming: usize =
            share.batches.values().filter(|batch| batch.from.node == node).map(|batch| batch.offers.len()).sum();
        if coming > 0 || share.landing.as_ref().is_some_and(|landing| landing.from == Some(node)) {
            return Some(Lag::new("receiving", format!("{coming} paths are on their way here"), true));
        }
        let only_choices_there = exchange.owed_there > 0 && there.is_empty();
        if exchange.offered.unwrap_or(0) < share.top
            || (exchange.their_applied < exchange.offered.unwrap_or(0)
                && !only_choices_there
                && exchange.theirs.direction != Direction::Observe)
        {
            return Some(Lag::new("sending", "changes are on their way there", true));
        }
        None
    }

    /// Notes since when every pair is in sync.
    pub(crate) fn note_sync_times(&mut self, now: Now) {
        let pairs: Vec<(LinkId, ShareName)> = self
            .links
            .iter()
            .filter(|(_, link)| link.is_admitted())
            .flat_map(|(id, link)| link.exchanges.keys().map(|name| (*id, name.clone())))
            .collect();
        for (id, name) in pairs {
            let synced = self.lag(id, &name).is_none();
            if let Some(exchange) = self.links.get_mut(&id).and_then(|link| link.exchanges.get_mut(&name)) {
                match (synced, exchange.in_sync_since) {
                    (true, None) => exchange.in_sync_since = Some(now.wall),
                    (false, Some(_)) => exchange.in_sync_since = None,
                    _ => {}
                }
            }
        }
        for link in self.links.values().filter(|link| link.is_admitted() && link.is_in_sync()) {
            if let Some(dial) = link.section.as_ref().and_then(|name| self.dials.get_mut(name)) {
                dial.last_in_sync = Some(link.heard_at(now));
            }
        }
    }

    /// What is missing until everything asked for is in sync: texts, and whether each goes on by itself.
    pub(crate) fn behind(&self, now: Now, peer: Option<&PeerName>, share: Option<&ShareName>) -> Vec<(String, bool)> {
        let mut behind = Vec::new();
        for (name, dial) in self.dials.iter() {
            if peer.is_some_and(|only| only != name) {
                continue;
            }
            if let Some(pause) = self.pause_of_peer(name) {
                behind.push((format!("{name}: {pause}"), false));
                continue;
            }
            let reached = self.links.values().any(|link| link.is_admitted() && link.section.as_ref() == Some(name));
            if reached {
                continue;
            }
            let moving = dial.link.is_some() || dial.at <= now.mono;
            let text = match &dial.trouble {
                Some((trouble, _)) => format!("{name}: {trouble}"),
                None => format!("{name}: not connected"),
            };
            behind.push((text, moving));
        }
        for (node, known) in self.away().filter(|(_, known)| peer.is_none() && self.is_missed(known)) {
            let label = away_label(node, known);
            // Another machine may have its name by now.
            let same = self.knows_peer(&PeerName(label.as_str().into()));
            let id = if same { format!(" ({node})") } else { String::new() };
            behind.push((format!("{label}{id}: {AWAY}"), false));
        }
        for (id, link) in self.links.iter().filter(|(_, link)| link.is_admitted()) {
            if peer.is_some() && link.section.as_ref() != peer {
                continue;
            }
            for name in link.exchanges.keys().filter(|name| share.is_none_or(|only| only == *name)) {
                if let Some(lag) = self.lag(*id, name) {
                    behind.push((format!("{}, share {name}: {}", self.peer_label(*id), lag.text), lag.moving));
                }
            }
        }
        for name in self.shares.keys().filter(|name| share.is_none_or(|only| only == *name)) {
            if let Some(hold) = self.hold_of(name) {
                if !behind.iter().any(|(text, _)| text.contains(&hold.to_string())) {
                    behind.push((format!("share {name}: held: {hold}"), false));
                }
            }
        }
        behind
    }

    pub(crate) fn knows_peer(&self, name: &PeerName) -> bool {
        self.dials.contains_key(name)
            || self.links.iter().any(|(id, link)| link.is_admitted() && *self.peer_label(*id) == *name.0)
    }
}
