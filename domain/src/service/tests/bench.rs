//! A service on mocks that write down what they are asked, and fail where they are told to.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::{
    artifact::{Expected, FileEntry, FileKind, Sha256, Staging},
    job::{ExitReason, JobId, JobKey, JobView, LiveLog, ScriptLog},
    plan::{JobKind, Phase, Step},
    ports::{
        BlobStoreError, Halt, JobApi, MockBlobStore, MockScriptRunner, MockWorkspace, Moved, PreparedRestore,
        ScriptError, ScriptOutcome, ScriptRunner, WorkspaceError,
    },
    request::JobRequest,
    script::{Directories, ScriptCall},
    service::{JobService, Ports, ServiceSettings},
    testing::{FakeJobStore, ManualClock, ManualSpawner, Noticed, block_on, prepared_restore, shared},
};

/// The length of the artifact that every backup makes.
pub(super) const SIZE: u64 = 42;

/// One way in which a step can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    Exit(i32),
    Signal(i32),
    NotStarted,
    Lost,
    Error,
    Panic,
}

impl Failing {
    /// The ways in which a step can fail.
    pub(super) fn ways_of(step: Step) -> &'static [Self] {
        match step {
            Step::Script(_) => &[
                Self::Exit(1),
                Self::Exit(2),
                Self::Exit(75),
                Self::Exit(126),
                Self::Exit(127),
                Self::Exit(255),
                Self::Signal(9),
                Self::Signal(15),
                Self::NotStarted,
                Self::Lost,
                Self::Panic,
            ],
            Step::Prepare | Step::FindArtifact | Step::Upload | Step::Download | Step::PlaceFile => {
                &[Self::Error, Self::Panic]
            }
        }
    }

    fn of_script(self) -> Result<ScriptOutcome, ScriptError> {
        let ended = |exit| {
            Ok(ScriptOutcome {
                exit,
                log: log("broken"),
                was_halted: false,
            })
        };
        match self {
            Self::Exit(code) => ended(ExitReason::Exited(code)),
            Self::Signal(signal) => ended(ExitReason::Signaled(signal)),
            Self::NotStarted | Self::Error => Err(ScriptError::NotStarted("bash is not there".to_owned())),
            Self::Lost => Err(ScriptError::Lost("the process was lost".to_owned())),
            Self::Panic => Err(ScriptError::Lost(PANIC.to_owned())),
        }
    }
}

/// What a mock answers where a panic is wanted: one inside of a mock would break the mock.
const PANIC: &str = "panic now";

/// Panics where the mock inside says so.
#[derive(Debug)]
struct PanickingRunner(MockScriptRunner);

#[async_trait]
impl ScriptRunner for PanickingRunner {
    async fn check(&self, phases: &[Phase]) -> Result<(), ScriptError> {
        self.0.check(phases).await
    }

    async fn check_interpreter(&self) -> Result<String, ScriptError> {
        self.0.check_interpreter().await
    }

    async fn end_leftover(&self, job: &JobKey) -> Result<(), ScriptError> {
        self.0.end_leftover(job).await
    }

    async fn run(&self, call: &ScriptCall, halt: &Halt, live: &LiveLog) -> Result<ScriptOutcome, ScriptError> {
        let outcome = self.0.run(call, halt, live).await;
        assert_ne!(outcome, Err(ScriptError::Lost(PANIC.to_owned())), "a defect");
        outcome
    }
}

pub(super) fn log(text: &str) -> ScriptLog {
    ScriptLog {
        stdout: format!("{text} out").into(),
        stderr: format!("{text} err").into(),
    }
}

/// What is set up before a service is made.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// These steps fail, in these ways.
    pub(super) broken: Vec<(Step, Failing)>,
    /// Objects that are in the store already.
    pub(super) taken: Vec<String>,
    /// The call of a port, by its name, that fails.
    pub(super) broken_call: Option<&'static str>,
    /// What is free in both directories.
    pub(super) free_bytes: Option<u64>,
    pub(super) settings: ServiceSettings,
}

impl Default for Setup {
    /// Nothing fails, and what fails is not tried again before the job's end.
    fn default() -> Self {
        let mut settings = ServiceSettings::default();
        settings.times.unlock_retries = 0;
        Self {
            broken: Vec::new(),
            taken: Vec::new(),
            broken_call: None,
            free_bytes: Some(u64::MAX),
            settings,
        }
    }
}

impl Setup {
    /// Fails a call, if it is to fail.
    fn call(&self, name: &'static str) -> Result<(), WorkspaceError> {
        match self.broken_call {
            Some(broken) if broken == name => Err(WorkspaceError(format!("{name} did not work"))),
            Some(_) | None => Ok(()),
        }
    }

    fn failing(&self, step: Step) -> Option<Failing> {
        self.broken
            .iter()
            .find(|(broken, _)| *broken == step)
            .map(|(_, way)| *way)
    }
}

/// What the doubles were asked, in order.
pub(super) type Diary = Arc<Mutex<Vec<String>>>;

pub(super) struct Bench {
    pub(super) service: JobService,
    pub(super) spawner: Arc<ManualSpawner>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) jobs: Arc<FakeJobStore>,
    pub(super) noticed: Arc<Noticed>,
    diary: Diary,
    /// What was expected of each download.
    pub(super) expected: Arc<Mutex<Vec<Expected>>>,
    calls: Arc<Mutex<Vec<ScriptCall>>>,
}

impl Bench {
    pub(super) fn new(mut setup: Setup) -> Self {
        setup.settings.scripts.directories = Directories {
            backup: Some("/b".into()),
            restore: Some("/r".into()),
        };
        let (diary, calls, expected) = (Diary::default(), Arc::default(), Arc::default());
        let (spawner, clock, jobs, noticed) = (
            shared::<ManualSpawner>(),
            shared::<ManualClock>(),
            shared::<FakeJobStore>(),
            shared::<Noticed>(),
        );
        let ports = Ports {
            scripts: Arc::new(PanickingRunner(scripts(&setup, &diary, &calls))),
            blobs: Arc::new(blobs(&setup, &diary, &expected)),
            jobs: jobs.clone(),
            workspace: Arc::new(workspace(&setup, &diary)),
            clock: clock.clone(),
            spawner: spawner.clone(),
            observer: noticed.clone(),
        };
        Self {
            service: JobService::new(ports, setup.settings),
            spawner,
            clock,
            jobs,
            noticed,
            diary,
            expected,
            calls,
        }
    }

    /// Runs one job to its end.
    pub(super) fn run(&self, request: JobRequest) -> JobView {
        let key = JobKey::new(request.kind(), request.id.clone());
        block_on(self.service.start(request)).expect("the job is accepted");
        self.spawner.run_until_stalled();
        assert!(self.service.at_work().is_empty(), "the job must have ended");
        self.view(&key)
    }

    pub(super) fn view(&self, key: &JobKey) -> JobView {
        block_on(self.service.find(key))
            .expect("the store works")
            .expect("the job is known")
    }

    /// The scripts and transfers that were begun, in order.
    pub(super) fn diary(&self) -> Vec<String> {
        self.diary.lock().unwrap().clone()
    }

    /// The value of a variable in the last call of a phase's script.
    pub(super) fn variable(&self, phase: Phase, name: &str) -> Option<String> {
        let calls = self.calls.lock().unwrap();
        let call = calls.iter().rev().find(|call| call.phase == phase)?;
        let (_, value) = call.environment.iter().find(|(known, _)| known == name)?;
        value.to_str().map(str::to_owned)
    }
}

pub(super) fn key(kind: JobKind, id: &str) -> JobKey {
    JobKey::new(kind, JobId::parse(id).expect("an id"))
}

fn scripts(setup: &Setup, diary: &Diary, calls: &Arc<Mutex<Vec<ScriptCall>>>) -> MockScriptRunner {
    let mut mock = MockScriptRunner::new();
    let prepare = setup.failing(Step::Prepare);
    mock.expect_check().returning(move |_| match prepare {
        Some(Failing::Panic) => panic!("a defect"),
        Some(_) => Err(ScriptError::NotStarted("no script for backup".to_owned())),
        None => Ok(()),
    });
    mock.expect_check_interpreter().returning(|| Ok("/bin/bash".to_owned()));
    let to = diary.clone();
    mock.expect_end_leftover().returning(move |job| {
        to.lock().unwrap().push(format!("end leftover of {job}"));
        Ok(())
    });
    let (setup, diary, calls) = (setup.clone(), diary.clone(), calls.clone());
    mock.expect_run().returning(move |call, _, _| {
        diary.lock().unwrap().push(call.phase.to_string());
        calls.lock().unwrap().push(call.clone());
        match setup.failing(Step::Script(call.phase)) {
            Some(way) => way.of_script(),
            None => Ok(ScriptOutcome {
                exit: ExitReason::Exited(0),
                log: log(call.phase.as_str()),
                was_halted: false,
            }),
        }
    });
    mock
}

fn blobs(setup: &Setup, diary: &Diary, expected: &Arc<Mutex<Vec<Expected>>>) -> MockBlobStore {
    let mut mock = MockBlobStore::new();
    let has = setup.clone();
    mock.expect_find().returning(move |_, key| {
        let asked = has.call("find");
        asked.map_err(|error| BlobStoreError::Unavailable(error.0))?;
        Ok(has.taken.iter().any(|name| name == key.as_str()).then_some(SIZE))
    });
    let (upload, to) = (setup.failing(Step::Upload), diary.clone());
    mock.expect_upload().returning(move |_, key, file, size_bytes, _, _| {
        to.lock()
            .unwrap()
            .push(format!("upload {} to {key}", file.path().display()));
        transfer(upload).map(|()| moved(size_bytes))
    });
    let to = diary.clone();
    mock.expect_discard_upload().returning(move |_, key, known| {
        to.lock().unwrap().push(format!("discard upload of {key} {known:?}"));
        Ok(())
    });
    let to = diary.clone();
    mock.expect_examine().returning(move |_, object| {
        let object = object.map_or("nothing".to_owned(), |key| key.to_string());
        to.lock().unwrap().push(format!("examine the store with {object}"));
        Vec::new()
    });
    let (download, to, asked) = (setup.failing(Step::Download), diary.clone(), expected.clone());
    mock.expect_download().returning(move |_, key, target, expected, _, _| {
        asked.lock().unwrap().push(expected);
        to.lock()
            .unwrap()
            .push(format!("download {key} to {}", target.path().display()));
        transfer(download).map(|()| moved(SIZE))
    });
    mock
}

fn moved(size_bytes: u64) -> Moved {
    Moved {
        size_bytes,
        sha256: Sha256::from([7; 32]),
    }
}

fn transfer(failing: Option<Failing>) -> Result<(), BlobStoreError> {
    match failing {
        None => Ok(()),
        Some(Failing::Panic) => panic!("a defect"),
        Some(_) => Err(BlobStoreError::Unavailable("the store is down".to_owned())),
    }
}

fn workspace(setup: &Setup, diary: &Diary) -> MockWorkspace {
    let mut mock = MockWorkspace::new();
    let (find, to) = (setup.failing(Step::FindArtifact), diary.clone());
    let before = setup.clone();
    mock.expect_staging().returning(move |_, name| {
        // Before the backup script nothing is there; afterwards its file.
        if to.lock().unwrap().iter().all(|entry| entry != "backup") {
            return before.call("staging").map(|()| Staging::default());
        }
        match find {
            Some(Failing::Panic) => panic!("a defect"),
            Some(_) => Err(WorkspaceError("directory_backup cannot be read".to_owned())),
            None => Ok(Staging {
                named: Some(FileEntry {
                    name: name.file_name(),
                    kind: FileKind::Regular,
                    size_bytes: SIZE,
                    identity: (1, 1),
                    modified_ns: 1,
                }),
                own_directory: None,
            }),
        }
    });
    let free = setup.free_bytes;
    mock.expect_free_bytes().returning(move |_| Ok(free));
    let set = setup.clone();
    mock.expect_check_writable()
        .returning(move |_| set.call("check_writable"));
    let set = setup.clone();
    mock.expect_check_restore()
        .returning(move |_| set.call("check_restore"));
    let set = setup.clone();
    mock.expect_plan_restore().returning(move |place| {
        set.call("plan_restore")?;
        Ok(PreparedRestore {
            download: format!("/r/{}/.part", place.id).into(),
            ..prepared_restore()
        })
    });
    let set = setup.clone();
    mock.expect_prepare_restore().returning(move |_, planned| {
        set.call("prepare_restore")?;
        Ok(planned.clone())
    });
    let (set, to, place_file) = (setup.clone(), diary.clone(), setup.failing(Step::PlaceFile));
    mock.expect_place_restore().returning(move |place, _| {
        set.call("place_restore")?;
        match place_file {
            None => {}
            Some(Failing::Panic) => panic!("a defect"),
            Some(_) => return Err(WorkspaceError("the file cannot be placed".to_owned())),
        }
        to.lock().unwrap().push(format!("place {}", place.filename));
        Ok(None)
    });
    let to = diary.clone();
    mock.expect_discard_restore().returning(move |place, _| {
        to.lock().unwrap().push(format!("discard {}", place.filename));
        Ok(())
    });
    mock
}
