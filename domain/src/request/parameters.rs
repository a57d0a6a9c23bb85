//! The request's `parameters`: environment variables for the scripts.

use crate::secret::Secret;

/// The longest value of a parameter, in bytes. Linux takes 128 KiB for one variable.
pub const MAX_PARAMETER_BYTES: usize = 64 * 1024;

/// An environment variable for every script of a job. Its value may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// A name that is safe to set.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// Variables that steer the shell, the loader, interpreters and database clients: who sets one of
/// them decides what a script runs. In alphabetical order.
const REFUSED_NAMES: &[&str] = &[
    "BASHOPTS",
    "CDPATH",
    "CLASSPATH",
    "COMSPEC",
    "CURL_HOME",
    "EDITOR",
    "ENV",
    "EUID",
    "FPATH",
    "GCONV_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "GETCONF_DIR",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "GZIP",
    "HISTFILE",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "INPUTRC",
    "JAVA_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LIBMYSQL_PLUGINS",
    "LIBMYSQL_PLUGIN_DIR",
    "LOCALDOMAIN",
    "LOCPATH",
    "LOGNAME",
    "MAIL",
    "MYSQL_HOME",
    "MYSQL_TEST_LOGIN_FILE",
    "NIS_PATH",
    "NLSPATH",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "ODBCINI",
    "ODBCSYSINI",
    "OLDPWD",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "PAGER",
    "PATH",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PHPRC",
    "POSIXLY_CORRECT",
    "PPID",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PSQLRC",
    "PSQL_EDITOR",
    "PSQL_PAGER",
    "PWD",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SSH_ASKPASS",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TAPE",
    "TAR_OPTIONS",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TMOUT",
    "TMPDIR",
    "TNS_ADMIN",
    "TZDIR",
    "UID",
    "USER",
    "VISUAL",
    "ZDOTDIR",
    "_",
    "_JAVA_OPTIONS",
];

/// Whole families of such variables, and the agent's own names for the scripts.
const REFUSED_PREFIXES: &[&str] = &[
    "AZURE_",
    "BACKUP_AGENT_",
    "BASH_",
    "DYLD_",
    "GCONV_",
    "GCS_",
    "LD_",
    "LUA_",
    "MALLOC_",
    "PERL",
    "PYTHON",
    "RUBY",
    "S3_",
    "SWIFT_",
];

/// The names that no parameter may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedNames {
    /// These.
    pub names: Vec<&'static str>,
    /// And all that begin with these.
    pub prefixes: &'static [&'static str],
}

/// The names that [`refusal_of_name`] refuses, but for those that are no names at all.
#[must_use]
pub fn refused_names(agent_variables: &[&'static str]) -> RefusedNames {
    RefusedNames {
        names: REFUSED_NAMES.iter().chain(agent_variables).copied().collect(),
        prefixes: REFUSED_PREFIXES,
    }
}

/// Why a parameter may not have this name; none if it may.
///
/// `agent_variables` are the names that configure the agent itself.
#[must_use]
pub fn refusal_of_name(name: &str, agent_variables: &[&str]) -> Option<String> {
    let mut bytes = name.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !starts_well || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Some("is not a name that a script can read ([A-Za-z_][A-Za-z0-9_]*)".to_owned());
    }
    let is_refused = REFUSED_NAMES.contains(&name)
        || agent_variables.contains(&name)
        || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_refused.then(|| "is a name that requests may not set".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_script_may_read_are_taken() {
        for name in [
            "retries", "KEY", "_x", "a1", "PGPORT", "path", "SKIP", "PERIOD", "USERS", "port",
        ] {
            assert_eq!(refusal_of_name(name, &["client_port"]), None, "{name}");
        }
    }

    #[test]
    fn names_that_are_no_names_or_steer_something_are_refused() {
        for name in [
            "",
            "1a",
            "a-b",
            "a b",
            "a=b",
            "é",
            "a\0",
            "PATH",
            "IFS",
            "ENV",
            "BASH_ENV",
            "SHELLOPTS",
            "BASHOPTS",
            "PS4",
            "PROMPT_COMMAND",
            "CDPATH",
            "HOME",
            "TMPDIR",
            "GCONV_PATH",
            "PYTHONPATH",
            "NODE_OPTIONS",
            "JAVA_TOOL_OPTIONS",
            "PGSERVICEFILE",
            "PGSYSCONFDIR",
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "BASH_FUNC_x",
            "PERL5LIB",
            "PERLLIB",
            "RUBYOPT",
            "MALLOC_CHECK_",
            "BACKUP_AGENT_FILE",
            "S3_BUCKET",
            "SWIFT_AUTHURL",
            "GCS_BUCKET",
            "AZURE_SASTOKEN",
            "client_port",
            "TAPE",
            "GLIBC_TUNABLES",
            "LUA_INIT_5_4",
            "PYTHONSTARTUP",
        ] {
            assert!(refusal_of_name(name, &["client_port"]).is_some(), "{name:?}");
        }
    }

    #[test]
    fn the_list_is_sorted_so_that_a_reader_finds_a_name() {
        assert!(REFUSED_NAMES.is_sorted());
        assert!(REFUSED_PREFIXES.is_sorted());
    }
}
