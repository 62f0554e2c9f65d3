//! Why a card did not open, and what to type.
use std::{fmt, io};

/// Why a network card could not be opened, in words that say what to do.
#[derive(Debug)]
pub struct OpenError {
    device: String,
    doing: &'static str,
    error: io::Error,
    advice: String,
}

impl OpenError {
    pub(super) fn new(
        device: &str,
        doing: &'static str,
        error: impl Into<io::Error>,
        advice: String,
    ) -> Self {
        Self { device: device.to_owned(), doing, error: error.into(), advice }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, doing, error, advice } = self;
        write!(f, "{doing} {device}: {error}")?;
        if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
