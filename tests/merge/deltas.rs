//! What holds for uncommitted changes, over changes of real packages from seeds.

use owsync::uci::changes::changes;
use owsync::uci::{Package, Value, delta, parse, write};

use crate::dice::Dice;
use crate::edits;
use crate::notation::name;

/// A value of a delta file: what `uci set` writes between its quotes.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// Makes a change in a package, as the lines that `uci` appends for it; the last lines need no section that is there.
fn change(package: &mut Package, dice: &mut Dice) -> String {
    let value = *dice.pick::<&str>(&["1", "it's", "two\nlines", "a=b.c#d;e", "\\", "0.0.0.0/0", "\u{e9}"]);
    let names: Vec<String> = package.sections().iter().map(|section| section.name().to_string()).collect();
    if names.is_empty() || dice.chance(15) {
        let kind = *dice.pick::<&str>(&["rule", "host", "made"]);
        let section = package.unnamed(kind).unwrap();
        section.set("name", value.as_bytes()).unwrap();
        let made = section.name();
        return format!("+p.{made}={}\np.{made}.name={}\n", quoted(kind), quoted(value));
    }
    let place = dice.pick(&names).clone();
    let section = package.section_mut(&place).unwrap();
    let options: Vec<String> = section.options().map(|(option, _)| option.to_string()).collect();
    let known = dice.chance(70) && !options.is_empty();
    let option = if known { dice.pick(&options).clone() } else { format!("new{}", dice.below(3)) };
    let items = section.option(&option).map_or(&[][..], |value| value.items()).to_vec();
    let is_list = matches!(section.option(&option), Some(Value::List(_)));
    match dice.below(7) {
        0 | 1 => {
            section.set(&option, value.as_bytes()).unwrap();
            format!("p.{place}.{option}={}\n", quoted(value))
        }
        2 | 3 => {
            section.add_to_list(&option, value.as_bytes()).unwrap();
            format!("|p.{place}.{option}={}\n", quoted(value))
        }
        // The last item goes with its option here, and leaves an empty list in libuci, which keeps its place.
        4 if is_list && items.len() > 1 => {
            let item = dice.below(items.len() as u64) as usize;
            let left: Vec<&Vec<u8>> =
                items.iter().enumerate().filter(|(at, _)| *at != item).map(|(_, item)| item).collect();
            section.set_list(&option, &left).unwrap();
            format!("-p.{place}.{option}='{item}'\n")
        }
        5 => {
            package.remove(&place);
            format!("-p.{place}\n")
        }
        _ => {
            section.set(&option, b"").unwrap();
            format!("-p.{place}.{option}\n")
        }
    }
}

#[test]
fn changes_of_real_packages_give_what_the_model_gives() {
    let packages = edits::packages();
    let mut done = 0;
    for seed in 0..40 {
        for (number, base) in packages.iter().enumerate() {
            let dice = &mut Dice::new(seed * 1000 + number as u64);
            let (mut package, mut lines) = (base.clone(), String::new());
            for _ in 0..1 + dice.below(8) {
                lines.push_str(&change(&mut package, dice));
            }
            let before = write::committed(base);
            let found = delta::parse(&name(), lines.as_bytes());
            assert_eq!(found.unreadable, 0, "{lines}");
            let result = delta::apply(&name(), &before, &found.changes).unwrap();
            assert!(result == write::committed(&package), "seed {seed}, package {number}:\n{lines}");

            // What a preview is made of, and what is left to commit.
            let (old, new) = (parse(&name(), &before).unwrap(), parse(&name(), &result).unwrap());
            let shown = changes(&name(), &before, &result).unwrap();
            assert_eq!(shown.is_empty(), says_the_same(&old, &new), "{lines}");
            let more = format!("{lines}p.x.y='1'\n");
            assert_eq!(delta::uncommitted(more.as_bytes(), lines.as_bytes()), Some(&b"p.x.y='1'\n"[..]));
            done += 1;
        }
    }
    assert!(done >= 200, "{done}");
}

/// Whether two packages differ in no more than the order of options.
fn says_the_same(one: &Package, other: &Package) -> bool {
    let plain = |package: &Package| -> Vec<_> {
        let sections = package.sections().iter().map(|section| {
            let mut options: Vec<_> =
                section.options().map(|(option, value)| (option.to_string(), value.clone())).collect();
            options.sort();
            (section.kind().to_string(), section.given_name().map(str::to_string), options)
        });
        sections.collect()
    };
    plain(one) == plain(other)
}
