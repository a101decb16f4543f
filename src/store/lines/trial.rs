//! Unconfirmed batches on disk.

use serde::{Deserialize, Serialize};

use crate::store::lines::entry::{LineEntry, version_from, version_text};
use crate::store::lines::{BadLine, counted, is_default, node_id, rel_path};
use crate::store::state::{Trial, TrialStep};

#[derive(Serialize, Deserialize)]
pub(crate) struct LineTrial {
    pub(super) share: String,
    /// Absent: the batch is confirmed or rolled back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) open: Option<LineOpen>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LineOpen {
    run: u64,
    from: String,
    secs: u32,
    #[serde(skip_serializing_if = "is_default", default)]
    first: bool,
    steps: Vec<LineTrialStep>,
}

#[derive(Serialize, Deserialize)]
struct LineTrialStep {
    path: String,
    was: LineEntry,
    version: String,
}

impl From<&Trial> for LineOpen {
    fn from(trial: &Trial) -> LineOpen {
        let step = |step: &TrialStep| LineTrialStep {
            path: step.path.to_text(),
            was: LineEntry::from(&step.was),
            version: version_text(&step.version),
        };
        LineOpen {
            run: trial.run,
            from: trial.from.to_hex(),
            secs: trial.secs,
            first: trial.first,
            steps: trial.steps.iter().map(step).collect(),
        }
    }
}

impl TryFrom<LineOpen> for Trial {
    type Error = BadLine;

    fn try_from(line: LineOpen) -> Result<Trial, BadLine> {
        let step = |step: LineTrialStep| {
            Ok(TrialStep {
                path: rel_path(&step.path)?,
                was: step.was.into_entry()?,
                version: version_from(&step.version)?,
            })
        };
        Ok(Trial {
            run: counted(line.run)?,
            from: node_id(&line.from)?,
            secs: line.secs,
            first: line.first,
            steps: line.steps.into_iter().map(step).collect::<Result<_, BadLine>>()?,
        })
    }
}
