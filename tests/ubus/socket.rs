//! The socket: when it is looked for, and what happens when the other end is slow or goes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use owsync::daemon::ubus::blobmsg;
use owsync::daemon::ubus::calls::Failure;
use owsync::daemon::ubus::message::Outbox;
use owsync::daemon::ubus::{News, Ubus};
use owsync::model::{Monotonic, limits};
use owsync::node::api::{Reply, Tree};

use crate::scratch::Scratch;
use crate::ubusd::{CLIENT, NOW, OBJECT};

#[test]
fn where_there_is_no_ubus_nothing_is_tried() {
    let mut ubus = Ubus::at(NOW, "/nonexistent/ubus/ubus.sock".into());
    assert_eq!(ubus.poll_timeout(), NOW);

    ubus.handle_timeout(NOW);

    assert_eq!((ubus.poll_timeout(), ubus.poll_news(NOW)), (Monotonic::NEVER, None));
    assert_eq!((ubus.state(), ubus.problem()), (None, None));
    let id = ubus.call(NOW, "service", "event", &Tree::map());
    assert_eq!(ubus.poll_news(NOW), Some(News::Answer { id, answer: Err(Failure::Away) }));
    // Who asks for everything to be read again has it looked for again.
    let later = NOW.plus(Duration::from_secs(60));
    ubus.look_again(later);
    assert_eq!(ubus.poll_timeout(), later);
}

#[test]
fn where_ubusd_is_to_be_it_is_tried_with_growing_pauses() {
    let scratch = Scratch::new();
    let mut ubus = Ubus::at(NOW, scratch.path().join("ubus.sock"));
    let mut now = NOW;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        ubus.handle_timeout(now);
        pauses.push(ubus.poll_timeout().since(now));
        now = ubus.poll_timeout();
    }
    assert_eq!(pauses[0], limits::UBUS_RETRY_FIRST);
    assert!(pauses.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(limits::UBUS_RETRY_MAX)), "{pauses:?}");
    assert_eq!(pauses[9], limits::UBUS_RETRY_MAX);
}

/// The other end of an [`Ubus`] whose object has its name.
fn named(path: &Path) -> (Ubus, UnixStream, UnixListener) {
    let listener = UnixListener::bind(path).unwrap();
    let mut ubus = Ubus::at(NOW, path.into());
    let stream = names(&mut ubus, &listener);
    (ubus, stream, listener)
}

/// Lets it connect, and gives it its name.
fn names(ubus: &mut Ubus, listener: &UnixListener) -> UnixStream {
    ubus.handle_timeout(ubus.poll_timeout());
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&[0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 4]).unwrap();
    ubus.pump(NOW);
    assert_eq!(ubus.poll_news(NOW), None);
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[1], 6);
    stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([head[10], head[11]])) - 4]).unwrap();
    let mut out = Outbox::default();
    let seq = u16::from_be_bytes([head[2], head[3]]);
    out.data(seq, 0, OBJECT, &[]);
    out.status(seq, 0, OBJECT, 0);
    stream.write_all(out.bytes()).unwrap();
    ubus.pump(NOW);
    stream
}

fn news(ubus: &mut Ubus) -> Vec<News> {
    std::iter::from_fn(|| ubus.poll_news(NOW)).collect()
}

#[test]
fn questions_that_wait_for_room_are_taken_when_there_is_room() {
    let scratch = Scratch::new();
    let (mut ubus, mut stream, _listener) = named(&scratch.path().join("ubus.sock"));
    assert!(matches!(news(&mut ubus)[..], [News::Ready, News::Log(..)]));
    let mut out = Outbox::default();
    for seq in 1..=3 {
        out.invoke(seq, OBJECT, "status", &[]);
    }
    let mut bytes = out.bytes().to_vec();
    bytes.chunks_mut(out.bytes().len() / 3).for_each(|one| one[4..8].copy_from_slice(&CLIENT.to_be_bytes()));
    stream.write_all(&bytes).unwrap();
    ubus.pump(NOW);

    // A reader that takes nothing, and an answer larger than any buffer between.
    let large = Tree::map().with("text", "x".repeat(900_000));
    let mut answers = 0;
    while let Some(one) = ubus.poll_news(NOW) {
        let News::Question { id, .. } = one else { panic!("{one:?}") };
        ubus.answer(NOW, id, Reply::Done(large.clone()));
        answers += 1;
    }
    assert_eq!(answers, 1, "the next question waits");

    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    stream.set_nonblocking(true).unwrap();
    while answers < 3 || read < 3 * 900_000 {
        read += stream.read(&mut buffer).unwrap_or(0);
        // Nothing new comes in: the questions are there already.
        while let Some(News::Question { id, .. }) = ubus.poll_news(NOW) {
            ubus.answer(NOW, id, Reply::Done(large.clone()));
            answers += 1;
        }
    }
    assert_eq!(answers, 3);
    assert_eq!(ubus.fd().map(|(_, interest)| format!("{interest:?}")), Some("Read".into()));
}

#[test]
fn an_end_in_the_middle_of_everything_is_only_a_new_beginning() {
    let scratch = Scratch::new();
    let (mut ubus, stream, listener) = named(&scratch.path().join("ubus.sock"));
    news(&mut ubus);
    let id = ubus.call(NOW, "service", "event", &Tree::map());
    drop(stream);

    ubus.pump(NOW);

    let said = news(&mut ubus);
    assert!(said.contains(&News::Answer { id, answer: Err(Failure::Away) }), "{said:?}");
    assert!(
        said.iter().any(|one| matches!(one, News::Log(_, text) if text.contains("connection to ubusd lost"))),
        "{said:?}"
    );
    assert_eq!((ubus.state(), ubus.fd().is_none()), (Some("not connected"), true));
    assert_eq!(ubus.poll_timeout(), NOW.plus(limits::UBUS_RETRY_FIRST));
    let _again = names(&mut ubus, &listener);
    assert!(matches!(&news(&mut ubus)[..], [News::Ready, News::Log(_, text)] if text.contains("again")));
}

#[test]
fn an_ubusd_that_is_silent_or_talks_nonsense_is_left_and_tried_again() {
    let scratch = Scratch::new();
    let listener = UnixListener::bind(scratch.path().join("ubus.sock")).unwrap();
    let mut ubus = Ubus::at(NOW, scratch.path().join("ubus.sock"));
    ubus.handle_timeout(NOW);
    let (_silent, _) = listener.accept().unwrap();
    let late = ubus.poll_timeout();
    assert_eq!(late, NOW.plus(limits::UBUS_ANSWER_TIME));
    ubus.handle_timeout(late);
    assert!(ubus.fd().is_none() && ubus.poll_timeout() > late);

    let mut stream = names(&mut ubus, &listener);
    news(&mut ubus);
    let nonsense = blobmsg::encode(&Tree::map().with("a", "b"));
    stream.write_all(&nonsense).unwrap();
    ubus.pump(NOW);
    let said = news(&mut ubus);
    assert!(matches!(&said[..], [News::Log(_, text)] if text.contains("messages are malformed")), "{said:?}");
}
