//! The directories of one test, and its scripts.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::Kind;

/// A directory of a test's own: what the agent works in, and what the scripts leave as a trace.
/// It vanishes with the value, and a script that waits in it ends then.
#[derive(Debug)]
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    /// A place with a complete set of scripts, each of which leaves its trace.
    pub(crate) fn new() -> Self {
        let place = Self::without_scripts();
        for kind in Kind::ALL {
            for phase in kind.phases() {
                place.usual_script(phase, "");
            }
        }
        place
    }

    pub(crate) fn without_scripts() -> Self {
        let root = tempfile::Builder::new()
            .prefix("osb-e2e-")
            .tempdir()
            .expect("a temporary directory can be made");
        // Scripts that change to another user must be able to reach what is theirs.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        let place = Self { root };
        for name in ["backup", "restore", "scripts", "store/objects", "trace"] {
            fs::create_dir_all(place.path(name)).expect("a directory can be made");
        }
        place
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// `directory_backup`
    pub(crate) fn backup(&self) -> PathBuf {
        self.path("backup")
    }

    /// `directory_restore`
    pub(crate) fn restore(&self) -> PathBuf {
        self.path("restore")
    }

    /// `scripts_path`
    pub(crate) fn scripts(&self) -> PathBuf {
        self.path("scripts")
    }

    /// The only root that requests of type `FILE` may use.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A directory below that root, the usual destination.
    pub(crate) fn objects(&self) -> PathBuf {
        self.path("store/objects")
    }

    /// An object of the usual destination.
    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        read_if_there(&self.objects().join(name))
    }

    /// The names of all objects of the usual destination, sorted, hidden ones and leftovers too.
    pub(crate) fn object_names(&self) -> Vec<String> {
        names_in(&self.objects())
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Writes the script of a phase: what leaves the trace, then `work`.
    pub(crate) fn script(&self, phase: &str, work: &str) {
        self.plain_script(phase, &format!("{}{work}\n", self.preamble(phase)));
    }

    /// Writes the script that a new place has for this phase; it does `first` before its own work.
    pub(crate) fn usual_script(&self, phase: &str, first: &str) {
        self.script(phase, &format!("{first}\n{}", default_work(phase)));
    }

    /// Writes a script of exactly this text, not executable.
    pub(crate) fn plain_script(&self, file_name: &str, text: &str) {
        fs::write(self.scripts().join(file_name), text).expect("a script can be written");
    }

    pub(crate) fn remove_script(&self, file_name: &str) {
        fs::remove_file(self.scripts().join(file_name)).expect("the script is there");
    }

    /// The lines that every script of [`Place::script`] begins with. They define `trace`, `phase`
    /// and `job`, write down how the script was called, wait while the test holds the phase, and
    /// fail if the request's parameter `FAIL_<phase>` says so (`exit 3`, `kill TERM`).
    fn preamble(&self, phase: &str) -> String {
        let trace = self.path("trace");
        format!(
            r#"trace='{trace}' phase='{phase}' job="${{BACKUP_AGENT_KIND-}}.${{BACKUP_AGENT_JOB_ID-}}"
printf '%s\n' "$phase" >>"$trace/$job.ran"
printf '%s %s\n' "$job" "$phase" >>"$trace/order"
: >"$trace/$job.$phase.arguments"
[ $# = 0 ] || printf '%s\0' "$@" >"$trace/$job.$phase.arguments"
env -0 >"$trace/$job.$phase.environment"
if [ -e "$trace/$job.$phase.hold" ]; then
  : >"$trace/$job.$phase.held"
  while [ -e "$trace/$job.$phase.hold" ]; do sleep 0.02; done
fi
fail="FAIL_${{phase//-/_}}"
case "${{!fail-}}" in
'exit '*) exit "${{!fail#exit }}" ;;
'kill '*) kill "-${{!fail#kill }}" $$ ;;
esac
"#,
            trace = trace.display(),
        )
    }
}

/// What the scripts of a place do unless a test says otherwise.
fn default_work(phase: &str) -> &'static str {
    match phase {
        "backup" => r#"printf 'artifact of %s' "$job" >"$BACKUP_AGENT_FILE""#,
        "backup-cleanup" => r#"rm -f "$BACKUP_AGENT_FILE""#,
        "restore" => r#"cat "$BACKUP_AGENT_FILE" >"$trace/$job.restored""#,
        _ => "",
    }
}

/// The content of a file, if there is one.
pub(super) fn read_if_there(path: &Path) -> Option<Vec<u8>> {
    match fs::read(path) {
        Ok(content) => Some(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => panic!("reading {}: {error}", path.display()),
    }
}

/// The names in a directory, sorted.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| {
            let entry = entry.expect("an entry can be read");
            entry.file_name().to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}
