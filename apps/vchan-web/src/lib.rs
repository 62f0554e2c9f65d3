//! HTTP between two virtual machines that have no network: one serves, the other asks, over Xen's vchan.
//!
//! | boot parameter | what it is |
//! |---|---|
//! | `role=` | on Xen: `server` or `client` |
//! | `peer=` | the other domain's number; without it the kernel waits until the toolstack writes it into its `data/peer` |
//! | `path=` | where the server announces its channels, below its own folder in xenstore: `data/web` |
//! | `requests=` | how often the client asks for each page: 100 |
//!
//! The halves know nothing of Xen: [`serve`] takes any listener, [`ask`] any stream. On Unix both run in one process, over a channel in
//! its memory.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(unix)]
mod one_process;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod two_domains;

#[cfg(unix)]
pub use one_process::run;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use two_domains::run;

use airglow::device::{Listener, Stream, Timer, WallClock};
use airglow_http::{Client, Error, Exchange, Limits, Method, Request, Server, Status};
use airglow_pump::fill;
use core::{convert::Infallible, fmt, time::Duration};

/// Channels at once.
const CHANNELS: usize = 8;
/// Bytes of the larger answer: many times what the ring holds.
const LARGE: u64 = 1_000_000;
const GREETING: &[u8] = b"Hello from the other machine.\n";

/// Why the client or the server stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failed<'p> {
    /// A boot parameter is wrong.
    Parameter(airglow::device::ParameterError<'p>),
    /// `role=` is missing or something else.
    Role,
    /// The channel cannot be opened, in the platform's words.
    #[cfg(all(target_os = "none", target_arch = "x86_64"))]
    Channel(airglow::platform::guest::vchan::OpenError),
    /// The other end does not keep to the protocol, or is gone.
    Http(Error),
    /// What came is not what was asked for.
    Content(u64),
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(error) => error.fmt(f),
            Self::Role => f.write_str("role=server or role=client?"),
            #[cfg(all(target_os = "none", target_arch = "x86_64"))]
            Self::Channel(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::Content(at) => write!(f, "byte {at} of the answer is wrong"),
        }
    }
}
impl core::error::Error for Failed<'_> {}

impl From<Error> for Failed<'_> {
    fn from(error: Error) -> Self {
        Self::Http(error)
    }
}

async fn answer(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let head = *exchange.head();
    match (head.method, head.path) {
        (Method::Get, "/") => {
            exchange.respond(Status::OK).content_type("text/plain").send_static(GREETING).await
        }
        (Method::Get, "/large") => {
            let response = exchange.respond(Status::OK).content_type("application/octet-stream");
            let mut writer = response.sized(LARGE).await?;
            let mut piece = [0; 1024];
            let mut at = 0;
            while at < LARGE {
                let len = (LARGE - at).min(piece.len() as u64) as usize;
                let piece = piece.get_mut(..len).unwrap_or_default();
                fill(at, piece);
                writer.write(piece).await?;
                at += len as u64;
            }
            writer.finish().await
        }
        _ => exchange.respond(Status::NOT_FOUND).empty().await,
    }
}

/// Serves on every channel, until it is dropped.
pub async fn serve(listener: &impl Listener, timer: &impl Timer, clock: &impl WallClock) -> Infallible {
    let server = Server::new(Limits::default()).wall_clock(clock);
    server.serve::<CHANNELS, _, _>(listener, &answer, timer).await
}

/// What the client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Answers, each as it should be.
    pub answers: u64,
    /// Bytes of content in them.
    pub bytes: u64,
    /// From each small request to its answer, on average.
    pub round_trip: Duration,
    /// For the large answer.
    pub large: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = LARGE as f64 / 1e6 / self.large.as_secs_f64().max(1e-9);
        let Self { answers, bytes, round_trip, .. } = self;
        let micros = round_trip.as_micros();
        write!(f, "{answers} answers, {bytes} bytes, all right; {micros} us a request, {rate:.1} MB/s")
    }
}

/// Asks `requests` times for the small page and once for the large one, on one connection, and looks at every byte.
///
/// # Errors
/// The first thing that is not as it should be.
pub async fn ask<'p>(stream: impl Stream, timer: &impl Timer, requests: u32) -> Result<Report, Failed<'p>> {
    let mut client: Client<'_, _> = Client::new(stream, timer, Limits::default());
    let mut report = Report { answers: 0, bytes: 0, round_trip: Duration::ZERO, large: Duration::ZERO };
    let started = timer.now();
    for _ in 0..requests {
        let request = Request::new(Method::Get, "other", "/");
        let mut content = [0; 64];
        let len = client.send(&request, b"").await?.read_all(&mut content).await?;
        if content.get(..len) != Some(GREETING) {
            return Err(Failed::Content(0));
        }
        (report.answers, report.bytes) = (report.answers + 1, report.bytes + len as u64);
    }
    report.round_trip = timer.now().since(started) / requests.max(1);
    let started = timer.now();
    let request = Request::new(Method::Get, "other", "/large").close();
    let mut answer = client.send(&request, b"").await?;
    let (mut got, mut expected) = ([0; 1024], [0; 1024]);
    let mut at = 0;
    loop {
        let len = answer.read(&mut got).await?;
        fill(at, expected.get_mut(..len).unwrap_or_default());
        if got.get(..len) != expected.get(..len) {
            return Err(Failed::Content(at));
        }
        at += len as u64;
        if len == 0 {
            break;
        }
    }
    drop(answer);
    report.large = timer.now().since(started);
    (report.answers, report.bytes) = (report.answers + 1, report.bytes + at);
    if at != LARGE {
        return Err(Failed::Content(at));
    }
    client.close().await?;
    Ok(report)
}
