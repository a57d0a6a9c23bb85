//! Paths, matched to the letter: no redirects, no second spelling of a path.

use warp::{Filter, Rejection, path::FullPath};

/// Passes requests for exactly this path.
pub(super) fn exactly(path: String) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::path::full()
        .and_then(move |full: FullPath| {
            let matches = full.as_str() == path;
            async move {
                if matches {
                    Ok(())
                } else {
                    Err(warp::reject::not_found())
                }
            }
        })
        .untuple_one()
}

/// Passes requests for one segment below `path`, which may be empty, and gives it on as it stands
/// in the URL.
pub(super) fn below(path: String) -> impl Filter<Extract = (String,), Error = Rejection> + Clone {
    let prefix = format!("{path}/");
    warp::path::full().and_then(move |full: FullPath| {
        let segment = full.as_str().strip_prefix(&prefix);
        let segment = segment.filter(|segment| !segment.contains('/')).map(str::to_owned);
        async move { segment.ok_or_else(warp::reject::not_found) }
    })
}

/// Passes requests for `action` of one segment below `path`, and gives the segment on.
pub(super) fn action_below(
    path: String,
    action: &'static str,
) -> impl Filter<Extract = (String,), Error = Rejection> + Clone {
    let (prefix, suffix) = (format!("{path}/"), format!("/{action}"));
    warp::path::full().and_then(move |full: FullPath| {
        let segment = full.as_str().strip_prefix(&prefix);
        let segment = segment.and_then(|rest| rest.strip_suffix(&suffix));
        let segment = segment.filter(|segment| !segment.contains('/')).map(str::to_owned);
        async move { segment.ok_or_else(warp::reject::not_found) }
    })
}

/// Passes GET and HEAD; hyper leaves the body of a HEAD's answer out.
pub(super) fn get_or_head() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::get().or(warp::head()).unify()
}
