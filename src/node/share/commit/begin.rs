//! Makes a commit of uncommitted changes of UCI packages, or of changes of a share in mode manual.

use std::rc::Rc;

use crate::commit::Coordinator;
use crate::fs::Fs;
use crate::fs::form::{measured, read_small, too_large};
use crate::model::commit::CommitId;
use crate::model::settings::Mode;
use crate::model::{
    Digest, Direction, Entry, Kind, Map, Monotonic, NodeId, Record, RelPath, Stamp, Version, WallTime, limits,
};
use crate::node::CommandId;
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::commit::{Commit, Decision, Wait};
use crate::node::share::forms::applied::{Formed, NewFile};
use crate::node::share::inbox::batch::{Batch, Content, Pending};
use crate::node::share::transaction::apply::{attributes_of, stage_text};
use crate::proto::message::{Offer, offer_size};
use crate::reconcile::edit_stamp;
use crate::uci::PackageName;
use crate::uci::delta;

/// What is to be committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wish {
    /// Uncommitted changes, as they are in libuci's files.
    pub deltas: Map<RelPath, Vec<u8>>,
    /// Changes of a share in mode manual; all of them if there is none of either.
    pub paths: Vec<RelPath>,
    /// Nodes that need not take part, by their names; `away`: all that are not connected.
    pub without: Vec<String>,
    /// The user keeps it.
    pub by_hand: bool,
    /// Nothing is to be done.
    pub dry_run: bool,
    /// The answer is the end, not the beginning.
    pub wait: bool,
}

/// One path of a commit.
struct New {
    path: RelPath,
    entry: Entry,
    /// What is put in place here; `None` where it is in place already.
    text: Option<NewText>,
}

/// The texts of a package.
struct NewText {
    /// As it will be here.
    file: Vec<u8>,
    /// As it is synced, where that differs.
    shared: Vec<u8>,
    /// Whether anything of it is local.
    is_local: bool,
    /// What it replaces.
    over: Option<Digest>,
    /// What changes, for the preview.
    changes: Vec<String>,
}

impl<F: Fs> Share<F> {
    /// Begins a commit; the answer comes when it is decided.
    ///
    /// # Errors
    /// The answer, where it cannot begin, or where only a preview is wanted.
    pub(crate) fn begin_commit(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        command: CommandId,
        wish: Wish,
    ) -> Result<(), Reply> {
        let state = |text: String| Reply::failed(Fault::State, text);
        self.can_commit(cx).map_err(|why| state(why.replace(" there", "")))?;
        if matches!(self.settings.direction, Direction::Receive | Direction::Observe) {
            let word = self.settings.direction.word();
            return Err(state(format!(
                "this router does not send changes of the share {} (direction {word})",
                self.name
            )));
        }
        if self.transaction.landing.is_some() {
            return Err(state(format!("a change of the share {} is being applied: try again", self.name)));
        }
        let members = self.members(cx, peers, &wish.without)?;
        let news =
            if wish.deltas.is_empty() { self.unreleased_news(cx, &wish) } else { self.news_of_deltas(cx, &wish) };
        let news = news?;
        let offers: Vec<Offer> = news
            .iter()
            .map(|new| Offer { path: new.path.clone(), entry: new.entry.clone(), seq: 0, batch: 0, approved: false })
            .collect();
        let is_unreleased = wish.deltas.is_empty();
        let size: usize = offers.iter().map(|offer| offer_size(&offer.path, &offer.entry)).sum();
        if offers.len() > limits::COMMIT_PATHS || size > limits::DATA_MAX {
            let most = limits::COMMIT_PATHS;
            return Err(state(format!("a commit has at most {most} files: commit some of them, then the rest")));
        }
        if wish.dry_run {
            return Err(self.preview_commit(cx, &members, &news));
        }
        let confirm = match self.settings.confirm_for(news.iter().map(|new| &new.path)) {
            0 => limits::COMMIT_CONFIRM,
            secs => secs,
        };
        let secs = if wish.by_hand { confirm + limits::COMMIT_BY_HAND } else { confirm };
        let me = cx.identity.id;
        let id = CommitId { coordinator: me, number: cx.rng.number() };
        let mut commit = Commit::new(id, members.clone(), secs);
        commit.batch = self.own_batch(cx, news)?;
        commit.decision = Some(Decision {
            coordinator: Coordinator::new(me, &members, wish.by_hand),
            waits: Wait::default(),
            confirm,
            command,
            answers: wish.wait,
            deltas_are_removed: false,
            probe_at: Monotonic::NEVER,
            offers,
            deltas: wish.deltas,
            is_unreleased,
        });
        let routers: Vec<String> = members.iter().map(|node| cx.node_label(*node)).collect();
        let with = if routers.is_empty() { "no other router".into() } else { routers.join(", ") };
        cx.log(Level::Notice, format!("share {}: commit {:016x} begins, with {with}", self.name, id.number));
        cx.committing = Some(self.name.clone());
        let actions = commit.decision.as_ref().map(|decision| decision.coordinator.begin()).unwrap_or_default();
        let prepared = commit.batch.is_none();
        self.commits.current = Some(commit);
        if prepared {
            self.note_commit_prepared(cx);
        }
        self.do_actions(cx, peers, actions);
        cx.stirred = true;
        if !wish.wait {
            let routers: Vec<Tree> = routers.into_iter().map(Tree::Text).collect();
            let tree = Tree::map()
                .with("share", self.name.to_string())
                .with("commit", format!("{:016x}", id.number))
                .with("routers", routers);
            return Err(Reply::Done(tree));
        }
        Ok(())
    }

    /// The nodes that take part besides this one.
    fn members(&self, cx: &Context<F>, peers: &Peers<F>, without: &[String]) -> Result<Vec<NodeId>, Reply> {
        let mut members = Vec::new();
        let mut away = Vec::new();
        let connected = |node: NodeId| {
            let mut links = peers.links.values().filter(|link| link.node == Some(node) && link.is_admitted());
            links.find_map(|link| link.exchanges.get(&self.name))
        };
        let ledgers = cx.store.share(&self.name).ledgers.iter();
        let known = ledgers.filter(|(node, ledger)| ledger.met && **node != cx.identity.id).map(|(node, _)| *node);
        let linked = peers.links.values().filter(|link| link.exchanges.get(&self.name).is_some());
        let linked = linked.filter(|link| link.is_admitted()).filter_map(|link| link.node);
        let mut nodes: Vec<NodeId> = known.chain(linked).collect();
        nodes.sort();
        nodes.dedup();
        let is_named = |node: NodeId| without.iter().any(|name| *name == cx.node_label(node));
        for name in without.iter().filter(|name| *name != "away") {
            if !nodes.iter().any(|node| cx.node_label(*node) == *name) {
                let text = format!("no router with the share {} is called {name}", self.name);
                return Err(Reply::failed(Fault::NotFound, text));
            }
        }
        for node in nodes.into_iter().filter(|node| !is_named(*node)) {
            match connected(node) {
                Some(exchange) if !exchange.theirs.direction.takes() => {}
                Some(_) => members.push(node),
                None => away.push(cx.node_label(node)),
            }
        }
        members.sort_by_key(|node| cx.node_label(*node));
        if !away.is_empty() && !without.iter().any(|name| name == "away") {
            let text = format!(
                "{} is not connected to this router: commit without it (--without {}; it gets the change when it is \
                 connected), or commit on a router that is connected to all",
                away.join(", "),
                away[0]
            );
            return Err(Reply::failed(Fault::State, text));
        }
        Ok(members)
    }

    /// What the uncommitted changes make of their packages.
    fn news_of_deltas(&mut self, cx: &mut Context<F>, wish: &Wish) -> Result<Vec<New>, Reply> {
        let mut news = Vec::new();
        let mut only_here = Vec::new();
        for (path, bytes) in wish.deltas.iter() {
            let failed = |why: String| Reply::failed(Fault::State, format!("{path}: {why}"));
            let package = PackageName::at(path).ok_or_else(|| failed("it is no UCI package".into()))?;
            match self.new_package(cx, path, &package, bytes).map_err(failed)? {
                Made::New(new) => news.push(*new),
                Made::OnlyHere => only_here.push(path.to_text()),
                Made::Same => {}
            }
        }
        if news.is_empty() {
            let text = match only_here.is_empty() {
                true => "the uncommitted changes change nothing".to_string(),
                false => format!(
                    "{0}: only options that stay on this router changed: run `uci commit {0}`",
                    only_here.join(" ")
                ),
            };
            return Err(Reply::failed(Fault::State, text));
        }
        Ok(news)
    }

    fn new_package(
        &mut self,
        cx: &mut Context<F>,
        path: &RelPath,
        package: &PackageName,
        bytes: &[u8],
    ) -> Result<Made, String> {
        let record = cx.record_of(&self.name, path);
        if record.as_ref().is_some_and(|record| record.sleep.is_some()) {
            return Err("the present file is not synced: `owsync status` has the reason".into());
        }
        if !self.filter.holds_as(path, Kind::File) {
            return Err("the filter of this share leaves it out".into());
        }
        cx.finish_stamps(&self.name, [path]);
        let live = record.as_ref().filter(|record| record.entry.kind == Kind::File && record.disk.is_some());
        let root = self.root.as_ref().ok_or("the directory of the share cannot be opened")?;
        let file: Rc<[u8]> = match live {
            Some(record) => {
                let text = read_small(root, path, limits::PACKAGE_KEPT).map_err(|error| error.to_string())?;
                let text =
                    text.ok_or_else(|| too_large(record.entry.size).unwrap_or_else(|| "it is missing".into()))?;
                if Digest::of(&text) != record.disk_digest() {
                    return Err("it changed at this moment: try again".into());
                }
                text.into()
            }
            None => Vec::new().into(),
        };
        let changes = delta::parse(package, bytes).changes;
        let text = delta::apply(package, &file, &changes).map_err(|error| error.to_string())?;
        if *text == *file {
            return Ok(Made::Same);
        }
        let current = match live {
            Some(record) if record.local.is_some() => Some(self.stored_form(cx, path, record)?),
            Some(_) => Some(file.clone()),
            None => None,
        };
        let (shared, is_local) = match self.formed(path, record.as_ref()) {
            Some(name) => {
                let made = self.forms.options.shared(&name, &text, current.as_deref());
                let made = made.map_err(|error| error.to_string())?;
                (made.text, made.is_local)
            }
            None => (text.clone(), false),
        };
        if live.is_some_and(|record| measured(&shared).0 == record.entry.digest) {
            return Ok(Made::OnlyHere);
        }
        let entry = self.new_entry(cx, record.as_ref(), measured(&shared));
        let differ = crate::uci::changes::changes(package, current.as_deref().unwrap_or_default(), &shared);
        let text = NewText {
            file: text,
            shared,
            is_local,
            over: live.map(Record::disk_digest),
            changes: differ.map_or_else(|_| Vec::new(), |changes| changes.lines().collect()),
        };
        Ok(Made::New(Box::new(New { path: path.clone(), entry, text: Some(text) })))
    }

    /// The edit of this node that a new content of a package is.
    fn new_entry(&self, cx: &mut Context<F>, record: Option<&Record>, (digest, size): (Digest, u64)) -> Entry {
        let number = cx.store.next_number(cx.now.wall);
        let me = cx.store.state().me.clone();
        let replaced = record.map(|record| record.final_stamp(cx.now.wall));
        let stamp = edit_stamp(me.rank, cx.now.wall, cx.now.wall, replaced);
        let before = record.map(|record| &record.entry);
        let entry = Entry {
            kind: Kind::File,
            digest,
            size,
            mtime: WallTime(cx.now.wall.0),
            // As libuci makes a new file.
            mode: before.filter(|before| before.is_live()).map_or(0o600, |before| before.mode),
            owner: before.and_then(|before| before.owner.clone()),
            ..Entry::tombstone(Version::UNVERSIONED, Stamp { ..stamp })
        };
        entry.edited(before, me.state, number)
    }

    /// Changes of a share in mode manual, which are in place here already.
    fn unreleased_news(&self, cx: &Context<F>, wish: &Wish) -> Result<Vec<New>, Reply> {
        if self.settings.mode != Mode::Manual {
            let text = match wish.paths.is_empty() {
                true => "there are no uncommitted changes of its packages".to_string(),
                false => format!("files are committed in shares in mode manual only, and {} is not", self.name),
            };
            return Err(Reply::failed(Fault::State, text));
        }
        let is_meant = |path: &RelPath| wish.paths.is_empty() || wish.paths.contains(path);
        let news: Vec<New> = self
            .unreleased(cx)
            .filter(|(path, _)| is_meant(path))
            .map(|(path, record)| New { path: path.clone(), entry: record.entry.clone(), text: None })
            .collect();
        if let Some(path) = wish.paths.iter().find(|path| !news.iter().any(|new| new.path == **path)) {
            return Err(Reply::failed(Fault::NotFound, format!("{path} has no unreleased change")));
        }
        if news.is_empty() {
            return Err(Reply::failed(Fault::State, format!("the share {} has no unreleased changes", self.name)));
        }
        Ok(news)
    }

    /// Stages what is to be applied here, as a batch of this node; `None` where all of it is in place.
    fn own_batch(&mut self, cx: &mut Context<F>, news: Vec<New>) -> Result<Option<u64>, Reply> {
        let failed = |why: String| Reply::failed(Fault::System, why);
        let me = cx.store.state().me.state;
        let life = crate::model::Life { node: cx.identity.id, state: me };
        let contact =
            crate::reconcile::FirstContact { rule: cx.settings.first_sync, settled_here: true, settled_there: true };
        let mut batch: Batch<F::Root> = Batch::new(life, 0, contact, cx.now.mono);
        batch.link = None;
        batch.of_commit = true;
        batch.by_person = true;
        for new in news {
            let (path, entry) = (new.path, new.entry);
            let Some(text) = new.text else { continue };
            let root =
                self.root.as_ref().ok_or_else(|| failed("the directory of the share cannot be opened".into()))?;
            self.staging.check(root);
            let attributes = attributes_of(&cx.fs, &entry, self.settings.allow_setuid);
            let mut stage = |text: &[u8]| {
                let staged = self.staging.name(root)?;
                stage_text(root, &staged, text, attributes).map(|()| staged)
            };
            let at = |error: crate::fs::FsError| failed(format!("{path}: {error}"));
            let staged = stage(&text.shared).map_err(at)?;
            let file = match text.file == text.shared {
                true => NewFile::Offered,
                false => NewFile::Staged(stage(&text.file).map_err(at)?),
            };
            if text.is_local {
                cx.store_form(&text.shared).map_err(at)?;
            }
            if text.is_local || self.formed(&path, cx.record_of(&self.name, &path).as_ref()).is_some() {
                let formed = Formed::committed(file, &text.file, &text.shared, text.is_local, text.over);
                batch.forms.insert(path.clone(), formed);
            }
            batch.checks.despite_uncommitted.insert(path.clone());
            let pending = Pending {
                entry,
                seq: 0,
                batch: 0,
                content: Content::Unneeded,
                merging: None,
                owed: false,
                decided: false,
                approved: false,
            };
            batch.add(path, pending, true, Some(Content::Staged(staged)));
        }
        if batch.offers.is_empty() {
            return Ok(None);
        }
        let number = cx.next_batch;
        cx.next_batch += 1;
        self.inbox.batches.insert(number, batch);
        Ok(Some(number))
    }

    fn preview_commit(&self, cx: &Context<F>, members: &[NodeId], news: &[New]) -> Reply {
        let routers: Vec<Tree> = members.iter().map(|node| Tree::Text(cx.node_label(*node))).collect();
        let files = news.iter().map(|new| {
            let changes = new.text.iter().flat_map(|text| text.changes.iter().cloned().map(Tree::Text));
            Tree::map().with("path", new.path.to_text()).with("changes", changes.collect::<Vec<_>>())
        });
        let tree = Tree::map()
            .with("share", self.name.to_string())
            .with("dry_run", true)
            .with("routers", routers)
            .with("files", files.collect::<Vec<_>>());
        Reply::Done(tree)
    }
}

/// What uncommitted changes make of a package.
enum Made {
    /// A new content.
    New(Box<New>),
    /// Only options of this router change.
    OnlyHere,
    /// Nothing changes.
    Same,
}
