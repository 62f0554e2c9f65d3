//! Reading the folder and the times of its files.
use crate::EmbedError;
use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

/// Every file below `folder` under its key.
pub(crate) fn read_folder(
    folder: &Path,
    before: &str,
    values: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), EmbedError> {
    for entry in fs::read_dir(folder).map_err(|error| EmbedError::new(folder, error))? {
        let entry = entry.map_err(|error| EmbedError::new(folder, error))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| EmbedError::new(&path, "the name is not UTF-8"))?;
        if name.starts_with('.') && name != ".well-known" {
            continue;
        }
        if name.contains('\\') {
            return Err(EmbedError::new(&path, "the name has a backslash"));
        }
        let kind = entry.file_type().map_err(|error| EmbedError::new(&path, error))?;
        if kind.is_dir() {
            read_folder(&path, &format!("{before}{name}/"), values)?;
        } else if kind.is_file() {
            let value = fs::read(&path).map_err(|error| EmbedError::new(&path, error))?;
            values.insert(format!("{before}{name}"), value);
        }
    }
    Ok(())
}

/// Seconds since 1970 of each key's last change, where it is known.
pub(crate) fn times<'k>(
    root: &Path,
    git: bool,
    keys: impl Iterator<Item = &'k String>,
) -> BTreeMap<String, u64> {
    if let Some(epoch) = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse().ok()) {
        return keys.map(|key| (key.clone(), epoch)).collect();
    }
    if git { times_of_commits(root).unwrap_or_default() } else { BTreeMap::new() }
}

fn times_of_commits(root: &Path) -> Option<BTreeMap<String, u64>> {
    let run = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut times = BTreeMap::new();
    let mut time = 0;
    // The latest commit comes first; NUL ends each name, and a commit's own line begins with a letter no
    // number has.
    for word in run(&["log", "--relative", "--format=commit %ct", "--name-only", "-z", "--", "."])?
        .split(['\0', '\n'])
    {
        if let Some(seconds) = word.strip_prefix("commit ").and_then(|seconds| seconds.parse().ok()) {
            time = seconds;
        } else if !word.is_empty() {
            times.entry(word.to_owned()).or_insert(time);
        }
    }
    for line in run(&["diff", "--relative", "--name-only", "-z", "HEAD", "--", "."])?.split('\0') {
        times.remove(line);
    }
    Some(times)
}
