//! Pauses on disk.

use serde::{Deserialize, Serialize};

use crate::model::WallTime;
use crate::store::lines::{BadLine, share_name};
use crate::store::state::{Pause, Paused};

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePause {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    share: Option<String>,
    since: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    until: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    reason: String,
}

impl From<&Pause> for LinePause {
    fn from(pause: &Pause) -> LinePause {
        let (peer, share) = match &pause.of {
            Paused::Peer(name) => (Some(name.clone()), None),
            Paused::Share(name) => (None, Some(name.to_string())),
        };
        let until = pause.until.map(|until| until.0);
        LinePause { peer, share, since: pause.since.0, until, reason: pause.reason.clone() }
    }
}

impl TryFrom<LinePause> for Pause {
    type Error = BadLine;

    fn try_from(line: LinePause) -> Result<Pause, BadLine> {
        let of = match (line.peer, line.share) {
            (Some(name), None) => Paused::Peer(name),
            (None, Some(name)) => Paused::Share(share_name(&name)?),
            _ => return Err(BadLine("pause")),
        };
        Ok(Pause { of, since: WallTime(line.since), until: line.until.map(WallTime), reason: line.reason })
    }
}
