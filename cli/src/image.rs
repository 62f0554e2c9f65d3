//! `cargo airglow build`, `size` and `flash`: images and what is in them.
use crate::{
    arm,
    failure::{Context, Failure, Result},
    target::Target,
    workspace::{App, Workspace},
    xen,
};
use std::{fs, path::PathBuf};

/// What to build, and for which target.
#[derive(clap::Args)]
pub struct Arguments {
    /// The application: a package of this workspace that has a binary
    app: Option<String>,
    /// unix, xen, or a board of `cargo airglow boards`
    #[arg(long, default_value = "unix", value_name = "TARGET")]
    on: Target,
    /// Write a description for libvirt beside the kernel and its configuration for xl (target xen)
    #[arg(long)]
    libvirt: bool,
}

/// Whose bytes to count.
#[derive(clap::Args)]
pub struct SizeArguments {
    /// The application: a package of this workspace that has a binary
    app: Option<String>,
    /// unix, xen, or a board of `cargo airglow boards`
    #[arg(long, value_name = "TARGET")]
    on: Target,
}

/// What to write to which board.
#[derive(clap::Args)]
pub struct FlashArguments {
    /// The application: a package of this workspace that has a binary
    app: Option<String>,
    /// A board of `cargo airglow boards`
    #[arg(long, value_name = "BOARD")]
    on: Target,
    /// Boot parameters as key=value words, written into the image
    #[arg(last = true, value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

/// Builds an image; the last line is its path and its size in bytes.
pub fn build(arguments: &Arguments) -> Result {
    let workspace = Workspace::find()?;
    let app = workspace.app(arguments.app.as_deref())?;
    if arguments.libvirt && arguments.on != Target::Xen {
        return Err(Failure::new("--libvirt is for the target xen"));
    }
    let image = image(&workspace, &app, &arguments.on)?;
    if arguments.libvirt {
        println!("{}", xen::libvirt(&image)?.display());
    }
    let bytes = fs::metadata(&image).context(image.display())?.len();
    println!("{} {bytes} bytes", image.display());
    Ok(())
}

/// Builds `app` for `target` and returns the image's path.
pub fn image(workspace: &Workspace, app: &App, target: &Target) -> Result<PathBuf> {
    match target {
        Target::Unix => unix(app),
        Target::Xen => xen::build(workspace, app),
        Target::Board(board) => arm::build(workspace, app, board),
    }
}

/// Builds `app` as a process of this machine.
pub fn unix(app: &App) -> Result<PathBuf> {
    app.compile(|cargo| {
        cargo.arg("--release");
    })
}

/// Prints flash and memory by crate.
pub fn size(arguments: &SizeArguments) -> Result {
    let workspace = Workspace::find()?;
    let app = workspace.app(arguments.app.as_deref())?;
    match &arguments.on {
        Target::Xen => xen::size(&workspace, &app),
        other => arm::size(&workspace, &app, other.board("size")?),
    }
}

/// Writes an image to a board.
pub fn flash(arguments: &FlashArguments) -> Result {
    let workspace = Workspace::find()?;
    let app = workspace.app(arguments.app.as_deref())?;
    arm::flash(&workspace, &app, arguments.on.board("flash")?, &arguments.parameters)
}
