//! The area `host`: what needs a compiler and nothing else.
use super::Tests;
use crate::failure::Result;

/// Formatting, lints, all tests, documentation, and what a registry would get.
pub fn test(tests: &mut Tests) -> Result {
    tests.cargo("formatting", "fmt --all --check");
    tests.cargo("lints", "clippy --workspace --all-targets --quiet -- --deny warnings");
    tests.cargo("tests of all crates", "test --workspace --no-fail-fast");
    documentation(tests);
    packages(tests);
    Ok(())
}

fn documentation(tests: &mut Tests) {
    let mut command = crate::workspace::cargo();
    command.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings");
    tests.command("documentation", &mut command, super::LIMIT);
}

/// Packs every publishable crate and looks at what is in the package.
fn packages(tests: &mut Tests) {
    let names: Vec<_> =
        tests.workspace.packages().iter().filter(|p| p.publish).map(|p| p.name.clone()).collect();
    for name in names {
        // The packages depend on each other and none is in a registry before the first release, so they
        // are packed without building; the tests above have built the same files.
        tests.cargo(
            &format!("package {name}"),
            &format!("package --package {name} --no-verify --allow-dirty --quiet"),
        );
    }
    tests.check("what registries ask for", |workspace| {
        let wrong: Vec<_> = workspace.packages().iter().filter(|p| p.publish).flat_map(lacks).collect();
        if wrong.is_empty() { Ok(()) } else { Err(crate::failure::Failure::new(wrong.join("; "))) }
    });
}

/// What the registry's page of a package would lack.
fn lacks(package: &crate::workspace::Package) -> Vec<String> {
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
