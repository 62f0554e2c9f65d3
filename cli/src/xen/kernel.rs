//! Kernels: an application compiled for a processor without an operating system, linked where Xen puts it.
use super::strip::stripped;
use crate::{
    arm::{elf::Elf, toolchain::Toolchain},
    failure::{Context, Failure, Result},
    packages,
    workspace::{App, Workspace},
};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The target with the processor's floating-point and vector registers. It is not one of rustc's own, so `core` and `alloc` are
/// compiled with the application.
const SPECIFICATION: &str = include_str!("x86_64-airglow-xen.json");
/// rustc's own target, without them.
const PLAIN: &str = "x86_64-unknown-none";

const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";
const DEBIAN: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// A compiler that can compile `core` itself.
struct Source {
    cargo: PathBuf,
    rustc: Option<PathBuf>,
    name: &'static str,
}

/// The user's own, if it has the library's source; else Debian's.
fn source() -> Option<Source> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).stderr(Stdio::null()).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        return Some(Source { cargo: cargo.into(), rustc: None, name: "this toolchain's rust-src" });
    }
    let debian = || Path::new(DEBIAN_LIBRARY).join("core").is_dir() && Path::new("/usr/bin/rustc").exists();
    if !debian() && packages::root() && Path::new("/etc/debian_version").exists() {
        // Without them there is still the plain target.
        let _ = packages::need(DEBIAN);
    }
    debian().then(|| Source {
        cargo: "/usr/bin/cargo".into(),
        rustc: Some("/usr/bin/rustc".into()),
        name: "Debian's rustc-web and rust-web-src",
    })
}

/// Compiles `app` and returns the kernel; beside it lie its [`symbols`] and a configuration for `xl create`.
pub fn build(workspace: &Workspace, app: &App) -> Result<PathBuf> {
    let built = compile(workspace, &app.package.name, &["--bin", &app.binary], &app.binary, &app.into())?;
    let name = app
        .package
        .folder
        .file_name()
        .map_or_else(|| app.binary.clone(), |n| n.to_string_lossy().into_owned());
    let folder = workspace.target.join("xen");
    let kernel = folder.join(format!("{name}.elf"));
    let whole = fs::read(&built).context(built.display())?;
    let symbols = kernel.with_extension(SYMBOLS);
    fs::write(&symbols, &whole).context(symbols.display())?;
    fs::write(&kernel, stripped(&whole)?).context(kernel.display())?;
    let configuration = folder.join(format!("{name}.cfg"));
    fs::write(&configuration, xl(&name, &kernel.display().to_string(), 32, "", "", "destroy"))
        .context(configuration.display())?;
    Ok(kernel)
}

/// Compiles an example of `package`.
pub fn example(workspace: &Workspace, package: &str, name: &str) -> Result<PathBuf> {
    example_for(workspace, package, name, &[])
}

/// The same for a processor that has these instructions.
pub fn example_for(
    workspace: &Workspace,
    package: &str,
    name: &str,
    processor: &[String],
) -> Result<PathBuf> {
    compile(workspace, package, &["--example", name], name, &Wishes { small: false, processor })
}

/// Compiles `app` without the features that it has by default; the next kernel of the same application takes its place.
pub fn without_default_features(workspace: &Workspace, app: &App) -> Result<PathBuf> {
    let choice = ["--bin", &app.binary, "--no-default-features"];
    compile(workspace, &app.package.name, &choice, &app.binary, &app.into())
}

/// How the name of the file with a kernel's symbols ends.
const SYMBOLS: &str = "symbols.elf";

/// The file that has `kernel`'s symbols: the one beside it, or itself.
pub fn symbols(kernel: &Path) -> PathBuf {
    let beside = kernel.with_extension(SYMBOLS);
    if beside.exists() { beside } else { kernel.to_owned() }
}

/// Bytes of a kernel that are loaded into memory from the file.
pub fn loaded(kernel: &Path) -> Result<u64> {
    let symbols = symbols(kernel);
    let elf = Elf::read(&fs::read(&symbols).context(symbols.display())?)?;
    Ok(elf.sections.iter().filter(|s| s.loaded && !s.empty).map(|s| s.size).sum())
}

/// The sizes of a kernel in words.
pub fn sizes(kernel: &Path) -> Result<String> {
    let whole = fs::read(symbols(kernel)).context(kernel.display())?;
    let (bytes, loaded) = (stripped(&whole)?.len(), loaded(kernel)?);
    Ok(format!("{bytes} bytes, {loaded} of them loaded; {} with symbols", whole.len()))
}

/// What an application's manifest asks of its kernel.
struct Wishes<'w> {
    /// Fewer bytes are worth more than speed, and than the line numbers in a panic's message (its backtrace stays).
    small: bool,
    /// Names of instructions, keys of [`PROCESSOR`].
    processor: &'w [String],
}

impl<'a> From<&'a App> for Wishes<'a> {
    fn from(app: &'a App) -> Self {
        Self { small: app.package.small, processor: &app.package.processor }
    }
}

/// Instructions that a manifest may name; the processor's features that they stand for; and the crates that are compiled for these.
/// Elsewhere such crates ask the processor, but not on a target without an operating system.
const PROCESSOR: &[(&str, &str, &[&str])] =
    &[("aes", "+aes,+pclmulqdq,+avx", &["aes", "polyval"]), ("sha", "+sha,+sse4.1,+ssse3", &["sha2"])];

fn compile(
    workspace: &Workspace,
    package: &str,
    choice: &[&str],
    name: &str,
    wishes: &Wishes<'_>,
) -> Result<PathBuf> {
    let small = wishes.small;
    let folder = workspace.target.join("xen");
    fs::create_dir_all(&folder).context(folder.display())?;
    let mut last: &[&str] = &[];
    let mut cargo = match source() {
        Some(source) => {
            eprintln!("target: hard float and vector instructions, core from {}", source.name);
            last = if small { SHARED } else { &[] };
            let mut cargo = hard_float(&source, &folder, small)?;
            take_for_granted(&mut cargo, wishes.processor)?;
            cargo
        }
        None => {
            eprintln!(
                "target: {PLAIN}, without vector instructions; for hard float: rustup component add rust-src, \
                 or on Debian: apt-get install {}",
                DEBIAN.join(" ")
            );
            Toolchain::find(PLAIN)?.cargo("build", &[])
        }
    };
    let output = cargo
        .args(["--profile", "image", "--package", package])
        .args(choice)
        .arg("--message-format=json-render-diagnostics")
        .args(last)
        .env("CARGO_TARGET_DIR", &folder)
        .current_dir(&workspace.root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{package}` does not compile for Xen; see above")));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == *name)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .context("cargo build named no executable")
}

fn hard_float(source: &Source, folder: &Path, small: bool) -> Result<Command> {
    let specification = folder.join("x86_64-airglow-xen.json");
    // Only when it changed: cargo compiles everything again after that.
    if fs::read_to_string(&specification).ok().as_deref() != Some(SPECIFICATION) {
        fs::write(&specification, SPECIFICATION).context(specification.display())?;
    }
    let mut cargo = Command::new(&source.cargo);
    if let Some(rustc) = &source.rustc {
        // `cargo airglow` itself runs under the user's cargo, which leaves its own traces.
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "RUSTC_WRAPPER", "LD_LIBRARY_PATH"] {
            cargo.env_remove(name);
        }
        cargo.env("RUSTC", rustc);
    }
    // Older versions of cargo need no permission to take a target from a file.
    let help = Command::new(&source.cargo).args(["-Z", "help"]).output().context("cargo")?;
    cargo.arg(if small { "rustc" } else { "build" });
    if String::from_utf8_lossy(&help.stdout).contains("json-target-spec") {
        cargo.arg("-Zjson-target-spec");
    }
    let mut features = String::from("compiler-builtins-mem");
    let mut flags = String::new();
    if small {
        features += ",optimize_for_size";
        flags += "-Zlocation-detail=none --cfg sha2_backend_soft=\"compact\"";
        // A panic ends where it stands, as an exception with its backtrace: the words of all panics are a tenth of an image.
        if takes(source, IMMEDIATE_ABORT) {
            flags += &format!(" {}", IMMEDIATE_ABORT.join(" "));
        } else {
            features += ",panic_immediate_abort";
        }
    }
    cargo
        .arg("-Zbuild-std=core,alloc")
        .arg(format!("-Zbuild-std-features={features}"))
        .arg("--target")
        .arg(&specification)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if packages::in_path("ld.lld") {
        cargo.args(["--config", "target.x86_64-airglow-xen.linker=\"ld.lld\""]);
    }
    Ok(cargo)
}

/// Compiles the crates that can use the instructions of these names for a processor that has them, and the platform so that it
/// looks at the start whether it has.
fn take_for_granted(cargo: &mut Command, names: &[String]) -> Result {
    let mut looks = Vec::new();
    for name in names {
        let known = PROCESSOR.iter().find(|(known, ..)| known == name).ok_or_else(|| {
            let known: Vec<&str> = PROCESSOR.iter().map(|(name, ..)| *name).collect();
            let known = known.join(", ");
            Failure::new(format!("package.metadata.airglow.processor: `{name}`: expected one of {known}"))
        })?;
        for package in known.2 {
            let flags =
                format!("profile.image.package.{package}.rustflags=[\"-Ctarget-feature={}\"]", known.1);
            cargo.args(["--config", &flags]);
        }
        looks.push(format!("\"--cfg=airglow_{name}\""));
    }
    if !looks.is_empty() {
        let flags = format!("profile.image.package.airglow-platform-xen.rustflags=[{}]", looks.join(","));
        cargo.args(["-Zprofile-rustflags", "--config", &flags]);
    }
    Ok(())
}

/// For the image itself: sequences of instructions and functions that are alike stand once.
const SHARED: &[&str] = &["--", "-Cllvm-args=-enable-machine-outliner=always", "-Clink-arg=--icf=all"];

/// Since a version of 2025; before it was a feature of `core`.
const IMMEDIATE_ABORT: &[&str] = &["-Cpanic=immediate-abort", "-Zunstable-options"];

/// The compiler of `source` knows these flags.
fn takes(source: &Source, flags: &[&str]) -> bool {
    let rustc = source.rustc.clone().or_else(|| env::var_os("RUSTC").map(PathBuf::from));
    let mut command = Command::new(rustc.unwrap_or_else(|| "rustc".into()));
    command.args(flags).args(["--print", "cfg"]).env("RUSTC_BOOTSTRAP", "1");
    command.output().is_ok_and(|output| output.status.success())
}

/// The line of a configuration that gives the guest its network card.
pub const NETWORK: &str = "vif = ['bridge=xenbr0']\n";
/// The same guest for `virsh create`, as libvirt's Xen driver wants it.
pub fn libvirt(name: &str, kernel: &Path, memory: u32) -> String {
    let kernel = escaped(&kernel.display().to_string());
    let name = escaped(name);
    format!(
        "<!-- virsh -c xen:///system create {name}.xml -->\n\
         <domain type='xen'>\n  \
           <name>{name}</name>\n  \
           <memory unit='MiB'>{memory}</memory>\n  \
           <vcpu>1</vcpu>\n  \
           <os>\n    \
             <type arch='x86_64' machine='xenpv'>linux</type>\n    \
             <kernel>{kernel}</kernel>\n    \
             <!-- Boot parameters, such as: ipv4=192.168.1.9/24 gateway=192.168.1.1 -->\n    \
             <cmdline></cmdline>\n  \
           </os>\n  \
           <on_poweroff>destroy</on_poweroff>\n  \
           <on_reboot>restart</on_reboot>\n  \
           <on_crash>destroy</on_crash>\n  \
           <devices>\n    \
             <interface type='bridge'>\n      \
               <source bridge='xenbr0'/>\n    \
             </interface>\n    \
             <console type='pty'>\n      \
               <target type='xen' port='0'/>\n    \
             </console>\n  \
           </devices>\n\
         </domain>\n"
    )
}

/// `text` in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A configuration for `xl create`.
pub fn xl(name: &str, kernel: &str, memory: u32, words: &str, more: &str, on_reboot: &str) -> String {
    format!(
        "# xl create {name}.cfg -c\n\
         name = '{name}'\n\
         type = 'pv'\n\
         kernel = '{kernel}'\n\
         memory = {memory}\n\
         vcpus = 1\n\
         # Boot parameters, such as: ipv4=192.168.1.9/24 gateway=192.168.1.1\n\
         cmdline = '{words}'\n\
         {NETWORK}\
         on_poweroff = 'destroy'\n\
         on_reboot = '{on_reboot}'\n\
         on_crash = 'destroy'\n\
         {more}"
    )
}

#[cfg(test)]
mod tests {
    use super::libvirt;
    use std::path::Path;

    #[test]
    fn the_description_for_libvirt_names_the_guest() {
        let xml = libvirt("a&b", Path::new("/images/a.elf"), 32);
        assert!(
            xml.contains("<domain type='xen'>\n  <name>a&amp;b</name>\n  <memory unit='MiB'>32</memory>"),
            "{xml}"
        );
        assert!(xml.contains("<kernel>/images/a.elf</kernel>") && xml.ends_with("</domain>\n"), "{xml}");
        // A comment ends at its first two hyphens.
        assert!(
            xml.split("<!--")
                .skip(1)
                .all(|rest| rest.split_once("--").is_some_and(|(_, end)| end.starts_with('>'))),
            "{xml}"
        );
        // Every element is closed.
        let opened = xml.matches('<').count()
            - xml.matches("</").count()
            - xml.matches("/>").count()
            - xml.matches("<!").count();
        assert_eq!(opened, xml.matches("</").count(), "{xml}");
    }
}
