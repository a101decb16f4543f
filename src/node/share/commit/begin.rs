//! Makes a commit of uncommitted changes of UCI packages, or of changes of a share in mode manual.

use std::rc::Rc;

use crate::commit::Coordinator;
use crate::fs::Fs;
use crate::fs::form::{Shared, measured};
use crate::model::commit::CommitId;
use crate::model::settings::Mode;
use crate::model::{
    Digest, Direction, Entry, Kind, Life, Map, Monotonic, NodeId, Reason, Record, RelPath, Set, Version, limits,
};
use crate::node::CommandId;
use crate::node::api::{Fault, Level, Reply, Tree};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::Share;
use crate::node::share::commit::{Commit, Decision, Wait};
use crate::node::share::forms::applied::{Formed, NewFile, Unformed};
use crate::node::share::forms::is_live_file;
use crate::node::share::inbox::batch::{Batch, Content, Pending};
use crate::node::share::transaction::apply::{attributes_of, stage_text};
use crate::proto::message::{Offer, offer_size};
use crate::reconcile::{FirstContact, edit_stamp};
use crate::uci::PackageName;
use crate::uci::changes::changes;
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
    /// As it is synced, where anything may be local.
    shared: Option<Shared>,
    /// As it was synced until now.
    before: Rc<[u8]>,
    /// The digest of the file that it replaces.
    over: Option<Digest>,
}

impl NewText {
    /// What changes for all nodes, option by option; nothing where that cannot be told.
    fn changes(&self, path: &RelPath) -> Vec<String> {
        let after = self.shared.as_ref().map_or(&self.file, |shared| &shared.text);
        let changes = PackageName::at(path).and_then(|package| changes(&package, &self.before, after).ok());
        changes.map_or_else(Vec::new, |changes| changes.lines().collect())
    }
}

impl<F: Fs> Share<F> {
    /// Begins a commit; the answer, unless that comes when it is decided.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub(crate) fn begin_commit(
        &mut self,
        cx: &mut Context<F>,
        peers: &mut Peers<F>,
        command: CommandId,
        wish: Wish,
    ) -> Result<Option<Reply>, Reply> {
        let state = |text: String| Reply::failed(Fault::State, text);
        self.can_commit(cx).map_err(state)?;
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
        let size: usize = offers.iter().map(|offer| offer_size(&offer.path, &offer.entry)).sum();
        if offers.len() > limits::COMMIT_PATHS || size > limits::DATA_MAX {
            let most = limits::COMMIT_PATHS;
            return Err(state(format!("a commit has at most {most} files: commit some of them, then the rest")));
        }
        if wish.dry_run {
            return Ok(Some(self.preview_commit(cx, &members, &news)));
        }
        let confirm = match self.settings.confirm_for(news.iter().map(|new| &new.path)) {
            0 => limits::COMMIT_CONFIRM,
            secs => secs,
        };
        let secs = if wish.by_hand { confirm + limits::COMMIT_BY_HAND } else { confirm };
        let me = cx.identity.id;
        let id = CommitId { coordinator: me, number: cx.rng.number() };
        let routers: Vec<String> = members.iter().map(|node| cx.node_label(*node)).collect();
        let coordinator = Coordinator::new(me, &members, wish.by_hand);
        let actions = coordinator.begin();
        let mut commit = Commit::new(id, members, confirm, secs);
        commit.batch = self.own_batch(cx, news)?;
        let is_prepared = commit.batch.is_none();
        commit.decision = Some(Decision {
            coordinator,
            waits: Wait::default(),
            command,
            answers: wish.wait,
            deltas_are_removed: false,
            probe_at: Monotonic::NEVER,
            offers,
            deltas: wish.deltas,
        });
        let with = if routers.is_empty() { "no other router".into() } else { routers.join(", ") };
        cx.log(Level::Notice, format!("share {}: commit {id} begins, with {with}", self.name));
        cx.committing = Some(self.name.clone());
        self.commits.current = Some(commit);
        if is_prepared {
            self.note_commit_prepared(cx);
        }
        self.do_actions(cx, peers, actions);
        cx.stirred = true;
        let routers: Vec<Tree> = routers.into_iter().map(Tree::Text).collect();
        let begun =
            Tree::map().with("share", self.name.to_string()).with("commit", id.to_string()).with("routers", routers);
        Ok((!wish.wait).then_some(Reply::Done(begun)))
    }

    /// The nodes that take part besides this one.
    fn members(&self, cx: &Context<F>, peers: &Peers<F>, without: &[String]) -> Result<Vec<NodeId>, Reply> {
        let (mut members, mut away) = (Vec::new(), Vec::new());
        let linked = peers.exchanging(&self.name).into_iter().filter_map(|id| {
            let link = peers.links.get(&id)?;
            Some((link.node?, link.exchanges.get(&self.name)?.theirs.direction.takes()))
        });
        let linked: Map<NodeId, bool> = linked.collect();
        let ledgers = cx.store.share(&self.name).ledgers.iter();
        let met = ledgers.filter(|(node, ledger)| ledger.met && **node != cx.identity.id).map(|(node, _)| *node);
        let nodes: Set<NodeId> = met.chain(linked.keys().copied()).collect();
        let is_named = |node: NodeId| without.iter().any(|name| *name == cx.node_label(node));
        for name in without.iter().filter(|name| *name != "away") {
            if !nodes.iter().any(|node| cx.node_label(*node) == *name) {
                let text = format!("no router with the share {} is called {name}", self.name);
                return Err(Reply::failed(Fault::NotFound, text));
            }
        }
        for node in nodes.iter().copied().filter(|node| !is_named(*node)) {
            match linked.get(&node) {
                Some(true) => members.push(node),
                Some(false) => {}
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
        let live = record.as_ref().filter(|record| is_live_file(record) && record.disk.is_some());
        let both = match live {
            Some(record) => Some(self.both_forms(cx, path, record).map_err(|why| match why {
                Unformed::Changed => "it changed at this moment: try again".to_string(),
                why => Reason::from(why).to_string(),
            })?),
            None => None,
        };
        let (file, current) = both.map_or((Rc::from([]), None), |(file, form)| (file, Some(form)));
        let changes = delta::parse(package, bytes).changes;
        let text = delta::apply(package, &file, &changes).map_err(|error| error.to_string())?;
        if *text == *file {
            return Ok(Made::Same);
        }
        let shared = match self.formed(path, record.as_ref()) {
            Some(name) => {
                let made = self.forms.options.shared(&name, &text, current.as_deref());
                Some(made.map_err(|error| error.to_string())?)
            }
            None => None,
        };
        let synced = measured(shared.as_ref().map_or(&text, |shared| &shared.text));
        if live.is_some_and(|record| record.entry.digest == synced.0) {
            return Ok(Made::OnlyHere);
        }
        let entry = self.new_entry(cx, record.as_ref(), synced);
        let over = live.map(Record::disk_digest);
        let text = NewText { file: text, shared, before: current.unwrap_or(file), over };
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
            mtime: cx.now.wall,
            // As libuci makes a new file.
            mode: before.filter(|before| before.is_live()).map_or(0o600, |before| before.mode),
            owner: before.and_then(|before| before.owner.clone()),
            ..Entry::tombstone(Version::UNVERSIONED, stamp)
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
        let life = Life { node: cx.identity.id, state: me };
        let contact = FirstContact { rule: cx.settings.first_sync, settled_here: true, settled_there: true };
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
            let synced = text.shared.as_ref().map_or(&text.file, |shared| &shared.text);
            let staged = stage(synced).map_err(at)?;
            if let Some(shared) = &text.shared {
                let file = match text.file == shared.text {
                    true => NewFile::Offered,
                    false => NewFile::Staged(stage(&text.file).map_err(at)?),
                };
                if shared.is_local {
                    cx.store_form(&shared.text).map_err(at)?;
                }
                let formed = Formed::committed(file, &text.file, shared, text.over);
                batch.forms.insert(path.clone(), formed);
            }
            batch.checks.despite_uncommitted.insert(path.clone());
            batch.add(path, Pending::offered(entry, (0, 0), false), true, Some(Content::Staged(staged)));
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
            let changes = new.text.iter().flat_map(|text| text.changes(&new.path));
            let changes: Vec<Tree> = changes.map(Tree::Text).collect();
            Tree::map().with("path", new.path.to_text()).with("changes", changes)
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
