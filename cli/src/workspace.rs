//! Finds applications: packages with a binary, in the workspace around the current folder.
use crate::failure::{Context, Failure, Result};
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The workspace around the current folder.
pub struct Workspace {
    /// Its root folder.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Clone)]
pub struct Package {
    /// Its name in `Cargo.toml`.
    pub name: String,
    /// The folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// Its binaries' names.
    pub binaries: Vec<String>,
    /// Whether it is meant for a registry.
    pub publish: bool,
    /// Its features, but `default`.
    pub features: Vec<String>,
    /// `package.metadata.airglow.small`: the smallest image rather than the fastest.
    pub small: bool,
    /// `package.metadata.airglow.processor`: names of instructions that a kernel for Xen may take for granted.
    pub processor: Vec<String>,
}

/// An application: a package and the binary in it that is the image.
#[derive(Clone)]
pub struct App {
    /// The package.
    pub package: Package,
    /// The binary.
    pub binary: String,
}

/// The cargo that started this process, or the first in the path.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Workspace {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .context("cargo metadata")?;
        if !output.status.success() {
            return Err(Failure::new("this is not a folder of a cargo workspace (cargo metadata failed)"));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        let path = |key: &str| metadata[key].as_str().map(PathBuf::from).context("cargo metadata: no paths");
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            packages: array(&metadata["packages"]).filter_map(package).collect(),
        })
    }

    /// All packages.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The application `name`: a package's name, with or without `airglow-`, or its folder's; without a
    /// name the package of the current folder.
    pub fn app(&self, name: Option<&str>) -> Result<App> {
        let apps = || self.packages.iter().filter(|p| !p.binaries.is_empty());
        let list = || {
            let names: Vec<_> = apps().map(|p| short(&p.name)).filter(|n| *n != "cargo-airglow").collect();
            names.join(", ")
        };
        let found = match name {
            Some(name) => apps()
                .find(|p| p.name == name)
                .or_else(|| apps().find(|p| short(&p.name) == name || p.folder.ends_with(name)))
                .context_with(|| {
                    format!("there is no application `{name}` in this workspace; there are: {}", list())
                })?,
            None => {
                let here = env::current_dir().context("the current folder")?;
                apps()
                    .find(|p| p.folder == here)
                    .context_with(|| format!("which application? This workspace has: {}", list()))?
            }
        };
        let binary = found.binaries.iter().find(|b| **b == found.name).unwrap_or(&found.binaries[0]);
        Ok(App { package: found.clone(), binary: binary.clone() })
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix("airglow-").unwrap_or(name)
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn package(value: &Value) -> Option<Package> {
    let manifest = Path::new(value["manifest_path"].as_str()?);
    let is_binary = |target: &Value| array(&target["kind"]).any(|kind| kind == "bin");
    Some(Package {
        name: value["name"].as_str()?.to_owned(),
        folder: manifest.parent()?.to_owned(),
        binaries: array(&value["targets"])
            .filter(|t| is_binary(t))
            .filter_map(|t| t["name"].as_str().map(str::to_owned))
            .collect(),
        small: value["metadata"]["airglow"]["small"].as_bool().unwrap_or(false),
        processor: array(&value["metadata"]["airglow"]["processor"])
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        features: value["features"]
            .as_object()
            .into_iter()
            .flat_map(|features| features.keys().filter(|name| *name != "default").cloned())
            .collect(),
        publish: value["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
    })
}

impl App {
    /// Builds it with `cargo build` and the further `arguments` (`--target`, `--profile`, ...) and
    /// environment that `prepare` adds, and returns the executable. Compiler messages go to stderr.
    pub fn compile(&self, prepare: impl FnOnce(&mut Command)) -> Result<PathBuf> {
        let mut command = cargo();
        command
            .args(["build", "--package", &self.package.name, "--bin", &self.binary])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit());
        prepare(&mut command);
        let output = command.output().context("cargo build")?;
        if !output.status.success() {
            return Err(Failure::new(format!("`{}` does not compile; see above", self.package.name)));
        }
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == *self.binary)
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back()
            .context("cargo build named no executable")
    }
}
