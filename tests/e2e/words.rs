//! What strangers say, the same to real nodes and to simulated ones.

use owsync::model::{Direction, NodeId, ShareName, StateId, WallTime};
use owsync::proto::message::{Hello, ShareHello};

/// A Hello that nothing is wrong with.
pub fn hello(wall: WallTime) -> Hello {
    let name = ShareName::main();
    Hello {
        versions: owsync::proto::VERSIONS,
        name: "stranger".into(),
        wall,
        settled: true,
        rank: 0,
        state: StateId(0xaa),
        asks: false,
        token: None,
        shares: vec![ShareHello {
            name,
            seq: 0,
            direction: Direction::Both,
            filter: [0; 8],
            patterns: None,
            held: None,
            release_guard: false,
        }],
        node: NodeId([0xaa; 16]),
        program: "test".into(),
        release: None,
        instance: 0,
        addresses: Vec::new(),
    }
}

/// Records that are no message, after a Hello that was one; each with what is wrong with it.
pub fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let path = |text: &[u8]| {
        // An Index with one entry: share "main", and a path that no RelPath is.
        let mut body = vec![4, 0xa2, 0x00, 0x64];
        body.extend_from_slice(b"main");
        body.extend_from_slice(&[0x04, 0x81, 0xa1, 0x00, 0x40 + u8::try_from(text.len()).unwrap()]);
        body.extend_from_slice(text);
        body
    };
    vec![
        ("an empty record", vec![]),
        ("half a map", vec![4, 0xa2]),
        ("not CBOR", vec![4, 0xff, 0xff, 0xff]),
        ("a map that announces 2^32 pairs", vec![4, 0xba, 0xff, 0xff, 0xff, 0xff]),
        ("bytes that announce 2^60", vec![6, 0xa1, 0x00, 0x81, 0xa3, 0x02, 0x5b, 0x10, 0, 0, 0, 0, 0, 0, 0]),
        ("deep nesting", [vec![4], vec![0x81; 60_000]].concat()),
        ("no path", vec![4, 0xa2, 0x00, 0x64, b'm', b'a', b'i', b'n', 0x04, 0x81, 0xa0]),
        ("a path that leaves", path(b"../x")),
        ("an absolute path", path(b"/etc/passwd")),
        ("an empty path", path(b"")),
        ("a path with a zero byte", path(b"a\0b")),
        ("trailing bytes", vec![9, 0xa1, 0x00, 0x01, 0x00]),
        ("text for a number", vec![9, 0xa1, 0x00, 0x61, 0x31]),
    ]
}

/// What comes before a Hello, or instead of a preface, from a program that does not speak the protocol.
pub const NO_PREFACES: [&[u8]; 6] = [
    b"owsyncP1\0\0",
    b"owsyncP1\xff\xff",
    b"owsyncP9",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\0",
    &[0xff; 4096],
];
