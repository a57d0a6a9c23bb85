//! `GET /status`

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{reply, route};

pub(super) fn routes() -> BoxedFilter<(Response,)> {
    let path = || route::exactly("/status".to_owned());
    let running = path().and(route::get_or_head()).map(reply::running);
    let other = path().map(|| reply::method_not_allowed("GET, HEAD"));
    running.or(other).unify().boxed()
}
