//! Shares and paths that wait for a person, or for their files.

use crate::fs::Fs;
use crate::model::reason::Hold;
use crate::model::{Now, Reason, Record, RelPath, ShareName, Sleep};
use crate::node::api::{Event, Level, Tree};
use crate::node::shrunk::Shrunk;
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
        if let Some(share) = self.shares.get_mut(name) {
            // Whatever was answered was another hold.
            share.answer = None;
        }
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
        if let Some(share) = self.shares.get_mut(name) {
            share.answer = None;
            share.held_content = None;
        }
        self.log(Level::Notice, format!("share {name} is no longer held"));
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

    /// The paths of a share that are held, each with its reason.
    pub(crate) fn held_paths(&self, name: &ShareName) -> impl Iterator<Item = (&RelPath, &Record, Reason)> {
        let index = self.store.state().shares.get(name).map(|state| &state.index);
        let share = self.shares.get(name);
        let paths = share.into_iter().flat_map(|share| share.held_paths.iter());
        paths.filter_map(move |path| {
            let record = index?.get(path)?;
            Some((path, record, held_reason(record, share?.shrunk.get(path))?))
        })
    }

    /// A path is held because it changed back and forth.
    pub(crate) fn report_flapping(&mut self, name: &ShareName, path: &RelPath) {
        if let Some(share) = self.shares.get_mut(name) {
            share.held_paths.insert(path.clone());
        }
        self.note_held(name, path, &Reason::Flapping, None);
    }
}

/// Why a record is held, if it is.
pub(crate) fn held_reason(record: &Record, shrunk: Option<&Shrunk>) -> Option<Reason> {
    match record.sleep? {
        Sleep::Flapping => Some(Reason::Flapping),
        Sleep::SectionsLost => {
            let has = shrunk.map_or(0, |shrunk| shrunk.has.into());
            Some(Reason::SectionsLost { had: record.sections.into(), has })
        }
        Sleep::Filtered | Sleep::TooLarge | Sleep::Unreadable | Sleep::Skipped | Sleep::Withheld => None,
    }
}
