//! The suite of every backend, and what only SQLite can get wrong.

mod disk;
mod faults;
mod opening;
mod round_trip;

use std::path::PathBuf;
use std::sync::Arc;

use terms::Ambient;

use super::{OpenError, Options, Sqlite};
use crate::Shared;
use crate::conformance::{Place, World};
use crate::testing::TestAmbient;

/// A store in a folder of its own.
struct Folder {
    folder: tempfile::TempDir,
    options: Options,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options: Options::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("stepup.db")
    }
}

impl Place for Folder {
    fn open(&self, ambient: Arc<dyn Ambient>) -> Result<Shared, String> {
        match Sqlite::open(&self.path(), ambient, &self.options) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn open(path: &std::path::Path, options: &Options) -> Result<Sqlite, OpenError> {
    Sqlite::open(path, Arc::new(TestAmbient::default()), options)
}

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

/// Runs a test of the world in a folder.
fn in_world(folder: Folder, test: impl AsyncFnOnce(World)) {
    threads().block_on(async { test(World::new(Box::new(folder)).await).await });
}

mod suite {
    conformance!(super::Folder::new);
}
