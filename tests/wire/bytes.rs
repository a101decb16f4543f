//! Writes bytes in a readable notation, and just enough CBOR (RFC 8949) for what the encoder never writes.

/// Hexadecimal digits, in lines that may end in a comment after `#`.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or("").chars())
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A CBOR item.
#[derive(Clone, Debug)]
pub enum C {
    U(u64),
    /// -1 - n.
    N(u64),
    B(Vec<u8>),
    T(String),
    A(Vec<C>),
    M(Vec<(u64, C)>),
    Bool(bool),
    Null,
}

pub fn t(text: &str) -> C {
    C::T(text.into())
}

pub fn b(bytes: &[u8]) -> C {
    C::B(bytes.to_vec())
}

impl C {
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            C::U(number) => head(to, 0, *number),
            C::N(number) => head(to, 1, *number),
            C::B(bytes) => {
                head(to, 2, bytes.len() as u64);
                to.extend_from_slice(bytes);
            }
            C::T(text) => {
                head(to, 3, text.len() as u64);
                to.extend_from_slice(text.as_bytes());
            }
            C::A(items) => {
                head(to, 4, items.len() as u64);
                items.iter().for_each(|item| item.write(to));
            }
            C::M(pairs) => {
                head(to, 5, pairs.len() as u64);
                for (key, value) in pairs {
                    C::U(*key).write(to);
                    value.write(to);
                }
            }
            C::Bool(value) => to.push(if *value { 0xf5 } else { 0xf4 }),
            C::Null => to.push(0xf6),
        }
    }

    /// This map with `key` set to `value`, or without it.
    pub fn with(mut self, key: u64, value: impl Into<Option<C>>) -> C {
        let C::M(pairs) = &mut self else { panic!("only a map has keys") };
        pairs.retain(|(known, _)| *known != key);
        pairs.extend(value.into().map(|value| (key, value)));
        self
    }

    /// As the body of a message of type `number`.
    pub fn message(&self, number: u8) -> Vec<u8> {
        let mut bytes = vec![number];
        self.write(&mut bytes);
        bytes
    }
}

/// RFC 8949, 3: the major type, and the shortest form of its argument.
fn head(to: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..=23 => to.push(major | argument as u8),
        24..=0xff => to.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            to.push(major | 25);
            to.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            to.push(major | 26);
            to.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            to.push(major | 27);
            to.extend_from_slice(&argument.to_be_bytes());
        }
    }
}
