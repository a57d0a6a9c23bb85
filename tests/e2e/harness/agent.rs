//! The agent as a running process.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::FileExt,
    process::{Child, ExitStatus, Output, Stdio},
    thread,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    Connection, Environment, Kind, Place, Response, agent_command, basic, complete_environment, end_all_with,
    run_agent, send_signal, wait_for, wait_until,
};

/// The credentials of every agent that a test does not give others.
pub(crate) const USER: &str = "operator";
pub(crate) const PASSWORD: &str = "the-password-of-the-operator";

/// A running agent in a place of its own. It ends with the value, and so do its scripts.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) place: Place,
    process: Child,
    address: SocketAddr,
    /// What it writes to stderr. A file, so that what the agent has written is there at once.
    log: File,
    authorization: String,
    environment: Environment,
}

impl Agent {
    /// Starts the agent in a new place, with variables as `configure` leaves them.
    #[track_caller]
    pub(crate) fn start(configure: impl FnOnce(&mut Environment)) -> Self {
        Self::start_in(Place::new(), configure)
    }

    #[track_caller]
    pub(crate) fn start_in(place: Place, configure: impl FnOnce(&mut Environment)) -> Self {
        let mut environment = complete_environment(&place);
        configure(&mut environment);
        let (process, log, address) = launch(&environment, &place);
        Self {
            place,
            process,
            address,
            log,
            authorization: basic(USER, PASSWORD),
            environment,
        }
    }

    /// Ends the agent with SIGKILL, and nothing else: what it has started lives on.
    pub(crate) fn die(&mut self) {
        self.kill();
    }

    /// Starts the agent again, in the same place, with the same variables.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        (self.process, self.log, self.address) = launch(&self.environment, &self.place);
    }

    /// Ends the agent with SIGKILL and starts it again.
    #[track_caller]
    pub(crate) fn die_and_start_again(&mut self) {
        self.die();
        self.start_again();
    }

    /// Changes the variables with which the agent is started again.
    pub(crate) fn configure(&mut self, configure: impl FnOnce(&mut Environment, &Place)) {
        configure(&mut self.environment, &self.place);
    }

    /// Starts the agent again, which may die on the way; says whether it came so far that it listens.
    #[track_caller]
    pub(crate) fn start_again_if_it_lives(&mut self) -> bool {
        let (process, log) = spawn(&self.environment, &self.place);
        (self.process, self.log) = (process, log);
        wait_for("the agent listens, or dies", || {
            if self.has_ended() {
                return Some(false);
            }
            self.address = address_in(&self.log())?;
            Some(true)
        })
    }

    /// Whether the agent has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.process.try_wait().expect("the agent is our child");
        ended.is_some()
    }

    /// As [`Agent::call`]; none if the agent dies meanwhile, or is dead.
    pub(crate) fn try_call(&self, method: &str, path: &str, body: &[u8]) -> Option<Response> {
        let mut connection = Connection::try_open(self.address).ok()?;
        connection.send(&self.message(method, path, &[&self.authorization()], body));
        connection.try_receive(false).ok()
    }

    /// Runs another command of the agent's binary, with the same variables.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        run_agent(arguments, &self.environment, self.place.root())
    }

    /// Asks for the end of a job.
    #[track_caller]
    pub(crate) fn cancel(&self, kind: Kind, id: &str) -> Response {
        self.call("POST", &format!("{}/{id}/cancel", kind.route()), &[], b"")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.process.id()).expect("process ids fit")
    }

    /// `VmHWM`: the most memory that the agent has ever held.
    #[track_caller]
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// `VmRSS`: the memory that the agent holds.
    #[track_caller]
    pub(crate) fn memory_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    #[track_caller]
    fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the agent runs");
        status
            .lines()
            .find_map(|line| line.strip_prefix(what))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .expect("the kernel tells")
    }

    /// What the agent has logged so far.
    pub(crate) fn log(&self) -> String {
        text_of(&self.log)
    }

    /// Waits until the agent has logged this.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, part: &str) {
        wait_until(&format!("the log says {part:?}"), || self.log().contains(part));
    }

    /// Sends these header lines (without `Host`, credentials and length) and this body.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        let authorization = format!("Authorization: {}", self.authorization);
        let headers: Vec<&str> = std::iter::once(authorization.as_str())
            .chain(headers.iter().copied())
            .collect();
        self.call_as_stranger(method, path, &headers, body)
    }

    /// As [`Agent::call`], but the only credentials are those among the header lines.
    #[track_caller]
    pub(crate) fn call_as_stranger(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        let mut connection = self.send(method, path, headers, body);
        connection.receive(method == "HEAD")
    }

    /// Sends a request on a connection of its own and leaves the answer to be read.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Connection {
        let mut connection = Connection::open(self.address);
        connection.send(&self.message(method, path, headers, body));
        connection
    }

    /// A request as it goes over the wire.
    fn message(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        let has_length = headers.iter().any(|line| line.starts_with("Transfer-Encoding"));
        if !has_length && (!body.is_empty() || !matches!(method, "GET" | "HEAD")) {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for line in headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }

    /// The `Authorization` line that lets a request in.
    pub(crate) fn authorization(&self) -> String {
        format!("Authorization: {}", self.authorization)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.call("GET", path, &[], b"")
    }

    /// Asks for a job, with any body.
    #[track_caller]
    pub(crate) fn request(&self, kind: Kind, body: &Value) -> Response {
        self.request_text(kind, &body.to_string())
    }

    /// Asks for a job with a body of exactly this text.
    #[track_caller]
    pub(crate) fn request_text(&self, kind: Kind, body: &str) -> Response {
        self.call(
            kind.method(),
            kind.route(),
            &["Content-Type: application/json"],
            body.as_bytes(),
        )
    }

    /// Asks for the removal of a job.
    #[track_caller]
    pub(crate) fn remove(&self, kind: Kind, id: &str) -> Response {
        let body = serde_json::json!({"id": id}).to_string();
        self.call("DELETE", kind.route(), &[], body.as_bytes())
    }

    /// Starts a job, which must be accepted.
    #[track_caller]
    pub(crate) fn accept(&self, kind: Kind, body: &Value) {
        let response = self.request(kind, body);
        assert_eq!(response.status, 201, "{body} was answered by {}", response.text());
    }

    /// The polling body of a job that must be known.
    #[track_caller]
    pub(crate) fn job(&self, kind: Kind, id: &str) -> Value {
        let response = self.get(&format!("{}/{id}", kind.route()));
        assert_eq!(response.status, 200, "{} {id}: {}", kind.name(), response.text());
        response.json()
    }

    /// The polling body of a job at its end.
    #[track_caller]
    pub(crate) fn finished(&self, kind: Kind, id: &str) -> Value {
        wait_for(&format!("{} {id} comes to an end", kind.name()), || {
            let job = self.job(kind, id);
            (job["status"] != "RUNNING").then_some(job)
        })
    }

    /// Runs a job from its request to its end.
    #[track_caller]
    pub(crate) fn run(&self, kind: Kind, body: &Value) -> Value {
        self.accept(kind, body);
        self.finished(kind, body["id"].as_str().expect("the request has an id"))
    }

    /// Runs a job that must succeed.
    #[track_caller]
    pub(crate) fn succeed(&self, kind: Kind, body: &Value) -> Value {
        let job = self.run(kind, body);
        assert_eq!(job["status"], "SUCCEEDED", "{body} became {job}");
        job
    }

    /// Runs a job that must fail; its polling body and its `error_message`.
    #[track_caller]
    pub(crate) fn fail(&self, kind: Kind, body: &Value) -> (Value, String) {
        let job = self.run(kind, body);
        assert_eq!(job["status"], "FAILED", "{body} became {job}");
        let message = job["error_message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.is_empty(), "a failed job says why: {job}");
        (job, message)
    }

    /// Sends a signal to the agent itself.
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.id(), signal);
    }

    /// Waits until the agent has ended.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let process = &mut self.process;
        wait_for("the agent ends", || process.try_wait().expect("the agent is our child"))
    }

    /// Ends the agent without warning, as a power cut would.
    fn kill(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.process.kill().expect("the agent is our child");
        }
        self.process.wait().expect("the agent is our child");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        end_all_with(&format!("E2E_PLACE={}", self.place.root().display()));
        if thread::panicking() {
            eprintln!("--- the agent's log ---\n{}", self.log());
        }
    }
}

/// Starts the agent and waits until it listens.
#[track_caller]
fn launch(environment: &Environment, place: &Place) -> (Child, File, SocketAddr) {
    let (mut process, log) = spawn(environment, place);
    let address = wait_for("the agent logs its address", || {
        if let Ok(Some(status)) = process.try_wait() {
            panic!("the agent did not start ({status}):\n{}", text_of(&log));
        }
        address_in(&text_of(&log))
    });
    (process, log, address)
}

fn spawn(environment: &Environment, place: &Place) -> (Child, File) {
    let log = tempfile::tempfile().expect("a temporary file can be made");
    let stderr = log.try_clone().expect("an open file can be shared");
    let process = agent_command(&[], environment, place.root())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("the agent's binary can be run");
    (process, log)
}

/// All that is in a file, whose position stays where its writer left it.
fn text_of(file: &File) -> String {
    let length = file.metadata().expect("it is open").len();
    let mut bytes = vec![0; usize::try_from(length).expect("logs are short")];
    file.read_exact_at(&mut bytes, 0).expect("files only grow");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on http")?;
    let (_, rest) = rest.split_once("://")?;
    let end = rest.find(|character: char| !(character.is_ascii_digit() || character == '.' || character == ':'))?;
    rest[..end].parse().ok()
}
