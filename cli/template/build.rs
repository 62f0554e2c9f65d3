//! Puts the folder `site/`, with its compressed variants, into the program.
fn main() {
    airglow_store_build::Folder::new("site").embed();
}
