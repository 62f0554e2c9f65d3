//! What went wrong, in a sentence a user can act on.
use std::fmt;

/// A command that could not be carried out.
pub struct Failure(String);

/// The result of every step of this tool.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure that says `message`.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when something failed.
pub trait Context<T> {
    /// The value, or a failure `what: why`.
    fn context(self, what: impl fmt::Display) -> Result<T>;
    /// The same, where the words have to be made.
    fn context_with<W: fmt::Display>(self, what: impl FnOnce() -> W) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.context_with(|| what)
    }
    fn context_with<W: fmt::Display>(self, what: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|why| Failure(format!("{}: {why}", what())))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.context_with(|| what)
    }
    fn context_with<W: fmt::Display>(self, what: impl FnOnce() -> W) -> Result<T> {
        self.ok_or_else(|| Failure::new(what()))
    }
}
