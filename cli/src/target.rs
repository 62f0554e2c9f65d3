//! The targets of `--on`.
use crate::{
    arm,
    failure::{Failure, Result},
};
use std::str::FromStr;

/// Where an image runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This machine: a Unix process.
    Unix,
    /// A kernel that Xen boots.
    Xen,
    /// The flash image of a board, by its name in `cargo airglow boards`.
    Board(String),
}

impl FromStr for Target {
    type Err = String;
    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match name {
            "unix" => Ok(Self::Unix),
            "xen" => Ok(Self::Xen),
            board if arm::is_board(board) => Ok(Self::Board(board.to_owned())),
            _ => Err("a target is unix, xen or a board; `cargo airglow boards` lists the boards".to_owned()),
        }
    }
}

impl Target {
    /// The board's name.
    ///
    /// # Errors
    /// When the target is no board, saying that `what` needs one.
    pub fn board(&self, what: &str) -> Result<&str> {
        match self {
            Self::Board(name) => Ok(name),
            _ => Err(Failure::new(format!("{what} needs a board; `cargo airglow boards` lists them"))),
        }
    }
}
