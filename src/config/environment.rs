//! Variables and where they come from.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{ConfigError, dotenv};

/// Where a variable was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the environment of the process.
    Process,
    /// In a file.
    File(PathBuf),
}

/// Variables of the process, and of a dotenv file where the process does not have them.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, (String, Origin)>,
    file: Option<PathBuf>,
    unread: Option<PathBuf>,
    absent: Option<PathBuf>,
    warnings: Vec<String>,
}

impl Environment {
    /// Variables from pairs alone.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), (value.into(), Origin::Process)));
        Self { values: values.collect(), ..Self::default() }
    }

    /// This process's variables and those of the dotenv file in the given folder: `.env.production` if `NODE_ENV` is
    /// `production`, else `.env`. A missing file is fine; one that cannot be read is not.
    pub fn of_process(folder: &Path) -> Result<Self, ConfigError> {
        let pairs =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_pairs(pairs).with_file(folder)
    }

    /// Adds the variables of the dotenv file in the given folder.
    pub fn with_file(mut self, folder: &Path) -> Result<Self, ConfigError> {
        let for_production = folder.join(".env.production");
        let path = if self.get("NODE_ENV") == Some("production") {
            for_production
        } else {
            self.unread = Some(for_production).filter(|path| path.exists());
            folder.join(".env")
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.absent = Some(path);
                return Ok(self);
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let (variables, problems) = dotenv::read(&bytes);
        self.warnings = problems.into_iter().map(|(line, what)| format!("{}:{line}: {what}", path.display())).collect();
        for (name, value) in variables {
            self.values.entry(name).or_insert((value, Origin::File(path.clone())));
        }
        self.file = Some(path);
        Ok(self)
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// A variable that is set.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// The names of all variables that are set, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Where a variable was found.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|(_, origin)| origin)
    }

    /// A `.env.production` that lies there and was not read, since `NODE_ENV` was not `production` when it was looked for.
    pub fn unread(&self) -> Option<&Path> {
        self.unread.as_deref()
    }

    /// The dotenv file that was looked for and is not there.
    pub fn absent(&self) -> Option<&Path> {
        self.absent.as_deref()
    }

    /// What is wrong with lines of the dotenv file: file, number of the line and problem, and nothing of what they say.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The dotenv file that was read, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// A file that is there must not be passed over.
fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let problem = match error.kind() {
        io::ErrorKind::IsADirectory => "this is a folder; a file with variables is expected, or nothing".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by the user that this program runs as".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    ConfigError::new(path.display().to_string(), problem)
}
