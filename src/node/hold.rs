//! Shares and paths that wait for a person, or for their files.

use crate::fs::Fs;
use crate::model::reason::Hold;
use crate::model::{Now, Reason, Record, RelPath, ShareName, Sleep};
use crate::node::api::{Event, Level, Tree};
use crate::node::{LinkId, Node};
use crate::proto::message::Message;
use crate::store::state::{Change, ShareMeta};

impl<F: Fs> Node<F> {
    /// Why a share is held, if it is.
    pub(crate) fn hold_of(&self, name: &ShareName) -> Option<&Hold> {
        self.store.state().shares.get(name).and_then(|state| state.meta.hold.as_ref()).map(|(hold, _)| hold)
    }

    /// Why nothing of a share is exchanged, held or paused, as the text that peers are told.
    pub(crate) fn stop_text(&self, name: &ShareName) -> Option<String> {
        let pause = || self.pause_of_share(name).map(ToString::to_string);
        self.hold_of(name).map(ToString::to_string).or_else(pause)
    }

    /// A share waits for a person, or for its files.
    pub(crate) fn hold_share(&mut self, now: Now, name: &ShareName, hold: Hold) {
        let meta = self.store.state().shares.get(name).map(|state| state.meta.clone()).unwrap_or_default();
        let before = meta.hold.as_ref().map(|(hold, _)| hold.code());
        if meta.hold.as_ref().is_some_and(|(known, _)| *known == hold) {
            return;
        }
        let news = before != Some(hold.code());
        let since = meta.hold.as_ref().filter(|_| !news).map_or(now.wall, |(_, since)| *since);
        self.store.change(Change::Share(name.clone(), ShareMeta { hold: Some((hold.clone(), since)), ..meta }));
        self.drop_batches(name, |_| true);
        for link in self.links.values_mut() {
            if let Some(exchange) = link.exchanges.get_mut(name) {
                exchange.listening = false;
                exchange.forget_received();
                if news {
                    link.say(Message::ShareNews { share: name.clone(), held: Some(hold.to_string()) });
                }
            }
        }
        self.stirred = true;
        if news {
            self.log(Level::Error, format!("share {name} is held: {hold}"));
            let details = Tree::map()
                .with("share", name.to_string())
                .with("reason", hold.code())
                .with("message", hold.to_string());
            self.tell(Event { name: "owsync.hold", at: now.wall, text: format!("{name} is held: {hold}"), details });
        }
    }

    /// A held share goes on.
    pub(crate) fn release_share(&mut self, name: &ShareName) {
        let Some(meta) = self.store.state().shares.get(name).map(|state| state.meta.clone()) else { return };
        if meta.hold.is_none() {
            return;
        }
        self.store.change(Change::Share(name.clone(), ShareMeta { hold: None, ..meta }));
        self.log(Level::Notice, format!("share {name} goes on"));
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.exchanges.contains_key(name)).map(|(id, _)| *id).collect();
        let ready = self.shares.get(name).is_some_and(|share| share.ready);
        let stopped = self.stop_text(name);
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                link.say(Message::ShareNews { share: name.clone(), held: stopped.clone() });
            }
            if ready {
                self.listen(id, name);
            }
        }
        self.stirred = true;
    }

    /// The paths of a share that are held because they changed back and forth.
    pub(crate) fn flapping(&self, name: &ShareName) -> impl Iterator<Item = (&RelPath, &Record)> {
        let index = self.store.state().shares.get(name).map(|state| &state.index);
        let paths = self.shares.get(name).into_iter().flat_map(|share| share.flapping.iter());
        paths
            .filter_map(move |path| Some((path, index?.get(path)?)))
            .filter(|(_, record)| record.sleep == Some(Sleep::Flapping))
    }

    /// A path is held because it changed back and forth.
    pub(crate) fn report_flapping(&mut self, now: Now, name: &ShareName, path: &RelPath) {
        if let Some(share) = self.shares.get_mut(name) {
            share.flapping.insert(path.clone());
        }
        let text = format!("share {name}: {path}: {}", Reason::Flapping);
        self.log(Level::Error, text.clone());
        let details = Tree::map()
            .with("share", name.to_string())
            .with("path", path.to_text())
            .with("reason", Reason::Flapping.code());
        self.tell(Event { name: "owsync.hold", at: now.wall, text, details });
    }
}
