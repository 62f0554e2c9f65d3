//! The asynchronous client of xenstore.
use crate::{
    boot::events::EventChannel,
    drivers::{
        grant::Doorbell,
        xenstore::{Client, Error, Interface, Operation, RequestId, TransactionId},
    },
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{
    cell::{Cell, RefCell},
    fmt::{Display, Write},
    future::poll_fn,
    str::FromStr,
    task::{Context, Poll, Waker},
};

/// The connection to xenstore.
#[derive(Debug)]
pub struct Xenstore {
    client: RefCell<Client<'static>>,
    channel: Cell<EventChannel>,
    waiting: RefCell<Vec<Waker>>,
    tokens: Cell<u32>,
    // Path and token of each.
    watches: RefCell<Vec<(String, String)>>,
}

/// Gives an answer up when its future is dropped.
struct Asked<'s> {
    store: &'s Xenstore,
    request: RequestId,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.store.client.borrow_mut().abandon(self.request);
    }
}

impl Xenstore {
    /// Over the daemon's page and event channel.
    pub fn new(page: &'static Interface, channel: EventChannel) -> Self {
        Self {
            client: RefCell::new(Client::new(page)),
            channel: Cell::new(channel),
            waiting: RefCell::new(Vec::new()),
            tokens: Cell::new(0),
            watches: RefCell::new(Vec::new()),
        }
    }

    /// Goes on over `channel` after the domain was restored: the daemon, perhaps another one, knows none of the watches.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn restored(&self, channel: EventChannel) -> Result<(), Error> {
        self.channel.set(channel);
        let watches = self.watches.borrow().clone();
        for (path, token) in watches {
            self.ask(Operation::Watch, 0, &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"]).await?;
        }
        Ok(())
    }

    /// Moves bytes; registers to be woken by the daemon.
    fn turn(&self, cx: &Context<'_>) {
        self.channel.get().register(cx.waker());
        if self.client.borrow_mut().poll() {
            self.channel.get().ring();
            // What came may be for others.
            for waker in self.waiting.take() {
                waker.wake();
            }
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|w| w.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    async fn ask(
        &self,
        operation: Operation,
        transaction: TransactionId,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, Error> {
        let request = self.client.borrow_mut().request(operation, transaction, parts)?;
        let asked = Asked { store: self, request };
        poll_fn(|cx| {
            self.turn(cx);
            self.client.borrow_mut().answer(asked.request).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The value of the node `path`, relative to the domain's own folder unless it begins with `/`.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what the daemon says.
    pub async fn read(&self, path: &str) -> Result<String, Error> {
        self.read_in(0, path).await
    }

    /// The same in a transaction.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_in(&self, transaction: TransactionId, path: &str) -> Result<String, Error> {
        let value = self.ask(Operation::Read, transaction, &[path.as_bytes(), b"\0"]).await?;
        String::from_utf8(value).map_err(|_| Error::Invalid)
    }

    /// The value of `path` as a `T`; [`Error::Invalid`] when it is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn get<T: FromStr>(&self, path: &str) -> Result<T, Error> {
        self.read(path).await?.trim().parse().map_err(|_| Error::Invalid)
    }

    /// The value of `path` as a number; [`Error::Invalid`] when it is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn number(&self, path: &str) -> Result<u64, Error> {
        self.get(path).await
    }

    /// Whether the switch `path` is `1`.
    ///
    /// # Errors
    /// As [`read`](Self::read), but a node that is not there is off.
    pub async fn switch(&self, path: &str, default: bool) -> Result<bool, Error> {
        match self.number(path).await {
            Ok(value) => Ok(value != 0),
            Err(Error::NotFound | Error::Invalid) => Ok(default),
            Err(error) => Err(error),
        }
    }

    /// Writes a node, and its parents if need be.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn write(&self, path: &str, value: &dyn Display) -> Result<(), Error> {
        self.write_in(0, path, value).await
    }

    /// The same in a transaction.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn write_in(
        &self,
        transaction: TransactionId,
        path: &str,
        value: &dyn Display,
    ) -> Result<(), Error> {
        let mut text = String::new();
        write!(text, "{value}").map_err(|_| Error::Invalid)?;
        self.ask(Operation::Write, transaction, &[path.as_bytes(), b"\0", text.as_bytes()]).await.map(drop)
    }

    /// Makes an empty node.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn make_directory(&self, path: &str) -> Result<(), Error> {
        self.ask(Operation::MakeDirectory, 0, &[path.as_bytes(), b"\0"]).await.map(drop)
    }

    /// Removes a node and what is below it.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn remove(&self, path: &str) -> Result<(), Error> {
        self.ask(Operation::Remove, 0, &[path.as_bytes(), b"\0"]).await.map(drop)
    }

    /// Removes a node and what is below it; whether it worked is not found out.
    pub fn forget(&self, path: &str) {
        self.tell(Operation::Remove, &[path.as_bytes(), b"\0"]);
    }

    /// A request whose answer interests nobody.
    fn tell(&self, operation: Operation, parts: &[&[u8]]) {
        let mut client = self.client.borrow_mut();
        if let Ok(request) = client.request(operation, 0, parts) {
            client.abandon(request);
            if client.poll() {
                self.channel.get().ring();
            }
        }
    }

    /// The names below a node.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn directory(&self, path: &str) -> Result<Vec<String>, Error> {
        let names = self.ask(Operation::Directory, 0, &[path.as_bytes(), b"\0"]).await?;
        let names = names.split(|&b| b == 0).filter(|name| !name.is_empty());
        names.map(|name| core::str::from_utf8(name).map(str::to_string).map_err(|_| Error::Invalid)).collect()
    }

    /// Who may do what with a node: the words of `xenstore-ls -p`, such as `n0` and `r5`, the owner's first.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn permissions(&self, path: &str) -> Result<Vec<String>, Error> {
        let words = self.ask(Operation::GetPermissions, 0, &[path.as_bytes(), b"\0"]).await?;
        let words = words.split(|&b| b == 0).filter(|word| !word.is_empty());
        words.map(|word| core::str::from_utf8(word).map(str::to_string).map_err(|_| Error::Invalid)).collect()
    }

    /// Sets them.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn set_permissions(&self, path: &str, permissions: &[&str]) -> Result<(), Error> {
        self.set_permissions_in(0, path, permissions).await
    }

    /// The same in a transaction.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn set_permissions_in(
        &self,
        transaction: TransactionId,
        path: &str,
        permissions: &[&str],
    ) -> Result<(), Error> {
        let mut parts: Vec<&[u8]> = alloc::vec![path.as_bytes(), b"\0"];
        for word in permissions {
            parts.extend([word.as_bytes(), b"\0"]);
        }
        self.ask(Operation::SetPermissions, transaction, &parts).await.map(drop)
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn transaction(&self) -> Result<TransactionId, Error> {
        let id = self.ask(Operation::TransactionStart, 0, &[b"\0"]).await?;
        let id = id.split(|&b| b == 0).next().and_then(|id| core::str::from_utf8(id).ok());
        id.and_then(|id| id.parse().ok()).ok_or(Error::Protocol)
    }

    /// Ends it, for good or for nothing. [`Error::Again`]: it met another one, do it over.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn end_transaction(&self, transaction: TransactionId, commit: bool) -> Result<(), Error> {
        let word: &[u8] = if commit { b"T\0" } else { b"F\0" };
        self.ask(Operation::TransactionEnd, transaction, &[word]).await.map(drop)
    }

    /// Watches `path` and everything below it; the first event comes at once.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn watch(&self, path: &str) -> Result<Watch<'_>, Error> {
        let number = self.tokens.get();
        self.tokens.set(number.wrapping_add(1));
        let token = alloc::format!("{number:x}");
        self.ask(Operation::Watch, 0, &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"]).await?;
        self.watches.borrow_mut().push((path.to_string(), token.clone()));
        Ok(Watch { store: self, path: path.to_string(), token })
    }

    /// Waits until `accept` takes the value of `path` (empty when there is none, or none that this domain may read).
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn wait_for<R>(
        &self,
        path: &str,
        mut accept: impl FnMut(&str) -> Option<R>,
    ) -> Result<R, Error> {
        let mut result = None;
        let mut accepted = |value: &str| {
            result = accept(value);
            result.is_some()
        };
        self.wait_until(path, &mut accepted).await?;
        result.ok_or(Error::Invalid)
    }

    async fn wait_until(&self, path: &str, accept: &mut dyn FnMut(&str) -> bool) -> Result<(), Error> {
        let watch = self.watch(path).await?;
        loop {
            watch.changed().await;
            let value = match self.read(path).await {
                Ok(value) => value,
                Err(Error::NotFound | Error::PermissionDenied) => String::new(),
                Err(error) => return Err(error),
            };
            if accept(&value) {
                return Ok(());
            }
        }
    }
}

/// A watch on a node; ends when it is dropped.
#[derive(Debug)]
pub struct Watch<'s> {
    store: &'s Xenstore,
    path: String,
    token: String,
}

impl Watch<'_> {
    /// Waits for the next change and returns the node that changed.
    pub async fn changed(&self) -> String {
        poll_fn(|cx| {
            self.store.turn(cx);
            match self.store.client.borrow_mut().event(&self.token) {
                Some(event) => Poll::Ready(event.path),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let parts = [self.path.as_bytes(), b"\0", self.token.as_bytes(), b"\0"];
        self.store.tell(Operation::Unwatch, &parts);
        while self.store.client.borrow_mut().event(&self.token).is_some() {}
        self.store.watches.borrow_mut().retain(|(_, token)| *token != self.token);
    }
}
