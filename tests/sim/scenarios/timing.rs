//! Limits of time: each starts when the question is asked, so that a quiet session is no dead one.

use std::time::Duration;

use owsync::model::limits;
use owsync::proto::Message;

use super::{couple, linked};
use crate::world::World;

/// How often a machine said that a peer is gone.
fn disconnects(world: &World) -> usize {
    let gone = |text: &String| text.contains("disconnected");
    world.machines.iter().flat_map(|machine| &machine.events).filter(|(_, text)| gone(text)).count()
}

/// F90: a request after a quiet minute has its own time to be answered.
#[test]
fn a_retry_after_a_quiet_minute_keeps_the_session() {
    for seed in 400..410 {
        let mut world = couple(seed);
        world.slowest = 400;
        world.reset_links(0);
        world.write(0, "dhcp", "old");
        world.run_ms(5_000);
        world.settle();
        world.machines[1].disk.0.borrow_mut().capacity = 100_000;
        let new = "0123456789abcdef".repeat(4_000);
        world.write(0, "dhcp", &new);
        world.await_reason(1, 0, "pending");
        world.machines[1].disk.0.borrow_mut().capacity = 64 * 1024 * 1024;
        let before = disconnects(&world);
        let landed = world.run_until(Duration::from_secs(70), |world| world.read(1, "dhcp").as_deref() == Some(&new));
        assert!(landed, "seed {seed}");
        world.run_ms(5_000);
        assert_eq!(disconnects(&world), before, "seed {seed}: a healthy session ended");
    }
}

/// F90: whoever was asked nothing is not silent: before a session ends as silent, the peer had its time to answer.
#[test]
fn a_peer_that_nobody_asked_anything_is_asked_before_it_counts_as_silent() {
    let mut world = couple(411);
    let mut quiet = world.meet(0, |_| ());
    for _ in 0..4 {
        world.run(limits::KEEPALIVE * 2);
        let wall = world.wall(0);
        quiet.until(&mut world, "a question", |message| matches!(message, Message::Ping(_)));
        quiet.say(&mut world, &Message::Pong(wall));
    }
    assert!(!quiet.is_closed(&world), "it answered each time");
    world.run(limits::SILENCE);
    assert!(quiet.is_closed(&world), "it did not answer the last time");
}

/// F90: a peer that really is silent is still noticed, and not later than before.
#[test]
fn a_silent_peer_is_noticed_within_two_keepalives_on_both_sides() {
    let mut world = linked(412, 2, |world| world.peer(0, 1));
    world.set_cut(0, 1, true);
    world.run_ms(131_000);
    assert_eq!(disconnects(&world), 2, "each side noticed");
}
