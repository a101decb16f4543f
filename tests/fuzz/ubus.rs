//! What comes from ubusd.

use owsync::daemon::ubus::blobmsg as tables;
use owsync::daemon::ubus::connection::{Connection, Event};
use owsync::daemon::ubus::message;
use owsync::model::{Monotonic, limits};
use owsync::node::api::Tree;

pub fn blobmsg(data: &[u8]) -> bool {
    let Ok(tree) = tables::decode(data) else { return false };
    let written = tables::encode(&tree);
    let again = tables::decode(&written).expect("what is written can be read");
    assert_eq!(tables::encode(&again), written);
    for limit in [0, 64, 1000] {
        if let Some(cut) = tables::encode_within(&tree, limit) {
            assert!(cut.len() <= limit.max(written.len().min(limit)), "{} bytes of at most {limit}", cut.len());
            assert!(tables::decode(&cut).is_ok());
        }
    }
    true
}

/// The first byte says how the rest is split.
pub fn ubus(data: &[u8]) -> bool {
    let Some((&first, stream)) = data.split_first() else { return false };
    let mut rest = stream;
    while let Ok(Some((_, length))) = message::parse(rest) {
        assert!(length > 0 && length <= rest.len());
        rest = &rest[length..];
    }
    let now = Monotonic(1000);
    let run = |piece: usize| {
        let mut connection = Connection::new();
        connection.handle_connected(now);
        let mut said = Vec::new();
        let mut broken = None;
        for piece in stream.chunks(piece) {
            connection.handle_bytes(piece);
            while broken.is_none() {
                match connection.poll_event(now) {
                    Ok(Some(event)) => {
                        if let Event::Question { id, .. } = event {
                            connection.answer(id, 0, &Tree::map().with("ok", true));
                        }
                        said.push(format!("{event:?}"));
                    }
                    Ok(None) => break,
                    Err(error) => broken = Some(error),
                }
            }
        }
        let written = connection.output().bytes().len();
        assert!(written <= limits::UBUS_BACKLOG + limits::UBUS_ANSWER + 4096, "{written} bytes wait for ubusd");
        (said, broken, written)
    };
    let whole = run(stream.len().max(1));
    assert_eq!(run(usize::from(first) + 1), whole);
    whole.1.is_none() && !whole.0.is_empty()
}
