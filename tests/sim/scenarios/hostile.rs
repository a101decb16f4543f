//! Peers that mean harm: with the wire in their hands, or with the key.

use owsync::model::reason::Trouble;
use owsync::model::reserved::Reserved;
use owsync::model::settings::Symlinks;
use owsync::model::{Kind, RelPath, WallTime};
use owsync::proto::Message;
use owsync::proto::message::{Chunk, Offer, Piece};

use super::{couple, tree};
#[cfg(feature = "encryption")]
use crate::world::Tape;
use crate::world::stranger::digest;
use crate::world::{World, main, path};

/// Two machines with a session that the second dialled, on which an old content travelled and then a new one, and what was
/// said on it.
#[cfg(feature = "encryption")]
fn recorded(seed: u64) -> (World, Tape) {
    let mut world = World::new(seed, 2);
    world.peer(1, 0);
    world.encrypt();
    world.tape = Some(Tape::new());
    world.start_all();
    world.write(1, "dhcp", "the old content");
    world.settle();
    world.write(1, "dhcp", "the new content");
    world.settle();
    let tape = world.tape.take().unwrap();
    (world, tape)
}

/// F50
#[test]
#[cfg(feature = "encryption")]
fn a_recorded_session_can_be_neither_replayed_nor_reflected() {
    // Given a session that m1 dialled, on which an old content travelled and then a new one, recorded,
    let (mut world, tape) = recorded(60);
    let said = |by: usize| -> Vec<Vec<u8>> {
        tape.iter().filter(|(_, id, _)| *id == by).map(|(.., bytes)| bytes.clone()).collect()
    };
    let (there, back) = (said(1), said(0));
    assert!(tape.iter().all(|(dialled_by, ..)| *dialled_by == 1) && there.len() > 5);
    assert!(!there.concat().windows(7).any(|window| window == b"content"), "the peer is encrypted");
    world.stop(1);
    world.run_ms(2_000);
    let before = (world.tree(0), world.counters(0).applied, world.counters(0).conflicts);
    let is_kept_out = |world: &mut World| !world.of_peer(0, 1).connected;
    assert!(is_kept_out(&mut world));
    // when all that m1 said is said again, or twice, or without a part, or what m0 said comes back to it,
    let twice = there.iter().flat_map(|word| [word.clone(), word.clone()]).collect();
    let gap = [&there[..2], &there[3..]].concat();
    for recorded in [there.clone(), twice, gap, back] {
        let mut stranger = world.knock(0, 7);
        for word in &recorded {
            stranger.write_only(&mut world, word);
            world.run_ms(5);
            // then nobody gets in,
            assert!(is_kept_out(&mut world));
        }
        stranger.hang_up(&mut world);
    }
    // nor with what m0 says in this very session,
    let mut stranger = world.knock(0, 7);
    stranger.write_only(&mut world, &there[0]);
    for _ in 0..20 {
        let bytes = stranger.read(&mut world);
        stranger.write_only(&mut world, &bytes);
        world.run_ms(5);
        assert!(is_kept_out(&mut world));
    }
    // and nothing changes.
    world.run_ms(10_000);
    assert_eq!((world.tree(0), world.counters(0).applied, world.counters(0).conflicts), before);
    world.start(1);
    world.settle();
    assert_eq!(world.tree(1), tree! { "dhcp" => "the new content" });
}

/// F50
#[test]
#[cfg(feature = "encryption")]
fn what_is_put_into_a_session_again_ends_it_and_changes_nothing() {
    for own in [false, true] {
        // Given a session that goes on, and what was said on it,
        let (mut world, tape) = recorded(66);
        let by = usize::from(!own);
        let (_, _, word) = tape.iter().rfind(|(_, id, word)| *id == by && word.len() > 20).unwrap().clone();
        // when the last word of the peer's, or of its own, comes once more,
        let lines = world.machines[0].log.len();
        world.inject(0, word);
        world.run_ms(100);
        // then the session ends there and then, by name, and a new one goes on.
        let said = |(_, _, line): &(u64, owsync::node::api::Level, String)| line.contains("that its key did not seal");
        assert!(world.machines[0].log[lines..].iter().any(said), "{:?}", &world.machines[0].log[lines..]);
        world.write(0, "firewall", "goes on");
        world.settle();
        assert_eq!(world.tree(1), tree! { "dhcp" => "the new content", "firewall" => "goes on" });
        assert_eq!(world.counters(0).conflicts, 0);
    }
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_session() {
    let mut world = couple(68);
    let mut stranger = world.meet(0, |_| ());
    stranger.say(&mut world, &Message::Tell { id: 7, last: true, entries: Vec::new() });
    assert!(matches!(stranger.farewell(&mut world), Some(Message::Bye(_))));
}

#[test]
fn whoever_asks_hears_no_more_than_what_it_is_offered() {
    let mut world = couple(69);
    world.share_settings(0).exclude = vec![b"secret".to_vec()];
    world.reload(0);
    world.write(0, "secret", "key");
    world.write(0, "dhcp", "shown");
    world.settle();
    let ask = Message::Ask { id: 7, share: main(), paths: vec![path("secret"), path("dhcp"), path("never")] };
    for observes in [false, true] {
        if observes {
            world.share_settings(0).direction = owsync::model::Direction::Observe;
            world.reload(0);
            world.run_ms(5_000);
        }
        let mut stranger = world.meet(0, |_| ());
        stranger.say(&mut world, &ask);
        let told = stranger.until(&mut world, "an answer", |message| matches!(message, Message::Tell { .. }));
        let Message::Tell { id: 7, last: true, entries } = told else { panic!("{told:?}") };
        let paths: Vec<RelPath> = entries.into_iter().map(|offer| offer.path).collect();
        assert_eq!(paths, if observes { vec![] } else { vec![path("dhcp")] });
        assert!(!stranger.is_closed(&world));
    }
}

/// F51
#[test]
fn content_that_nobody_asked_for_ends_the_session() {
    let mut world = couple(61);
    let mut stranger = world.meet(0, |_| ());
    stranger.say(&mut world, &Message::Data(vec![Chunk { id: 7, offset: 0, bytes: b"evil".to_vec() }]));
    assert!(matches!(stranger.farewell(&mut world), Some(Message::Bye(_))));
    assert!(matches!(stranger.ended, None | Some(Trouble::Accuses(_))));
    assert_eq!(world.tree(0), tree! {});
    assert!(world.log_has(0, "the peer broke the protocol"));
}

/// F51
#[test]
fn content_that_is_not_what_was_offered_does_not_land() {
    let mut world = couple(62);
    let mut stranger = world.meet(0, |hello| hello.rank = 1);
    let offer = world.offer(0, "dhcp", "promised", 1);
    stranger.offers(&mut world, vec![offer]);
    let id = stranger.until_asked(&mut world)[0].id;
    stranger.say(&mut world, &Message::Data(vec![Chunk { id, offset: 0, bytes: b"evil one".to_vec() }]));
    world.run_ms(3_000);
    assert_eq!(world.tree(0), tree! {});
    assert_eq!(world.owed(0).get("dhcp"), Some(&"not_supplied"));
    assert!(world.is_swept(0));
}

/// F51
#[test]
fn set_user_id_lands_only_where_the_share_allows_it() {
    for (allowed, mode) in [(false, 0o777), (true, 0o6777)] {
        let mut world = World::new(63, 1);
        world.share_settings(0).allow_setuid = allowed;
        world.start_all();
        world.run_ms(1_000);
        let mut stranger = world.meet(0, |hello| hello.rank = 1);
        let mut offer = world.offer(0, "tool", "#!", 1);
        offer.entry.mode = 0o6777;
        stranger.offers(&mut world, vec![offer]);
        let id = stranger.until_asked(&mut world)[0].id;
        stranger.say(&mut world, &Message::Data(vec![Chunk { id, offset: 0, bytes: b"#!".to_vec() }]));
        world.run_ms(3_000);
        assert_eq!(world.user(0).mode(&path("tool")), Some(mode));
    }
}

/// F34
#[test]
fn an_index_that_goes_back_ends_the_session() {
    for again in [false, true] {
        let mut world = World::new(70, 1);
        world.start_all();
        world.run_ms(1_000);
        let mut stranger = world.meet(0, |hello| hello.rank = 1);
        let offers = [4, 5].map(|seq| world.offer(0, "dhcp", "content", seq));
        stranger.offers(&mut world, vec![offers[1].clone()]);
        let back = offers[..1].iter().filter(|_| again).cloned().collect();
        stranger.offer_part(&mut world, back, false);
        let farewell = stranger.farewell(&mut world);
        assert!(
            matches!(&farewell, Some(Message::Bye(bye)) if bye.text.contains("descending sequence numbers")),
            "{farewell:?}"
        );
    }
}

/// F53: also where symlinks travel.
#[test]
fn a_symlink_that_leads_out_of_the_share_does_not_land() {
    for (text, inside) in [("../../etc/passwd", false), ("/etc/passwd", false), ("d/../../x", false), ("d/x", true)] {
        let mut world = World::new(67, 1);
        world.share_settings(0).symlinks = Symlinks::Copy;
        world.start_all();
        world.run_ms(1_000);
        let mut stranger = world.meet(0, |hello| hello.rank = 1);
        let mut offer = world.offer(0, "link", text, 1);
        (offer.entry.kind, offer.entry.mode, offer.entry.mtime) = (Kind::Symlink, 0, WallTime(0));
        stranger.offers(&mut world, vec![offer]);
        let id = stranger.until_asked(&mut world)[0].id;
        stranger.say(&mut world, &Message::Data(vec![Chunk { id, offset: 0, bytes: text.as_bytes().to_vec() }]));
        world.run_ms(3_000);
        assert_eq!(world.user(0).stat(&path("link")).is_some(), inside, "{text}");
        assert_eq!(!world.owed(0).contains_key("link"), inside, "{text}");
    }
}

/// F51: what this machine did not allow is not taken from where it is allowed.
#[test]
fn an_edit_where_set_user_id_is_not_allowed_takes_it_from_nobody() {
    let mut world = couple(66);
    world.share_settings(0).allow_setuid = true;
    world.reload(0);
    world.write(0, "tool", "#!");
    world.user(0).chmod(&path("tool"), 0o4755);
    world.announce(0, &path("tool"));
    world.settle();
    assert_eq!(world.user(1).mode(&path("tool")), Some(0o755));
    assert!(world.user(1).write_in_place(&path("tool"), b"#! better"));
    world.announce(1, &path("tool"));
    world.settle();
    assert_eq!(world.read(0, "tool").as_deref(), Some("#! better"));
    assert_eq!(world.user(0).mode(&path("tool")), Some(0o4755));
}

/// F52
#[test]
fn what_is_owsyncs_own_or_left_out_is_neither_offered_nor_served_nor_taken() {
    // Given everything inside the share, as the predecessor's users have it,
    let mut world = World::new(64, 1);
    let own = ["state.db", "state.db-journal", "state.db-identity", "owsync.conf"];
    world.machines[0]
        .reserved
        .insert(main(), vec![Reserved::Database(path("state.db")), Reserved::Path(path("owsync.conf"))]);
    world.share_settings(0).exclude = vec![b"secret".to_vec()];
    let private: Vec<&str> = own.into_iter().chain(["secret"]).collect();
    private.iter().for_each(|name| assert!(world.user(0).write(&path(name), b"not for peers")));
    world.write(0, ".dotfile", "for all");
    world.start_all();
    world.run_ms(1_000);

    // then it offers what is shared,
    let mut stranger = world.meet(0, |_| ());
    let (state, share) = (stranger.state, main());
    stranger.say(&mut world, &Message::Want { share, state, since: 0, round: 1 });
    let index = stranger.until(
        &mut world,
        "its index",
        |message| matches!(message, Message::Index(part) if !part.entries.is_empty()),
    );
    let Message::Index(part) = index else { unreachable!("it was waited for") };
    assert_eq!(part.entries.iter().map(|offer| offer.path.to_text()).collect::<Vec<_>>(), [".dotfile"]);

    // serves nothing else, asked by name and digest,
    for name in &private {
        let length = b"not for peers".len() as u64;
        let piece = Piece { id: 1, path: path(name), digest: digest("not for peers"), offset: 0, length };
        stranger.say(&mut world, &Message::Request { share: main(), pieces: vec![piece] });
        let answer = stranger.until(&mut world, "an answer", |message| {
            matches!(message, Message::Data(_) | Message::Unavailable { .. } | Message::Bye(_))
        });
        assert!(matches!(answer, Message::Unavailable { .. }), "{name}: {answer:?}");
    }

    // and takes nothing else.
    let mut stranger = world.meet(0, |hello| (hello.rank, hello.node.0[1]) = (1, 1));
    let names: Vec<&str> = private.iter().copied().chain(["welcome"]).collect();
    let entries: Vec<Offer> = names.iter().zip(1..).map(|(name, n)| world.offer(0, name, "evil", n)).collect();
    stranger.offers(&mut world, entries);
    let pieces = stranger.until_asked(&mut world);
    assert_eq!(pieces.iter().map(|piece| piece.path.to_text()).collect::<Vec<_>>(), ["welcome"]);
    world.run_ms(1_000);
    private.iter().for_each(|name| assert_eq!(world.read(0, name).as_deref(), Some("not for peers")));
}

/// F53
#[test]
fn nothing_lands_through_a_symlink() {
    let mut world = couple(65);
    // A sibling with the share's name as prefix, as the predecessor's check let pass.
    world.machines[1].disk.add_root("/share-outside");
    assert!(world.user_of(1, "/share-outside").write(&path("victim"), b"safe"));
    for (name, to) in [("d", "/share-outside"), ("file", "/share-outside/victim"), ("relative", "../share-outside")] {
        assert!(world.user(1).make_link(&path(name), to.as_bytes()));
        world.announce(1, &path(name));
    }
    world.run_ms(1_000);
    world
        .put(0, &tree! { "d/victim" => "evil", "d/new/deep" => "evil", "relative/victim" => "evil", "file" => "evil" });
    world.run_ms(5_000);
    assert!(world.is_in_sync(), "what an ignored symlink keeps out is left out by choice");
    world.write(0, "plain", "lands all the same");
    world.run_ms(5_000);
    assert_eq!(world.read(1, "plain").as_deref(), Some("lands all the same"));
    let outside: Vec<RelPath> = world.user_of(1, "/share-outside").paths();
    assert_eq!(outside, [path("victim")]);
    assert_eq!(world.user_of(1, "/share-outside").read(&path("victim")).as_deref(), Some(&b"safe"[..]));
    for name in ["d", "file", "relative"] {
        assert!(world.read(1, name).is_some_and(|text| text.starts_with("-> ")), "{name} is still a link");
        let owed = world.owed(1);
        let named = owed.iter().any(|(path, code)| path.starts_with(name) && *code == "symlink_ignored");
        assert!(named, "{name} is named: {owed:?}");
    }
    // From a peer, too, that offers nothing but what is below the link.
    let mut stranger = world.meet(1, |hello| hello.rank = 1);
    let offer = world.offer(1, "d/direct", "evil", 1);
    stranger.offers(&mut world, vec![offer]);
    world.run_ms(5_000);
    assert_eq!(world.user_of(1, "/share-outside").paths().len(), 1);
}
