//! A question about single paths and its answer: their bytes, both ways, and what is refused.

use owsync::model::{Entry, ShareName, Stamp, Version};
use owsync::proto::Message;
use owsync::proto::message::Offer;

use crate::bytes::{C, b, t};
use crate::messages::{both_ways, path};
use crate::refusals::{file, why};

#[test]
fn ask_and_tell() {
    both_ways(
        &Message::Ask { id: 7, share: ShareName::main(), paths: vec![path("a"), path("d/l")] },
        "0c a3 00 64 6d61696e   # share
         01 07                  # number of the question
         02 82 41 61 43 642f6c  # paths, as bytes",
    );
    let gone = Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms: 1000 });
    both_ways(
        &Message::Tell {
            id: 7,
            last: true,
            entries: vec![Offer { path: path("g"), entry: gone, seq: 256, batch: 256, approved: false }],
        },
        "0d a3 00 07            # number of the question
         01 f5                  # nothing more follows
         02 81                  # one entry, as in Index
           a6 00 41 67 01 19 0100 02 03 03 80 04 00 05 19 03e8",
    );
    both_ways(&Message::Tell { id: 0, last: false, entries: Vec::new() }, "0d a3 00 00 01 f4 02 80");
}

#[test]
fn every_refusal_of_a_question_and_its_answer() {
    let ask = |share: &str, paths: Vec<C>| C::M(vec![(0, t(share)), (1, C::U(7)), (2, C::A(paths))]).message(12);
    assert!(Message::decode(&ask("a", vec![b(b"a"); 128])).is_ok());
    assert_eq!(why(&ask("a", vec![b(b"a"); 129])), "too many paths are asked for");
    assert_eq!(why(&ask("a/b", vec![])), "a share's name is not a label");
    assert_eq!(why(&ask("a", vec![b(b"/a")])), "path is absolute: /a");
    let tell = |entries: Vec<C>| C::M(vec![(0, C::U(7)), (1, C::Bool(true)), (2, C::A(entries))]).message(13);
    assert!(Message::decode(&tell(vec![file()])).is_ok());
    assert_eq!(why(&tell(vec![file(); 129])), "more entries than can be asked for");
}
