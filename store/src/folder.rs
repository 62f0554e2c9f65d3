//! A folder on a host, for development and for Unix services.
use airglow_device::{Entry, Error, ErrorKind, KeyValue};
use std::{
    cell::RefCell,
    fmt, fs, io,
    io::{Read, Seek},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// The regular files below a folder, read when they are asked for: what is changed on disk is changed for
/// the next
/// request.
///
/// - Nothing outside the folder is ever read: keys with `.` or `..` segments, empty segments, `\` or NUL
///   are not found, and neither
///   are files that a symbolic link takes out of the folder. (The check and the opening are two steps;
///   somebody
///   who may write into the folder could slip a link in between.)
/// - Names that begin with a dot are not found, except below `.well-known`: no `.git`, no `.env`.
/// - The digest is made of the file's device, number, size and time of last change.
/// - Reading blocks the thread, as long as the disk takes. The file read last stays open.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    last: RefCell<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    key: String,
    identity: u64,
    file: fs::File,
}

/// Why a folder or a file could not be read.
#[derive(Debug)]
pub struct FolderError(io::Error);

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl std::error::Error for FolderError {}
impl Error for FolderError {
    fn kind(&self) -> ErrorKind {
        match self.0.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Other,
        }
    }
}
impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl Folder {
    /// The folder at `path`. Fails when there is none or it may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FolderError> {
        let root = fs::canonicalize(path)?;
        fs::read_dir(&root)?;
        Ok(Self { root, last: RefCell::new(None) })
    }

    /// Where the file of `key` really is, if it is a regular file within the folder.
    fn locate(&self, key: &str) -> Result<Option<(PathBuf, fs::Metadata)>, FolderError> {
        let well_known = key.starts_with(".well-known/");
        for (place, segment) in key.split('/').enumerate() {
            let hidden = segment.starts_with('.') && !(well_known && place == 0);
            if segment.is_empty() || hidden || segment.contains(['\\', '\0']) {
                return Ok(None);
            }
        }
        // ENOTDIR and ENAMETOOLONG have no portable kinds; none of them is a file.
        let Ok(path) = fs::canonicalize(self.root.join(key)) else { return Ok(None) };
        if !path.starts_with(&self.root) {
            return Ok(None);
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some((path, metadata))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A hash over what identifies this version of the file.
fn identity(metadata: &fs::Metadata) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |number: u64| {
        for byte in number.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        mix(metadata.dev());
        mix(metadata.ino());
    }
    mix(metadata.len());
    let time =
        metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    mix(time.as_secs());
    mix(u64::from(time.subsec_nanos()));
    hash
}

impl KeyValue for Folder {
    type Error = FolderError;

    async fn entry(&self, key: &str) -> Result<Option<Entry>, FolderError> {
        let Some((_, metadata)) = self.locate(key)? else { return Ok(None) };
        let identity = identity(&metadata);
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_some_and(|open| open.key == key && open.identity != identity) {
            *last = None;
        }
        let entry = Entry::new(metadata.len()).digest(identity);
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Some(modified.map_or(entry, |time| entry.modified(time))))
    }

    async fn read(&self, key: &str, offset: u64, buf: &mut [u8]) -> Result<usize, FolderError> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|open| open.key != key) {
            let (path, _) = self.locate(key)?.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
            let file = fs::File::open(path)?;
            *last = Some(Open { key: key.to_owned(), identity: identity(&file.metadata()?), file });
        }
        let Some(open) = last.as_mut() else { return Ok(0) };
        open.file.seek(io::SeekFrom::Start(offset))?;
        let mut len = 0;
        while let Some(room) = buf.get_mut(len..).filter(|room| !room.is_empty()) {
            match open.file.read(room) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(len)
    }

    async fn list(&self, prefix: &str, mut each: impl FnMut(&str)) -> Result<(), FolderError> {
        let mut keys = Vec::new();
        let mut folders = vec![(self.root.clone(), String::new())];
        while let Some((folder, before)) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let key = format!("{before}{name}");
                // Links to folders are not followed here: they might go round in circles.
                if entry.file_type()?.is_dir() {
                    let below = format!("{key}/");
                    if below.starts_with(prefix) || prefix.starts_with(&below) {
                        folders.push((entry.path(), below));
                    }
                } else if key.starts_with(prefix) && self.locate(&key)?.is_some() {
                    keys.push(key);
                }
            }
        }
        keys.sort_unstable();
        keys.iter().for_each(|key| each(key));
        Ok(())
    }
}
