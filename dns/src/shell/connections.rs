//! A connection to a recursive server that is kept for further questions (RFC 7766 section 6.2.1, RFC 7858 section 3.4): questions
//! are pipelined, answers come in any order and find theirs by the id.
//!
//! There is no task behind it. Whoever waits for an answer does the work for all who do; when it leaves, another is woken to go on.
use super::{DialError, Ended, framed, turn::Turn};
use airglow_device::{Instant, Stream, Timer};
use airglow_runtime::timeout;
use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Questions on their way over one connection; further ones wait until one of these is answered.
const AT_ONCE: usize = 64;
/// Reads in one go, so that a server that floods its client does not keep it.
const READS: usize = 16;

/// The connection to one server, if there is one now.
pub(super) struct Connection<S> {
    line: RefCell<Option<Line<S>>>,
    /// One at a time opens it.
    opening: Turn,
    /// Who waits for fewer questions to be on their way.
    crowd: RefCell<Vec<Waker>>,
    opened: Cell<u64>,
}

/// A stream and the questions on it.
struct Line<S> {
    stream: S,
    /// Which of the connections to this server it is.
    number: u64,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    questions: BTreeMap<u16, Rc<Question>>,
    /// When something came last, or the connection was opened.
    heard: Instant,
}

/// A question on its way; an answer that has come outlives the connection.
#[derive(Default)]
struct Question {
    waker: RefCell<Option<Waker>>,
    answer: RefCell<Option<Vec<u8>>>,
}

impl Question {
    fn wake(&self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl<S: Stream> Connection<S> {
    pub(super) fn new() -> Self {
        Self {
            line: RefCell::new(None),
            opening: Turn::default(),
            crowd: RefCell::default(),
            opened: Cell::new(0),
        }
    }

    /// Asks what `query` writes, whose first two bytes are an id, until `judge` takes an answer with this id. The connection is
    /// the one that is there, or a new one by `dial`; if one that was there turns out to have ended, once more over another.
    /// Opening it may take `patience`, and the answer too.
    pub(super) async fn ask<R>(
        &self,
        dial: impl AsyncFn() -> Result<S, DialError>,
        timer: &impl Timer,
        patience: Duration,
        query: &[u8],
        mut judge: impl FnMut(&[u8]) -> Option<R>,
    ) -> Option<R> {
        let id = u16::from_be_bytes([*query.first()?, *query.get(1)?]);
        let query = framed(query)?;
        for again in [true, false] {
            let (number, fresh) = timeout(timer, patience, self.open(&dial, timer)).await.ok()??;
            let begun = timer.now();
            let exchange = async {
                let place = poll_fn(|cx| self.poll_enter(number, id, &query, cx)).await?;
                loop {
                    let answer = poll_fn(|cx| place.poll_answer(timer, cx)).await?;
                    if let Some(judged) = judge(&answer) {
                        return Ok::<R, Ended>(judged);
                    }
                }
            };
            match timeout(timer, patience, exchange).await {
                Ok(Ok(judged)) => return Some(judged),
                // Servers close what has been idle, and this question crossed that on its way.
                Ok(Err(_)) if again && !fresh => {}
                Ok(Err(_)) => return None,
                Err(_) => {
                    // Nothing at all came meanwhile: whoever comes next does not wait for it again.
                    let silent = |line: &mut Line<S>| line.number == number && line.heard <= begun;
                    let gone = self.line.borrow_mut().take_if(silent);
                    self.ended(gone);
                    return None;
                }
            }
        }
        None
    }

    /// The number of the connection that is there now, and whether it was opened for this.
    async fn open(
        &self,
        dial: impl AsyncFn() -> Result<S, DialError>,
        timer: &impl Timer,
    ) -> Option<(u64, bool)> {
        let _turn = self.opening.take().await;
        if let Some(line) = &*self.line.borrow() {
            return Some((line.number, false));
        }
        let mut stream = dial().await.ok()?;
        stream.set_nodelay(true);
        let number = self.opened.get() + 1;
        self.opened.set(number);
        *self.line.borrow_mut() = Some(Line {
            stream,
            number,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            questions: BTreeMap::new(),
            heard: timer.now(),
        });
        Some((number, true))
    }

    /// Closes the connection if nobody waits for an answer and none came for `idle`. Otherwise says when to look again.
    pub(super) async fn close_idle(&self, timer: &impl Timer, idle: Duration, patience: Duration) -> Instant {
        let now = timer.now();
        let is_idle = |line: &mut Line<S>| line.questions.is_empty() && line.heard + idle <= now;
        let line = self.line.borrow_mut().take_if(is_idle);
        if let Some(mut line) = line {
            let _ = timeout(timer, patience, line.stream.close()).await;
        }
        let due = self.line.borrow().as_ref().map(|line| line.heard + idle);
        due.filter(|due| *due > now).unwrap_or(now + idle)
    }

    /// Takes a place among the questions of connection `number`, with the query on its way.
    fn poll_enter(
        &self,
        number: u64,
        id: u16,
        query: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<Place<'_, S>, Ended>> {
        let mut line = self.line.borrow_mut();
        let Some(line) = line.as_mut().filter(|line| line.number == number) else {
            return Poll::Ready(Err(Ended::Broken));
        };
        // Nor are there two with one id: the second waits for the first.
        if line.questions.len() >= AT_ONCE || line.questions.contains_key(&id) {
            let mut crowd = self.crowd.borrow_mut();
            if !crowd.iter().any(|waker| waker.will_wake(cx.waker())) {
                crowd.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let question = Rc::new(Question::default());
        line.questions.insert(id, question.clone());
        line.outgoing.extend_from_slice(query);
        Poll::Ready(Ok(Place { connection: self, number, id, question }))
    }

    /// Wakes all who waited for something of a connection that has ended.
    fn ended(&self, line: Option<Line<S>>) {
        line.iter().flat_map(|line| line.questions.values()).for_each(|question| question.wake());
        self.crowd.take().into_iter().for_each(Waker::wake);
    }
}

impl<S: Stream> Line<S> {
    /// Sends what waits, and gives answers that come to whom they are for.
    fn poll_work(&mut self, timer: &impl Timer, cx: &mut Context<'_>) -> Result<(), Ended> {
        while !self.outgoing.is_empty() {
            let written = pin!(self.stream.write(&self.outgoing)).poll(cx);
            match written {
                Poll::Ready(Ok(count @ 1..)) => drop(self.outgoing.drain(..count)),
                Poll::Ready(_) => return Err(Ended::Broken),
                Poll::Pending => break,
            }
        }
        for _ in 0..READS {
            let incoming = &mut self.incoming;
            let take = |bytes: &mut [u8]| {
                incoming.extend_from_slice(bytes);
                (bytes.len(), bytes.len())
            };
            let read = pin!(self.stream.read_with(take)).poll(cx);
            match read {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Err(Ended::Broken),
                Poll::Pending => return Ok(()),
            }
            self.heard = timer.now();
            self.deliver();
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// What has come whole. An answer that nobody waits for any more is dropped.
    fn deliver(&mut self) {
        let mut rest = &self.incoming[..];
        while let Some((length, behind)) = rest.split_first_chunk::<2>() {
            let Some((message, behind)) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))
            else {
                break;
            };
            rest = behind;
            let Some(id) = message.first_chunk::<2>() else { continue };
            if let Some(question) = self.questions.get(&u16::from_be_bytes(*id)) {
                *question.answer.borrow_mut() = Some(message.to_vec());
                question.wake();
            }
        }
        let used = self.incoming.len() - rest.len();
        self.incoming.drain(..used);
    }
}

/// The place of a question on its way.
struct Place<'c, S: Stream> {
    connection: &'c Connection<S>,
    number: u64,
    id: u16,
    question: Rc<Question>,
}

impl<S: Stream> Place<'_, S> {
    /// The next message with the question's id.
    fn poll_answer(&self, timer: &impl Timer, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Ended>> {
        let mut line = self.connection.line.borrow_mut();
        let worked = match line.as_mut().filter(|line| line.number == self.number) {
            Some(line) => line.poll_work(timer, cx),
            None => Err(Ended::Broken),
        };
        if worked.is_err() {
            let gone = line.take_if(|line| line.number == self.number);
            drop(line);
            self.connection.ended(gone);
        }
        match (self.question.answer.take(), worked) {
            (Some(answer), _) => Poll::Ready(Ok(answer)),
            (None, Err(ended)) => Poll::Ready(Err(ended)),
            (None, Ok(())) => {
                *self.question.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<S: Stream> Drop for Place<'_, S> {
    /// Another takes over the work, and one of the crowd the place.
    fn drop(&mut self) {
        if let Some(line) = self.connection.line.borrow_mut().as_mut()
            && line.number == self.number
        {
            line.questions.remove(&self.id);
            line.questions.values().next().into_iter().for_each(|question| question.wake());
        }
        self.connection.crowd.take().into_iter().for_each(Waker::wake);
    }
}
