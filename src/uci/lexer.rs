//! Splits bytes into words: quotes, escapes, comments, and the end of a line.
//!
//! libuci reads one line at a time into a buffer, and a further one where quotes are open or a backslash ends the line.
//! Three consequences are kept, because files that work today must mean the same here:
//! - `#` outside quotes ends the line, also in the middle of a word: `a#b` is `a`.
//! - `;` separates commands only behind a quote, a backslash or white space. Behind a plain word the rest of the line is
//!   dropped: in `option a b; option c d` there is no `c`.
//! - A keyword ends at a blank or tab only, so a `;` at the end of a line is an invalid (empty) command.

use crate::uci::{ParseError, Quote, Reason};

/// The text, and how far it was read.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    /// The next byte to read.
    at: usize,
    /// End of what may be read as part of the present line.
    stop: usize,
    /// Start of the line after it.
    next: usize,
    /// What the byte number of an error counts from.
    origin: usize,
    line: usize,
}

/// White space as isspace(3) has it in the C locale.
fn is_space(b: u8) -> bool {
    b.is_ascii_whitespace() || b == 0x0b
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0, stop: 0, next: 0, origin: 0, line: 0 }
    }

    /// Continues with the next line; `false` at the end.
    pub(super) fn next_line(&mut self) -> bool {
        self.at = self.next;
        self.origin = self.next;
        self.load()
    }

    /// An error here.
    pub(super) fn error(&self, reason: Reason) -> ParseError {
        ParseError { reason, line: self.line, byte: self.at - self.origin }
    }

    /// The word that says what the rest of the line is, and where it ends; `None` when nothing is left.
    pub(super) fn keyword(&self) -> Option<(&'a [u8], KeywordEnd)> {
        let blank = |b: &u8| matches!(b, b' ' | b'\t');
        let rest = &self.text[self.at..self.stop];
        let start = rest.iter().position(|b| !blank(b))?;
        let length = rest[start..].iter().position(blank).unwrap_or(rest.len() - start);
        Some((&rest[start..start + length], KeywordEnd(self.at + start + length)))
    }

    /// Goes behind a keyword; `false` when the text ends with it.
    pub(super) fn enter(&mut self, end: KeywordEnd) -> bool {
        if end.0 >= self.stop {
            return false;
        }
        self.at = end.0 + 1;
        true
    }

    /// Whether nothing of the line is left.
    pub(super) fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// Skips white space.
    pub(super) fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// The next word without its quotes; empty also when there is none.
    ///
    /// # Errors
    /// The text ends inside quotes.
    pub(super) fn word(&mut self) -> Result<Vec<u8>, ParseError> {
        self.skip_space();
        let mut word = Vec::new();
        if self.peek() == Some(b';') {
            self.at += 1;
            return Ok(word);
        }
        let mut plain = true;
        loop {
            match self.peek() {
                None => return Ok(word),
                Some(b'#') => {
                    self.stop = self.at;
                    return Ok(word);
                }
                Some(b';') => {
                    if plain {
                        self.stop = self.at;
                    }
                    return Ok(word);
                }
                Some(b'\'') => {
                    plain = false;
                    self.single_quoted(&mut word)?;
                }
                Some(b'"') => {
                    plain = false;
                    self.double_quoted(&mut word)?;
                }
                Some(b'\\') => {
                    plain = false;
                    self.escaped(&mut word);
                }
                Some(b) => {
                    word.push(b);
                    self.at += 1;
                }
            }
            if self.peek().is_some_and(is_space) {
                self.at += 1;
                return Ok(word);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text[..self.stop].get(self.at).copied()
    }

    /// Makes the next line part of the present one; `false` at the end of the text.
    fn load(&mut self) -> bool {
        let rest = &self.text[self.next..];
        if rest.is_empty() {
            self.stop = self.next;
            return false;
        }
        let length = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |end| end + 1);
        self.next += length;
        self.stop = self.next;
        self.line += 1;
        true
    }

    fn single_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), ParseError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'\'') => break,
                Some(b) => {
                    word.push(b);
                    self.at += 1;
                }
                None if self.load() => {}
                None => return Err(self.error(Reason::Unterminated(Quote::Single))),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), ParseError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escaped(word),
                Some(b) => {
                    word.push(b);
                    self.at += 1;
                }
                None if self.load() => {}
                None => return Err(self.error(Reason::Unterminated(Quote::Double))),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// A backslash: the next byte stands for itself, a line end behind it vanishes.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        self.at += 1;
        match &self.text[self.at..self.stop] {
            [] | [b'\n'] | [b'\r', b'\n'] => {
                // Positions are counted as if the line end had not been there.
                self.origin += self.next - self.at;
                self.at = self.next;
                self.load();
            }
            [b, ..] => {
                word.push(*b);
                self.at += 1;
            }
        }
    }
}

/// Where a keyword ends, in the text.
#[derive(Clone, Copy)]
pub(super) struct KeywordEnd(usize);

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word of a text's first line, as the bytes after a keyword are read.
    fn words(text: &str) -> Result<Vec<String>, String> {
        let mut lexer = Lexer::new(text.as_bytes());
        assert!(lexer.next_line());
        let mut words = Vec::new();
        for _ in 0..4 {
            words.push(String::from_utf8(lexer.word().map_err(|error| error.to_string())?).unwrap());
        }
        while words.last().is_some_and(String::is_empty) {
            words.pop();
        }
        Ok(words)
    }

    #[test]
    fn words_are_read_as_libuci_reads_them() {
        let table: [(&str, &[&str]); 22] = [
            ("a b\n", &["a", "b"]),
            ("a\tb\r\n", &["a", "b"]),
            ("a", &["a"]),
            ("'a b' c", &["a b", "c"]),
            ("one'two'\"three\"", &["onetwothree"]),
            ("'it'\\''s'", &["it's"]),
            ("\"a \\\"q\\\" \\\\ b\"", &["a \"q\" \\ b"]),
            ("'a\\'", &["a\\"]),
            ("a\\ b c", &["a b", "c"]),
            ("a#b c", &["a"]),
            ("a #b", &["a"]),
            ("'#a' b", &["#a", "b"]),
            ("a\\#b", &["a#b"]),
            ("'one\ntwo' x", &["one\ntwo", "x"]),
            ("\"one\\\ntwo\"", &["onetwo"]),
            ("one\\\r\ntwo", &["onetwo"]),
            ("one\\\n two", &["one", "two"]),
            ("\\\n", &[]),
            // Behind a plain word a semicolon ends the line, behind quotes only the command.
            ("a;b c", &["a"]),
            ("'a';b", &["a", "", "b"]),
            ("a ;b", &["a", "", "b"]),
            ("\\a;b", &["a", "", "b"]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn open_quotes_at_the_end_are_an_error() {
        assert_eq!(words("a 'b\nc\n"), Err("EOF with unterminated ' at line 2, byte 7".into()));
        assert_eq!(words("\"b\\"), Err("EOF with unterminated \" at line 1, byte 3".into()));
    }

    #[test]
    fn a_keyword_ends_at_a_blank_or_tab_only() {
        let mut lexer = Lexer::new(b"\t config\tx\noption");
        assert!(lexer.next_line());
        let (word, end) = lexer.keyword().unwrap();
        assert_eq!(word, b"config");
        assert!(lexer.enter(end));
        assert_eq!(lexer.word().unwrap(), b"x");
        assert!(lexer.keyword().is_none());
        assert!(lexer.next_line());
        let (word, end) = lexer.keyword().unwrap();
        assert_eq!(word, b"option");
        assert!(!lexer.enter(end));
        assert!(!lexer.next_line());
    }
}
