//! Counts the sections of a package without keeping its text.

/// Counts the lines of a package that begin a section, as its bytes come by.
///
/// Coarser than parsing, so that it has an answer for a damaged text too: a value of several lines of which one begins with
/// `config` counts as well.
#[derive(Debug, Default)]
pub struct SectionCounter {
    count: u32,
    /// What was read of the current line without its indentation, as far as it can still be `config `.
    seen: usize,
    /// The current line is decided.
    decided: bool,
}

const WORD: &[u8] = b"config";

impl SectionCounter {
    /// The next bytes of the text.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &b in bytes {
            if b == b'\n' {
                *self = SectionCounter { count: self.count, ..SectionCounter::default() };
            } else if !self.decided {
                let blank = b == b' ' || b == b'\t';
                match WORD.get(self.seen) {
                    None => {
                        self.count = self.count.saturating_add(u32::from(blank));
                        self.decided = true;
                    }
                    Some(_) if blank && self.seen == 0 => {}
                    Some(&wanted) if wanted == b => self.seen += 1,
                    Some(_) => self.decided = true,
                }
            }
        }
    }

    /// Sections so far.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_a_section_count_however_the_bytes_come() {
        let text = b"package x\n\nconfig zone 'lan'\n\toption config 'config x'\n\tconfig rule\n# config no\nconfigured\nconfig\t'a'\nconfig";
        for step in 1..text.len() {
            let mut counter = SectionCounter::default();
            text.chunks(step).for_each(|piece| counter.feed(piece));
            assert_eq!(counter.count(), 3, "{step}");
        }
        let mut counter = SectionCounter::default();
        counter.feed(&[0; 100]);
        assert_eq!(counter.count(), 0);
    }
}
