//! How a device's two halves find each other in xenstore (`io/xenbus.h`).
use super::xenstore::Xenstore;
use crate::drivers::{grant::DomainId, xenstore::Error};
use alloc::{format, string::String};
use core::fmt::Display;

/// What each half says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// It is not there.
    Unknown = 0,
    /// It is starting.
    Initialising = 1,
    /// It has said what it can and waits for the other.
    InitWait = 2,
    /// It has said where its rings are.
    Initialised = 3,
    /// It works.
    Connected = 4,
    /// It is going away.
    Closing = 5,
    /// It has gone.
    Closed = 6,
}

impl State {
    fn new(text: &str) -> Self {
        match text.trim() {
            "1" => Self::Initialising,
            "2" => Self::InitWait,
            "3" => Self::Initialised,
            "4" => Self::Connected,
            "5" => Self::Closing,
            "6" => Self::Closed,
            _ => Self::Unknown,
        }
    }
}

/// A device of this domain, as the toolstack wrote it into xenstore.
#[derive(Debug)]
pub struct Device<'s> {
    /// The connection to xenstore.
    pub store: &'s Xenstore,
    /// This half's folder, such as `device/vif/0`.
    pub front: String,
    /// The other half's, such as `/local/domain/0/backend/vif/7/0`.
    pub back: String,
    /// Whose the other half is.
    pub backend: DomainId,
}

impl<'s> Device<'s> {
    /// Looks up the device `index` of `kind` (`vif`, `vbd`).
    ///
    /// # Errors
    /// [`Error::NotFound`] when the domain has none.
    pub async fn find(store: &'s Xenstore, kind: &str, index: &str) -> Result<Self, Error> {
        let front = format!("device/{kind}/{index}");
        let back = store.read(&format!("{front}/backend")).await?;
        let backend = store.number(&format!("{front}/backend-id")).await?;
        let backend = backend.try_into().map_err(|_| Error::Invalid)?;
        Ok(Self { store, front, back, backend })
    }

    /// Whether each of the backend's nodes `features` is 1.
    ///
    /// # Errors
    /// As [`Xenstore::read`]; what is not there is not offered.
    pub async fn offers<const N: usize>(&self, features: [&str; N]) -> Result<[bool; N], Error> {
        let mut offered = [false; N];
        for (feature, offered) in features.iter().zip(&mut offered) {
            *offered = self.store.switch(&format!("{}/{feature}", self.back), false).await?;
        }
        Ok(offered)
    }

    /// Writes some of this half's nodes.
    ///
    /// # Errors
    /// As [`Xenstore::write`].
    pub async fn say(&self, nodes: &[(&str, &dyn Display)]) -> Result<(), Error> {
        for (node, value) in nodes {
            self.store.write(&format!("{}/{node}", self.front), *value).await?;
        }
        Ok(())
    }

    /// Says what this half is at.
    ///
    /// # Errors
    /// As [`Xenstore::write`].
    pub async fn set_state(&self, state: State) -> Result<(), Error> {
        self.say(&[("state", &(state as u32))]).await
    }

    /// Waits until the backend is in one of `states` and returns which.
    ///
    /// # Errors
    /// What xenstore says.
    pub async fn wait_for(&self, states: &[State]) -> Result<State, Error> {
        let path = format!("{}/state", self.back);
        self.store.wait_for(&path, |text| Some(State::new(text)).filter(|state| states.contains(state))).await
    }

    /// What the backend says of itself.
    ///
    /// # Errors
    /// What xenstore says; a backend that is not there is [`State::Unknown`].
    pub async fn state(&self) -> Result<State, Error> {
        match self.store.read(&format!("{}/state", self.back)).await {
            Ok(text) => Ok(State::new(&text)),
            Err(Error::NotFound | Error::PermissionDenied) => Ok(State::Unknown),
            Err(error) => Err(error),
        }
    }
}
