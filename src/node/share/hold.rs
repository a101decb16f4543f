//! Holds a share or a path that waits for the user, or for its files.

use crate::fs::Fs;
use crate::model::reason::Hold;
use crate::model::{Reason, Record, RelPath, Sleep};
use crate::node::LinkId;
use crate::node::api::{Event, Level, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::detect::sections::LostSections;
use crate::proto::message::Message;
use crate::store::state::{Change, ShareMeta};

impl<F: Fs> Share<F> {
    /// A share waits for a person, or for its files.
    pub(crate) fn hold_share(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>, hold: Hold) {
        let name = &self.name.clone();
        let meta = cx.store.share(name).meta.clone();
        let before = meta.hold.as_ref().map(|(hold, _)| hold.code());
        // Whatever was answered was another hold.
        self.detect.guards.answer = None;
        if meta.hold.as_ref().is_some_and(|(known, _)| *known == hold) {
            return;
        }
        let news = before != Some(hold.code());
        let since = meta.hold.as_ref().filter(|_| !news).map_or(cx.now.wall, |(_, since)| *since);
        cx.store.change(Change::Share(name.clone(), ShareMeta { hold: Some((hold.clone(), since)), ..meta }));
        self.drop_batches(|_| true);
        for link in peers.links.values_mut() {
            if let Some(exchange) = link.exchanges.get_mut(name) {
                exchange.listening = false;
                exchange.forget_received();
                if news {
                    link.say(Message::ShareNews { share: name.clone(), held: Some(hold.to_string()) });
                }
            }
        }
        cx.stirred = true;
        if news {
            cx.log(Level::Error, format!("share {name} is held: {hold}"));
            let details = Tree::map()
                .with("share", name.to_string())
                .with("reason", hold.code())
                .with("message", hold.to_string());
            cx.tell(Event { name: "owsync.hold", at: cx.now.wall, text: format!("{name} is held: {hold}"), details });
        }
    }

    /// A held share goes on.
    pub(crate) fn release_share(&mut self, cx: &mut Context<F>, peers: &mut Peers<F>) {
        let name = &self.name.clone();
        let meta = cx.store.share(name).meta.clone();
        if meta.hold.is_none() {
            return;
        }
        cx.store.change(Change::Share(name.clone(), ShareMeta { hold: None, ..meta }));
        self.detect.guards.answer = None;
        self.detect.guards.held_content = None;
        cx.log(Level::Notice, format!("share {name} is no longer held"));
        let links: Vec<LinkId> =
            peers.links.iter().filter(|(_, link)| link.exchanges.contains_key(name)).map(|(id, _)| *id).collect();
        let ready = self.is_ready();
        let stopped = cx.stop_text(name);
        for id in links {
            if let Some(link) = peers.links.get_mut(&id) {
                link.say(Message::ShareNews { share: name.clone(), held: stopped.clone() });
            }
            if ready {
                self.listen(cx, peers, id);
            }
        }
        cx.stirred = true;
    }

    /// The paths of a share that are held, each with its reason.
    pub(crate) fn held_paths<'a>(
        &'a self,
        cx: &'a Context<F>,
    ) -> impl Iterator<Item = (&'a RelPath, &'a Record, Reason)> {
        let name = &self.name;
        let index = &cx.store.share(name).index;
        self.detect.guards.held_paths.iter().filter_map(move |path| {
            let record = index.get(path)?;
            Some((path, record, held_reason(record, self.detect.guards.lost_sections.get(path))?))
        })
    }

    /// A path is held because it changed back and forth.
    pub(crate) fn report_flapping(&mut self, cx: &mut Context<F>, path: &RelPath) {
        let name = &self.name;
        self.detect.guards.held_paths.insert(path.clone());
        cx.note_held(name, path, &Reason::Flapping, None);
    }
}

/// Why a record is held, if it is.
pub(crate) fn held_reason(record: &Record, shrunk: Option<&LostSections>) -> Option<Reason> {
    match record.sleep? {
        Sleep::Flapping => Some(Reason::Flapping),
        Sleep::SectionsLost => {
            let has = shrunk.map_or(0, |shrunk| shrunk.has.into());
            Some(Reason::SectionsLost { had: record.sections.into(), has })
        }
        Sleep::Filtered | Sleep::TooLarge | Sleep::Unreadable | Sleep::Skipped | Sleep::Withheld => None,
    }
}
