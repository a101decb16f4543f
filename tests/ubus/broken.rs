//! Whatever bytes come in, the connection answers what can be answered, holds little, and never ends the program.

use owsync::daemon::ubus::blobmsg;
use owsync::daemon::ubus::connection::{Connection, Event};
use owsync::daemon::ubus::message::{self, Outbox};
use owsync::model::Rng;
use owsync::node::api::Tree;

use crate::ubusd::{CLIENT, NOW, OBJECT, Ubusd};

/// Everything that a connection takes, as bytes a mutation can begin from.
fn seeds() -> Vec<Vec<u8>> {
    let arguments = blobmsg::encode(
        &Tree::map()
            .with("peer", "r2")
            .with("dry_run", true)
            .with("limit", 1i64 << 40)
            .with("list", vec![Tree::from("a"), Tree::map().with("x", 1i64)]),
    );
    let write = |write: &dyn Fn(&mut Outbox)| {
        let mut out = Outbox::default();
        write(&mut out);
        out.bytes().to_vec()
    };
    let mut seeds = vec![write(&|out| out.status(1, 0, OBJECT, 0)), write(&|out| out.data(2, 0, OBJECT, &arguments))];
    for method in ["sync", "history", "status", "none"] {
        seeds.push(write(&|out| out.invoke(3, OBJECT, method, &arguments)));
        seeds.push(write(&|out| out.notify(3, OBJECT, method, &[])));
    }
    seeds
}

/// A few changes of the kind that break parsers: bits, lengths, cuts, repetitions.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(4) {
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = [0, 1, 3, 4, 0x7f, 0x80, 0xff][usize::try_from(rng.below(7)).unwrap()],
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, u8::try_from(rng.below(256)).unwrap()),
            4 => {
                let copy = bytes[at..].to_vec();
                bytes.extend_from_slice(&copy);
            }
            _ => {
                bytes.remove(at);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

/// What a fuzzer calls: a connection that has its name, given these bytes.
fn take(bytes: &[u8]) {
    let mut connection = Ubusd::named();
    connection.call(NOW, "service", "event", &Tree::map());
    for piece in bytes.chunks(7) {
        connection.handle_bytes(piece);
        loop {
            match connection.poll_event(NOW) {
                Ok(None) => break,
                Ok(Some(Event::Question { id, arguments, .. })) => connection.answer(id, 0, &arguments),
                Ok(Some(_)) => {}
                Err(_) => return,
            }
        }
        assert!(connection.output().bytes().len() < 1 << 20);
    }
    // Nothing but whole messages goes out.
    let mut rest = connection.output().bytes();
    while !rest.is_empty() {
        let (_, length) = message::parse(rest).unwrap().expect("a whole message");
        rest = &rest[length..];
    }
}

#[test]
fn no_bytes_end_the_program_or_fill_its_memory() {
    let seeds = seeds();
    let mut rng = Rng::new([7; 32]);
    for round in 0..20_000 {
        let mut bytes = seeds[usize::try_from(rng.below(seeds.len() as u64)).unwrap()].clone();
        for _ in 0..rng.below(3) {
            let next = usize::try_from(rng.below(seeds.len() as u64)).unwrap();
            bytes.extend_from_slice(&seeds[next]);
        }
        mutate(&mut rng, &mut bytes);
        take(&bytes);
        // Blobmsg on its own, without the message around it.
        let _ = blobmsg::decode(&bytes[round % bytes.len()..]);
    }
}

#[test]
fn what_was_read_is_what_was_meant() {
    let mut rng = Rng::new([8; 32]);
    for _ in 0..2_000 {
        let tree = some_table(&mut rng, 4);
        let content = blobmsg::encode(&tree);
        assert_eq!(blobmsg::decode(&content), Ok(tree.clone()));
        let limit = usize::try_from(rng.below(4096)).unwrap();
        if let Some(cut) = blobmsg::encode_within(&tree, limit) {
            assert!(cut.len() <= limit);
            assert!(blobmsg::decode(&cut).is_ok());
        }
    }
}

fn some_table(rng: &mut Rng, depth: u32) -> Tree {
    let count = rng.below(6);
    Tree::Map((0..count).map(|n| (format!("{n}{}", "k".repeat(n as usize)), some(rng, depth))).collect())
}

fn some(rng: &mut Rng, depth: u32) -> Tree {
    match rng.below(if depth == 0 { 4 } else { 6 }) {
        0 => Tree::Bool(rng.below(2) == 1),
        1 => Tree::Int(i64::from_be_bytes(rng.number().to_be_bytes())),
        2 => Tree::Int(i64::try_from(rng.below(1000)).unwrap() - 500),
        3 => Tree::Text("\u{e9}x".repeat(usize::try_from(rng.below(40)).unwrap())),
        4 => Tree::List((0..rng.below(6)).map(|_| some(rng, depth - 1)).collect()),
        _ => some_table(rng, depth - 1),
    }
}

#[test]
fn an_answer_of_any_size_stays_below_what_ubusd_takes() {
    let mut connection: Connection = Ubusd::named();
    let file = |n: usize| Tree::map().with("path", format!("etc/config/{n}")).with("digest", "0".repeat(64));
    let files: Vec<Tree> = (0..20_000).map(file).collect();

    let question = Ubusd::asks(&mut connection, "files", &Tree::map());
    connection.answer(question, 0, &Tree::map().with("files", files).with("truncated", false));

    let out = connection.output().bytes();
    let (data, length) = message::parse(out).unwrap().unwrap();
    let message::Body::Data { content, .. } = data.body else { panic!("{data:?}") };
    assert!(length < 1 << 20, "{length}");
    assert_eq!(data.peer, CLIENT);
    assert_eq!(blobmsg::decode(content).unwrap().get("truncated"), Some(&Tree::Bool(true)));
    let (status, _) = message::parse(&out[length..]).unwrap().unwrap();
    assert_eq!(status.body, message::Body::Status { status: 0, object: Some(OBJECT) });
}
