//! From words to a [`Package`]: the four commands, and what they do to what was read before.
//!
//! - A section name that was used before continues that section, if the type is the same.
//! - `option` replaces an option or list of that name where it stands; without a value, or with an empty one, it does
//!   nothing at all, also not to an earlier one.
//! - `list` adds an item, also an empty one, and turns an option of that name into a list.
//! - `package` is checked and ignored.

use crate::model::Map;
use crate::uci::lexer::Lexer;
use crate::uci::model::{Package, Value};
use crate::uci::name::{self, PackageName};
use crate::uci::{Command, ParseError, Reason};

/// Reads a package's text.
///
/// # Errors
/// The first thing that `uci` would not accept either; then nothing of the text counts. Only NUL bytes are refused where
/// libuci reads something from them.
pub fn parse(name: &PackageName, text: &[u8]) -> Result<Package, ParseError> {
    read(name, text, false)
}

/// Reads a shared form: a package's text with a line `local NAME` for each option that is local to every router.
///
/// # Errors
/// As [`parse`]; also when a section marks an option twice, or marks one that has a value.
pub fn parse_shared(name: &PackageName, text: &[u8]) -> Result<Package, ParseError> {
    read(name, text, true)
}

fn read(name: &PackageName, text: &[u8], shared: bool) -> Result<Package, ParseError> {
    if let Some(at) = text.iter().position(|&b| b == 0) {
        let before = &text[..at];
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        return Err(ParseError { reason: Reason::Nul, line, byte: at - start });
    }
    let mut reader = Reader {
        lexer: Lexer::new(text),
        package: Package::new(name.clone()),
        current: None,
        names: Map::new(),
        options: Map::new(),
        shared,
    };
    while reader.lexer.next_line() {
        reader.line()?;
    }
    Ok(reader.package)
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    package: Package,
    /// The section that options go to.
    current: Option<usize>,
    /// Sections by name, and options by section and name: a file with very many of them must not take their square.
    names: Map<String, usize>,
    options: Map<(usize, String), usize>,
    /// Whether `local NAME` is a command.
    shared: bool,
}

impl Reader<'_> {
    fn line(&mut self) -> Result<(), ParseError> {
        self.lexer.skip_space();
        while let Some((word, end)) = self.lexer.keyword() {
            let command = match word {
                [b'#', ..] => return Ok(()),
                b"package" | b"p" => Command::Package,
                b"config" | b"c" => Command::Config,
                b"option" | b"o" => Command::Option,
                b"list" | b"l" => Command::List,
                b"local" if self.shared => Command::Local,
                _ => return Err(self.lexer.error(Reason::InvalidCommand)),
            };
            if matches!(command, Command::Option | Command::List | Command::Local) && self.current.is_none() {
                return Err(self.lexer.error(Reason::NoSection));
            }
            if !self.lexer.enter(end) {
                return Err(self.lexer.error(Reason::Bare(command)));
            }
            match command {
                Command::Package => {
                    let name = self.required()?;
                    if !name.iter().all(|&b| name::is_name_byte(b) || b == b'-') {
                        return Err(self.lexer.error(Reason::BadName));
                    }
                    self.end()?;
                }
                Command::Config => self.config()?,
                Command::Option => {
                    let (name, value) = self.assignment()?;
                    self.option(name, value);
                }
                Command::List => {
                    let (name, value) = self.assignment()?;
                    self.item(name, value);
                }
                Command::Local => {
                    let name = self.required()?;
                    let Some(name) = name::name_of(&name) else { return Err(self.lexer.error(Reason::BadName)) };
                    self.end()?;
                    self.marker(&name)?;
                }
            }
        }
        Ok(())
    }

    fn config(&mut self) -> Result<(), ParseError> {
        let kind = self.required()?;
        let Some(kind) = name::type_of(&kind) else { return Err(self.lexer.error(Reason::BadType)) };
        let name = self.lexer.word()?;
        let name = match (name.as_slice(), name::name_of(&name)) {
            ([], _) => None,
            (_, Some(name)) => Some(name),
            (_, None) => return Err(self.lexer.error(Reason::BadName)),
        };
        self.end()?;
        let known = name.as_ref().and_then(|name| self.names.get(name)).copied();
        self.current = Some(match known {
            Some(index) if self.package.section_at(index).kind() == kind => index,
            Some(_) => return Err(self.lexer.error(Reason::OtherType)),
            None => {
                let index = self.package.push(kind, name);
                // The generated name of an unnamed section is a name like any other; the first one keeps it.
                self.names.get_or_insert(self.package.section_at(index).name().to_string(), index);
                index
            }
        });
        Ok(())
    }

    fn assignment(&mut self) -> Result<(String, Vec<u8>), ParseError> {
        let name = self.required()?;
        let Some(name) = name::name_of(&name) else { return Err(self.lexer.error(Reason::BadName)) };
        let value = self.lexer.word()?;
        self.end()?;
        let marked = |index| self.package.section_at(index).is_local(&name);
        if self.current.is_some_and(marked) {
            return Err(self.lexer.error(Reason::Marker));
        }
        Ok((name, value))
    }

    fn marker(&mut self, name: &str) -> Result<(), ParseError> {
        let Some(index) = self.current else { return Err(self.lexer.error(Reason::NoSection)) };
        let section = self.package.section_at_mut(index);
        if section.option(name).is_some() || !section.mark_local(name).unwrap_or(false) {
            return Err(self.lexer.error(Reason::Marker));
        }
        Ok(())
    }

    fn option(&mut self, name: String, value: Vec<u8>) {
        if value.is_empty() {
            return;
        }
        if let Some(slot) = self.slot(name, || Value::One(Vec::new())) {
            *slot = Value::One(value);
        }
    }

    fn item(&mut self, name: String, value: Vec<u8>) {
        if let Some(slot) = self.slot(name, || Value::List(Vec::new())) {
            slot.push(value);
        }
    }

    /// The value of an option of the current section, made if there is none.
    fn slot(&mut self, name: String, make: impl FnOnce() -> Value) -> Option<&mut Value> {
        let section = self.current?;
        let options = self.package.section_at_mut(section).options_mut();
        let index = *self.options.get_or_insert_with((section, name.clone()), || {
            options.push((name, make()));
            options.len() - 1
        });
        options.get_mut(index).map(|(_, value)| value)
    }

    fn required(&mut self) -> Result<Vec<u8>, ParseError> {
        let word = self.lexer.word()?;
        if word.is_empty() { Err(self.lexer.error(Reason::TooFew)) } else { Ok(word) }
    }

    fn end(&mut self) -> Result<(), ParseError> {
        if self.lexer.word()?.is_empty() { Ok(()) } else { Err(self.lexer.error(Reason::TooMany)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uci::write;

    fn read(text: &str) -> Result<String, String> {
        let name = PackageName::parse(b"p").unwrap();
        parse(&name, text.as_bytes())
            .map(|package| String::from_utf8(write::show(&package)).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn texts_mean_what_they_mean_to_libuci() {
        let table = [
            ("", ""),
            ("\n \t\r\n# comment\n  # config a b\n", ""),
            ("config a\n", "p.@a[0]=a\n"),
            ("config 'a' \"b\"\noption 'k' v\n", "p.b=a\np.b.k='v'\n"),
            ("c a b\no k v\nl m w", "p.b=a\np.b.k='v'\np.b.m='w'\n"),
            ("package other\nconfig a\n", "p.@a[0]=a\n"),
            ("config a.b-c! x\n", "p.x=a.b-c!\n"),
            // What was set before is replaced where it stands; nothing replaces nothing.
            ("c a b\no k 1\no l 2\no k 3\n", "p.b=a\np.b.k='3'\np.b.l='2'\n"),
            ("c a b\no k 1\no k ''\no k\no n ''\n", "p.b=a\np.b.k='1'\n"),
            ("c a b\nl k 1\no k ''\n", "p.b=a\np.b.k='1'\n"),
            ("c a b\nl k 1\nl k 2\no k 3\n", "p.b=a\np.b.k='3'\n"),
            ("c a b\no k 1\nl k 2\nl k ''\nl k\n", "p.b=a\np.b.k='1' '2' '' ''\n"),
            // A section continues where its name is used again, also a made-up name.
            ("c a b\no k 1\nc x\nc a b\no k 2\no m 1\n", "p.b=a\np.b.k='2'\np.b.m='1'\np.@x[0]=x\n"),
            ("c x\nc x cfg01b61d\no k 1\n", "p.@x[0]=x\np.@x[0].k='1'\n"),
            ("c a\nc b\nc a\n", "p.@a[0]=a\np.@b[0]=b\np.@a[1]=a\n"),
            // A semicolon separates behind quotes and blanks, and ends the line behind a plain word.
            ("c a 'b'; o k '1'; o m '2'\n", "p.b=a\np.b.k='1'\np.b.m='2'\n"),
            ("c a b; o k 1\no m 2\n", "p.b=a\np.b.m='2'\n"),
            ("c a 'b' # c\no k 1#2\n", "p.b=a\np.b.k='1'\n"),
        ];
        for (text, shown) in table {
            assert_eq!(read(text), Ok(shown.to_string()), "{text:?}");
        }
    }

    #[test]
    fn every_error_says_where_it_is() {
        let table = [
            ("c a b\n\tbogus k v\n", "invalid command at line 2, byte 1"),
            ("config\n", "invalid command at line 1, byte 0"),
            ("c a 'b';\n", "invalid command at line 1, byte 8"),
            ("config", "config without name at line 1, byte 0"),
            ("c a\noption", "option without name at line 2, byte 0"),
            ("c a\nl", "option without name at line 2, byte 0"),
            ("package", "package without name at line 1, byte 0"),
            ("package \n", "insufficient arguments at line 1, byte 9"),
            ("config ''\n", "insufficient arguments at line 1, byte 10"),
            ("c a\noption '' x\n", "insufficient arguments at line 2, byte 10"),
            ("c a b c\n", "too many arguments at line 1, byte 8"),
            ("c a\no k v w\n", "too many arguments at line 2, byte 8"),
            ("c a ;c b\n", "too many arguments at line 1, byte 7"),
            ("c a b-c\n", "invalid character in name field at line 1, byte 8"),
            ("package a.b\n", "invalid character in name field at line 1, byte 12"),
            ("c a\no k.l v\n", "invalid character in name field at line 2, byte 6"),
            ("c 'a b' c\n", "invalid character in type field at line 1, byte 8"),
            ("o k v\n", "option/list command found before the first section at line 1, byte 0"),
            ("c a b\nc x b\n", "section of different type overwrites prior section with same name at line 2, byte 6"),
            ("c a\no k 'v\n\n", "EOF with unterminated ' at line 3, byte 8"),
            ("c a\no k \"v", "EOF with unterminated \" at line 2, byte 6"),
            ("c a\no k 'v\0w'\n", "NUL byte at line 2, byte 6"),
        ];
        for (text, error) in table {
            assert_eq!(read(text), Err(error.to_string()), "{text:?}");
        }
    }
}
