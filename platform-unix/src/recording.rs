//! Files that grow while a program runs: frames for Wireshark, lines for a picture of its connections.
use crate::{card::Recorder, platform::CardStack};
use airglow_device::NetDevice;
use std::{
    cell::{Cell, RefCell},
    fs::File,
    future::{Future, poll_fn},
    io::{self, BufWriter, Write},
    path::Path,
    pin::pin,
    rc::Rc,
};

/// A file that is written in the background of what a program does. An error ends the file and not the program.
pub(crate) struct Recording {
    name: Box<str>,
    file: RefCell<BufWriter<File>>,
    failed: Cell<bool>,
}

impl Recording {
    /// Makes the file, or empties it. A pipe may stand in its place.
    pub(crate) fn create(name: &str) -> io::Result<Rc<Self>> {
        let file = RefCell::new(BufWriter::with_capacity(1 << 18, File::create(Path::new(name))?));
        Ok(Rc::new(Self { name: name.into(), file, failed: Cell::new(false) }))
    }

    /// Adds to the file.
    pub(crate) fn write(&self, bytes: &[u8]) {
        if !self.failed.get() {
            self.check(self.file.borrow_mut().write_all(bytes));
        }
    }

    /// Lets others read what was written.
    pub(crate) fn flush(&self) {
        if !self.failed.get() {
            self.check(self.file.borrow_mut().flush());
        }
    }

    fn check(&self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.set(true);
            log::warn!("{} ends here: {error}", self.name);
        }
    }
}

/// What is written down of a stack's work.
pub(crate) struct Recordings {
    frames: Option<Rc<Recording>>,
    samples: Option<Rc<Recording>>,
    /// Samples that are not in the file.
    dropped: Cell<u64>,
}

impl Recordings {
    /// Makes the files that were asked for: `capture` for the frames of the card, `trace` for samples of the connections.
    ///
    /// # Errors
    /// In words, with the file's name.
    pub(crate) fn create(capture: Option<&str>, trace: Option<&str>) -> Result<Self, String> {
        let create = |name: Option<&str>| {
            name.map(|name| Recording::create(name).map_err(|error| format!("{name}: {error}"))).transpose()
        };
        Ok(Self { frames: create(capture)?, samples: create(trace)?, dropped: Cell::new(0) })
    }

    /// What a card called `name` tells of its frames, if they are written down.
    pub(crate) fn recorder(&self, name: &str) -> Option<Recorder> {
        let file = self.frames.clone()?;
        Some(Recorder::new(name, move |bytes| file.write(bytes)))
    }

    /// Does `work` on `stack`; after each step of it the files have what happened.
    pub(crate) async fn of<D: NetDevice, W: Future>(&self, stack: &CardStack<D>, work: W) -> W::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let step = work.as_mut().poll(cx);
            if let Some(samples) = &self.samples {
                while let Some(sample) = stack.next_sample() {
                    samples.write(format!("{sample}\n").as_bytes());
                }
                let before = self.dropped.replace(stack.samples_dropped());
                if self.dropped.get() > before {
                    samples.write(
                        format!("# {} samples are not here\n", self.dropped.get() - before).as_bytes(),
                    );
                }
            }
            self.flush();
            step
        })
        .await
    }

    /// Connections are traced.
    pub(crate) fn traces(&self) -> bool {
        self.samples.is_some()
    }

    fn flush(&self) {
        self.frames.iter().chain(&self.samples).for_each(|file| file.flush());
    }
}

impl Drop for Recordings {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_ends_and_the_program_does_not() {
        let error = Recordings::create(Some("/no/such/folder/file"), None).err().unwrap();
        assert!(error.starts_with("/no/such/folder/file: "), "{error}");
        // Linux's device that is always full.
        let full = Recording::create("/dev/full").unwrap();
        full.write(b"something");
        assert!(!full.failed.get());
        full.flush();
        assert!(full.failed.get());
        full.write(&[0; 1 << 20]);
        full.flush();
    }
}
