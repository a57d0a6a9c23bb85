//! For those who watch: `GET /healthz`, `GET /readyz`, `GET /metrics`.

mod readiness;

use warp::http::{Method, StatusCode};

pub use self::readiness::Readiness;
use super::{
    auth::Caller,
    operation::{Access, Answer, Holds, Operation, Takes, answer},
    reply,
    route::Routes,
};

pub(super) fn add_to(routes: &mut Routes) {
    let alive = answer(StatusCode::OK, Holds::Message, "The agent is alive.");
    routes.add(get("healthz", HEALTH, Access::Everyone, vec![alive]), |_| async {
        reply::alive()
    });
    let ready = vec![
        answer(StatusCode::OK, Holds::Status, "A job can be taken."),
        answer(
            StatusCode::SERVICE_UNAVAILABLE,
            Holds::Status,
            "No job can be taken, or it would fail at once. Why is told to who has credentials.",
        ),
    ];
    routes.add(get("readyz", READINESS, Access::Strangers, ready), |call| async move {
        let shortcomings = call.context.readiness.look(&call.context.api).await;
        if shortcomings.is_empty() {
            return reply::ready();
        }
        match call.caller {
            Caller::Known => reply::not_ready(shortcomings),
            // Paths and names of files are nobody's who has shown no credentials.
            Caller::Stranger => reply::not_ready(Vec::new()),
        }
    });
    let metrics = answer(StatusCode::OK, Holds::Metrics, "The numbers.");
    routes.add(
        get("metrics", METRICS, Access::AsMetricsAre, vec![metrics]),
        |call| async move {
            let (api, audit) = (&call.context.api, &call.context.audit);
            // As many as /status names.
            let problems = api.problems().len() + usize::from(audit.problem().is_some());
            reply::metrics(call.context.metrics.exposition(&api.unsettled(), problems))
        },
    );
}

const HEALTH: &str = "Whether the agent is alive. It needs no credentials, and looks at nothing.";
const READINESS: &str = "Whether a job could be taken: directories, free space, scripts, records. Without credentials \
                         the code alone tells.";
const METRICS: &str = "Numbers for Prometheus, in its text format.";

fn get(name: &str, summary: &'static str, access: Access, answers: Vec<Answer>) -> Operation {
    Operation {
        method: Method::GET,
        path: format!("/{name}"),
        name: name.to_owned(),
        summary,
        takes: Takes::Nothing,
        access,
        audited: None,
        answers,
    }
}
