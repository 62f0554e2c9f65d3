//! What comes out of a folder.
use airglow_store_build::{Codings, Folder};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The generated text, each key's bytes, and what was left out.
type Generated = (String, BTreeMap<String, Vec<u8>>, Vec<(String, u64)>);

struct Scratch(PathBuf);
impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("airglow-embed-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("site/sub")).unwrap();
        Self(path)
    }
    fn write(&self, name: &str, text: &[u8]) {
        fs::write(self.0.join("site").join(name), text).unwrap();
    }
    /// The generated text and each key's bytes.
    fn generate(&self, folder: Folder) -> Generated {
        let out = self.0.join("out");
        let left_out = folder.generate(&self.0.join("site"), &out).unwrap();
        let text = fs::read_to_string(out.join("site.rs")).unwrap();
        let values = text.lines().filter_map(|line| {
            let mut quoted = line.split('"').skip(1).step_by(2);
            let (key, _, file) = (quoted.next()?, quoted.next()?, quoted.next()?);
            let file = file.strip_prefix("/airglow-store/").unwrap();
            Some((key.to_owned(), fs::read(out.join(Path::new(file))).unwrap()))
        });
        (text.clone(), values.collect(), left_out)
    }
}
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn filled(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.write("page.html", "<p>again and again</p>\n".repeat(100).as_bytes());
    scratch.write("sub/short.txt", b"too short to shrink");
    scratch.write("own.css", "h1 { color: teal }\n".repeat(100).as_bytes());
    scratch.write("own.css.gz", b"made by hand");
    scratch.write(".hidden", b"hidden");
    scratch
}

#[test]
fn variants_that_shrink() {
    let scratch = filled("variants");
    let (text, values, _) = scratch.generate(Folder::new("site"));
    let keys: Vec<_> = values.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["own.css", "own.css.br", "own.css.gz", "page.html", "page.html.br", "page.html.gz", "sub/short.txt"]
    );
    assert_eq!(values["own.css.gz"], b"made by hand");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&values["page.html.gz"][..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, values["page.html"]);
    plain.clear();
    brotli::BrotliDecompress(&mut &values["page.html.br"][..], &mut plain).unwrap();
    assert_eq!(plain, values["page.html"]);
    assert!(text.contains(".modified(0)"), "no time unless one was asked for: {text}");
    // Nothing of this machine, and the same again.
    assert!(!text.contains(scratch.0.to_str().unwrap()));
    assert_eq!(scratch.generate(Folder::new("site")), (text, values, vec![]));
}

#[test]
fn small_flash() {
    let scratch = filled("small");
    let (_, values, left_out) =
        scratch.generate(Folder::new("site").codings(Codings::GzipOnly).largest(1_000));
    let keys: Vec<_> = values.keys().map(String::as_str).collect();
    assert_eq!(keys, ["own.css.gz", "page.html.gz", "sub/short.txt"]);
    assert_eq!(left_out, [("own.css".to_owned(), 1_900)]);
    let (_, values, _) = scratch.generate(Folder::new("site").codings(Codings::None));
    assert_eq!(values.len(), 4);
}

#[test]
fn a_folder_that_is_not_there() {
    let error =
        Folder::new("site").generate(Path::new("/nowhere/at/all"), Path::new("/nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/at/all: "), "{error}");
}
