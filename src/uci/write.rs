//! A package as text: the form of a commit, of `uci export` and of `uci show`.
//!
//! One deliberate difference from libuci: a section type with a quote, backslash, `#` or `;` in it is quoted. libuci writes
//! it bare and then reads something else, or nothing.
//!
//! A limit of the format itself: a section named like the `cfgXXXXXX` that libuci makes up for an unnamed section of the
//! same type before it is read as that section.

use crate::uci::model::{Package, Section, Value};

/// The text `uci commit` leaves in the package's file.
pub fn committed(package: &Package) -> Vec<u8> {
    let mut text = Vec::new();
    for section in package.sections() {
        push_section(&mut text, section);
    }
    text.push(b'\n');
    text
}

/// The text `uci export` prints.
pub fn export(package: &Package) -> Vec<u8> {
    let mut text = format!("package {}\n", package.name()).into_bytes();
    text.extend_from_slice(&committed(package));
    text
}

/// The text `uci show` prints.
pub fn show(package: &Package) -> Vec<u8> {
    let mut text = Vec::new();
    for (reference, section) in package.referenced() {
        let place = format!("{}.{reference}", package.name());
        text.extend_from_slice(format!("{place}={}\n", section.kind()).as_bytes());
        for (name, value) in section.options() {
            text.extend_from_slice(format!("{place}.{name}").as_bytes());
            for (n, item) in value.items().iter().enumerate() {
                text.push(if n == 0 { b'=' } else { b' ' });
                push_quoted(&mut text, item);
            }
            text.push(b'\n');
        }
    }
    text
}

fn push_section(text: &mut Vec<u8>, section: &Section) {
    text.extend_from_slice(b"\nconfig ");
    if section.kind().contains(['\'', '"', '\\', '#', ';']) {
        push_quoted(text, section.kind().as_bytes());
    } else {
        text.extend_from_slice(section.kind().as_bytes());
    }
    if let Some(name) = section.given_name() {
        text.push(b' ');
        push_quoted(text, name.as_bytes());
    }
    text.push(b'\n');
    for (name, value) in section.options() {
        let command = match value {
            Value::One(_) => "option",
            Value::List(_) => "list",
        };
        for item in value.items() {
            text.extend_from_slice(format!("\t{command} {name} ").as_bytes());
            push_quoted(text, item);
            text.push(b'\n');
        }
    }
    for marker in section.markers() {
        text.extend_from_slice(format!("\tlocal {marker}\n").as_bytes());
    }
}

/// Single quotes around everything; a quote inside ends them, stands behind a backslash, and opens them again.
pub(super) fn push_quoted(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'\'');
    for &b in value {
        match b {
            b'\'' => text.extend_from_slice(b"'\\''"),
            b => text.push(b),
        }
    }
    text.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uci::{PackageName, parse};

    #[test]
    fn the_three_forms() {
        let name = PackageName::parse(b"p").unwrap();
        let package =
            parse(&name, b"# c\nconfig a 'x'\noption o \"it's\"\nlist l 1\nlist l ''\nconfig b\nconfig a\n").unwrap();
        let forms =
            [committed(&package), export(&package), show(&package)].map(|form| String::from_utf8(form).unwrap());
        let body =
            "\nconfig a 'x'\n\toption o 'it'\\''s'\n\tlist l '1'\n\tlist l ''\n\nconfig b\n\nconfig a\n\n".to_string();
        let shown = "p.x=a\np.x.o='it'\\''s'\np.x.l='1' ''\np.@b[0]=b\np.@a[1]=a\n";
        assert_eq!(forms, [body.clone(), format!("package p\n{body}"), shown.into()]);
    }

    #[test]
    fn every_type_and_every_byte_is_read_as_it_was_written() {
        let name = PackageName::parse(b"p").unwrap();
        let bytes: Vec<u8> = (1..=255).collect();
        let mut package = Package::new(name.clone());
        for b in 33..127_u8 {
            let section = package.unnamed(&format!("a{}b", char::from(b))).unwrap();
            section.set("o", &bytes).unwrap();
            section.set_list("l", &[&[b][..], b"", b"\n", b"'", b"\\\n"]).unwrap();
        }
        let again = parse(&name, &committed(&package)).unwrap();
        assert_eq!(again, package);
        assert_eq!(committed(&again), committed(&package));
    }
}
