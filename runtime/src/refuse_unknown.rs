//! Boot parameters that nobody asks for: mostly misspelt ones.
use airglow_device::Parameters;
use alloc::{format, string::String};
use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// `application`, for platforms that run one. After its first poll, by which it has read its parameters, it fails if there is a word that nobody
/// has asked for.
///
/// # Errors
/// The application's own, or which word it is.
pub async fn refuse_unknown(
    application: impl Future<Output = Result<(), String>>,
    parameters: &Parameters<'_>,
) -> Result<(), String> {
    let mut application = pin!(application);
    let mut checked = false;
    poll_fn(|cx| {
        let polled = application.as_mut().poll(cx);
        if !core::mem::replace(&mut checked, true)
            && !matches!(polled, Poll::Ready(Err(_)))
            && let Some(word) = parameters.unknown()
        {
            return Poll::Ready(Err(format!("boot parameter `{word}`: nobody asks for a word of this name")));
        }
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yield_now;
    use core::task::{Context, Waker};

    #[test]
    fn a_word_must_be_asked_for_before_the_first_wait() {
        let ended = |words: &str, waits: bool, fails: bool| {
            let parameters = Parameters::new(words);
            let application = async {
                parameters.text("port");
                if waits {
                    yield_now().await;
                    parameters.text("late");
                }
                if fails { Err("broken".into()) } else { Ok(()) }
            };
            let mut refusing = pin!(refuse_unknown(application, &parameters));
            loop {
                if let Poll::Ready(result) = refusing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    return result;
                }
            }
        };
        assert_eq!(ended("port=1", true, false), Ok(()));
        assert!(ended("prot=1", false, false).unwrap_err().contains("`prot=1`"));
        assert!(ended("late=1", true, false).unwrap_err().contains("`late=1`"));
        assert_eq!(ended("prot=1", false, true), Err("broken".into()), "its own error says more");
    }
}
