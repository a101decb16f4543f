//! What people decide and ask, and what comes of it on every machine.

use owsync::model::settings::HistoryBounds;
use owsync::node::api::{Command, Pick};

use super::world::World;

/// Two pairs of machines that synced on their own, each with a `dhcp` of its own, and meet: nobody has a claim.
fn two_clusters(seed: u64) -> World {
    let mut world = World::new(seed, 4);
    world.ask();
    // Nothing is kept but what must be.
    world.set_all(|settings| settings.history = HistoryBounds { size: 0, days: 30, versions: 10 });
    world.pair(0, 1);
    world.pair(2, 3);
    world.start_all();
    world.settle();
    world.write(0, "dhcp", "of the first");
    world.write(2, "dhcp", "of the second");
    world.settle();
    world.pair(1, 2);
    world.reload(1);
    world.reload(2);
    world.run_ms(10_000);
    assert!(!world.is_in_sync(), "it waits for a person");
    world
}

#[test]
fn what_is_not_picked_at_first_contact_is_kept_wherever_it_lies() {
    for (pick, winner, loser, losers) in
        [(Pick::Mine, "of the first", "of the second", [2, 3]), (Pick::Theirs, "of the second", "of the first", [0, 1])]
    {
        let mut world = two_clusters(80);
        world.done(1, Command::Approve { share: None, path: None, pick: Some(pick) });
        world.settle();
        assert!((0..4).all(|id| world.read(id, "dhcp").as_deref() == Some(winner)), "{pick:?}");
        for id in losers {
            assert!(world.history_holds(id, loser), "{pick:?}: m{id} had it, and nobody replaced it knowingly");
        }
    }
}
