//! The other clients.

use std::{ffi::OsString, path::Path, process::Command};

use crate::store::{AUTH_KEY, AUTH_SECRET, BUCKET, REGION};

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

impl Direction {
    pub(crate) const BOTH: [Self; 2] = [Self::Up, Self::Down];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    S5cmd,
    Rclone,
    Aws,
}

/// A client that is installed here.
#[derive(Debug)]
pub(crate) struct Tool {
    kind: Kind,
    program: OsString,
    pub(crate) version: String,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::S5cmd => "s5cmd",
            Self::Rclone => "rclone",
            Self::Aws => "aws",
        }
    }

    /// Names its program, if it is not found under its own name.
    fn variable(self) -> String {
        format!("OSB_BENCH_{}", self.name().to_uppercase())
    }

    fn version_argument(self) -> &'static str {
        match self {
            Self::S5cmd => "version",
            Self::Rclone | Self::Aws => "--version",
        }
    }

    fn find(self) -> Result<Tool, String> {
        let program = std::env::var_os(self.variable()).unwrap_or_else(|| self.name().into());
        let output = Command::new(&program).arg(self.version_argument()).output();
        let shown = program.display();
        let output = output.map_err(|error| format!("{}: {shown} cannot be run ({error})", self.name()))?;
        if !output.status.success() {
            return Err(format!("{}: {shown} does not tell its version", self.name()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        // `aws` tells those of all that it is made of.
        let words = text.lines().next().unwrap_or_default().split(' ');
        let words: Vec<&str> = words.filter(|word| word.contains('.')).take(1).collect();
        Ok(Tool {
            kind: self,
            version: words.concat(),
            program,
        })
    }
}

/// What is installed, and why the rest is left out.
pub(crate) fn find() -> (Vec<Tool>, Vec<String>) {
    let (mut tools, mut left_out) = (Vec::new(), Vec::new());
    for kind in [Kind::S5cmd, Kind::Rclone, Kind::Aws] {
        match kind.find() {
            Ok(tool) => tools.push(tool),
            Err(why) => left_out.push(why),
        }
    }
    (tools, left_out)
}

impl Tool {
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The command that moves a file to or from an object, with the tool's own defaults.
    pub(crate) fn command(&self, direction: Direction, endpoint: &str, file: &Path, key: &str) -> Command {
        let mut command = Command::new(&self.program);
        let object = match self.kind {
            Kind::S5cmd | Kind::Aws => format!("s3://{BUCKET}/{key}"),
            Kind::Rclone => format!(":s3:{BUCKET}/{key}"),
        };
        match self.kind {
            Kind::S5cmd => command.args(["--endpoint-url", endpoint, "cp"]),
            Kind::Aws => command.args(["--endpoint-url", endpoint, "s3", "cp", "--no-progress"]),
            Kind::Rclone => command.args([
                "copyto",
                "--config=/dev/null",
                "--s3-provider=Other",
                "--s3-env-auth",
                "--s3-no-check-bucket",
                &format!("--s3-region={REGION}"),
                &format!("--s3-endpoint={endpoint}"),
            ]),
        };
        match direction {
            Direction::Up => command.arg(file).arg(object),
            Direction::Down => command.arg(object).arg(file),
        };
        // There is no TLS here, and rclone does not start where this is set.
        command.env_remove("AWS_CA_BUNDLE");
        command.envs([
            ("AWS_ACCESS_KEY_ID", AUTH_KEY),
            ("AWS_SECRET_ACCESS_KEY", AUTH_SECRET),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("NO_PROXY", "127.0.0.1"),
        ]);
        command
    }
}
