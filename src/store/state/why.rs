//! Reasons why a version is in the history.

/// Why a version is in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The author of its successor had seen it.
    Replaced,
    /// It was edited or deleted on this node.
    Edited,
    /// A peer deleted it.
    Deleted,
    /// Two nodes changed it, and both changes were merged: one of the two versions.
    Merged,
    /// It lost a conflict.
    Conflict,
    /// It lost a first contact.
    FirstContact,
    /// The user gave it up: a reject, a restore.
    Given,
    /// The path did not exist: the file that was created can be removed again.
    Created,
    /// Its successor must be confirmed first.
    OnTrial,
    /// It was not confirmed, or the user rolled it back.
    RolledBack,
    /// The user rejected it.
    Rejected,
    /// A file of this router, because values that belong to this router have no place in its successor. It is no content of
    /// the share: it is shown, and never brought back as one.
    Local,
}

impl Why {
    /// All of them.
    pub const ALL: [Why; 12] = [
        Why::Replaced,
        Why::Edited,
        Why::Deleted,
        Why::Merged,
        Why::Conflict,
        Why::FirstContact,
        Why::Given,
        Why::Created,
        Why::OnTrial,
        Why::RolledBack,
        Why::Rejected,
        Why::Local,
    ];

    /// The word in JSON and in output for users.
    pub fn word(self) -> &'static str {
        match self {
            Why::Replaced => "replaced",
            Why::Edited => "edited",
            Why::Deleted => "deleted",
            Why::Merged => "merged",
            Why::Conflict => "conflict",
            Why::FirstContact => "first contact",
            Why::Given => "given up",
            Why::Created => "created",
            Why::OnTrial => "unconfirmed",
            Why::RolledBack => "rolled back",
            Why::Rejected => "rejected",
            Why::Local => "local",
        }
    }

    /// The reason of a word; `-` or `_` may be written for its blank.
    pub fn from_word(word: &str) -> Option<Why> {
        let word = word.replace(['-', '_'], " ");
        Why::ALL.into_iter().find(|why| why.word() == word)
    }

    /// Whether it was not replaced knowingly, so that it must be kept for a day at least.
    pub fn must_be_kept(self) -> bool {
        match self {
            Why::Replaced | Why::Edited | Why::Created => false,
            Why::Deleted
            | Why::Merged
            | Why::Conflict
            | Why::FirstContact
            | Why::Given
            | Why::OnTrial
            | Why::RolledBack
            | Why::Rejected
            | Why::Local => true,
        }
    }
}
