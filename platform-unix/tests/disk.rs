//! The contract of a disk that is a file.
use airglow_device::BlockDevice;
use airglow_platform_unix::{FileDisk, Reactor};
use airglow_runtime::block_on;
use std::{io::ErrorKind, os::unix::fs::MetadataExt, path::PathBuf};

/// A path that nothing is at; removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("airglow-disk-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run<R>(test: impl Future<Output = R>) -> R {
    block_on(&Reactor::new().unwrap(), test)
}

#[test]
fn what_is_written_is_read_also_later() {
    let path = Scratch::new("later");
    run(async {
        let mut disk = FileDisk::create(&path.0, 100).unwrap();
        assert_eq!((disk.info().sector_size, disk.info().sectors, disk.info().read_only), (512, 100, false));
        let mut buf = [1; 1024];
        disk.read(98, &mut buf).await.unwrap();
        assert_eq!(buf, [0; 1024]);
        disk.write(99, &[7; 512]).await.unwrap();
        disk.flush().await.unwrap();
        disk.read(98, &mut buf).await.unwrap();
        assert!(buf[..512].iter().all(|b| *b == 0) && buf[512..].iter().all(|b| *b == 7));
        drop(disk);
        let mut disk = FileDisk::open_read_only(&path.0).unwrap();
        assert!(disk.info().read_only);
        disk.read(99, &mut buf[..512]).await.unwrap();
        assert_eq!(buf[..512], [7; 512]);
        assert_eq!(disk.write(0, &[0; 512]).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(disk.discard(0, 1).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
    assert_eq!(FileDisk::create(&path.0, 1).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn transfers_outside_or_in_parts_of_sectors_are_refused_and_change_nothing() {
    let path = Scratch::new("outside");
    // An incomplete sector at the end is not there.
    std::fs::write(&path.0, vec![5; 4 * 512 + 100]).unwrap();
    run(async {
        let mut disk = FileDisk::open(&path.0).unwrap();
        assert_eq!(disk.info().sectors, 4);
        for (sector, len) in [(4, 512), (3, 1024), (0, 511), (0, 513), (u64::MAX, 512), (u64::MAX / 512, 512)]
        {
            let mut buf = vec![9; len];
            assert_eq!(disk.read(sector, &mut buf).await.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(disk.write(sector, &buf).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        for (sector, count) in [(0, 5), (4, 1), (0, u64::MAX), (u64::MAX, 2)] {
            assert_eq!(disk.discard(sector, count).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        disk.read(4, &mut []).await.unwrap();
    });
    assert_eq!(std::fs::read(&path.0).unwrap(), vec![5; 4 * 512 + 100]);
}

#[test]
fn discarded_sectors_leave_their_neighbours_alone_and_free_the_space() {
    let path = Scratch::new("discard");
    run(async {
        let mut disk = FileDisk::create(&path.0, 256).unwrap();
        disk.write(0, &vec![3; 256 * 512]).await.unwrap();
        disk.flush().await.unwrap();
        let full = std::fs::metadata(&path.0).unwrap().blocks();
        disk.discard(64, 128).await.unwrap();
        disk.flush().await.unwrap();
        let mut all = vec![0; 256 * 512];
        disk.read(0, &mut all).await.unwrap();
        assert!(all[..64 * 512].iter().all(|b| *b == 3) && all[192 * 512..].iter().all(|b| *b == 3));
        assert!(std::fs::metadata(&path.0).unwrap().blocks() <= full);
        assert_eq!(std::fs::metadata(&path.0).unwrap().len(), 256 * 512);
    });
}
