//! The area `host`: what needs a compiler and nothing else.
use super::Tests;
use crate::{
    failure::{Context, Failure, Result},
    workspace::Package,
};
use std::time::Duration;

/// Formatting, lints, all tests, documentation, and what a registry would get.
pub fn test(tests: &mut Tests) -> Result {
    tests.cargo("formatting", "fmt --all --check");
    tests.cargo("lints", "clippy --workspace --all-targets --quiet -- --deny warnings");
    tests.cargo("tests of all crates", "test --workspace --no-fail-fast");
    features(tests);
    every_order(tests);
    documentation(tests);
    packages(tests);
    super::new::test(tests);
    tests.check("citations and requirements of RFCs", crate::compliance::check);
    Ok(())
}

/// Who takes one crate from the registry chooses features: it compiles without any, and with each alone. Platforms' are for other targets,
/// where the boards' and Xen's images are built with some.
fn features(tests: &mut Tests) {
    let chosen = |package: &&Package| {
        package.publish && !package.features.is_empty() && !package.name.starts_with("airglow-platform-")
    };
    let packages: Vec<_> = tests.workspace.packages().iter().filter(chosen).cloned().collect();
    for package in packages {
        tests.check(&format!("{} without features, and with each alone", package.name), |workspace| {
            for feature in [""].into_iter().chain(package.features.iter().map(String::as_str)) {
                let mut command = crate::workspace::cargo();
                command.current_dir(&workspace.root).args(["clippy", "--quiet", "--lib", "--package"]);
                command.args([&package.name, "--no-default-features", "--features", feature]);
                let said = command.args(["--", "--deny", "warnings"]).output().context("cargo clippy")?;
                if !said.status.success() {
                    let errors = String::from_utf8_lossy(&said.stderr);
                    return Err(Failure::new(format!("with `{feature}`: {errors}")));
                }
            }
            Ok(())
        });
    }
}

/// The vchan's memory in every order in which two processors can see it. In a folder of its own: the flag is every crate's.
fn every_order(tests: &mut Tests) {
    let mut command = crate::workspace::cargo();
    command
        .args(["test", "--release", "--package", "airglow-vchan", "--test", "loom"])
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", tests.workspace.target.join("loom"));
    tests.command("vchan, in every order of memory", &mut command, Duration::from_secs(300));
}

fn documentation(tests: &mut Tests) {
    let mut command = crate::workspace::cargo();
    command.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings");
    tests.command("documentation", &mut command, super::LIMIT);
}

/// Packs every publishable crate, builds it from its package, and looks at what the registry's page would show.
fn packages(tests: &mut Tests) {
    let published = tests.workspace.packages().iter().filter(|package| package.publish);
    let names: String = published.map(|package| format!(" --package {}", package.name)).collect();
    // A folder of its own each time: cargo takes a package that it once unpacked from the same folder for the same
    // package, if its version is.
    let folder = tests.workspace.target.join(format!("airglow-test/package-{}", std::process::id()));
    let at = folder.display();
    tests
        .cargo("packages for a registry", &format!("package --allow-dirty --quiet --target-dir {at}{names}"));
    let _ = std::fs::remove_dir_all(folder);
    tests.check("what registries ask for", |workspace| {
        let wrong: Vec<_> = workspace.packages().iter().filter(|p| p.publish).flat_map(lacks).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("; "))) }
    });
}

/// What the registry's page of a package would lack.
fn lacks(package: &Package) -> Vec<String> {
    let mut lacks = Vec::new();
    let manifest = std::fs::read_to_string(package.folder.join("Cargo.toml")).unwrap_or_default();
    for key in ["description", "documentation", "readme", "keywords", "categories", "license"] {
        if !manifest.lines().any(|line| line.starts_with(key)) {
            lacks.push(format!("{} has no {key}", package.name));
        }
    }
    let readme = std::fs::read_to_string(package.folder.join("README.md")).unwrap_or_default();
    for part in ["```", "not"] {
        if !readme.to_lowercase().contains(part) {
            lacks.push(format!("the README.md of {} has no `{part}`", package.name));
        }
    }
    lacks
}
