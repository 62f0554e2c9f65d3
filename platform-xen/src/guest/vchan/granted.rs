//! Pages that another domain has been given: nobody else gets them before it has let go of them.
use crate::{
    boot::{grants::GrantTable, single::Single},
    drivers::{
        grant::{Access, DomainId, GrantRef, Grants},
        pages::Pages,
    },
};
use alloc::{rc::Rc, vec::Vec};

/// Pages, and the grants by which one other domain may use them. Taken back when they are dropped, or when the domain lets go.
#[derive(Debug)]
pub struct Granted(Option<Lent>);

#[derive(Debug)]
struct Lent {
    pages: Pages,
    grants: Vec<GrantRef>,
    _token: Rc<()>,
}

impl Lent {
    /// Takes back what the other domain does not use; `true`: that is all.
    fn take_back(&mut self) -> bool {
        self.grants.retain(|grant| {
            let free = GrantTable.revoke(*grant);
            if free {
                GrantTable.release(*grant);
            }
            !free
        });
        self.grants.is_empty()
    }
}

/// What was dropped while the other domain still had it mapped.
static KEPT: Single<Vec<Lent>> = Single::new(Vec::new());

impl Granted {
    /// Lets `domain` use `count` new pages, filled with zeros. `token` is held until they are back. `None`: the grant table is full.
    pub fn new(domain: DomainId, count: usize, token: Rc<()>) -> Option<Self> {
        take_back();
        let mut lent = Lent { pages: Pages::new(count), grants: Vec::with_capacity(count), _token: token };
        for index in 0..count {
            let Some(grant) = GrantTable.reserve() else {
                lent.take_back();
                return None;
            };
            GrantTable.permit(grant, domain, lent.pages.page(index), Access::ReadWrite);
            lent.grants.push(grant);
        }
        Some(Self(Some(lent)))
    }

    /// Where the page `index` begins.
    pub fn page(&self, index: usize) -> *const u8 {
        self.0.as_ref().map_or(core::ptr::null(), |lent| lent.pages.page(index))
    }

    /// The references, in the order of the pages.
    pub fn grants(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|lent| lent.grants.iter().map(|grant| grant.0))
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if let Some(mut lent) = self.0.take()
            && !lent.take_back()
        {
            KEPT.with(|kept| kept.push(lent));
        }
    }
}

/// Looks again at what could not be taken back; `true`: there is nothing left of it.
pub fn take_back() -> bool {
    KEPT.with(|kept| {
        kept.retain_mut(|lent| !lent.take_back());
        kept.is_empty()
    })
}
