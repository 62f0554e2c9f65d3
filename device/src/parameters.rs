//! Boot parameters: `key=value` words, from argv, a hypervisor's command line or a section of flash.
use core::{cell::Cell, fmt, str::FromStr};

/// The boot parameters, such as `ipv4=10.0.0.2/24 gateway=10.0.0.1 port=80`.
///
/// Words are separated by white space; a word without `=` is a switch (`quiet` is `quiet=`). Where a key
/// stands twice the last word counts. Reading a key marks it as known, and [`Parameters::unknown`] finds the words that
/// nobody asked for, so that a misspelt one is an error and not a silence.
///
/// Words of a second thing of its kind carry its number behind the key: `ipv4.2=10.0.1.2/24`; [`numbered`](Self::numbered) reads them.
pub struct Parameters<'a> {
    words: &'a str,
    // One bit for each of the first 128 words: somebody asked for it.
    asked: Cell<u128>,
    // The number that keys carry; 0: none.
    number: u8,
}

/// A boot parameter that is wrong: which, and what it should look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterError<'a> {
    /// The word as it was given.
    pub word: &'a str,
    /// What it should be, as in "a port number (1 to 65535)".
    pub expected: &'a str,
}

impl fmt::Display for ParameterError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot parameter `{}`: expected {}", self.word, self.expected)
    }
}
impl core::error::Error for ParameterError<'_> {}

impl<'a> Parameters<'a> {
    /// The parameters in `words`.
    pub const fn new(words: &'a str) -> Self {
        Self { words, asked: Cell::new(0), number: 0 }
    }

    /// What `read` makes of the words that carry `number`, from 2 on, which it sees without it: `port` is `port.2` then.
    ///
    /// ```
    /// use airglow_device::Parameters;
    ///
    /// let words = Parameters::new("device=eth0 device.2=eth1");
    /// assert_eq!(words.text("device"), Some("eth0"));
    /// assert_eq!(words.numbered(2, |words| words.text("device")), Some("eth1"));
    /// assert_eq!(words.unknown(), None);
    /// ```
    pub fn numbered<T>(&self, number: u8, read: impl FnOnce(&Self) -> T) -> T {
        let those = Self { words: self.words, asked: Cell::new(self.asked.get()), number };
        let result = read(&those);
        self.asked.set(those.asked.get());
        result
    }

    /// Everything, as it was given.
    pub const fn words(&self) -> &'a str {
        self.words
    }

    fn find(&self, key: &str) -> Option<(&'a str, &'a str)> {
        let mut found = None;
        for (index, word) in self.words.split_ascii_whitespace().enumerate() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if self.is_named(name, key) {
                if index < 128 {
                    self.asked.set(self.asked.get() | 1 << index);
                }
                found = Some((word, value));
            }
        }
        found
    }

    /// `name` is `key` with the number that is read.
    fn is_named(&self, name: &str, key: &str) -> bool {
        match (self.number, name.strip_prefix(key)) {
            (0, rest) => rest == Some(""),
            (number, Some(rest)) => rest.strip_prefix('.').and_then(|n| n.parse().ok()) == Some(number),
            (_, None) => false,
        }
    }

    /// The word that counts for `key`, as it was given: for errors of one's own.
    pub fn word(&self, key: &str) -> Option<&'a str> {
        self.find(key).map(|(word, _)| word)
    }

    /// The value of `key` as text.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.find(key).map(|(_, value)| value)
    }

    /// The value of `key`; `None` when it is not there.
    ///
    /// # Errors
    /// The word, and `expected`, when the value is not a `T`.
    pub fn get<T: FromStr>(&self, key: &str, expected: &'a str) -> Result<Option<T>, ParameterError<'a>> {
        match self.find(key) {
            None => Ok(None),
            Some((word, value)) => value.parse().map(Some).map_err(|_| ParameterError { word, expected }),
        }
    }

    /// A switch: `key`, `key=on`, `key=off`; `None` when it is not there.
    ///
    /// # Errors
    /// The word, when the value is something else.
    pub fn switch(&self, key: &str) -> Result<Option<bool>, ParameterError<'a>> {
        match self.find(key) {
            None => Ok(None),
            Some((_, "" | "on" | "yes" | "true" | "1")) => Ok(Some(true)),
            Some((_, "off" | "no" | "false" | "0")) => Ok(Some(false)),
            Some((word, _)) => Err(ParameterError { word, expected: "`on` or `off`" }),
        }
    }

    /// The first word whose key nobody has asked for yet. Call it after everything was read.
    pub fn unknown(&self) -> Option<&'a str> {
        let asked = self.asked.get();
        self.words
            .split_ascii_whitespace()
            .take(128)
            .enumerate()
            .find(|(i, _)| asked & 1 << i == 0)
            .map(|(_, w)| w)
    }
}

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parameters").field(&self.words).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_the_last_counts() {
        let p = Parameters::new(" port=80  ipv4=10.0.0.2/24\tport=8080 quiet tls=off");
        assert_eq!(p.get::<u16>("port", "a port"), Ok(Some(8080)));
        assert_eq!(p.get::<u16>("missing", "a port"), Ok(None));
        assert_eq!(p.text("ipv4"), Some("10.0.0.2/24"));
        assert_eq!((p.switch("quiet"), p.switch("tls")), (Ok(Some(true)), Ok(Some(false))));
        assert_eq!(p.unknown(), None);
    }

    #[test]
    fn a_wrong_word_is_named_with_what_it_should_be() {
        let p = Parameters::new("port=http prot=80 tls=maybe");
        let error = p.get::<u16>("port", "a port number (1 to 65535)").unwrap_err();
        assert_eq!(error.word, "port=http");
        assert_eq!(p.switch("tls").unwrap_err().word, "tls=maybe");
        assert_eq!(p.unknown(), Some("prot=80"));
    }
}
