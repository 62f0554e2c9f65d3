//! What both shells do with a byte stream: whole messages out of it, and bytes into it while the peer has patience.
use crate::wire::{HEADER, Header};
use airglow_device::{Stream, Timer};
use airglow_runtime::timeout;
use alloc::vec::Vec;
use bytes::BytesMut;
use core::time::Duration;

/// How long a peer may not take what is sent to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The conversation is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended;

/// Takes the next whole message out of what has come in. What is left in `input` is shorter than a message can be.
pub(crate) fn next_message(input: &mut BytesMut) -> Result<Option<BytesMut>, Ended> {
    match Header::parse(input).map(|header| usize::from(header.length)) {
        Some(length) if length < HEADER => Err(Ended),
        Some(length) if length <= input.len() => Ok(Some(input.split_to(length))),
        _ => Ok(None),
    }
}

/// Sends what `take` gives until that is nothing.
pub(crate) async fn send(
    timer: &impl Timer,
    stream: &mut impl Stream,
    take: impl Fn() -> Vec<u8>,
) -> Result<(), Ended> {
    loop {
        let bytes = take();
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = timeout(timer, PATIENCE, stream.write_all(&bytes)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err(Ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole_and_in_order() {
        let mut input = BytesMut::from(&[4, 2, 0, 9, 0, 0, 0, 1, 77, 4, 3, 0, 8, 0, 0, 0][..]);
        assert_eq!(next_message(&mut input).unwrap().unwrap(), [4, 2, 0, 9, 0, 0, 0, 1, 77][..]);
        assert_eq!(next_message(&mut input), Ok(None));
        input.extend_from_slice(&[2, 4]);
        assert_eq!(next_message(&mut input).unwrap().unwrap(), [4, 3, 0, 8, 0, 0, 0, 2][..]);
        input.extend_from_slice(&[3, 0, 7, 0, 0, 0, 3]);
        assert_eq!(next_message(&mut input), Err(Ended), "shorter than its own header");
    }
}
