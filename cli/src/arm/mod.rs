//! ARM boards: building, emulating, measuring and flashing their images.
mod bench;
mod boards;
mod cable;
pub mod elf;
mod emulator;
mod flash;
mod frames;
mod image;
mod kept;
mod logs;
mod secure;
pub mod size;
mod switch;
mod test;
pub mod toolchain;
mod uf2;

pub use bench::bench;
pub use test::test;

use crate::{
    failure::{Context, Result},
    workspace::{App, Workspace},
};
use boards::{BOARDS, Board};
use std::path::PathBuf;

fn board(name: &str) -> Result<&'static Board> {
    boards::find(name).context_with(|| format!("{name} is no board; `cargo airglow boards` lists them"))
}

/// Whether `name` is a board of [`boards()`].
pub fn is_board(name: &str) -> bool {
    boards::find(name).is_some()
}

/// Prints the table of boards.
pub fn boards() -> Result {
    println!("{:<15} {:<29} {:>9} {:>9}  {:<14} checked", "board", "processor", "flash", "RAM", "network");
    for board in BOARDS {
        let flash = if board.flash == 0 { "in RAM".to_owned() } else { format!("{} KiB", board.flash) };
        let ram = format!("{} KiB", board.ram);
        println!(
            "{:<15} {:<29} {flash:>9} {ram:>9}  {:<14} {}",
            board.name, board.core, board.net, board.checked
        );
    }
    Ok(())
}

/// Builds the flash image of `app` for `board` and returns its path.
pub fn build(workspace: &Workspace, app: &App, name: &str) -> Result<PathBuf> {
    image::build(workspace, app, board(name)?)
}

/// Builds `app` and boots it in QEMU's model of `board` with the boot `parameters`. A word `forward=PORT` is not the board's: it
/// says at which port of 127.0.0.1 the board's port 80 is to be found.
pub fn run(workspace: &Workspace, app: &App, name: &str, parameters: &[String]) -> Result {
    let board = board(name)?;
    emulator::ready(board)?;
    let (own, words): (Vec<String>, Vec<String>) =
        parameters.iter().cloned().partition(|word| word.starts_with("forward="));
    let port = match own.last() {
        Some(word) => word["forward=".len()..].parse().context(word)?,
        None => emulator::free_port()?,
    };
    let image = image::with_parameters(&image::build(workspace, app, board)?, &words)?;
    eprintln!("{name} in QEMU; its port 80 is http://127.0.0.1:{port}/ (Ctrl-C ends it)");
    emulator::run(board, &image, port)
}

/// Prints flash and RAM by section and by crate.
pub fn size(workspace: &Workspace, app: &App, name: &str) -> Result {
    let board = board(name)?;
    size::print(&image::build(workspace, app, board)?, board)
}

/// Builds `app` and writes it to `board`, with the boot `parameters` and a fresh seed.
pub fn flash(workspace: &Workspace, app: &App, name: &str, parameters: &[String]) -> Result {
    let board = board(name)?;
    let image = image::with_parameters(&image::build(workspace, app, board)?, parameters)?;
    flash::flash(board, &image)
}
