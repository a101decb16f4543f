//! A share without a node: one directory, one context, no peers.

use crate::fs::Fs;
use crate::fs::local::Scratch;
use crate::fs::unix::UnixFs;
use crate::model::reason::Hold;
use crate::model::settings::{HistoryBounds, Reload, ShareSettings};
use crate::model::{
    Digest, Direction, Entry, Kind, Monotonic, Now, Reason, Record, RelPath, Rng, Settings, ShareName, Sleep, Stamp,
    StateId, Version, WallTime, limits,
};
use crate::node::context::Context;
use crate::node::peers::Peers;
use crate::node::share::inbox::judge::{Admission, Judgement};
use crate::node::share::{Lifecycle, Share};
use crate::node::{Identity, Parts};
use crate::proto::session::Mode;
use crate::reconcile::FirstContact;
use crate::store::history::History;
use crate::store::state::{Change, Why};
use crate::store::{Place, Store};

struct Bench {
    scratch: Scratch,
    share: Share<UnixFs>,
    cx: Context<UnixFs>,
    peers: Peers<UnixFs>,
}

fn p(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

impl Bench {
    /// A share of the directory `share`, which is there or not.
    fn new(name: &str, change: impl FnOnce(&mut ShareSettings)) -> Bench {
        let scratch = Scratch::new(&format!("share-{name}"));
        let state = scratch.dir("state");
        let now = Now { mono: Monotonic(1_000_000), wall: WallTime(1_795_132_800_000) };
        let fs = UnixFs::new();
        let place = Place {
            root: fs.open(&state).unwrap(),
            name: p("owsync.db"),
            run: None,
            boot: "this boot".into(),
            rng: Rng::new([7; 32]),
        };
        let (store, news) = Store::load(place, now.wall).unwrap();
        let bounds = HistoryBounds { size: 1 << 20, days: 30, versions: 10 };
        let history = History::load(fs.open(&state).unwrap(), p("history"), bounds).unwrap();
        let identity = Identity::of(Mode::Plain, store.state().me.plain_id);
        let mut settings = ShareSettings::new(ShareName::main(), state.with_file_name("share"));
        settings.include = vec![b"*".to_vec()];
        change(&mut settings);
        let parts = Parts {
            fs,
            settings: Settings::new("here"),
            store,
            news,
            history,
            identity,
            rng: Rng::new([8; 32]),
            tag: 1,
            reserved: Default::default(),
            settled_at: Monotonic(0),
            attended: false,
            token: None,
        };
        let cx = Context::new(parts, now);
        Bench { scratch, share: Share::new(settings, &[], 1), cx, peers: Peers::new(1, None) }
    }

    /// Time passes, and the share does what it has to do.
    fn run(&mut self, seconds: u64) {
        self.cx.now.mono = Monotonic(self.cx.now.mono.0 + seconds * 1000);
        self.cx.now.wall = self.cx.now.wall.plus_ms(i64::try_from(seconds).unwrap() * 1000);
        self.share.handle_timeout(&mut self.cx, &mut self.peers);
        while self.share.detect.scan.is_some() {
            self.share.continue_scan(&mut self.cx, &mut self.peers, 64 * 1024);
        }
    }

    fn record(&self, path: &str) -> Option<&Record> {
        self.cx.store.share(&self.share.name).index.get(&p(path))
    }
}

fn offer(state: u64, number: u64) -> Entry {
    Entry {
        kind: Kind::File,
        digest: Digest::of(b"theirs"),
        size: 6,
        mtime: WallTime(1),
        mode: 0o644,
        owner: None,
        version: Version::from_pairs([(StateId(state), number)]),
        stamp: Stamp { rank: 0, ms: 1 },
        content: None,
        given_up: None,
    }
}

fn admission(direction: Direction) -> Admission {
    Admission { direction, long_away: false, release: None, by_person: false }
}

const CONTACT: FirstContact =
    FirstContact { rule: crate::model::settings::FirstSync::Newest, settled_here: true, settled_there: true };

#[test]
fn a_share_is_ready_when_its_files_are_in_the_index() {
    let mut bench = Bench::new("ready", |_| ());
    bench.scratch.dir("share");
    bench.scratch.write("share/hosts", "127.0.0.1 localhost");
    assert_eq!(bench.share.life, Lifecycle::New);

    bench.run(1);

    assert!(bench.share.is_ready());
    assert_eq!(bench.record("hosts").unwrap().entry.digest, Digest::of(b"127.0.0.1 localhost"));
    assert!(bench.share.scan_due(bench.cx.settings.settle) > bench.cx.now.mono, "nothing more to do now");
}

#[test]
fn a_share_without_its_directory_is_held_and_resumes_when_it_is_there() {
    let mut bench = Bench::new("missing", |_| ());
    bench.run(1);
    assert!(matches!(bench.cx.hold_of(&bench.share.name), Some(Hold::RootMissing(_))));
    assert!(!bench.share.may_offer(&bench.cx));

    bench.scratch.dir("share");
    bench.run(3_600);

    assert_eq!(bench.cx.hold_of(&bench.share.name), None);
    assert!(bench.share.is_ready() && bench.share.may_offer(&bench.cx));
}

#[test]
fn a_change_that_was_noticed_is_recorded_with_the_next_number() {
    let mut bench = Bench::new("edit", |_| ());
    bench.scratch.dir("share");
    bench.scratch.write("share/hosts", "one");
    bench.run(1);
    let before = bench.share.outgoing.top;

    bench.scratch.write("share/hosts", "three");
    bench.share.detect.hints.add_all(bench.cx.now.mono);
    bench.run(10);

    assert_eq!(bench.record("hosts").unwrap().entry.digest, Digest::of(b"three"));
    assert!(bench.share.outgoing.top > before);
}

/// Planning had a judgement of its own, which said only that "what is there is not synced now".
#[test]
fn an_offer_is_judged_alike_when_it_is_received_and_when_it_is_planned() {
    let mut bench = Bench::new("judge", |_| ());
    bench.scratch.dir("share");
    bench.run(1);
    let (path, theirs) = (p("hosts"), offer(5, 1));
    let mut record = Record::new(offer(6, 1), None);
    record.sleep = Some(Sleep::Flapping);
    bench.cx.store.change(Change::Record(ShareName::main(), path.clone(), record));

    let received = bench.share.judge(&bench.cx, &path, &theirs, CONTACT, Some(&admission(Direction::Both)));
    let planned = bench.share.judge(&bench.cx, &path, &theirs, CONTACT, None);

    assert!(matches!(received, Judgement::Pending(Reason::Flapping)));
    assert!(matches!(planned, Judgement::Pending(Reason::Flapping)));
}

#[test]
fn a_share_that_only_sends_lets_nothing_in_but_applies_what_it_had_let_in() {
    let mut bench = Bench::new("sends", |_| ());
    bench.scratch.dir("share");
    bench.run(1);
    let (path, theirs) = (p("hosts"), offer(5, 1));

    let received = bench.share.judge(&bench.cx, &path, &theirs, CONTACT, Some(&admission(Direction::Send)));
    let planned = bench.share.judge(&bench.cx, &path, &theirs, CONTACT, None);

    assert!(matches!(received, Judgement::Pending(Reason::OnlySends)));
    assert!(matches!(planned, Judgement::Apply { wanted: true, .. }));
}

#[test]
fn what_the_filter_leaves_out_is_no_offer() {
    let mut bench = Bench::new("filter", |settings| settings.include = vec![b"etc/*".to_vec()]);
    bench.scratch.dir("share");
    bench.run(1);

    let judged = bench.share.judge(&bench.cx, &p("hosts"), &offer(5, 1), CONTACT, Some(&admission(Direction::Both)));

    assert!(matches!(judged, Judgement::LeftOut));
}

/// A share of UCI packages with one of them, `dhcp`, and what its history has.
fn packages(name: &str) -> Bench {
    let mut bench = Bench::new(name, |settings| settings.reload = Some(Reload::Uci));
    bench.scratch.dir("share");
    bench.scratch.write("share/dhcp", "config host\n");
    bench.run(1);
    bench
}

impl Bench {
    /// Writes a file, and lets the share notice it.
    fn edit(&mut self, path: &str, content: &str) {
        self.scratch.write(&format!("share/{path}"), content);
        self.look();
    }

    fn look(&mut self) {
        self.share.detect.hints.add_all(self.cx.now.mono);
        self.run(10);
    }

    /// What history has, oldest first: path, why, and digest.
    fn kept(&self) -> Vec<(String, Why, Digest)> {
        self.cx.history.items().map(|item| (item.path.to_text(), item.why, item.digest)).collect()
    }
}

#[test]
fn a_local_edit_of_a_package_keeps_what_was_there_with_its_version() {
    let mut bench = packages("edited");
    let before = bench.record("dhcp").unwrap().clone();

    bench.edit("dhcp", "config host\n\toption name 'nas'\n");

    assert_eq!(bench.kept(), [("dhcp".into(), Why::Edited, Digest::of(b"config host\n"))]);
    let item = bench.cx.history.items().next().unwrap();
    assert_eq!((&item.version, &item.content, item.seq), (&before.entry.version, before.entry.content(), before.seq));
    assert_eq!(item.after, Some(bench.record("dhcp").unwrap().entry.digest));
    assert!(bench.cx.history.is_intact(item.digest).unwrap());
}

#[test]
fn the_edits_of_one_scan_are_one_run_and_a_new_package_can_be_undone() {
    let mut bench = packages("run");

    bench.scratch.write("share/network", "config interface 'lan'\n");
    bench.edit("dhcp", "config host 'nas'\n");
    bench.scratch.remove("share/dhcp");
    bench.look();

    let runs: Vec<(u64, Why)> = bench.cx.history.items().map(|item| (item.run, item.why)).collect();
    let first = runs[0].0;
    assert_eq!(runs, [(first, Why::Edited), (first, Why::Created), (first + 1, Why::Edited)]);
}

#[test]
fn what_no_package_is_and_what_is_too_large_leaves_no_version() {
    let mut bench = packages("large");
    let large = format!("config x\n\toption y '{}'\n", "z".repeat(limits::PACKAGE_KEPT));
    bench.scratch.dir("share/dir");
    bench.scratch.write("share/dir/dhcp", "one");
    bench.edit("large", &large);
    bench.cx.history.forget(&bench.share.name, &p("large")).unwrap();

    bench.scratch.write("share/dir/dhcp", "two");
    bench.edit("large", &format!("{large}\n"));

    assert_eq!(bench.kept(), []);
}

#[test]
fn an_edit_before_a_restart_leaves_no_version_and_the_next_one_does() {
    let mut bench = packages("restart");
    bench.cx.packages = Default::default();

    bench.edit("dhcp", "config host 'one'\n");
    assert_eq!(bench.kept(), []);
    bench.edit("dhcp", "config host 'two'\n");

    assert_eq!(bench.kept(), [("dhcp".into(), Why::Edited, Digest::of(b"config host 'one'\n"))]);
}

/// Items without a version have the empty one, which is in every two versions: also in those of nodes that never met.
#[test]
fn an_unversioned_content_is_no_base_of_two_versions_without_a_common_edit() {
    let mut bench = packages("strangers");
    bench.edit("dhcp", "config host 'nas'\n");
    let item = bench.cx.history.items().next().unwrap();
    assert!(item.content.is_unversioned(), "{item:?}");
    let (mine, theirs) = (offer(5, 1), offer(6, 1));

    let base = bench.cx.base_of(&bench.share.name, &p("dhcp"), &mine.version, &theirs.version);

    assert_eq!(base, Err("the two versions have no common base".into()));
}
