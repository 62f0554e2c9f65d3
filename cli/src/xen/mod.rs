//! Xen: building kernels, and booting them in the real hypervisor under emulation.
use crate::{
    failure::{Failure, Result},
    test::Tests,
    workspace::{App, Workspace},
};
use std::path::PathBuf;

fn none<T>() -> Result<T> {
    Err(Failure::new("this version of cargo airglow does not build for Xen"))
}

/// Builds `app` as a kernel and returns its path.
pub fn build(_workspace: &Workspace, _app: &App) -> Result<PathBuf> {
    none()
}

/// Builds `app` and boots it in Xen under emulation with the boot `parameters`.
pub fn run(_workspace: &Workspace, _app: &App, _parameters: &[String]) -> Result {
    none()
}

/// Prints where the image's bytes are, by crate.
pub fn size(_workspace: &Workspace, _app: &App) -> Result {
    none()
}

/// The tests of the area `xen`.
pub fn test(_tests: &mut Tests) -> Result {
    Ok(())
}
