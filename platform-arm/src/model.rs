//! Chips in software, for the drivers' tests.
use crate::{interrupt::InterruptLine, register::Registers};
use core::{
    cell::{Cell, RefCell},
    task::Waker,
};
use std::{collections::BTreeMap, rc::Rc, vec::Vec};

/// Registers that keep what is written to them, and a record of the writes.
#[derive(Default)]
pub struct Words {
    values: BTreeMap<usize, u32>,
    writes: Vec<(usize, u32)>,
}

impl Words {
    pub fn get(&self, offset: usize) -> u32 {
        self.values.get(&offset).copied().unwrap_or(0)
    }
    pub fn written(&self, offset: usize) -> Vec<u32> {
        self.writes.iter().filter(|(o, _)| *o == offset).map(|(_, v)| *v).collect()
    }
}

impl Registers for Words {
    fn read(&mut self, offset: usize) -> u32 {
        self.get(offset)
    }
    fn write(&mut self, offset: usize, value: u32) {
        self.values.insert(offset, value);
        self.writes.push((offset, value));
    }
}

/// A chip's model, shared by the driver and the test.
pub struct Shared<M>(pub Rc<RefCell<M>>);

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Registers> Registers for Shared<M> {
    fn read(&mut self, offset: usize) -> u32 {
        self.0.borrow_mut().read(offset)
    }
    fn write(&mut self, offset: usize, value: u32) {
        self.0.borrow_mut().write(offset, value);
    }
}

/// A line that counts how often it was armed.
#[derive(Default)]
pub struct Line(pub Cell<u32>);

impl InterruptLine for Line {
    fn rearm(&self, _: &Waker) {
        self.0.set(self.0.get() + 1);
    }
}
