//! Packages in one line: `interface wan proto=dhcp server+1.1.1.1+9.9.9.9 ipaddr! / rule - name=A`. `-` is a section
//! without a name, `+` begins an item of a list, `!` marks an option as local, `_` in a value is a blank.

use owsync::uci::{Package, PackageName, Value, parse_shared, write};

pub fn name() -> PackageName {
    PackageName::parse(b"p").unwrap()
}

/// The text of a package, as `uci commit` writes it.
pub fn text(notation: &str) -> Vec<u8> {
    let mut package = Package::new(name());
    for section in notation.split(" /").map(str::trim).filter(|section| !section.is_empty()) {
        let mut words = section.split_whitespace();
        let (kind, name) = (words.next().unwrap(), words.next().unwrap());
        let section = if name == "-" { package.unnamed(kind).unwrap() } else { package.named(kind, name).unwrap() };
        for word in words.map(|word| word.replace('_', " ")) {
            if let Some(option) = word.strip_suffix('!') {
                assert!(section.mark_local(option).unwrap());
            } else if let Some((option, value)) = word.split_once('=') {
                section.set(option, value.as_bytes()).unwrap();
            } else {
                let mut items = word.split('+');
                let option = items.next().unwrap();
                section.set_list(option, &items.collect::<Vec<_>>()).unwrap();
            }
        }
    }
    write::committed(&package)
}

/// The notation of a text.
pub fn notation(text: &[u8]) -> String {
    let shown = |value: &[u8]| String::from_utf8_lossy(value).replace(' ', "_");
    let sections = parse_shared(&name(), text).unwrap();
    let sections = sections.sections().iter().map(|section| {
        let mut words = vec![section.kind().to_string(), section.given_name().unwrap_or("-").to_string()];
        for (option, value) in section.options() {
            words.push(match value {
                Value::One(value) => format!("{option}={}", shown(value)),
                Value::List(items) => {
                    items.iter().fold(option.to_string(), |word, item| format!("{word}+{}", shown(item)))
                }
            });
        }
        words.extend(section.markers().map(|option| format!("{option}!")));
        words.join(" ")
    });
    sections.collect::<Vec<_>>().join(" / ")
}
