//! `cargo airglow new`: an application to start from, generic and with its three-line binary.
use crate::failure::{Context, Failure, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What to make.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to make; its last part is the application's name
    folder: PathBuf,
}

/// The files, as they are written but for the words in braces.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../template/manifest.toml")),
    ("build.rs", include_str!("../template/build.rs")),
    ("src/lib.rs", include_str!("../template/src/lib.rs")),
    ("src/main.rs", include_str!("../template/src/main.rs")),
    ("tests/bad_line.rs", include_str!("../template/tests/bad_line.rs")),
    ("site/index.html", include_str!("../template/site/index.html")),
    (".gitignore", "/target\n"),
];

/// Makes the folder, and says what to type next.
pub fn new(arguments: &Arguments) -> Result {
    let folder = &arguments.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_name(name) {
        return Err(Failure::new(format!(
            "`{name}` is no name for a package: small letters, digits, - and _, a letter first"
        )));
    }
    if folder.exists() {
        return Err(Failure::new(format!("{} is there already", folder.display())));
    }
    let clone = clone();
    for (file, text) in FILES {
        write(&folder.join(file), &filled(text, name, clone.as_deref()))?;
    }
    let mut config = include_str!("../template/config.toml").to_owned();
    if let Some(clone) = &clone {
        let alias = include_str!("../template/alias.toml");
        config.push_str(&alias.replace("{alias}", &self::alias(clone)));
    }
    write(&folder.join(".cargo/config.toml"), &config)?;
    println!("Made {0}. Next:\n  cd {0}\n  cargo airglow run", folder.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result {
    fs::create_dir_all(path.parent().unwrap_or(path)).context(path.display())?;
    fs::write(path, text).context(path.display())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// The clone this command was compiled in, if it was: the application then depends on its crates, not on a registry's.
fn clone() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    root.join("airglow/Cargo.toml").is_file().then(|| root.to_owned())
}

/// What `cargo airglow` stands for, in TOML: words in one string, as in the clone's own file, which cargo reads too where the folder lies in
/// the clone and which then must be of the same form; a list where the path has spaces.
fn alias(clone: &Path) -> String {
    let manifest = clone.join("cli/Cargo.toml").display().to_string();
    let words = ["run", "--quiet", "--profile", "tool", "--manifest-path", &manifest, "--"];
    if manifest.contains(char::is_whitespace) {
        let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        format!("[{}]", words.join(", "))
    } else {
        format!("'{}'", words.join(" "))
    }
}

/// The crates an application depends on, with their folders in the clone.
const CRATES: &[(&str, &str)] = &[
    ("airglow", "airglow"),
    ("airglow-http", "http"),
    ("airglow-store", "store"),
    ("airglow-store-build", "store/build"),
    ("airglow-platform-sim", "platform-sim"),
];

/// A file of the template with its words put in.
fn filled(text: &str, name: &str, clone: Option<&Path>) -> String {
    let mut text = text.replace("{app}", name).replace("{library}", &name.replace('-', "_"));
    for (package, folder) in CRATES {
        let source = match clone {
            // A string of TOML in single quotes has no escapes.
            Some(root) => format!("path = '{}'", root.join(folder).display()),
            None => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
        };
        text = text
            .replace(&format!("{{{package}}}"), &format!("{{ {source} }}"))
            .replace(&format!("{{{package}+alloc}}"), &format!("{{ {source}, features = [\"alloc\"] }}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cargo_s() {
        assert!(is_name("hello") && is_name("a-b_2"));
        assert!(!is_name("") && !is_name("2a") && !is_name("A") && !is_name("a b") && !is_name("-a"));
    }

    #[test]
    fn the_alias_is_words_or_a_list() {
        assert_eq!(
            alias(Path::new("/a")),
            "'run --quiet --profile tool --manifest-path /a/cli/Cargo.toml --'"
        );
        assert!(alias(Path::new("/a b")).ends_with("'--manifest-path', '/a b/cli/Cargo.toml', '--']"));
    }

    #[test]
    fn every_word_is_put_in() {
        for clone in [None, Some(Path::new("/some where"))] {
            let manifest = filled(FILES[0].1, "my-app", clone);
            let dependency = if clone.is_some() {
                "airglow = { path = '/some where/airglow' }"
            } else {
                "airglow = { version = \""
            };
            assert!(manifest.contains("name = \"my-app\"") && manifest.contains(dependency), "{manifest}");
            for (package, _) in CRATES {
                assert!(!manifest.contains(&format!("{{{package}")), "{manifest}");
            }
        }
        let main = FILES.iter().find(|(file, _)| *file == "src/main.rs").unwrap().1;
        assert!(filled(main, "my-app", None).contains("my_app::run(platform)"));
    }
}
