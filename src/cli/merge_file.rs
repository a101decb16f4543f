//! `merge-file`: merges two versions of a UCI package, as a merge driver of a version control system.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::cli::args::Invocation;
use crate::cli::table::Opt;
use crate::cli::{Done, Failure};
use crate::model::{escape, limits};
use crate::uci::PackageName;
use crate::uci::merge::{Loss, Merged, Refusal, Setting, Side, merge};

/// Exit code when something of the loser is not in the text.
const LOST: u8 = 1;
/// Exit code when there is no text.
const NOT_MERGED: u8 = 3;

/// Merges the three files that the operands name.
///
/// # Errors
/// A file cannot be read or written: exit code 2, so that it is not taken for a merge.
pub fn merge_file(invocation: &Invocation) -> Result<Done, Failure> {
    let file = |index| read(invocation.operand(index).unwrap_or_default()).map_err(Failure::usage);
    let (base, winner, loser) = (file(0)?, file(1)?, file(2)?);
    // The name is in no output; the texts need one to be read.
    let Some(name) = PackageName::parse(b"merged") else { return Err(Failure::failed("no name for the package")) };
    let outcome = merge(&name, &base, &winner, &loser);
    if let (Ok(merged), Some(output)) = (&outcome, invocation.path(Opt::Output)) {
        std::fs::write(&output, &merged.text)
            .map_err(|error| Failure::usage(format!("{}: cannot be written: {error}", output.display())))?;
    }
    let code = match &outcome {
        Ok(merged) if merged.lost.is_empty() => 0,
        Ok(_) => LOST,
        Err(_) => NOT_MERGED,
    };
    let operands = [0, 1, 2].map(|index| Path::new(invocation.operand(index).unwrap_or_default()));
    let reason = outcome.as_ref().err().map(|refusal| explain(refusal, operands));
    if invocation.has(Opt::Json) {
        let text = format!("{}\n", as_json(&outcome, reason.as_deref()));
        return Ok(Done { text: text.into_bytes(), notes: Vec::new(), code });
    }
    let notes = match &outcome {
        Ok(merged) => lines(merged, invocation.has(Opt::Quiet)),
        Err(_) => reason.iter().map(|reason| format!("not merged: {reason}")).collect(),
    };
    let text = outcome.ok().filter(|_| !invocation.has(Opt::Output)).map(|merged| merged.text);
    Ok(Done { text: text.unwrap_or_default(), notes, code })
}

/// Reads a file of at most [`limits::MERGE_FILE_MAX`] bytes.
fn read(path: &OsStr) -> Result<Vec<u8>, String> {
    let shown = Path::new(path).display();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limits::MERGE_FILE_MAX + 1).read_to_end(&mut text))
        .map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    if text.len() as u64 > limits::MERGE_FILE_MAX {
        return Err(format!("{shown}: larger than {} MiB, which no UCI package is", limits::MERGE_FILE_MAX >> 20));
    }
    Ok(text)
}

/// The lines for standard error.
fn lines(merged: &Merged, quiet: bool) -> Vec<String> {
    let lost = merged.lost.iter().map(|loss| format!("lost: {loss}"));
    let notes = merged.notes.iter().filter(|_| !quiet).map(|note| format!("note: {note}"));
    lost.chain(notes).collect()
}

/// Why there is no text; a text that is no package is named with its line.
fn explain(refusal: &Refusal, [base, winner, loser]: [&Path; 3]) -> String {
    match refusal {
        Refusal::NoPackage(side @ (Side::Base | Side::Winner | Side::Loser), error) => {
            let file = match side {
                Side::Winner => winner,
                Side::Loser => loser,
                Side::Base | Side::Merged => base,
            };
            format!("{refusal} ({}, line {})", file.display(), error.line)
        }
        _ => refusal.to_string(),
    }
}

fn as_json(outcome: &Result<Merged, Refusal>, reason: Option<&str>) -> Json {
    match outcome {
        Ok(merged) => json!({
            "result": if merged.lost.is_empty() { "merged" } else { "lost" },
            "text": escape::escape(&merged.text),
            "lost": merged.lost.iter().map(loss).collect::<Vec<_>>(),
            "notes": merged.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Err(_) => json!({ "result": "not merged", "reason": reason }),
    }
}

fn loss(loss: &Loss) -> Json {
    let setting = |setting: &Option<Setting>| match setting {
        None => Json::Null,
        Some(Setting::Local) => json!({ "local": true }),
        Some(Setting::Value(value)) => value.items().iter().map(|item| escape::escape(item)).collect(),
    };
    let text = loss.to_string();
    match loss {
        Loss::Option { section, option, kept, lost } => {
            json!({ "section": section, "option": option, "kept": setting(kept), "lost": setting(lost), "text": text })
        }
        Loss::Section { section, .. } | Loss::Type { section, .. } => json!({ "section": section, "text": text }),
        Loss::Order { kind } => json!({ "type": kind, "text": text }),
    }
}
