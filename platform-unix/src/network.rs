//! Which network, by the boot parameters.
use airglow_device::{ParameterError, Parameters};

/// The kinds of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// The host's sockets.
    Host,
}

/// Words that only mean something on a network of airglow's own.
const OWN: [&str; 8] = ["device", "ipv4", "ipv6", "gateway", "gateway6", "dhcp", "mac", "mtu"];

impl Network {
    pub(crate) fn read<'a>(parameters: &Parameters<'a>) -> Result<Self, ParameterError<'a>> {
        match parameters.text("net") {
            None | Some("host") => {
                for key in OWN {
                    if parameters.text(key).is_some() {
                        return Err(ParameterError {
                            word: word(parameters, key),
                            expected: "`net=tap` or `net=packet` beside it: host sockets have the host's addresses",
                        });
                    }
                }
                Ok(Self::Host)
            }
            Some(_) => Err(ParameterError {
                word: word(parameters, "net"),
                expected: "`host`",
            }),
        }
    }
}

/// The word that counts for `key`, as it was given.
fn word<'a>(parameters: &Parameters<'a>, key: &str) -> &'a str {
    let named = |word: &&str| word.split('=').next() == Some(key);
    parameters.words().split_ascii_whitespace().rfind(named).unwrap_or_default()
}
