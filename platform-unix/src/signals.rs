//! Being told to end.
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
    sys,
};
use std::{future::poll_fn, io, rc::Rc};

/// Hears the first SIGINT or SIGTERM; a second one kills the process.
pub(crate) struct Termination {
    reactor: Reactor,
    pipe: Rc<Source>,
}

impl Termination {
    /// From now on. One for the process: a later one takes the signals from an earlier one.
    pub(crate) fn listen(reactor: &Reactor) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe()?;
        for end in [&read, &write] {
            rustix::io::ioctl_fionbio(end, true)?;
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        sys::signals::report_to(write)?;
        Ok(Self { reactor: reactor.clone(), pipe: Source::new(read) })
    }

    /// Waits for the signal and returns its name.
    pub(crate) async fn requested(&self) -> &'static str {
        let mut number = [0];
        let _ = poll_fn(|cx| {
            self.pipe.poll_io(&self.reactor, cx, Direction::Read, |fd| rustix::io::read(fd, &mut number))
        })
        .await;
        sys::signals::restore();
        if i32::from(number[0]) == libc::SIGINT { "SIGINT" } else { "SIGTERM" }
    }
}

impl Drop for Termination {
    fn drop(&mut self) {
        self.reactor.remove(&self.pipe);
    }
}
