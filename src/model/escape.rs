//! Converts bytes to text and back without loss, for names that are not UTF-8 in JSON, logs and on a terminal.
//!
//! Valid UTF-8 stays as it is, except that a backslash becomes `\\` and what is not printable (control characters, and
//! the invisible characters that turn text around) becomes `\xHH` byte by byte. Bytes that are not UTF-8 become `\xHH`
//! too. So no file name can move a cursor, forge a log line or differ from another while looking the same.

/// Text that shows `bytes`; [`unescape`] gives them back.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if hidden(c) => {
                    let mut buffer = [0; 4];
                    for b in c.encode_utf8(&mut buffer).bytes() {
                        push_hex(&mut text, b);
                    }
                }
                c => text.push(c),
            }
        }
        for &b in chunk.invalid() {
            push_hex(&mut text, b);
        }
    }
    text
}

/// `text` for a terminal: invisible characters become `\xHH`, everything else stays, also backslashes. For text
/// whose names are escaped already.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer).bytes().for_each(|b| push_hex(&mut shown, b));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Text from a user or a script: what is not UTF-8 is escaped, and backslashes stay, since the output of `status` may be
/// used as input.
pub fn as_typed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|&b| push_hex(&mut text, b));
    }
    text
}

/// The bytes that [`escape`] made `text` from; `None` where `text` has a backslash that [`escape`] never writes.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        if b != b'\\' {
            bytes.push(b);
            continue;
        }
        match rest {
            [b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'x', high, low, tail @ ..] => {
                bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

/// The value of one hexadecimal digit, upper or lower case.
pub fn hex_digit(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

/// `bytes` as lower case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        text.push(char::from(b"0123456789abcdef"[usize::from(b >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(b & 15)]));
    }
    text
}

/// The bytes that `text` spells in hexadecimal, if there are exactly `N`.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

/// Whether `c` is invisible: control characters, and Unicode's direction and width-less format characters.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn push_hex(text: &mut String, b: u8) {
    text.push_str("\\x");
    text.push_str(&hex(&[b]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        let mut all: Vec<u8> = (0..=255).collect();
        all.extend("caf\u{e9} \u{202e}gnp.exe \\x41".as_bytes());
        assert_eq!(unescape(&escape(&all)).unwrap(), all);
    }

    #[test]
    fn nothing_hidden_reaches_a_terminal() {
        let text = escape(b"\x1b[2Jevil\r\n\xff\xe2\x80\xae");
        assert_eq!(text, "\\x1b[2Jevil\\x0d\\x0a\\xff\\xe2\\x80\\xae");
    }

    #[test]
    fn escaped_text_is_shown_once() {
        assert_eq!(visible("a\\\\b \u{1b}[2J\u{202e}"), "a\\\\b \\x1b[2J\\xe2\\x80\\xae");
    }

    #[test]
    fn foreign_backslashes_are_refused() {
        for text in ["\\", "\\n", "\\x4", "\\xzz"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn hex_reads_only_its_own_length() {
        assert_eq!(unhex::<2>("0fA0"), Some([15, 160]));
        for text in ["0fa", "0fa00", "0fg0", ""] {
            assert_eq!(unhex::<2>(text), None, "{text}");
        }
    }
}
