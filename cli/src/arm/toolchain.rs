//! A compiler for the bare targets.
//!
//! Whoever has rustup runs `rustup target add` once and this module only finds that it is so. On Debian,
//! where the compiler comes from apt and the library only as source (`rust-web-src`), `core` and `alloc` are built once
//! from that source with that compiler, into a directory under the user's cache, and handed to `cargo` as the
//! system root of the bare target alone: build scripts and procedural macros go on using the host's own.
use crate::{
    failure::{Context, Failure, Result},
    packages,
    progress::Step,
};
use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Where Debian keeps the library's source.
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// How to call cargo for one bare target.
#[derive(Debug)]
pub struct Toolchain {
    target: String,
    /// `None`: the cargo and rustc that the user has set up know the target.
    sysroot: Option<PathBuf>,
}

impl Toolchain {
    /// Finds a compiler for `target`, building its `core` and `alloc` first where that is needed.
    ///
    /// # Errors
    /// Says what to install.
    pub fn find(target: &str) -> Result<Self> {
        let user_rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        if has_core(&libdir(Path::new(&user_rustc), target)) {
            return Ok(Self { target: target.into(), sysroot: None });
        }
        if !Path::new("/etc/debian_version").exists() {
            return Err(Failure::new(format!(
                "this machine's compiler has no library for {target}; type: rustup target add {target}"
            )));
        }
        packages::need(DEBIAN_PACKAGES).context(format_args!(
            "there is no compiler for {target} (`rustup target add {target}` is another way)"
        ))?;
        let sysroot = debian_sysroot(target)?;
        Ok(Self { target: target.into(), sysroot: Some(sysroot) })
    }

    /// Is this Debian's compiler, and not the user's own?
    pub fn is_debian(&self) -> bool {
        self.sysroot.is_some()
    }

    /// `cargo SUBCOMMAND --target TARGET`, with `rustflags` added for that target (to those of the user's configuration).
    pub fn cargo(&self, subcommand: &str, rustflags: &[String]) -> Command {
        let mut flags: Vec<String> = rustflags.to_vec();
        let mut command = match &self.sysroot {
            None => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Some(sysroot) => {
                flags.push("--sysroot".into());
                flags.push(sysroot.display().to_string());
                let mut command = Command::new(DEBIAN_CARGO);
                // `cargo airglow` itself runs under the user's cargo, which leaves its own traces.
                for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "RUSTC_WRAPPER", "LD_LIBRARY_PATH"] {
                    command.env_remove(name);
                }
                command.env("RUSTC", DEBIAN_RUSTC);
                command
            }
        };
        command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.arg(subcommand).args(["--target", &self.target]);
        if !flags.is_empty() {
            let list: Vec<String> = flags.iter().map(|f| format!("{f:?}")).collect();
            command.arg("--config").arg(format!("target.{}.rustflags=[{}]", self.target, list.join(",")));
        }
        command
    }
}

/// Where `rustc` looks for the libraries of `target`; an empty path when it cannot be asked.
fn libdir(rustc: &Path, target: &str) -> PathBuf {
    Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|o| o.status.success())
        .and_then(|o| String::from_utf8(o.stdout).ok())
        .map(|s| PathBuf::from(s.trim()))
        .unwrap_or_default()
}

fn has_core(libdir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libdir) else { return false };
    entries.flatten().any(|e| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

/// `$XDG_CACHE_HOME/airglow`, or `~/.cache/airglow`.
pub fn cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache")))
        .unwrap_or_else(env::temp_dir);
    base.join("airglow")
}

/// The system root that holds `target`'s `core`, `alloc` and `compiler_builtins`, built if need be.
fn debian_sysroot(target: &str) -> Result<PathBuf> {
    let version = run(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
    let field = |name: &str| {
        version
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .map(str::trim)
            .context_with(|| format!("{DEBIAN_RUSTC} -vV does not say its {name}"))
    };
    let (host, commit) = (field("host:")?, field("commit-hash:")?);
    let short = &commit[..commit.len().min(12)];
    // The path is fixed for a compiler, and so are the libraries built in it, byte for byte: what cargo has
    // built against them stays good when they are built again.
    let kind = if is_small(target) { "-small" } else { "" };
    let sysroot = cache().join(format!("sysroot-{short}{kind}"));
    let rustlib = sysroot.join("lib/rustlib");
    fs::create_dir_all(&rustlib).context(rustlib.display())?;
    let lock_file = sysroot.join("lock");
    let lock = Lock::take(&lock_file)?;

    let linker = rustlib.join(host).join("bin/rust-lld");
    if !linker.exists() {
        let lld = ["/usr/bin/ld.lld", "/usr/bin/lld"]
            .iter()
            .find_map(|p| fs::canonicalize(p).ok())
            .context("no lld on this machine")?;
        let folder = linker.parent().context("no folder")?;
        fs::create_dir_all(folder).context("rust-lld")?;
        let _ = fs::remove_file(&linker);
        // lld tells by its own name which linker it is to be; a link named rust-lld with `-flavor` does.
        std::os::unix::fs::symlink(lld, &linker).context("rust-lld")?;
    }

    let libraries = rustlib.join(target).join("lib");
    if !has_core(&libraries) {
        let step = Step::new(format!("core and alloc for {target}, from Debian's source, once"));
        let work = sysroot.join("build");
        build_libraries(target, commit, &work, &rustlib.join(target))?;
        step.end("ok");
    }
    drop(lock);
    Ok(sysroot)
}

/// A microcontroller: its flash is short, and so the libraries too are compiled for size.
fn is_small(target: &str) -> bool {
    target.starts_with("thumb")
}

/// Builds the libraries as the Rust project does (its `dist` profile, bitcode embedded so that link-time
/// optimization works), in a small workspace that leaves `std` out and so needs no other crate and no network.
fn build_libraries(target: &str, commit: &str, work: &Path, into: &Path) -> Result {
    let say = |e: io::Error| Failure::new(format!("{}: {e}", work.display()));
    let _ = fs::remove_dir_all(work);
    for part in ["core", "alloc", "compiler-builtins", "stdarch", "portable-simd"] {
        copy(&Path::new(DEBIAN_LIBRARY).join(part), &work.join(part)).map_err(say)?;
    }
    // An optional C compiler driver is all that these crates name of the registry; without it they resolve offline.
    let manifest = work.join("compiler-builtins/compiler-builtins/Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(say)?;
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("cc = "))
        .map(|l| l.replace("\"dep:cc\"", "") + "\n")
        .collect();
    fs::write(&manifest, text).map_err(say)?;
    // Frame pointers serve debuggers and profilers, and cost code.
    let (level, choice, flags) = if is_small(target) {
        ("opt-level = \"z\"\n", ",optimize_for_size", "")
    } else {
        ("", "", ", \"-Cforce-frame-pointers=non-leaf\"")
    };
    let profile = format!(
        "cargo-features = [\"profile-rustflags\"]\n\
         [workspace]\nresolver = \"1\"\nmembers = [\"alloc\"]\n\
         [profile.dist]\ninherits = \"release\"\ncodegen-units = 1\ndebug = 1\n{level}\
         rustflags = [\"-Cembed-bitcode=yes\", \"-Zunstable-options\"{flags}]\n\
         [profile.dist.package.compiler_builtins]\ncodegen-units = 10000\n"
    );
    fs::write(work.join("Cargo.toml"), profile).map_err(say)?;
    let mut command = Command::new(DEBIAN_CARGO);
    for name in [
        "RUSTUP_TOOLCHAIN",
        "CARGO",
        "RUSTC_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "LD_LIBRARY_PATH",
    ] {
        command.env_remove(name);
    }
    command
        .current_dir(work)
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTFLAGS",
            format!(
                "-Zforce-unstable-if-unmarked --remap-path-prefix={}=/rustc/{commit}/library",
                work.display()
            ),
        )
        .args(["build", "--quiet", "--offline", "--manifest-path", "alloc/Cargo.toml", "--package", "alloc"])
        .args([
            "--features",
            &format!("compiler-builtins-mem{choice}"),
            "--profile",
            "dist",
            "--target-dir",
            "target",
        ])
        .args(["--target", target]);
    run(&mut command)?;
    let fresh = into.with_extension("new");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(fresh.join("lib")).map_err(say)?;
    for entry in fs::read_dir(work.join("target").join(target).join("dist/deps")).map_err(say)? {
        let path = entry.map_err(say)?.path();
        if path.extension().is_some_and(|e| e == "rlib") {
            fs::copy(&path, fresh.join("lib").join(path.file_name().unwrap_or_default())).map_err(say)?;
        }
    }
    let _ = fs::remove_dir_all(into);
    fs::rename(&fresh, into).map_err(say)?;
    let _ = fs::remove_dir_all(work);
    Ok(())
}

/// Runs a command to its end and gives its output; its messages are the error when it fails.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(&name)?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{name}: {}\n{}", output.status, messages.trim_end())));
    }
    String::from_utf8(output.stdout).context(name)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if fs::metadata(entry.path())?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// One build at a time: a file with the builder's process number, taken over when that process is gone.
struct Lock<'a>(&'a Path);

impl<'a> Lock<'a> {
    fn take(path: &'a Path) -> Result<Self> {
        for _ in 0..1200 {
            match fs::File::options().create_new(true).write(true).open(path) {
                Ok(mut file) => {
                    let _ = write!(file, "{}", std::process::id());
                    return Ok(Self(path));
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(why).context(path.display()),
            }
            std::thread::sleep(Duration::from_millis(500));
            if abandoned(path) {
                let _ = fs::remove_file(path);
            }
        }
        Err(Failure::new(format!("{} is held by another build that does not end", path.display())))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

/// Whoever took the lock is gone: its process is, or it ended before it could write its number.
fn abandoned(path: &Path) -> bool {
    let Ok(holder) = fs::read_to_string(path) else { return false };
    if holder.parse::<u32>().is_ok() {
        return !Path::new("/proc").join(holder).exists();
    }
    let age = fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_whose_holder_is_gone_is_taken_over() {
        let path = env::temp_dir().join(format!("airglow-lock-{}", std::process::id()));
        fs::write(&path, "4194999").unwrap();
        drop(Lock::take(&path).map_err(|e| e.to_string()).unwrap());
        assert!(!path.exists());
    }
}
