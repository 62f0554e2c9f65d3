//! A folder of this host.
#![cfg(all(feature = "std", unix))]
use airglow_device::KeyValue;
use airglow_runtime::{ThreadPark, block_on};
use airglow_store::Folder;
use std::{fs, os::unix::fs::symlink, path::PathBuf};

struct Scratch(PathBuf);
impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("airglow-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("site/sub/.git")).unwrap();
        fs::create_dir_all(path.join("site/.well-known")).unwrap();
        Self(path)
    }
}
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_what_is_inside() {
    let scratch = Scratch::new("inside");
    let site = scratch.0.join("site");
    fs::write(scratch.0.join("secret"), "secret").unwrap();
    for (name, text) in [
        ("a.txt", "0123456789"),
        ("sub/b.txt", "b"),
        (".env", "x"),
        ("sub/.git/config", "x"),
        (".well-known/x", "ok"),
    ] {
        fs::write(site.join(name), text).unwrap();
    }
    symlink("../secret", site.join("out")).unwrap();
    symlink("..", site.join("up")).unwrap();
    symlink("sub/b.txt", site.join("in")).unwrap();
    symlink("loop", site.join("loop")).unwrap();
    let folder = Folder::open(&site).unwrap();
    let park = ThreadPark::new();
    block_on(&park, async {
        for key in ["a.txt", "sub/b.txt", "in", ".well-known/x"] {
            assert!(folder.entry(key).await.unwrap().is_some(), "{key}");
        }
        let absolute = scratch.0.join("secret").to_str().unwrap().to_owned();
        for key in [
            "",
            "/",
            ".",
            "..",
            "sub",
            "sub/",
            "../secret",
            "sub/../a.txt",
            "sub/../../secret",
            "./a.txt",
            "sub//b.txt",
            "out",
            "up/secret",
            "loop",
            ".env",
            "sub/.git/config",
            "a.txt/",
            "a.txt/x",
            "a.txt\0",
            "sub\\b.txt",
            "nothing",
            &absolute,
            &"x".repeat(5000),
        ] {
            assert!(folder.entry(key).await.unwrap().is_none(), "{key}");
            assert!(folder.read(key, 0, &mut [0; 9]).await.is_err(), "{key}");
        }
        let mut keys = Vec::new();
        folder.list("", |key| keys.push(key.to_owned())).await.unwrap();
        assert_eq!(keys, [".well-known/x", "a.txt", "in", "sub/b.txt"]);
        keys.clear();
        folder.list("sub/b", |key| keys.push(key.to_owned())).await.unwrap();
        assert_eq!(keys, ["sub/b.txt"]);
    });
}

#[test]
fn a_change_is_seen() {
    let scratch = Scratch::new("change");
    let site = scratch.0.join("site");
    fs::write(site.join("a.txt"), "0123456789").unwrap();
    let folder = Folder::open(&site).unwrap();
    let park = ThreadPark::new();
    block_on(&park, async {
        let mut buf = [0; 4];
        let before = folder.entry("a.txt").await.unwrap().unwrap();
        assert_eq!((before.size, folder.entry("a.txt").await.unwrap().unwrap()), (10, before));
        assert_eq!(folder.read("a.txt", 8, &mut buf).await.unwrap(), 2);
        assert_eq!(&buf[..2], b"89");
        assert_eq!(folder.read("a.txt", 99, &mut buf).await.unwrap(), 0);
        fs::write(site.join("new"), "new text!").unwrap();
        fs::rename(site.join("new"), site.join("a.txt")).unwrap();
        let after = folder.entry("a.txt").await.unwrap().unwrap();
        assert_ne!(before.digest, after.digest);
        assert_eq!(folder.read("a.txt", 0, &mut buf).await.unwrap(), 4);
        assert_eq!(&buf, b"new ");
    });
    assert!(Folder::open(site.join("a.txt")).is_err());
    assert!(Folder::open(site.join("nothing")).is_err());
}
