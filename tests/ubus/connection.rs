//! The connection, without a socket: who is answered what, and when.

use owsync::daemon::ubus::calls::Failure;
use owsync::daemon::ubus::connection::{Broken, Connection, Event};
use owsync::daemon::ubus::message;
use owsync::model::limits;
use owsync::node::api::Tree;

use crate::ubusd::{CLIENT, NOW, OBJECT, Said, Sent, Ubusd};

/// The object that is called.
const SERVICE: u32 = 0x0303_0303;

fn said(connection: &mut Connection) -> Vec<Said> {
    Ubusd::take(connection).into_iter().map(|sent| sent.said).collect()
}

fn why(code: &str, text: &str) -> Said {
    Said::Data(Tree::map().with("code", code).with("message", text))
}

#[test]
fn nothing_is_said_before_ubusd_says_hello() {
    let mut connection = Connection::new();
    connection.handle_connected(NOW);
    connection.call(NOW, "service", "event", &Tree::map());
    assert_eq!(Ubusd::take(&mut connection), []);

    Ubusd::hello(&mut connection);
    assert_eq!(Ubusd::events(&mut connection), []);

    assert_eq!(said(&mut connection), [Said::Add("owsync".into()), Said::Lookup("service".into())]);
}

#[test]
fn a_name_that_is_taken_is_asked_for_again() {
    let mut connection = Connection::new();
    connection.handle_connected(NOW);
    Ubusd::hello(&mut connection);
    Ubusd::events(&mut connection);
    let [Sent { seq, .. }] = Ubusd::take(&mut connection)[..] else { panic!() };

    Ubusd::status(&mut connection, seq, 0, 2);

    assert_eq!(Ubusd::events(&mut connection), [Event::NameRefused]);
    let again = NOW.plus(limits::UBUS_NAME_AGAIN);
    assert_eq!(connection.poll_timeout(), again);
    connection.handle_timeout(again).unwrap();
    let [Sent { seq, said: Said::Add(_), .. }] = Ubusd::take(&mut connection)[..] else { panic!() };
    Ubusd::passes(&mut connection, |out| out.data(seq, 0, OBJECT, &[]));
    Ubusd::status(&mut connection, seq, 0, 0);
    assert_eq!(Ubusd::events(&mut connection), [Event::Named]);
}

#[test]
fn a_ubusd_that_says_nothing_is_given_up() {
    let mut connection = Connection::new();
    connection.handle_connected(NOW);
    let late = connection.poll_timeout();
    assert_eq!(connection.handle_timeout(late), Err(Broken::Silent));

    Ubusd::hello(&mut connection);
    Ubusd::events(&mut connection);
    let late = connection.poll_timeout();
    assert_eq!(connection.handle_timeout(late), Err(Broken::Silent));
    connection.handle_bytes(&[9; 12]);
    assert_eq!(connection.poll_event(NOW), Err(Broken::OutOfStep));
}

#[test]
fn questions_are_answered_in_any_order_and_to_whom_they_belong() {
    let mut connection = Ubusd::named();
    Ubusd::calls(&mut connection, 7, "status", &Tree::map());
    Ubusd::calls(&mut connection, 8, "peers", &Tree::map());
    let questions = Ubusd::events(&mut connection);
    let [Event::Question { id: first, .. }, Event::Question { id: second, method, .. }] = &questions[..] else {
        panic!("{questions:?}")
    };
    assert_eq!(method.name, "peers");

    connection.answer(*second, 0, &Tree::map().with("n", 2u64));
    connection.answer(*first, 4, &Tree::map().with("code", "not_found").with("message", "no"));
    connection.answer(*first, 0, &Tree::map());

    let sent = |seq: u16, said: Said| Sent { seq, peer: CLIENT, said };
    assert_eq!(
        Ubusd::take(&mut connection),
        [
            sent(8, Said::Data(Tree::map().with("n", 2u64))),
            sent(8, Said::Status(0)),
            sent(7, why("not_found", "no")),
            sent(7, Said::Status(4)),
        ]
    );
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_own_code() {
    let mut connection = Ubusd::named();
    Ubusd::calls(&mut connection, 1, "no_such", &Tree::map());
    Ubusd::calls(&mut connection, 2, "sync", &Tree::map().with("peer", 5u64));
    assert_eq!(Ubusd::events(&mut connection), []);
    assert_eq!(
        said(&mut connection),
        [
            why("not_found", "there is no such method"),
            Said::Status(3),
            why("argument", "peer is not a text"),
            Said::Status(2)
        ]
    );

    // One who does not wait for an answer gets none.
    Ubusd::calls_without_reply(&mut connection, "no_such");
    Ubusd::calls_without_reply(&mut connection, "status");
    let questions = Ubusd::events(&mut connection);
    let [Event::Question { id, .. }] = questions[..] else { panic!("{questions:?}") };
    connection.answer(id, 0, &Tree::map());
    assert_eq!(said(&mut connection), []);
}

#[test]
fn a_call_of_an_object_of_others_is_not_ours_to_answer() {
    let mut connection = Ubusd::named();
    Ubusd::passes(&mut connection, |out| out.invoke(1, SERVICE, "status", &[]));
    assert_eq!((Ubusd::events(&mut connection), said(&mut connection)), (vec![], vec![]));
}

#[test]
fn more_questions_than_can_wait_are_refused() {
    let mut connection = Ubusd::named();
    for n in 0..limits::UBUS_QUESTIONS {
        Ubusd::calls(&mut connection, u16::try_from(n).unwrap(), "status", &Tree::map());
    }
    assert_eq!(Ubusd::events(&mut connection).len(), limits::UBUS_QUESTIONS);

    Ubusd::calls(&mut connection, 0, "status", &Tree::map());

    assert_eq!(Ubusd::events(&mut connection), []);
    assert!(matches!(said(&mut connection)[..], [Said::Data(_), Said::Status(11)]));
}

#[test]
fn questions_wait_while_ubusd_does_not_read() {
    let mut connection = Ubusd::named();
    let large = Tree::map().with("text", "x".repeat(limits::UBUS_BACKLOG));
    let first = Ubusd::asks(&mut connection, "status", &Tree::map());
    connection.answer(first, 0, &large);

    Ubusd::calls(&mut connection, 2, "peers", &Tree::map());
    connection.tell("owsync.peer", &Tree::map());

    assert!(!connection.wants_more());
    assert_eq!(Ubusd::events(&mut connection), []);
    assert!(matches!(said(&mut connection)[..], [Said::Data(_), Said::Status(0)]));
    assert!(matches!(Ubusd::events(&mut connection)[..], [Event::Question { .. }]));
}

#[test]
fn events_go_to_everybody_and_notifications_to_subscribers() {
    let mut connection = Ubusd::named();
    let details = Tree::map().with("peer", "r2");
    let event = Said::Invoke {
        object: message::EVENTS,
        method: "send".into(),
        arguments: Tree::map().with("id", "owsync.peer").with("data", details.clone()),
    };
    let notification = Said::Notify { method: "owsync.peer".into(), details: details.clone() };

    connection.tell("owsync.peer", &details);
    assert_eq!(said(&mut connection), std::slice::from_ref(&event));

    Ubusd::subscribed(&mut connection, true);
    assert_eq!(Ubusd::events(&mut connection), []);
    connection.tell("owsync.peer", &details);
    assert_eq!(said(&mut connection), [event.clone(), notification]);

    Ubusd::subscribed(&mut connection, false);
    assert_eq!(Ubusd::events(&mut connection), []);
    connection.tell("owsync.peer", &details);
    assert_eq!(said(&mut connection), [event]);
}

/// A connection that called `service event`, and what it sent: the call, with its sequence.
fn called() -> (Connection, u64, u16) {
    let mut connection = Ubusd::named();
    let id = connection.call(NOW, "service", "event", &Tree::map().with("type", "config.change"));
    let [Sent { seq, peer: 0, said: Said::Lookup(_) }] = Ubusd::take(&mut connection)[..] else { panic!() };
    let seq = found(&mut connection, seq);
    (connection, id, seq)
}

/// Answers a lookup; the call that follows.
fn found(connection: &mut Connection, seq: u16) -> u16 {
    Ubusd::passes(connection, |out| out.data(seq, 0, SERVICE, &[]));
    Ubusd::status(connection, seq, 0, 0);
    assert_eq!(Ubusd::events(connection), []);
    let sent = Ubusd::take(connection);
    let [Sent { seq, peer: SERVICE, said: Said::Invoke { object: SERVICE, method, arguments } }] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((method.as_str(), arguments.get("type")), ("event", Some(&Tree::from("config.change"))));
    *seq
}

#[test]
fn questions_are_served_while_a_call_waits() {
    let (mut connection, id, seq) = called();

    let question = Ubusd::asks(&mut connection, "status", &Tree::map());
    connection.answer(question, 0, &Tree::map());
    assert_eq!(said(&mut connection), [Said::Data(Tree::map()), Said::Status(0)]);

    // The same numbers from a different client are not its answer.
    Ubusd::passes(&mut connection, |out| out.status(seq, CLIENT, OBJECT, 0));
    assert_eq!(Ubusd::events(&mut connection), []);
    let answer = Tree::map().with("count", 1u64);
    let content = owsync::daemon::ubus::blobmsg::encode(&answer);
    Ubusd::passes(&mut connection, |out| out.data(seq, SERVICE, SERVICE, &content));
    Ubusd::passes(&mut connection, |out| out.status(seq, SERVICE, SERVICE, 0));
    assert_eq!(Ubusd::events(&mut connection), [Event::Answer { id, answer: Ok(answer) }]);
    assert_eq!(connection.poll_timeout(), owsync::model::Monotonic::NEVER);
}

#[test]
fn every_call_is_answered_once_whatever_happens() {
    let failed = |id: u64, failure: Failure| vec![Event::Answer { id, answer: Err(failure) }];

    let mut connection = Ubusd::named();
    let id = connection.call(NOW, "nobody", "event", &Tree::map());
    let [Sent { seq, .. }] = Ubusd::take(&mut connection)[..] else { panic!() };
    Ubusd::status(&mut connection, seq, 0, 4);
    assert_eq!(Ubusd::events(&mut connection), failed(id, Failure::NoObject));

    let (mut connection, id, seq) = called();
    Ubusd::passes(&mut connection, |out| out.status(seq, SERVICE, SERVICE, 6));
    assert_eq!(Ubusd::events(&mut connection), failed(id, Failure::Refused(6)));

    let (mut connection, id, seq) = called();
    Ubusd::passes(&mut connection, |out| out.data(seq, SERVICE, SERVICE, b"rubbish!"));
    Ubusd::passes(&mut connection, |out| out.status(seq, SERVICE, SERVICE, 0));
    assert_eq!(Ubusd::events(&mut connection), failed(id, Failure::Garbage));

    let (mut connection, id, seq) = called();
    let late = connection.poll_timeout();
    connection.handle_timeout(late).unwrap();
    assert_eq!(Ubusd::events(&mut connection), failed(id, Failure::Late));
    Ubusd::passes(&mut connection, |out| out.status(seq, SERVICE, SERVICE, 0));
    assert_eq!(Ubusd::events(&mut connection), []);

    let (mut connection, id, _) = called();
    connection.handle_closed();
    assert_eq!(Ubusd::events(&mut connection), failed(id, Failure::Away));
    let id = connection.call(NOW, "service", "event", &Tree::map());
    assert_eq!(Ubusd::events(&mut connection), failed(id, Failure::Away));

    let mut connection = Ubusd::named();
    let ids: Vec<u64> =
        (0..=limits::UBUS_CALLS).map(|_| connection.call(NOW, "service", "event", &Tree::map())).collect();
    assert_eq!(Ubusd::events(&mut connection), failed(*ids.last().unwrap(), Failure::TooMany));
}

#[test]
fn an_object_that_restarts_between_lookup_and_call_is_looked_up_once_more() {
    let (mut connection, id, seq) = called();

    Ubusd::status(&mut connection, seq, SERVICE, 4);
    assert_eq!(Ubusd::events(&mut connection), []);
    let [Sent { seq, said: Said::Lookup(_), .. }] = Ubusd::take(&mut connection)[..] else { panic!() };
    let seq = found(&mut connection, seq);

    Ubusd::status(&mut connection, seq, SERVICE, 4);
    assert_eq!(Ubusd::events(&mut connection), [Event::Answer { id, answer: Err(Failure::Refused(4)) }]);
}

#[test]
fn what_was_asked_before_ubusd_restarted_is_answered_to_nobody() {
    let mut connection = Ubusd::named();
    let before = Ubusd::asks(&mut connection, "status", &Tree::map());
    connection.handle_bytes(&[0; 5]);

    connection.handle_connected(NOW);
    Ubusd::names(&mut connection);
    let after = Ubusd::asks(&mut connection, "status", &Tree::map());
    connection.answer(before, 0, &Tree::map());
    assert_eq!(Ubusd::take(&mut connection), []);

    connection.answer(after, 0, &Tree::map());
    assert_eq!(said(&mut connection), [Said::Data(Tree::map()), Said::Status(0)]);
}
