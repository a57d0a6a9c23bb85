//! `GET /status`

use warp::http::{Method, StatusCode};

use super::{
    operation::{Holds, Operation, Takes, answer},
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
        answers: vec![answer(StatusCode::OK, Holds::Status, "The agent runs.")],
    };
    routes.add(
        operation,
        |call| async move { reply::running(call.context.api.problems()) },
    );
}
