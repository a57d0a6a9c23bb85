//! Where a rehearsal takes place: a scratch directory, and the settings of the agent that it stands for.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use adapters::{
    process::{Interpreter, ScriptRunnerSettings, TERMINATE_GRACE, TokioScriptRunner},
    workspace::{LocalWorkspace, WorkspaceSettings},
};
use domain::{
    artifact::NamePattern,
    ports::Halt,
    request::{AllowedEndpoints, DestinationDraft, RequestRules, ServiceDraft},
    script::{ArgumentStyle, Directories, ScriptSettings},
    secret::Secret,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::{options::CheckScriptsOptions, rule::Book, stage::Stage};
use crate::{
    config,
    out::Out,
    secrets::{self, variable},
    serve,
};

/// The variable that holds the database's password, as for the client.
const PASSWORD: &str = "OSB_DATABASE_PASSWORD";

/// What a login session has, and an agent that systemd or monit starts has not.
const OF_A_SESSION: &[&str] = &[
    "DISPLAY",
    "EDITOR",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "OLDPWD",
    "PAGER",
    "PWD",
    "SHELL",
    "SHLVL",
    "TERM",
    "USER",
    "VISUAL",
];
/// And whole families.
const OF_A_SESSION_TOO: &[&str] = &["LC_", "SSH_", "XDG_", "DBUS_"];

/// What is taken from options and environment before anything is made.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) scripts_path: PathBuf,
    interpreter: Interpreter,
    arguments: ArgumentStyle,
    service: ServiceDraft,
    /// Parameters whose values were not typed, so that they may be secret.
    secret_parameters: Vec<(String, Secret)>,
}

impl Settings {
    /// Those of the options, and where they say nothing those of the environment.
    ///
    /// # Errors
    ///
    /// If one of them is missing or means nothing.
    pub(super) fn of(options: &CheckScriptsOptions) -> Result<Self, String> {
        let scripts_path = options
            .scripts
            .clone()
            .or_else(|| variable("scripts_path").map(PathBuf::from))
            .ok_or("which scripts is not said: name their directory with --scripts, or set scripts_path")?;
        let scripts_path = fs::canonicalize(&scripts_path)
            .map_err(|error| format!("--scripts: {}: {error}", scripts_path.display()))?;
        let word = |option: &Option<String>, name: &str| option.clone().or_else(|| variable(name));
        let arguments = match word(&options.arguments, "script_arguments").as_deref() {
            None | Some("latest") => ArgumentStyle::Latest,
            Some("seed") => ArgumentStyle::Seed,
            Some("none") => ArgumentStyle::None,
            Some(_) => return Err("script_arguments must be one of latest, seed, none".to_owned()),
        };
        let interpreter = match word(&options.interpreter, "script_interpreter").as_deref() {
            None | Some("bash") => Interpreter::Bash,
            Some("shebang") => Interpreter::Shebang,
            Some(_) => return Err("script_interpreter must be one of bash, shebang".to_owned()),
        };
        let parameters = secrets::parameters(&options.parameter, &variable)?;
        let is_typed = |(name, _): &(String, Secret)| !options.parameter.contains(name);
        let secret_parameters = parameters
            .iter()
            .filter(|parameter| !is_typed(parameter))
            .cloned()
            .collect();
        Ok(Self {
            scripts_path,
            interpreter,
            arguments,
            secret_parameters,
            service: ServiceDraft {
                host: Some(options.host.clone()),
                user: options.user.clone(),
                password: secrets::secret(PASSWORD, &variable)?,
                database: Some(options.database.clone()),
                parameters,
            },
        })
    }
}

/// A directory of the rehearsal's own. It goes when this is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Place {
    directory: TempDir,
    root: PathBuf,
}

impl Place {
    /// Makes the directories.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub(super) fn make(options: &CheckScriptsOptions) -> Result<Self, String> {
        let parent = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let fault = |error: std::io::Error| format!("cannot make a scratch directory in {}: {error}", parent.display());
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("osb-backup-agent-rehearsal-")
            // Scripts may change to the database's user, who must be able to come through.
            .permissions(Permissions::from_mode(0o711));
        let directory = builder.tempdir_in(&parent).map_err(fault)?;
        let root = fs::canonicalize(directory.path()).map_err(fault)?;
        for (name, mode) in [
            ("backup", 0o755),
            ("restore", 0o755),
            ("copies", 0o700),
            ("state", 0o700),
        ] {
            DirBuilder::new().mode(mode).create(root.join(name)).map_err(fault)?;
        }
        Ok(Self { directory, root })
    }

    /// The rehearsal's own directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where artifacts are kept until they are restored.
    pub(super) fn copies(&self) -> PathBuf {
        self.root.join("copies")
    }

    /// A stage as the agent would have it, with directories in this place.
    pub(super) fn stage<'a>(&self, options: &CheckScriptsOptions, settings: Settings, out: &'a Out) -> Stage<'a> {
        let directories = Directories {
            backup: Some(self.root.join("backup")),
            restore: Some(self.root.join("restore")),
        };
        let inherited = inherited(&directories);
        let bare = inherited
            .iter()
            .filter(|(name, _)| !is_of_a_session(name))
            .cloned()
            .collect();
        let runner = |environment: Vec<(OsString, OsString)>| {
            TokioScriptRunner::new(ScriptRunnerSettings {
                scripts_path: settings.scripts_path.clone(),
                interpreter: settings.interpreter,
                inherited_environment: environment,
                records_directory: self.root.join("state"),
                terminate_grace: TERMINATE_GRACE,
            })
        };
        let store = self.copies();
        Stage {
            runner: runner(inherited),
            bare_runner: runner(bare),
            workspace: LocalWorkspace::new(WorkspaceSettings {
                directories: directories.clone(),
                allowed_to_delete_files: false,
            }),
            settings: ScriptSettings {
                arguments: settings.arguments,
                directories,
                swap_s3_endpoint_and_region: false,
            },
            rules: RequestRules {
                default_s3_endpoint: None,
                ambient_buckets: None,
                allowed_endpoints: AllowedEndpoints::default(),
                allowed_file_roots: vec![store.clone()],
                skip_storage: false,
                name_pattern: NamePattern::default(),
                agent_variables: config::NAMES.to_vec(),
            },
            service: settings.service,
            secret_parameters: settings.secret_parameters,
            destination: DestinationDraft {
                kind: Some("FILE".to_owned()),
                path: Some(store.display().to_string()),
                ..DestinationDraft::default()
            },
            prefix: format!("rehearsal-{}", &Uuid::new_v4().simple().to_string()[..8]),
            time_limit: options.time_limit,
            stop: Halt::default(),
            out,
            book: Book::default(),
            played: Vec::new(),
            owed: Vec::new(),
            scene: String::new(),
            is_bare: false,
            count: 0,
        }
    }

    /// Removes everything, or says where it is.
    pub(super) fn clear_away(mut self, keep: bool, out: &Out) {
        if keep {
            self.directory.disable_cleanup(true);
            out.line(&format!("Everything is left for you in {}", self.root.display()));
            return;
        }
        let root = self.root.display().to_string();
        if let Err(error) = self.directory.close() {
            out.line(&format!("{root} could not be removed: {error}"));
        }
    }
}

/// What the agent's scripts would get of such an environment, with these directories for the agent's.
fn inherited(directories: &Directories) -> Vec<(OsString, OsString)> {
    // Scripts that lean on these would otherwise write where a living agent works.
    let own = [
        ("directory_backup", &directories.backup),
        ("directory_restore", &directories.restore),
    ];
    let of_caller = serve::inherited_environment()
        .into_iter()
        // The agent has no such variable, and its scripts would not get it so.
        .filter(|(name, _)| !is_of_a_command(name) && own.iter().all(|(own, _)| name != own));
    let of_place = own.iter().filter_map(|(name, path)| {
        let path = path.as_ref()?;
        Some((name.into(), path.into()))
    });
    of_caller.chain(of_place).collect()
}

/// Secrets of commands that people type, and no agent's.
fn is_of_a_command(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(PASSWORD) || name.starts_with("OSB_BACKUP_AGENT_") || name.starts_with("OSB_ENCRYPTION_KEY")
}

fn is_of_a_session(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    OF_A_SESSION.contains(&name.as_ref()) || OF_A_SESSION_TOO.iter().any(|family| name.starts_with(family))
}
