//! `GET /status`

use std::sync::Arc;

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{HttpContext, reply, route};

pub(super) fn routes(context: &Arc<HttpContext>) -> BoxedFilter<(Response,)> {
    let path = || route::exactly("/status".to_owned());
    let context = Arc::clone(context);
    let running = path()
        .and(route::get_or_head())
        .map(move || reply::running(context.api.problems()));
    let other = path().map(|| reply::method_not_allowed("GET, HEAD"));
    running.or(other).unify().boxed()
}
