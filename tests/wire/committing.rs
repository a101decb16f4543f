//! What the nodes of a commit say to each other: the bytes, both ways, and what is refused.

use owsync::model::commit::{Answer, Step};
use owsync::model::{Entry, NodeId, ShareName, Stamp, Version};
use owsync::proto::Message;
use owsync::proto::message::{Offer, Order};

use crate::bytes::{C, b, t};
use crate::messages::{both_ways, path};
use crate::refusals::{file, why};

fn order(step: Step) -> Order {
    Order { share: ShareName::main(), number: 7, step, seconds: 0, members: Vec::new(), entries: Vec::new() }
}

#[test]
fn orders_and_answers() {
    let gone = Entry::tombstone(Version::UNVERSIONED, Stamp { rank: 0, ms: 1000 });
    both_ways(
        &Message::Commit(Order {
            seconds: 30,
            members: vec![NodeId([9; 16])],
            entries: vec![Offer { path: path("g"), entry: gone, seq: 0, batch: 0, approved: false }],
            ..order(Step::Prepare)
        }),
        "0f a6 00 64 6d61696e   # share
         01 07                  # number of the commit
         02 00                  # step: prepare
         03 18 1e               # seconds
         04 81 50 09090909090909090909090909090909   # nodes
         05 81                  # one entry, as in Index
           a6 00 41 67 01 00 02 03 03 80 04 00 05 19 03e8",
    );
    for (number, step) in [Step::Apply, Step::Probe, Step::Keep, Step::RollBack].into_iter().enumerate() {
        both_ways(&Message::Commit(order(step)), &format!("0f a3 00 64 6d61696e 01 07 02 0{}", number + 1));
    }
    let answers = [Answer::Ready, Answer::Applied, Answer::Reachable, Answer::Kept, Answer::RolledBack];
    for (number, answer) in answers.into_iter().enumerate() {
        let message = Message::CommitAnswer { share: ShareName::main(), number: 7, answer };
        both_ways(&message, &format!("10 a3 00 64 6d61696e 01 07 02 0{number}"));
    }
    let message = Message::CommitAnswer { share: ShareName::main(), number: 7, answer: Answer::Refused("no".into()) };
    both_ways(&message, "10 a4 00 64 6d61696e 01 07 02 05 03 62 6e6f");
}

#[test]
fn every_refusal_of_an_order() {
    let order = |step: u64, members: Vec<C>, entries: Vec<C>| {
        let fields = vec![(0, t("a")), (1, C::U(7)), (2, C::U(step)), (4, C::A(members)), (5, C::A(entries))];
        C::M(fields).message(15)
    };
    assert!(Message::decode(&order(0, vec![], vec![file()])).is_ok());
    assert_eq!(why(&order(5, vec![], vec![])), "a commit with the unknown step 5");
    assert_eq!(why(&order(0, vec![], vec![])), "a commit of nothing");
    assert_eq!(why(&order(0, vec![b(&[1; 16]); 65], vec![file()])), "a commit of too many nodes or paths");
    assert_eq!(why(&order(0, vec![], vec![file(); 65])), "a commit of too many nodes or paths");
    assert_eq!(why(&order(0, vec![], vec![file(); 2])), "a commit that names a path twice");
    // A refusal in a way of a later version is one.
    let answer = C::M(vec![(0, t("a")), (1, C::U(7)), (2, C::U(200)), (3, t("x\ny"))]).message(16);
    let Ok(Message::CommitAnswer { answer: Answer::Refused(text), .. }) = Message::decode(&answer) else {
        panic!("it is well-formed")
    };
    assert_eq!(text, "x\\x0ay", "it is safe to print");
}
