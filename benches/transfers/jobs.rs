//! The agent at work on backups or restores.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    agent::{self, PASSWORD, PHASES, USER},
    machine,
    measured::Cost,
    place::Artifact,
    store::{AUTH_KEY, AUTH_SECRET, BUCKET, REGION},
    tools::Direction,
};

/// It is asked at first that often, and then seldomer, whether a job has ended: answering is not what is
/// measured, and clients ask every few seconds.
const FIRST_POLL: Duration = Duration::from_millis(2);
const LAST_POLL: Duration = Duration::from_millis(100);
/// The kernel counts the time of processes in units of 10 ms, on all that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What jobs that ran side by side took of the agent and its scripts.
#[derive(Debug)]
pub(crate) struct Jobs {
    /// From the first request to the last job's end.
    pub(crate) cost: Cost,
    /// From the script before the transfer to the script after it, of the first job.
    pub(crate) transfer_s: f64,
    /// The objects that they made, or fetched.
    pub(crate) keys: Vec<String>,
}

/// What jobs have to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) direction: Direction,
    /// The object of restores; what the objects of backups begin with.
    pub(crate) key: &'a str,
    pub(crate) artifact: &'a Artifact,
    pub(crate) endpoint: &'a str,
    /// At work at a time.
    pub(crate) count: usize,
}

impl Work<'_> {
    /// Has an agent do it that is started for this and ended after it.
    pub(crate) fn run(&self, parent: &Path) -> Jobs {
        let agent = Agent::start(parent, self);
        let cpu_before = agent.cpu_s();
        let begin = Instant::now();
        let (method, kind) = match self.direction {
            Direction::Up => ("POST", "backup"),
            Direction::Down => ("PUT", "restore"),
        };
        for number in 0..self.count {
            let (status, answer) = agent.ask(method, &format!("/{kind}"), &self.request(kind, number));
            assert_eq!(status, 201, "{answer}");
        }
        let keys = (0..self.count)
            .map(|number| {
                let job = agent.ended(&format!("/{kind}/job-{number}"));
                assert_eq!(job["status"], "SUCCEEDED", "{job}");
                if self.direction == Direction::Up {
                    assert_eq!(job["sha256"], self.artifact.sha256.as_str(), "{job}");
                }
                job["filename"].as_str().unwrap_or_default().to_owned()
            })
            .collect();
        let cost = Cost {
            wall_s: begin.elapsed().as_secs_f64(),
            cpu_s: agent.cpu_s() - cpu_before,
            peak_bytes: agent.peak_bytes(),
        };
        Jobs {
            cost,
            transfer_s: agent.transfer_s(self.direction),
            keys,
        }
    }

    fn request(&self, kind: &str, number: usize) -> Value {
        let mut destination = json!({
            "type": "S3", "bucket": BUCKET, "region": REGION, "endpoint": self.endpoint,
            "authKey": AUTH_KEY, "authSecret": AUTH_SECRET,
        });
        if self.direction == Direction::Down {
            destination["filename"] = self.key.into();
            destination["sha256"] = self.artifact.sha256.as_str().into();
        }
        json!({
            "id": format!("job-{number}"),
            "destination": destination,
            kind: {"host": "localhost", "database": format!("database-{number}")},
        })
    }
}

/// An agent with directories of its own; it ends with this value.
#[derive(Debug)]
struct Agent {
    process: Child,
    address: SocketAddr,
    place: TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agent {
    fn start(parent: &Path, work: &Work) -> Self {
        let place = tempfile::Builder::new().prefix("agent-").tempdir_in(parent);
        let place = place.expect("a directory can be made");
        for directory in ["backup", "restore", "scripts", "marks"] {
            fs::create_dir(place.path().join(directory)).expect("a directory can be made");
        }
        for phase in PHASES {
            let text = script(phase, &place.path().join("marks"), &work.artifact.path);
            fs::write(place.path().join("scripts").join(phase), text).expect("a script can be written");
        }
        let count = work.count.to_string();
        let name = format!("{}-{{id}}", work.key);
        let (process, address) = agent::start(
            place.path(),
            [
                ("max_job_number", OsStr::new(&count)),
                ("concurrent_restores", OsStr::new(&count)),
                ("backup_name", OsStr::new(&name)),
            ],
        );
        Self {
            process,
            address,
            place,
        }
    }

    /// Waits for the end of a job.
    fn ended(&self, path: &str) -> Value {
        let mut pause = FIRST_POLL;
        loop {
            let (status, job) = self.ask("GET", path, &Value::Null);
            assert_eq!(status, 200, "{job}");
            if job["state"] == "finished" {
                return job;
            }
            thread::sleep(pause);
            pause = LAST_POLL.min(pause * 5 / 4);
        }
    }

    /// The status and the body of an answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let credentials = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).expect("the agent listens");
        stream.write_all(request.as_bytes()).expect("the agent reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the agent answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
        (status.expect("an answer has a status"), body)
    }

    /// What it and the scripts that have ended took of the processors.
    fn cpu_s(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.process.id());
        let text = fs::read_to_string(path).expect("it is at work");
        // The name, in parentheses, may hold anything; times are the 14th to the 17th field.
        let (_, rest) = text.rsplit_once(") ").expect("the name is in parentheses");
        let fields = rest.split(' ').skip(11).take(4);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().expect("a number")).sum();
        ticks as f64 / TICKS_PER_SECOND
    }

    fn peak_bytes(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let text = machine::line_of(&path, "VmHWM").expect("it is at work");
        let kilobytes: f64 = text.trim_end_matches(" kB").parse().expect("it is a number");
        kilobytes * 1024.0
    }

    fn transfer_s(&self, direction: Direction) -> f64 {
        let (before, after) = match direction {
            Direction::Up => ("backup.end", "backup-cleanup.begin"),
            Direction::Down => ("pre-restore-lock.end", "restore.begin"),
        };
        let [before, after] = [before, after].map(|mark| self.mark(mark));
        after.duration_since(before).unwrap_or_default().as_secs_f64()
    }

    /// When a script of the first job was there.
    fn mark(&self, name: &str) -> SystemTime {
        let path: PathBuf = self.place.path().join("marks").join(format!("job-0.{name}"));
        let metadata = fs::metadata(path).expect("the script has run");
        metadata.modified().expect("files have times")
    }
}

/// Leaves marks of its beginning and its end.
fn script(phase: &str, marks: &Path, artifact: &Path) -> Vec<u8> {
    let work: Vec<u8> = match phase {
        // The artifact is there already: what is measured is its way.
        "backup" => [b"ln -- '", artifact.as_os_str().as_bytes(), b"' \"$BACKUP_AGENT_FILE\""].concat(),
        "backup-cleanup" => b"rm -- \"$BACKUP_AGENT_FILE\"".to_vec(),
        _ => b":".to_vec(),
    };
    let marks = marks.display();
    let mark = |what: &str| format!(": >'{marks}'/\"$BACKUP_AGENT_JOB_ID\".{phase}.{what}\n");
    [
        b"set -e\n".to_vec(),
        mark("begin").into_bytes(),
        work,
        b"\n".to_vec(),
        mark("end").into_bytes(),
    ]
    .concat()
}
