//! Every way a message can be wrong, each told by its own words.

use owsync::model::limits;
use owsync::proto::Message;

use crate::bytes::{C, b, hex, t};

fn share(name: &str) -> C {
    C::M(vec![(0, t(name)), (1, C::U(1)), (2, C::U(0)), (3, b(&[0; 8]))])
}

fn hello() -> C {
    C::M(vec![
        (0, C::U(2)),
        (1, C::U(2)),
        (2, t("r1")),
        (3, C::U(0)),
        (4, C::Bool(true)),
        (5, C::U(0)),
        (6, C::U(1)),
        (7, C::Bool(false)),
        (9, C::A(vec![share("main")])),
        (10, b(&[1; 16])),
        (11, t("2.0.0")),
        (13, C::U(0)),
        (14, C::A(vec![])),
    ])
}

pub fn file() -> C {
    C::M(vec![
        (0, b(b"a")),
        (1, C::U(5)),
        (2, C::U(0)),
        (3, C::A(vec![C::U(1), C::U(2)])),
        (4, C::U(1)),
        (5, C::U(1000)),
        (6, b(&[7; 32])),
        (7, C::U(3)),
        (8, C::U(1000)),
        (9, C::U(0o644)),
    ])
}

fn index(entries: Vec<C>) -> C {
    C::M(vec![(0, t("main")), (1, C::U(0)), (2, C::U(100)), (3, C::Bool(true)), (4, C::A(entries)), (5, C::U(1))])
}

fn piece(path: &[u8], offset: u64, length: u64) -> C {
    C::A(vec![C::U(1), b(path), b(&[7; 32]), C::U(offset), C::U(length)])
}

fn request(piece: C) -> C {
    C::M(vec![(0, t("main")), (1, C::A(vec![piece]))])
}

fn progress(paths: Vec<C>) -> C {
    C::M(vec![(0, t("main")), (1, C::U(1)), (2, C::U(1)), (3, C::U(0)), (4, C::A(paths)), (6, C::U(1))])
}

fn owed(path: &[u8]) -> C {
    C::M(vec![(0, b(path)), (1, C::M(vec![(0, C::U(12))]))])
}

pub fn why(bytes: &[u8]) -> String {
    Message::decode(bytes).expect_err("it must be refused").0
}

#[test]
fn what_these_tests_start_from_is_right() {
    for (number, body) in [
        (1, hello()),
        (4, index(vec![file()])),
        (5, request(piece(b"a", 0, 524_288))),
        (8, progress(vec![owed(b"a"); 32])),
    ] {
        assert!(Message::decode(&body.message(number)).is_ok(), "{:?}", Message::decode(&body.message(number)));
    }
}

#[test]
fn every_refusal_of_a_hello() {
    let shares = |list: Vec<C>| hello().with(9, C::A(list));
    for (body, reason) in [
        (shares((0..65).map(|n| share(&format!("s{n}"))).collect()), "too many shares"),
        (shares(vec![share("main"), share("main")]), "a share appears twice"),
        (shares(vec![share("")]), "a share's name is not a label"),
        (shares(vec![share("../etc")]), "a share's name is not a label"),
        (shares(vec![share("main").with(2, C::U(4))]), "unknown direction"),
        (hello().with(6, C::U(0)), "state id is 0"),
    ] {
        assert_eq!(why(&body.message(1)), reason);
    }
    assert!(Message::decode(&shares((0..64).map(|n| share(&format!("s{n}"))).collect()).message(1)).is_ok());
}

#[test]
fn every_refusal_of_an_entry() {
    let version = |numbers: &[u64]| file().with(3, C::A(numbers.iter().map(|n| C::U(*n)).collect()));
    let lost = |numbers: &[u64]| file().with(12, C::A(numbers.iter().map(|n| C::U(*n)).collect()));
    let numbers = |numbers: &[u64]| C::A(numbers.iter().map(|n| C::U(*n)).collect());
    let content = |version: &[u64], content: &[u64]| file().with(3, numbers(version)).with(16, numbers(content));
    let many: Vec<u64> = (1..=1 + limits::VERSION_IDS_JOINED as u64).flat_map(|id| [id, 1]).collect();
    let dir = || {
        C::M(vec![
            (0, b(b"d")),
            (1, C::U(5)),
            (2, C::U(1)),
            (3, C::A(vec![])),
            (4, C::U(0)),
            (5, C::U(1)),
            (9, C::U(0o755)),
        ])
    };
    let link = |size: u64| file().with(2, C::U(2)).with(8, None).with(9, None).with(7, C::U(size));
    let gone = || dir().with(2, C::U(3)).with(9, None);
    let owner = |user: &str, group: &str| file().with(10, t(user)).with(11, t(group));
    for good in [
        dir(),
        link(1),
        link(4096),
        gone(),
        owner("root", "1000"),
        version(&many[..2 * limits::VERSION_IDS_JOINED]),
        file().with(13, C::U(5)),
        content(&[1, 2, 2, 1], &[1, 1]),
    ] {
        assert!(Message::decode(&index(vec![good.clone()]).message(4)).is_ok(), "{good:?}");
    }
    for (entry, reason) in [
        (file().with(0, b(b"")), "path is empty: "),
        (file().with(0, b(b"/etc/passwd")), "path is absolute: /etc/passwd"),
        (file().with(0, b(b"a/../b")), "path has a '.' or '..' component: a/../b"),
        (file().with(0, b(b"a//b")), "path has an empty component: a//b"),
        (file().with(0, b(b"a\0")), "path contains a NUL byte: a\\x00"),
        (file().with(0, b(&[b'n'; 256])), &format!("a name in the path is longer than 255 bytes: {}", "n".repeat(100))),
        (file().with(0, b(&[b'n'; 4097])), &format!("path is longer than 4096 bytes: {}", "n".repeat(100))),
        (version(&[1]), "a version has too many ids, or half a pair"),
        (version(&many), "a version has too many ids, or half a pair"),
        (version(&[0, 1]), "a version holds a 0"),
        (version(&[1, 0]), "a version holds a 0"),
        (version(&[1, 1, 1, 2]), "a version holds an id twice"),
        (lost(&[1, 0]), "a version holds a 0"),
        (file().with(2, C::U(4)), "unknown kind: a"),
        (file().with(6, None), "content without digest and size, or the reverse: a"),
        (file().with(7, None), "content without digest and size, or the reverse: a"),
        (dir().with(6, b(&[7; 32])), "content without digest and size, or the reverse: d"),
        (gone().with(7, C::U(0)), "content without digest and size, or the reverse: d"),
        (file().with(8, None), "mode or mtime missing, or where there is none: a"),
        (file().with(9, None), "mode or mtime missing, or where there is none: a"),
        (dir().with(8, C::U(1)), "mode or mtime missing, or where there is none: d"),
        (gone().with(9, C::U(0)), "mode or mtime missing, or where there is none: d"),
        (file().with(9, C::U(0o10_000)), "mode or rank out of range: a"),
        (file().with(4, C::U(2)), "mode or rank out of range: a"),
        (link(0), "a symlink's text is empty or too long: a"),
        (link(4097), "a symlink's text is empty or too long: a"),
        (owner("", "g"), "owner or group is no name: a"),
        (owner("a:b", "g"), "owner or group is no name: a"),
        (owner("u", "a\nb"), "owner or group is no name: a"),
        (owner("u", &"g".repeat(65)), "owner or group is no name: a"),
        (file().with(10, t("u")), "half an owner: a"),
        (file().with(11, t("g")), "half an owner: a"),
        (gone().with(10, t("u")).with(11, t("g")), "half an owner: d"),
        (file().with(13, C::U(6)), "a batch number below 0: a"),
        (content(&[1, 1], &[1, 2]), "the content includes an edit that the version does not: a"),
        (content(&[1, 1], &[2, 1]), "the content includes an edit that the version does not: a"),
    ] {
        assert_eq!(why(&index(vec![entry]).message(4)), reason);
    }
}

#[test]
fn every_refusal_of_an_index() {
    let at = |seq: u64| file().with(1, C::U(seq));
    for entries in [vec![at(5), at(5)], vec![at(6), at(5)], vec![at(101)]] {
        assert_eq!(why(&index(entries).message(4)), "sequence numbers do not ascend");
    }
    assert_eq!(why(&index(vec![]).with(0, t("a/b")).message(4)), "a share's name is not a label");
    assert!(Message::decode(&index(vec![at(5), at(100)]).message(4)).is_ok());
}

#[test]
fn every_refusal_of_a_request_and_a_progress() {
    for (piece, reason) in [
        (piece(b"a", 0, 524_289), "a requested piece is too large"),
        (piece(b"a", u64::MAX, 1), "a requested piece is too large"),
        (piece(b"../a", 0, 1), "path has a '.' or '..' component: ../a"),
    ] {
        assert_eq!(why(&request(piece).message(5)), reason);
    }
    assert_eq!(why(&request(piece(b"a", 0, 1)).with(0, t("")).message(5)), "a share's name is not a label");
    assert_eq!(why(&progress(vec![owed(b"a"); 33]).message(8)), "too many pending paths");
    assert_eq!(why(&progress(vec![owed(b"/a")]).message(8)), "path is absolute: /a");
}

#[test]
fn every_message_is_refused_when_it_is_cut_or_goes_on() {
    assert_eq!(why(b""), "empty message");
    for (name, golden) in [
        ("Hello", hello().message(1)),
        ("Bye", hex("02 a3 00 0a 01 00 02 60")),
        ("Want", hex("03 a4 00 61 61 01 01 02 00 03 00")),
        ("Index", index(vec![file()]).message(4)),
        ("Request", request(piece(b"a", 0, 1)).message(5)),
        ("Data", hex("06 a1 00 81 83 01 00 42 6869")),
        ("Unavailable", hex("07 a2 00 09 01 a1 00 0c")),
        ("Progress", progress(vec![owed(b"a")]).message(8)),
        ("Ping", hex("09 a1 00 00")),
        ("Pong", hex("0a a1 00 00")),
        ("ShareNews", hex("0b a2 00 61 61 01 60")),
        ("Ask", hex("0c a3 00 61 61 01 07 02 81 41 61")),
        ("Tell", hex("0d a3 00 07 01 f5 02 80")),
        ("Introduce", hex("0e a3 00 02 01 80 02 80")),
        ("Around", hex("14 a1 00 81 a3 00 62 7233 02 61 61 03 00")),
    ] {
        assert!(Message::decode(&golden).is_ok(), "{name}");
        for end in 1..golden.len() {
            let reason = why(&golden[..end]);
            assert!(reason.starts_with(&format!("malformed {name}: ")), "{name} cut after {end} bytes: {reason}");
        }
        let longer = [&golden[..], b"\0"].concat();
        assert_eq!(why(&longer), format!("malformed {name}: trailing bytes"));
        // Another item where the map should be.
        assert!(why(&[golden[0], 0x80]).starts_with(&format!("malformed {name}: ")));
    }
}

#[test]
fn a_field_of_the_wrong_form_is_refused() {
    for (body, number) in [
        (hello().with(2, b(b"r1")), 1),
        (hello().with(10, b(&[1; 15])), 1),
        (hello().with(0, C::U(65_536)), 1),
        (hello().with(4, C::U(1)), 1),
        (hello().with(3, None), 1),
        (index(vec![]).with(2, C::N(0)), 4),
        (index(vec![file().with(6, b(&[7; 31]))]), 4),
        (index(vec![file().with(0, t("a"))]), 4),
        (request(C::A(vec![C::U(1)])), 5),
        (request(piece(b"a", 0, 1)).with(1, C::Null), 5),
    ] {
        let reason = why(&body.message(number));
        assert!(reason.starts_with("malformed "), "{reason}");
    }
    // A text that is no UTF-8.
    assert!(why(&hex("0b a1 00 62 fffe")).starts_with("malformed ShareNews: "));
}

#[test]
fn an_announced_length_allocates_nothing_f35() {
    // Bytes, text, a list and a map of 2^62 items each, in a message of a few bytes.
    for golden in [
        "06 a1 00 81 83 01 00 5b 4000000000000000",
        "0b a1 00 7b 4000000000000000",
        "06 a1 00 9b 4000000000000000",
        "04 a6 00 61 61 01 00 02 00 03 f4 05 00 04 9b 4000000000000000",
        "01 bb 4000000000000000",
        "09 a2 00 00 18 63 9b 4000000000000000",
    ] {
        assert!(why(&hex(golden)).starts_with("malformed "), "{golden}");
    }
}

#[test]
fn deep_nesting_is_skipped_and_nothing_overflows() {
    for depth in [100, 10_000, 60_000] {
        let mut bytes = hex("09 a2 00 00 18 63");
        bytes.extend(std::iter::repeat_n(0x81, depth));
        bytes.push(0);
        // A field of a later version, however deep.
        assert!(Message::decode(&bytes).is_ok());
        bytes.pop();
        assert!(Message::decode(&bytes).is_err());
    }
}
