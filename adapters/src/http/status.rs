//! `GET /status`

use warp::http::{Method, StatusCode};

use super::{
    operation::{Access, Holds, Operation, Takes, answer},
    reply,
    route::Routes,
};

pub(super) fn add_to(routes: &mut Routes) {
    let operation = Operation {
        method: Method::GET,
        path: "/status".to_owned(),
        name: "status".to_owned(),
        summary: "Whether the agent runs, and what somebody should see to.",
        takes: Takes::Nothing,
        access: Access::Known,
        audited: None,
        answers: vec![answer(StatusCode::OK, Holds::Status, "The agent runs.")],
    };
    routes.add(operation, |call| async move {
        let mut problems = call.context.api.problems();
        problems.extend(call.context.audit.problem());
        reply::running(problems)
    });
}
