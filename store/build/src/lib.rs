//! The build-time half of [`airglow_store`]: a folder becomes static data with digests and compressed
//! variants.
//!
//! In a `build.rs`:
//!
//! ```no_run
//! airglow_store_build::Folder::new("site").embed();
//! ```
//!
//! and in the program `static SITE: airglow_store::Store = airglow_store::embedded!("site");`.
//!
//! What is embedded:
//! - every regular file below the folder, under its path within it. Names that begin with a dot are left
//!   out, except `.well-known`;
//!   so are symbolic links. Files larger than [`Folder::largest`] are left out with a warning.
//! - for each file that shrinks by more than 64 octets, a brotli and a gzip variant under `key.br` and
//!   `key.gz` ([`Folder::codings`]); files that bring such a variant along keep their own.
//! - the digest: the first 64 bits of SHA-256 over the octets of each value, so that a variant has its own.
//! - the time of the last change: `SOURCE_DATE_EPOCH` if it is set, otherwise none
//!   ([`Folder::modified_from_git`] for another rule).
//!   The time of the build and the times of the files never matter: the same files make the same image.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod source;
mod variants;

use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

/// Which variants to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codings {
    /// Brotli and gzip beside the plain value: the fastest for every client.
    All,
    /// Only gzip, beside the plain value.
    Gzip,
    /// Only the plain values.
    None,
    /// For small flash: gzip **instead of** the plain value where it is smaller. A client that takes no
    /// gzip, which no
    /// browser is, gets 406 for those.
    GzipOnly,
}

/// A folder to be embedded.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    name: Option<String>,
    codings: Codings,
    largest: u64,
    git: bool,
}

/// Why a folder could not be embedded.
#[derive(Debug)]
pub struct EmbedError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}
impl std::error::Error for EmbedError {}

impl EmbedError {
    fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

impl Folder {
    /// The folder at `path`, relative to the package's own folder. Its last component is the name that
    /// `embedded!` wants.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), name: None, codings: Codings::All, largest: u64::MAX, git: false }
    }
    /// Under another name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
    /// Which variants to make; [`Codings::All`] if this is not called.
    pub fn codings(mut self, codings: Codings) -> Self {
        self.codings = codings;
        self
    }
    /// Leaves out values of more than so many octets, plain or compressed, each by itself. A warning of the
    /// build names each plain file
    /// that is left out without a variant in its place.
    pub fn largest(mut self, octets: u64) -> Self {
        self.largest = octets;
        self
    }
    /// Takes the time of each file's last change from the last commit that touched it, when
    /// `SOURCE_DATE_EPOCH` is not set. Files with
    /// uncommitted changes have no time. An image is then the same for the same commit of a full clone, not
    /// of a shallow one.
    pub fn modified_from_git(mut self) -> Self {
        self.git = true;
        self
    }

    /// In a build script: reads the folder and writes what `airglow_store::embedded!` includes. Runs again
    /// when anything in
    /// the folder changes. On failure it says why and ends the build.
    pub fn embed(&self) {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        let root = manifest.join(&self.path);
        println!("cargo::rerun-if-changed={}", root.display());
        println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
        let Some(out) = env::var_os("OUT_DIR") else {
            eprintln!("airglow_store_build::Folder::embed is for build scripts: cargo sets OUT_DIR for them");
            std::process::exit(1);
        };
        match self.generate(&root, &Path::new(&out).join("airglow-store")) {
            Ok(left_out) => {
                for (key, size) in left_out {
                    println!(
                        "cargo::warning={key} is left out of the image: {size} octets are more than the {} allowed",
                        self.largest
                    );
                }
            }
            Err(error) => {
                println!("cargo::error=cannot embed {error}");
                std::process::exit(1);
            }
        }
    }

    /// Reads the folder at `root` and writes `NAME.rs` and the variants below `out`. Returns the keys and
    /// sizes of
    /// what was left out for its size.
    pub fn generate(&self, root: &Path, out: &Path) -> Result<Vec<(String, u64)>, EmbedError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.path.file_name().and_then(|name| name.to_str()).unwrap_or("store").to_owned(),
        };
        let mut values = BTreeMap::new();
        source::read_folder(root, "", &mut values)?;
        let modified = source::times(root, self.git, values.keys());
        let keys: Vec<_> = values.keys().cloned().collect();
        let mut left_out = Vec::new();
        for key in keys {
            if key.ends_with(".br") || key.ends_with(".gz") {
                continue;
            }
            let Some(plain) = values.get(&key).cloned() else { continue };
            let mut replaced = false;
            for (coding, suffix) in variants::wanted(self.codings) {
                let variant_key = format!("{key}{suffix}");
                if values.contains_key(&variant_key) {
                    continue;
                }
                let variant = variants::compress(*coding, &plain)
                    .map_err(|error| EmbedError::new(Path::new(&key), error))?;
                if variant.len() + 64 < plain.len() && variant.len() as u64 <= self.largest {
                    replaced |= self.codings == Codings::GzipOnly;
                    values.insert(variant_key, variant);
                }
            }
            if replaced {
                values.remove(&key);
            }
        }
        values.retain(|key, value| {
            let fits = value.len() as u64 <= self.largest;
            if !fits {
                left_out.push((key.clone(), value.len() as u64));
            }
            fits
        });
        self.write(&name, &values, &modified, out).map_err(|error| EmbedError::new(out, error))?;
        Ok(left_out)
    }

    fn write(
        &self,
        name: &str,
        values: &BTreeMap<String, Vec<u8>>,
        modified: &BTreeMap<String, u64>,
        out: &Path,
    ) -> io::Result<()> {
        use std::fmt::Write;
        let data = out.join(name);
        fs::create_dir_all(&data)?;
        if values.len() >= usize::from(u16::MAX) {
            return Err(io::Error::other("more than 65,534 values"));
        }
        let mut index = vec![0u16; (values.len() * 2 + 1).next_power_of_two()];
        let mut text = String::from("::airglow_store::Store::indexed(&[\n");
        for (number, (key, value)) in values.iter().enumerate() {
            let digest =
                u64::from_be_bytes(*Sha256::digest(value).first_chunk::<8>().expect("SHA-256 has 32 octets"));
            // Named by their content: what a former build has left here is never taken for something else.
            let file = format!("{digest:016x}");
            fs::write(data.join(&file), value)?;
            let plain = key.strip_suffix(".br").or_else(|| key.strip_suffix(".gz")).unwrap_or(key);
            let time = modified.get(key).or_else(|| modified.get(plain)).copied().unwrap_or(0);
            let _ = writeln!(
                text,
                "    ::airglow_store::Value::new({key:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), {:?})), 0x{digest:016x}).modified({time}),",
                format!("/airglow-store/{name}/{file}"),
            );
            let mask = index.len() - 1;
            let mut place = airglow_store::hash(key) as usize & mask;
            while index[place] != 0 {
                place = (place + 1) & mask;
            }
            index[place] = number as u16 + 1;
        }
        let _ = writeln!(text, "], &{index:?})");
        fs::write(out.join(format!("{name}.rs")), text)
    }
}
