//! The wire protocol between nodes. `docs/protocol.md` is its specification; the modules below are its only
//! implementation.
//!
//! [`frame`] reads prefaces, records and alerts, `handshake` proves key and identity, [`message`] has the messages and
//! their bounds, and [`session`] is the state machine of one connection, without the connection.
//!
//! Every text, list and number of a peer is checked while it is decoded. A message that decodes is well-formed; one that
//! does not ends the session as the peer's fault.

pub mod frame;
#[cfg(feature = "encryption")]
pub mod handshake;
pub mod message;
mod mode;
pub mod session;

pub use message::Message;
pub use session::{Credentials, Event, Session};

/// The versions of the message layer that this program speaks, lowest and highest. The predecessor's was 1.
pub const VERSIONS: (u16, u16) = (2, 2);

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn the_specification_has_a_row_for_every_message() {
        let page = include_str!("../../docs/protocol.md");
        let (_, part) = page.split_once("\n### Messages\n").unwrap();
        let (part, _) = part.split_once("\n### ").unwrap();
        for number in 0..=u8::MAX {
            let known = !matches!(Message::decode(&[number]), Ok(Message::Unknown(_)));
            let rows = part.lines().filter(|line| line.starts_with(&format!("| {number} | "))).count();
            assert_eq!(rows, usize::from(known), "message {number}");
        }
    }
}
