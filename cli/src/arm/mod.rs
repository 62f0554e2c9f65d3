//! ARM boards: building, emulating, measuring and flashing their images.
mod toolchain;

use crate::{
    failure::{Failure, Result},
    test::Tests,
    workspace::{App, Workspace},
};
use std::path::PathBuf;

fn none<T>() -> Result<T> {
    Err(Failure::new("this version of cargo airglow knows no boards"))
}

/// Whether `name` is a board of [`boards`].
pub fn is_board(_name: &str) -> bool {
    false
}

/// Prints the table of boards.
pub fn boards() -> Result {
    none()
}

/// Builds the flash image of `app` for `board` and returns its path.
pub fn build(_workspace: &Workspace, _app: &App, _board: &str) -> Result<PathBuf> {
    none()
}

/// Builds `app` and boots it in QEMU's model of `board` with the boot `parameters`.
pub fn run(_workspace: &Workspace, _app: &App, _board: &str, _parameters: &[String]) -> Result {
    none()
}

/// Prints flash and RAM by crate, and the deepest stack.
pub fn size(_workspace: &Workspace, _app: &App, _board: &str) -> Result {
    none()
}

/// Builds `app` and writes it to `board`.
pub fn flash(_workspace: &Workspace, _app: &App, _board: &str) -> Result {
    none()
}

/// The tests of the area `arm`.
pub fn test(_tests: &mut Tests) -> Result {
    Ok(())
}
