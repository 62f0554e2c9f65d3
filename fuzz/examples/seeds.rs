//! Writes the corpus of a target as raw bytes, for cargo-fuzz: `cargo run --example seeds -- frames target/fuzz/frames`.
use airglow_fuzz::corpus;
use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [target, folder] = arguments.as_slice() else {
        return Err(io::Error::other("usage: seeds TARGET FOLDER"));
    };
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;
    for (name, input) in corpus::load(target) {
        fs::write(folder.join(name.trim_end_matches(".txt")), input)?;
    }
    Ok(())
}
