//! Zone files: reading them, and loading those that change without a pause in answering.
use airglow::{device::Timer, platform::FileDisk, runtime::sleep};
use airglow_dns::{
    server::Server,
    wire::{Name, NameBuf},
    zone::{self, Zone},
};
use std::{
    cell::RefCell,
    fs, io,
    path::Path,
    string::{String, ToString},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
    vec::Vec,
};

/// Bytes of changes between versions of a zone that are kept for IXFR.
pub(crate) const HISTORY: usize = 1 << 20;

/// The zone in a file, by the file's name unless `origin` says another.
pub(crate) fn read(file: &str, origin: Option<NameBuf>) -> Result<Zone, String> {
    let path = Path::new(file);
    let text = fs::read(path).map_err(|error| format!("{file}: {error}"))?;
    let origin = match origin {
        Some(origin) => origin,
        None => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(file);
            let name = name.strip_suffix(".zone").unwrap_or(name);
            name.parse().map_err(|_| format!("{file}: say the zone's name with origin=NAME"))?
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let include = |name: &str| fs::read(folder.join(name)).map_err(|error| error.to_string());
    zone::load(file, &text, &origin, include).map_err(|error| error.to_string())
}

/// The disk in a file; a new one of `sectors` sectors where there is no file, which takes what is written.
pub(crate) fn open_disk(parameter: &str, file: &str, sectors: u64) -> Result<FileDisk, String> {
    let disk = match FileDisk::create(file, sectors) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => FileDisk::open(file),
        created => created,
    };
    disk.map_err(|error| format!("{parameter}={file}: {error}"))
}

/// When a file was last written, and how long it is.
pub(crate) type State = (SystemTime, u64);

/// That of `file`; `None` when it is not there.
pub(crate) fn state(file: &str) -> Option<State> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Looks every `pause` whether one of `files` is no longer as it was. A thread of its own reads and lays out the new zone; the server goes on
/// with the old one until that is whole, and with the old one for good if it is no zone.
pub(crate) async fn watch(
    timer: &impl Timer,
    pause: Duration,
    mut files: Vec<(&str, Option<State>)>,
    origin: Option<NameBuf>,
    server: &RefCell<Server<'_>>,
    loaded: impl Fn(&Arc<Zone>),
    changing: impl Fn(Name<'_>) -> bool,
) {
    loop {
        sleep(timer, pause).await;
        for (file, seen) in &mut files {
            let now = state(file);
            if now == *seen || now.is_none() {
                continue;
            }
            *seen = now;
            let zones = server.borrow().zones().clone();
            let path = (*file).to_string();
            let loading = thread::spawn(move || {
                let mut zone = read(&path, origin)?;
                if let Some(before) = zones.get(zone.apex().name()) {
                    zone.succeed(before, HISTORY);
                }
                Ok::<_, String>(Arc::new(zone))
            });
            while !loading.is_finished() {
                sleep(timer, Duration::from_millis(50)).await;
            }
            match loading.join() {
                // What clients have changed is not undone by an older file.
                Ok(Ok(zone))
                    if changing(zone.apex().name())
                        && server
                            .borrow()
                            .zones()
                            .get(zone.apex().name())
                            .is_some_and(|now| !zone::is_newer(zone.serial(), now.serial())) =>
                {
                    log::warn!("{file}: serial {} is not newer than what is served", zone.serial());
                }
                Ok(Ok(zone)) => {
                    log::info!("{file}: loaded again, serial {}", zone.serial());
                    let old = server.borrow_mut().insert(zone.clone());
                    // A large zone takes a while to give its memory back.
                    thread::spawn(move || drop(old));
                    loaded(&zone);
                }
                Ok(Err(error)) => log::error!("{error}; the zone stays as it was"),
                Err(_) => log::error!("{file}: could not be loaded; the zone stays as it was"),
            }
        }
    }
}
