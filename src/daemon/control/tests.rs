//! Over real sockets: what a client has written can be read at once, so nothing here waits.

use std::io::{BufRead, BufReader};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::model::WallTime;

/// A socket of its own in a directory of its own.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("owsync-control-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Place(dir)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("sock")
    }

    fn open(&self) -> Control {
        Control::open(&self.socket()).unwrap()
    }

    /// An accepted client.
    fn client(&self, control: &mut Control) -> (ClientId, BufReader<UnixStream>) {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        control.accept();
        (control.next - 1, BufReader::new(stream))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn say(client: &BufReader<UnixStream>, text: &str) {
    (&mut client.get_ref()).write_all(text.as_bytes()).unwrap();
}

/// The next line that a client gets.
fn hear(client: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or(Value::Null)
}

/// Whether the other side has closed.
fn is_over(client: &mut BufReader<UnixStream>) -> bool {
    client.fill_buf().is_ok_and(<[u8]>::is_empty)
}

fn done(text: &str) -> Reply {
    Reply::Done(Tree::map().with("text", text.to_string()))
}

fn event(text: &str) -> Event {
    Event { name: "owsync.synced", at: WallTime(1_000), text: text.into(), details: Tree::map() }
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_its_value() {
    let place = Place::new();
    // Given what a daemon that was killed left there,
    drop(UnixListener::bind(place.socket()).unwrap());
    let control = place.open();
    assert_eq!(control.path(), place.socket());
    let mode = std::fs::metadata(place.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    drop(control);
    assert!(!place.socket().exists());
    assert!(Control::open(&place.0.join("none/sock")).is_err());
}

#[test]
fn answers_go_to_who_asked_under_the_number_that_was_given() {
    let place = Place::new();
    let mut control = place.open();
    let (one, mut first) = place.client(&mut control);
    let (two, mut second) = place.client(&mut control);
    // Several questions in one write, one of them in two, with lines that say nothing in between.
    say(&first, "{\"id\":1,\"method\":\"status\"}\n\n  \n{\"id\":\"b\",\"method\":\"peers\",\"par");
    say(&second, "{\"id\":1,\"method\":\"shares\"}\n");
    let asked = control.pump(one);
    assert_eq!(asked.iter().map(|q| (q.client, q.method.as_str())).collect::<Vec<_>>(), [(one, "status")]);
    say(&first, "ams\":{\"x\":1}}\n");
    let more = control.pump(one);
    assert_eq!(
        (more[0].method.as_str(), &more[0].id, more[0].params.get("x")),
        ("peers", &json!("b"), Some(&Tree::Int(1)))
    );
    let theirs = control.pump(two);
    // In another order than they were asked.
    control.answer(two, &theirs[0].id, &done("shares"));
    control.answer(one, &more[0].id, &done("peers"));
    control.answer(one, &asked[0].id, &Reply::failed(Fault::State, "not now"));
    assert_eq!(hear(&mut first), json!({"id": "b", "result": {"text": "peers"}}));
    assert_eq!(hear(&mut first), json!({"id": 1, "error": {"code": Fault::State.word(), "message": "not now"}}));
    assert_eq!(hear(&mut second), json!({"id": 1, "result": {"text": "shares"}}));
}

#[test]
fn what_is_no_question_is_said_to_be_none_and_the_next_one_is_heard() {
    let place = Place::new();
    let mut control = place.open();
    let (id, mut client) = place.client(&mut control);
    say(&client, "what?\n{\"id\":2,\"method\":\"status\"}\n");
    assert_eq!(control.pump(id).len(), 1);
    assert_eq!(hear(&mut client)["error"]["code"], Fault::Argument.word());
    control.answer(id, &json!(2), &done("fine"));
    assert_eq!(hear(&mut client)["result"]["text"], "fine");
}

#[test]
fn a_client_that_has_said_everything_is_still_answered() {
    let place = Place::new();
    let mut control = place.open();
    let (id, mut client) = place.client(&mut control);
    say(&client, "{\"id\":1,\"method\":\"sync\"}\n{\"id\":2,\"method\":\"status\"}\n");
    client.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(control.pump(id).len(), 2);
    // Nothing is waited for from it meanwhile: its end would be announced again and again.
    assert_eq!(control.client_fds().count(), 0);
    control.answer(id, &json!(2), &done("now"));
    control.answer(id, &json!(1), &done("later"));
    assert_eq!((hear(&mut client)["id"].clone(), hear(&mut client)["id"].clone()), (json!(2), json!(1)));
    assert!(is_over(&mut client));
    assert_eq!(control.clients.len(), 0);
}

#[test]
fn a_client_that_went_leaves_nothing_behind() {
    let place = Place::new();
    let mut control = place.open();
    let (id, client) = place.client(&mut control);
    say(&client, "{\"id\":1,\"method\":\"sync\"}\n");
    assert_eq!(control.pump(id).len(), 1);
    control.subscribe(id);
    drop(client);
    assert_eq!(control.pump(id).len(), 0);
    control.answer(id, &json!(1), &done("to no client"));
    control.tell(&event("to no client"));
    assert_eq!(control.clients.len(), 0);
    // An answer that comes later still goes nowhere.
    control.answer(id, &json!(1), &done("again"));
    assert_eq!(control.pump(id).len(), 0);
}

#[test]
fn a_line_that_is_too_long_ends_the_conversation() {
    let place = Place::new();
    let mut control = place.open();
    let (id, client) = place.client(&mut control);
    let mut taken = 0;
    let piece = [b'x'; 64 * 1024];
    client.get_ref().set_nonblocking(true).unwrap();
    while control.clients.get(&id).is_some_and(|client| !client.ended) {
        taken += (&mut client.get_ref()).write(&piece).unwrap_or(0);
        assert!(taken < 4 * limits::CONTROL_LINE, "no end to it");
        assert_eq!(control.pump(id).len(), 0);
    }
    client.get_ref().set_nonblocking(false).unwrap();
    let mut client = client;
    assert_eq!(hear(&mut client)["error"]["message"], "the line is too long");
    assert_eq!(control.clients.len(), 0);
}

#[test]
fn there_are_only_so_many_clients_and_the_next_one_waits_its_turn() {
    let place = Place::new();
    let mut control = place.open();
    let mut clients: Vec<_> = (0..limits::CONTROL_MAX).map(|_| place.client(&mut control)).collect();
    assert!(control.listener_fd().is_none());
    let late = UnixStream::connect(place.socket()).unwrap();
    (&late).write_all(b"{\"id\":1,\"method\":\"status\"}\n").unwrap();
    control.accept();
    assert_eq!(control.clients.len(), limits::CONTROL_MAX);
    // One leaves, and the late one is served.
    let (gone, client) = clients.pop().unwrap();
    drop(client);
    control.pump(gone);
    assert!(control.listener_fd().is_some());
    control.accept();
    let questions = control.pump(control.next - 1);
    assert_eq!(questions[0].method, "status");
}

#[test]
fn events_go_to_who_subscribed() {
    let place = Place::new();
    let mut control = place.open();
    let (one, mut listens) = place.client(&mut control);
    let (two, mut does_not) = place.client(&mut control);
    control.subscribe(one);
    control.tell(&event("first"));
    control.answer(two, &json!(9), &done("only this"));
    let told = hear(&mut listens);
    assert_eq!((&told["event"], &told["text"], &told["time"]), (&json!("owsync.synced"), &json!("first"), &json!(1)));
    assert_eq!(hear(&mut does_not)["id"], 9);
}

#[test]
fn a_subscriber_that_does_not_read_is_dropped_and_delays_nobody() {
    let place = Place::new();
    let mut control = place.open();
    let (deaf, _client) = place.client(&mut control);
    let (id, mut hears) = place.client(&mut control);
    control.subscribe(deaf);
    control.subscribe(id);
    let long = "x".repeat(64 * 1024);
    let mut told = 0;
    while control.clients.contains_key(&deaf) {
        control.tell(&event(&long));
        assert_eq!(hear(&mut hears)["event"], "owsync.synced");
        told += 1;
        assert!(told < 100, "its backlog grows for ever");
    }
    assert!(control.clients.contains_key(&id));
}

#[test]
fn who_asks_and_does_not_read_is_not_heard_until_it_does() {
    let place = Place::new();
    let mut control = place.open();
    let (id, mut client) = place.client(&mut control);
    let answer = done(&"x".repeat(64 * 1024));
    let (mut asked, mut heard) = (0, 0);
    client.get_ref().set_nonblocking(true).unwrap();
    // Given one that asks and asks,
    for number in 0..1000 {
        let question = format!("{{\"id\":{number},\"method\":\"files\"}}\n");
        if (&mut client.get_ref()).write(question.as_bytes()).is_ok() {
            asked += 1;
        }
        for question in control.pump(id) {
            control.answer(id, &question.id, &answer);
        }
    }
    // then what waits for it stays within a bound,
    let waiting = control.clients[&id].output.len();
    assert!(waiting < 2 * limits::CONTROL_LINE, "{waiting} bytes wait");
    assert!(control.client_fds().all(|(_, _, interest)| interest == Interest::Write));
    // and once it reads, everything is answered.
    client.get_ref().set_nonblocking(false).unwrap();
    while heard < asked {
        assert_eq!(hear(&mut client)["id"], heard);
        heard += 1;
        for question in control.pump(id) {
            control.answer(id, &question.id, &answer);
        }
    }
}

#[test]
fn a_line_is_a_question_or_says_why_not() {
    let (id, method, params) = parse(br#"{"id":7,"method":"sync","params":{"share":"main"}}"#).unwrap();
    assert_eq!((id, method.as_str()), (json!(7), "sync"));
    assert_eq!(params.get("share"), Some(&Tree::from("main")));

    for bad in [&b"x"[..], b"[]", b"{}", br#"{"method":7}"#, br#"{"method":"a","params":[]}"#] {
        assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}
