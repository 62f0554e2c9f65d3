//! Which handler a request goes to.
use crate::{
    Error, Exchange, Handler,
    files::{allow, message},
    wire::{Method, Methods, Status},
};

/// Routes by method and path, tried in the order they were added; built up type by type, so that it needs
/// no memory.
///
/// A pattern is a path of segments. `{name}` stands for one segment that is not empty, `{..name}`, at the
/// end, for
/// all the rest, which may be empty. [`Exchange::parameter`] gives what stood there. Paths are compared as
/// they were sent: the
/// pattern `/a b` matches nothing, `/a%20b` does.
///
/// A path that no pattern matches goes to [`otherwise`](Router::otherwise)'s handler, or is 404. When its
/// patterns are all for other methods,
/// the answer is 405 with the methods there are (204 for OPTIONS). A route for GET serves HEAD, too.
///
/// ```
/// use airglow_http::{Error, Exchange, Method, Router, Status};
///
/// async fn hello(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let name = exchange.parameter("name").unwrap_or("nobody");
///     exchange.respond(Status::OK).content_type("text/plain").send(name.as_bytes()).await
/// }
/// async fn upload(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let mut buf = [0; 100];
///     let _length = exchange.read_all(&mut buf).await?;
///     exchange.respond(Status::CREATED).empty().await
/// }
/// let router = Router::new().route(Method::Get, "/hello/{name}", hello).route(Method::Post, "/upload", upload);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Router<R = NoRoute> {
    routes: R,
}

impl Router {
    /// A router that knows no path.
    pub const fn new() -> Self {
        Self { routes: NoRoute }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Routes> Router<R> {
    /// Adds a route behind the others.
    pub fn route<H: Handler>(self, method: Method, pattern: &'static str, handler: H) -> Router<Route<R, H>> {
        Router { routes: Route { before: self.routes, method, pattern, handler } }
    }
    /// Sends everything that no pattern matches to `handler`: a folder of files, for example.
    pub fn otherwise<H: Handler>(self, handler: H) -> Otherwise<R, H> {
        Otherwise { routes: self.routes, handler }
    }
}

impl<R: Routes> Handler for Router<R> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        match self.routes.dispatch(exchange).await {
            Some(result) => result,
            None => unrouted(exchange, self.routes.methods(exchange.head().path)).await,
        }
    }
}

/// A [`Router`] with a handler for everything else.
#[derive(Clone, Copy, Debug)]
pub struct Otherwise<R, H> {
    routes: R,
    handler: H,
}

impl<R: Routes, H: Handler> Handler for Otherwise<R, H> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        if let Some(result) = self.routes.dispatch(exchange).await {
            return result;
        }
        let methods = self.routes.methods(exchange.head().path);
        if methods.is_empty() {
            self.handler.handle(exchange).await
        } else {
            unrouted(exchange, methods).await
        }
    }
}

async fn unrouted(exchange: &mut Exchange<'_>, methods: Methods) -> Result<(), Error> {
    match exchange.head().method {
        Method::Other => message(exchange, Status::NOT_IMPLEMENTED).await,
        Method::Options if !methods.is_empty() => {
            allow(exchange, Status::NO_CONTENT, methods.with(Method::Options)).await
        }
        _ if methods.is_empty() => message(exchange, Status::NOT_FOUND).await,
        _ => allow(exchange, Status::METHOD_NOT_ALLOWED, methods.with(Method::Options)).await,
    }
}

/// A list of routes. Only [`Router`]'s own types are.
pub trait Routes: sealed::Sealed {
    /// Lets the route that matches answer; `None` when none does.
    async fn dispatch(&self, exchange: &mut Exchange<'_>) -> Option<Result<(), Error>>;
    /// The methods of all patterns that match `path`.
    fn methods(&self, path: &str) -> Methods;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::NoRoute {}
    impl<R, H> Sealed for super::Route<R, H> {}
}

/// The empty list of routes.
#[derive(Clone, Copy, Debug)]
pub struct NoRoute;

impl Routes for NoRoute {
    async fn dispatch(&self, _: &mut Exchange<'_>) -> Option<Result<(), Error>> {
        None
    }
    fn methods(&self, _: &str) -> Methods {
        Methods::NONE
    }
}

/// A route behind other routes.
#[derive(Clone, Copy, Debug)]
pub struct Route<R, H> {
    before: R,
    method: Method,
    pattern: &'static str,
    handler: H,
}

impl<R: Routes, H: Handler> Routes for Route<R, H> {
    async fn dispatch(&self, exchange: &mut Exchange<'_>) -> Option<Result<(), Error>> {
        if let Some(result) = self.before.dispatch(exchange).await {
            return Some(result);
        }
        let head = exchange.head();
        if Methods::NONE.with(self.method).contains(head.method) && matches(self.pattern, head.path) {
            exchange.pattern = self.pattern;
            return Some(self.handler.handle(exchange).await);
        }
        None
    }
    fn methods(&self, path: &str) -> Methods {
        let before = self.before.methods(path);
        if matches(self.pattern, path) { before.with(self.method) } else { before }
    }
}

/// The name within `{name}` and whether it takes all the rest.
fn placeholder(segment: &str) -> Option<(&str, bool)> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_prefix("..").map_or((name, false), |name| (name, true)))
}

/// Walks pattern and path side by side; calls `found` with each placeholder's name and what stands for it.
fn walk<'p>(pattern: &str, path: &'p str, mut found: impl FnMut(&str, &'p str)) -> bool {
    let mut rest = Some(path);
    for wanted in pattern.split('/') {
        let Some(here) = rest else { return false };
        let (segment, tail) = match here.split_once('/') {
            Some((segment, tail)) => (segment, Some(tail)),
            None => (here, None),
        };
        match placeholder(wanted) {
            Some((name, true)) => {
                found(name, here);
                return true;
            }
            Some((name, false)) if !segment.is_empty() => found(name, segment),
            None if wanted == segment => {}
            _ => return false,
        }
        rest = tail;
    }
    rest.is_none()
}

fn matches(pattern: &str, path: &str) -> bool {
    walk(pattern, path, |_, _| {})
}

/// What `path` has where `pattern` has `{name}`.
pub(crate) fn parameter<'p>(pattern: &str, path: &'p str, name: &str) -> Option<&'p str> {
    let mut value = None;
    let matched = walk(pattern, path, |found, text| {
        if found == name {
            value = Some(text);
        }
    });
    value.filter(|_| matched)
}

#[cfg(test)]
mod tests {
    use super::{matches, parameter};

    #[test]
    fn patterns() {
        for (pattern, path, matched) in [
            ("/", "/", true),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a", "/ab", false),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/a/", false),
            ("/a/{x}", "/a", false),
            ("/a/{x}", "/a/b/c", false),
            ("/a/{x}/c", "/a/b/c", true),
            ("/a/{..x}", "/a/b/c", true),
            ("/a/{..x}", "/a/", true),
            ("/a/{..x}", "/a", false),
            ("/", "", false),
            ("/a", "*", false),
        ] {
            assert_eq!(matches(pattern, path), matched, "{pattern} {path}");
        }
        assert_eq!(parameter("/a/{x}/{y}", "/a/1/2", "y"), Some("2"));
        assert_eq!(parameter("/a/{..x}", "/a/1/2", "x"), Some("1/2"));
        assert_eq!(parameter("/a/{x}", "/a/1", "z"), None);
        assert_eq!(parameter("/a/{x}/b", "/a/1", "x"), None);
        assert_eq!(parameter("", "/a/1", "x"), None);
    }
}
