//! State and history on disk; `docs/state.md` describes the files.
//!
//! `owsync.db` is one JSON document that can be read without a tool: a format number, and the state as a list of changes
//! ([`lines`]). Between two writings of it, changes go to `owsync.db-journal`, one line each, with a checksum in front.
//! [`Store::commit`] appends and flushes them; until then, nothing may be reported to a peer. Loading keeps the valid
//! prefix of the journal. What cannot be read is set aside and reported, never deleted: a node without a database is
//! a new node, which loses nothing.
//!
//! A database that was copied, or restored from a backup, would use numbers twice. So every write renews a random mark,
//! of which a copy is in a directory that a reboot clears; when the two disagree, this is a new life of the database
//! with a new [`StateId`].

mod document;
pub mod history;
mod import;
mod item;
pub mod lines;
pub mod state;

use crate::fs::{self, FsError, Root};
use crate::model::reserved::DAMAGED;
use crate::model::{Digest, NodeId, RelPath, Rng, ShareName, StateId, WallTime, limits};
use document::{Document, Loaded, Replayed, read_document, replay};
use state::{Change, ShareState, State};

pub use state::{Ledger, Why};

/// The format that this program writes, and reads.
pub const FORMAT: u64 = 3;

/// The result of loading, for the log and for what must be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// There was no database: this is a new node.
    Fresh,
    /// A database of the C predecessor was taken over.
    Imported {
        /// Paths in it.
        entries: usize,
    },
    /// The document could not be read and was set aside under this name.
    Damaged {
        /// The name it has now.
        aside: String,
        /// What was wrong with it.
        why: String,
    },
    /// Lines at the end of the journal could not be read and were dropped.
    DroppedLines {
        /// How many bytes.
        bytes: u64,
    },
    /// The database was restored from a backup, or copied from elsewhere.
    SetBack,
}

/// The state with its files.
pub struct Store<R: Root> {
    /// The state. Changed only through [`Store::change`].
    state: State,
    /// What is remembered of a share that is new.
    blank: ShareState,
    root: R,
    /// The directory of the copy of the mark; `None` where there is no such directory.
    run: Option<R>,
    boot: String,
    document: RelPath,
    journal: RelPath,
    /// Beside the document, for writing a new one.
    new: RelPath,
    file: Option<R::File>,
    journal_size: u64,
    document_size: u64,
    mark: u64,
    rng: Rng,
    /// Lines that are not on disk yet.
    pending: Vec<u8>,
    /// One of them must be flushed before anything is reported to a peer.
    urgent: bool,
    /// The next commit writes the document, and nothing is pending: there is none yet, the journal outgrew it, or a write
    /// failed, so that what is on disk is older than the state, and the tail of the journal may be torn.
    whole: bool,
}

/// Where a store is, and what distinguishes the lives of it.
pub struct Place<R: Root> {
    /// The directory of the database.
    pub root: R,
    /// The database's name in it.
    pub name: RelPath,
    /// A directory that a reboot clears.
    pub run: Option<R>,
    /// The kernel's id of this boot.
    pub boot: String,
    /// Random bytes.
    pub rng: Rng,
}

impl<R: Root> Store<R> {
    /// Loads the database, or begins a new one. Nothing is written yet.
    ///
    /// # Errors
    /// Of reading what is there; a file that is there and makes no sense is no error, but [`News::Damaged`].
    pub fn load(place: Place<R>, now: WallTime) -> Result<(Store<R>, Vec<News>), FsError> {
        let Place { root, name, run, boot, mut rng } = place;
        let sibling = |suffix: &str| {
            RelPath::parse(&[name.as_bytes(), suffix.as_bytes()].concat())
                .map_err(|_| FsError::new("name", Some(&name), libc::ENAMETOOLONG))
        };
        let journal = sibling("-journal")?;
        let new = sibling("-new")?;
        let mut news = Vec::new();
        let mut plain_id = NodeId([0; 16]);
        plain_id.0.copy_from_slice(&rng.bytes32()[..16]);
        let blank = State::new(plain_id, StateId(rng.number()));

        let bytes = fs::read_whole(&root, &name, limits::DOCUMENT_MAX)?;
        let document_size = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let mut loaded = Loaded { state: blank.clone(), mark: 0 };
        let mut imported = false;
        match bytes.as_deref() {
            None | Some([]) => news.push(News::Fresh),
            Some(bytes) => match read_document(bytes, blank.clone()) {
                Ok(Document::Ours(document)) => loaded = document,
                Ok(Document::Predecessors(entries)) => {
                    news.push(News::Imported { entries: entries.len() });
                    import::take_over(entries, &mut loaded.state, now);
                    imported = true;
                }
                Err(why) => {
                    let aside = sibling(&format!("{DAMAGED}{}", now.as_secs().max(0)))?;
                    root.rename(&name, &aside, fs::Rename::Replace)?;
                    news.push(News::Damaged { aside: aside.to_text(), why });
                }
            },
        }
        // A journal without its document, or with a damaged one, is of no use.
        let readable = matches!(news.first(), None | Some(News::Imported { .. }));
        let journal_bytes = if readable { fs::read_whole(&root, &journal, limits::DOCUMENT_MAX)? } else { None };
        let mut journal_size = 0;
        let mut store_is_stale = false;
        if let Some(bytes) = journal_bytes {
            match replay(&bytes, &mut loaded) {
                // Everything in it was folded into the document already; a crash kept it from being removed.
                Replayed::Stale => store_is_stale = true,
                Replayed::Upto(valid) => {
                    journal_size = valid;
                    if valid < bytes.len() as u64 {
                        news.push(News::DroppedLines { bytes: bytes.len() as u64 - valid });
                    }
                }
            }
        } else if !readable {
            match root.remove(&journal) {
                Err(error) if !error.is_missing() => return Err(error),
                _ => {}
            }
        }
        // A document that was being written when power went. If it cannot be removed now, the next writing does.
        if let Ok(Some(_)) = root.stat(&new) {
            let _ = root.remove(&new);
        }
        let known_before = document_size > 0 && readable && !imported;
        let mut store = Store {
            state: loaded.state,
            root,
            run,
            boot,
            document: name,
            journal,
            new,
            file: None,
            journal_size,
            document_size,
            mark: loaded.mark,
            rng,
            blank: ShareState::default(),
            pending: Vec::new(),
            urgent: false,
            whole: false,
        };
        if known_before && store.was_set_back() {
            news.push(News::SetBack);
        }
        if news.iter().any(|n| matches!(n, News::DroppedLines { .. } | News::SetBack)) {
            store.renew_state_id();
        }
        // An imported, repaired or new state is written as a document at the first commit.
        store.whole = !news.is_empty() || store_is_stale;
        Ok((store, news))
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is remembered of a share; nothing, where it is new.
    pub fn share(&self, name: &ShareName) -> &ShareState {
        self.state.shares.get(name).unwrap_or(&self.blank)
    }

    /// The database's own directory.
    pub fn root(&self) -> &R {
        &self.root
    }

    /// Parts of records that are not kept across a restart may be changed in place: where a record came from, and what
    /// a scan notes on it. Everything else goes through [`Store::change`].
    pub fn index_mut(&mut self, share: &ShareName) -> Option<&mut crate::model::Index> {
        self.state.shares.get_mut(share).map(|share| &mut share.index)
    }

    /// Changes the state; on disk with the next commit, before which nothing may be reported to a peer.
    pub fn change(&mut self, change: Change) {
        self.change_lazily(change);
        self.urgent = true;
    }

    /// Changes the state; on disk with the next commit that happens. For what a restart may forget and learn again.
    pub fn change_lazily(&mut self, change: Change) {
        let change = self.state.noting_offers(change);
        // What outgrows the document is written as a document, so there is no need to keep its lines until then.
        if !self.whole {
            lines::push_change(&mut self.pending, &change);
            self.whole = self.journal_size + self.pending.len() as u64 > limits::JOURNAL_MIN.max(self.document_size);
        }
        if self.whole {
            self.pending = Vec::new();
        }
        self.state.apply(change);
    }

    /// The next number for an edit: it is never used twice.
    pub fn next_number(&mut self, now: WallTime) -> u64 {
        let me = &mut self.state.me;
        me.number = me.number.saturating_add(1).max(u64::try_from(now.0).unwrap_or(0));
        me.number
    }

    /// The next number for a change of an index.
    pub fn next_seq(&mut self, now: WallTime) -> u64 {
        let me = &mut self.state.me;
        me.seq = me.seq.saturating_add(1).max(u64::try_from(now.0).unwrap_or(0));
        me.seq
    }

    /// Begins another life of this database: what was numbered before is never numbered again.
    pub fn renew_state_id(&mut self) {
        let me = self.state.me.renewed(StateId(self.rng.number()));
        self.change(Change::Me(me));
    }

    /// Random bytes for tokens and the like.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Whether something must be flushed before anything may be reported to a peer.
    pub fn is_dirty(&self) -> bool {
        self.urgent
    }

    /// Writes and flushes every change so far; does nothing when none is urgent.
    ///
    /// # Errors
    /// Of writing. The state stays as it is in memory, and the next commit writes it as a whole.
    pub fn commit(&mut self) -> Result<(), FsError> {
        if !self.urgent {
            return Ok(());
        }
        if self.whole {
            return self.fold();
        }
        if self.journal_size == 0 {
            // The journal says which document it belongs to.
            let mut first = Vec::new();
            lines::push_mark(&mut first, self.mark);
            first.append(&mut self.pending);
            self.pending = first;
        }
        // The counters ride along: numbers that were given out must never be given out again.
        let me = Change::Me(self.state.me.clone());
        lines::push_change(&mut self.pending, &me);
        let mark = self.rng.number();
        lines::push_mark(&mut self.pending, mark);
        let write = |store: &mut Store<R>| -> Result<(), FsError> {
            store.note_mark(mark)?;
            if store.file.is_none() {
                store.file = Some(match store.root.open_write(&store.journal) {
                    Ok(file) => file,
                    Err(error) if error.is_missing() => {
                        let file = store.root.create(&store.journal)?;
                        store.root.sync_dir(store.journal.parent().as_ref())?;
                        file
                    }
                    Err(error) => return Err(error),
                });
            }
            if let Some(file) = &store.file {
                store.root.write(file, store.journal_size, &store.pending)?;
                store.root.sync(file)?;
            }
            Ok(())
        };
        match write(self) {
            Ok(()) => {
                self.journal_size += self.pending.len() as u64;
                self.mark = mark;
                self.pending = Vec::new();
                self.urgent = false;
                Ok(())
            }
            Err(error) => {
                self.whole = true;
                self.file = None;
                Err(error)
            }
        }
    }

    /// Whether a fold would write anything that is not in the document.
    pub fn has_unfolded(&self) -> bool {
        self.whole || self.journal_size > 0 || !self.pending.is_empty()
    }

    /// Writes the whole state as a new document, and empties the journal.
    ///
    /// # Errors
    /// Of writing; the old document and journal are then still there, and hold what was committed before.
    pub fn fold(&mut self) -> Result<(), FsError> {
        // Until the new document is in place nothing may be appended to a journal that may be torn.
        self.whole = true;
        let mark = self.rng.number();
        self.note_mark(mark)?;
        let mut head = Some(format!("{{\"owsync\":{FORMAT},\"mark\":\"{mark:016x}\",\"state\":[\n"));
        let mut changes = self.state.as_changes();
        let size = fs::write_pieces(&self.root, &self.document, &self.new, |bytes| {
            let change = changes.next();
            match (head.take(), &change) {
                (Some(head), _) => bytes.extend_from_slice(head.as_bytes()),
                (None, Some(_)) => bytes.extend_from_slice(b",\n"),
                (None, None) => bytes.extend_from_slice(b"\n]}\n"),
            }
            if let Some(change) = &change {
                lines::push_bare(bytes, change);
            }
            change.is_some()
        })?;
        drop(changes);
        // The document holds everything now. A journal that outlives it would be replayed over it, which changes nothing
        // but costs a warning about its mark; so it goes at once.
        self.file = None;
        match self.root.remove(&self.journal) {
            Err(error) if !error.is_missing() => return Err(error),
            _ => {}
        }
        self.journal_size = 0;
        self.document_size = size;
        self.mark = mark;
        self.pending = Vec::new();
        self.urgent = false;
        self.whole = false;
        Ok(())
    }

    /// Whether the mark on disk is neither of the two that the last write can have left.
    fn was_set_back(&self) -> bool {
        let Some(run) = &self.run else { return false };
        let Ok(Some(bytes)) = fs::read_whole(run, &self.run_name(), 4096) else { return false };
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        // Another boot: the directory was not cleared, and tells nothing.
        if lines.next() != Some(&self.boot) {
            return false;
        }
        !lines.any(|line| line == format!("{:016x}", self.mark))
    }

    /// Notes the mark that the next write will leave, beside the one that is there: a crash in between leaves either.
    fn note_mark(&mut self, next: u64) -> Result<(), FsError> {
        let Some(run) = &self.run else { return Ok(()) };
        let name = self.run_name();
        let text = format!("{}\n{:016x}\n{next:016x}\n", self.boot, self.mark);
        let beside = RelPath::parse(&[name.as_bytes(), b"-new"].concat())
            .map_err(|_| FsError::new("name", Some(&name), libc::ENAMETOOLONG))?;
        fs::write_whole(run, &name, &beside, text.as_bytes())
    }

    /// The copy's name: one for each database of this machine.
    fn run_name(&self) -> RelPath {
        let digest = Digest::of(self.document.as_bytes()).to_hex();
        let place = self.root.place().map(|place| place.identity.1).unwrap_or(0);
        let name = format!("{}-{place:x}.mark", &digest[..8]);
        RelPath::parse(name.as_bytes()).unwrap_or_else(|_| unreachable!("hexadecimal digits are a path"))
    }
}
