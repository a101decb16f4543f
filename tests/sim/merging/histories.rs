//! Random histories of users who edit one UCI package by option on several nodes that see each other now and then.
//!
//! What must hold when it is quiet: all files are equal, and no value that a user wrote is gone without a report. A value is
//! gone knowingly where another user who had it before them wrote another one. `OWSYNC_SIM_SEED` runs one history with its
//! trace, `OWSYNC_SIM_SEEDS` sets their number.

use std::collections::BTreeMap;

use owsync::node::api::Command;

use crate::chaos::number;
use crate::dice::Dice;
use crate::world::World;

/// Histories that CI runs.
const SEEDS: u64 = 1000;

const PACKAGE: &str = "dhcp";
const SECTIONS: [&str; 3] = ["lan", "guest", "iot"];
const OPTIONS: [&str; 3] = ["start", "limit", "leasetime"];

/// An option, as section and name.
type Place = (usize, usize);

/// The package as its users see it: a value for each option.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package(BTreeMap<Place, u64>);

impl Package {
    fn new() -> Package {
        let places = (0..SECTIONS.len()).flat_map(|section| (0..OPTIONS.len()).map(move |option| (section, option)));
        Package(places.map(|place| (place, 0)).collect())
    }

    fn text(&self) -> String {
        let mut text = String::from("\n");
        for (section, name) in SECTIONS.iter().enumerate() {
            text.push_str(&format!("config dhcp '{name}'\n"));
            for (option, name) in OPTIONS.iter().enumerate() {
                text.push_str(&format!("\toption {name} '{}'\n", self.0[&(section, option)]));
            }
            text.push('\n');
        }
        text
    }

    fn of(text: &str) -> Package {
        let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("option ")?.split('\'').nth(1));
        let mut package = Package::new();
        for value in package.0.values_mut() {
            *value = values.next().unwrap().parse().unwrap();
        }
        assert_eq!(package.text(), text, "a package that no user wrote");
        package
    }
}

/// What users wrote: values that no user replaced knowingly, and where.
type Written = BTreeMap<u64, Place>;

struct History {
    world: World,
    dice: Dice,
    written: Written,
    next: u64,
}

impl History {
    fn new(seed: u64) -> History {
        let mut dice = Dice::new(seed);
        let count = 2 + dice.below(3) as usize;
        let mut world = World::new(seed, count);
        let chain = dice.chance(30);
        for a in 0..count {
            (a + 1..count).filter(|b| !chain || *b == a + 1).for_each(|b| world.pair(a, b));
            let settings = world.share_settings(a);
            settings.reload = Some(owsync::model::settings::Reload::Uci);
            // The stories of flapping paths are others.
            settings.confirm = Some(0);
        }
        world.start_all();
        world.settle();
        world.write(0, PACKAGE, &Package::new().text());
        world.settle();
        History { world, dice, written: Written::new(), next: 1 }
    }

    /// A user on this machine gives an option a value that no other has.
    fn edit(&mut self, id: usize) {
        let Some(text) = self.world.read(id, PACKAGE) else { return };
        let mut package = Package::of(&text);
        for _ in 0..1 + self.dice.below(2) {
            let place = (self.dice.below(3) as usize, self.dice.below(3) as usize);
            let before = package.0.insert(place, self.next);
            before.map(|before| self.written.remove(&before));
            self.written.insert(self.next, place);
            self.next += 1;
        }
        self.world.write(id, PACKAGE, &package.text());
    }

    fn step(&mut self) {
        let count = self.world.machines.len() as u64;
        let (a, b) = (self.dice.below(count) as usize, self.dice.below(count) as usize);
        match self.dice.below(100) {
            0..45 => self.edit(a),
            45..60 if a != b => self.world.set_cut(a, b, true),
            60..70 if a != b => self.world.set_cut(a, b, false),
            70..75 if self.world.machines[a].node.is_some() => self.world.stop(a),
            75..78 if self.world.machines[a].node.is_some() => self.world.kill(a),
            78..90 if self.world.machines[a].node.is_none() => self.world.start(a),
            _ => {}
        }
        let most = *self.dice.pick(&[200, 2_000, 20_000, 90_000]);
        let time = self.dice.below(most);
        self.world.run_ms(time);
    }

    fn end(&mut self) {
        self.world.heal_all();
        for id in 0..self.world.machines.len() {
            if self.world.machines[id].node.is_none() {
                self.world.start(id);
            }
        }
        self.world.run_ms(60_000);
        for id in 0..self.world.machines.len() {
            // Users who take turns at one option within seconds look like programs that fight over it.
            let approve = Command::Approve { share: None, path: None, pick: None, dry_run: false };
            let _ = self.world.command(id, approve);
        }
        self.world.settle();
        // What an interrupted transfer left is kept for a while.
        self.world.run(owsync::model::limits::BROKEN_KEPT * 2);
        self.world.assert_equal();
    }

    /// Values that are neither in force nor named by any report.
    fn lost(&self) -> Vec<(u64, Place)> {
        let package = Package::of(&self.world.read(0, PACKAGE).unwrap());
        let machines = 0..self.world.machines.len();
        let whole = machines.clone().any(|id| self.world.log_has(id, "conflict: dhcp"));
        let is_reported = |value: u64| {
            let named = format!("not '{value}'");
            let holds = |id: usize| {
                let history = self.world.history(id);
                history.iter().any(|(_, bytes, _)| String::from_utf8_lossy(bytes).contains(&format!("'{value}'")))
            };
            machines.clone().any(|id| self.world.log_has(id, &named) || (whole && holds(id)))
        };
        let in_force = |value: &u64, place: &Place| package.0[place] == *value;
        let gone = self.written.iter().filter(|(value, place)| !in_force(value, place));
        gone.filter(|(value, _)| !is_reported(**value)).map(|(value, place)| (*value, *place)).collect()
    }
}

#[test]
fn no_value_that_a_user_wrote_is_gone_without_a_report() {
    let one = number("OWSYNC_SIM_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("OWSYNC_SIM_FIRST").unwrap_or(0);
            first..first + number("OWSYNC_SIM_SEEDS").unwrap_or(SEEDS)
        }
    };
    let (mut merges, mut whole, mut edits) = (0, 0, 0);
    let mut failed = Vec::new();
    for seed in seeds {
        let ran = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..12 + history.dice.below(20) {
                history.step();
            }
            history.end();
            let machines = 0..history.world.machines.len();
            let merges: u64 = machines.clone().map(|id| history.world.counters(id).merges).sum();
            let whole = machines.filter(|id| history.world.log_has(*id, "not merged")).count();
            let lost = history.lost();
            if one.is_some() {
                for (id, machine) in history.world.machines.iter().enumerate() {
                    machine.log.iter().for_each(|line| println!("m{id} {line:?}"));
                }
            }
            assert!(lost.is_empty(), "gone without a report: {lost:?}");
            (merges, whole, history.next)
        });
        match ran {
            Ok(ran) => {
                merges += ran.0;
                whole += ran.1;
                edits += ran.2 - 1;
            }
            Err(_) => failed.push(seed),
        }
    }
    println!("{edits} edits, {merges} merges, {whole} times a whole version was taken");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    assert!(one.is_some() || merges > 0, "this world never merges");
}
