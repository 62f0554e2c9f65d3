//! Xen: building kernels, and booting them in the real hypervisor under emulation.
mod archive;
mod bench;
mod dom0;
mod kernel;
mod linux;
mod machine;
mod run;
mod strip;
mod symbols;
mod test;

use crate::{
    arm::size::measure,
    failure::{Context, Result},
    workspace::{App, Workspace},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub use bench::bench;
pub use test::test;

/// Builds `app` as a kernel and returns its path.
pub fn build(workspace: &Workspace, app: &App) -> Result<PathBuf> {
    kernel::build(workspace, app)
}

/// Writes what `virsh create` wants beside the kernel and returns its path.
pub fn libvirt(kernel: &Path) -> Result<PathBuf> {
    let name =
        kernel.file_stem().map_or_else(|| "guest".to_owned(), |name| name.to_string_lossy().into_owned());
    let path = kernel.with_extension("xml");
    fs::write(&path, kernel::libvirt(&name, kernel, 32)).context(path.display())?;
    Ok(path)
}

/// Builds `app` and boots it in Xen under emulation with the boot `parameters`.
pub fn run(workspace: &Workspace, app: &App, parameters: &[String]) -> Result {
    run::run(&kernel::build(workspace, app)?, parameters)
}

/// Prints where the image's bytes are, by crate.
pub fn size(workspace: &Workspace, app: &App) -> Result {
    let kernel = kernel::build(workspace, app)?;
    println!("{} {}", kernel.display(), kernel::sizes(&kernel)?);
    let (_, mut crates) = measure(&kernel::symbols(&kernel))?;
    crates.sort_by_key(|(_, code, _)| std::cmp::Reverse(*code));
    for (name, code, _) in crates.iter().filter(|(_, code, _)| *code > 0) {
        println!("{code:>9} {name}");
    }
    Ok(())
}
