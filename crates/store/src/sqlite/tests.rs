//! The suite of every backend, and what only SQLite can get wrong.

use std::path::PathBuf;
use std::sync::Arc;

use terms::Ambient;

use super::{OpenError, Options, Sqlite};
use crate::conformance::Place;
use crate::testing::TestAmbient;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("stepup.db")
    }
}

impl Place for Folder {
    fn open(&self, ambient: Arc<dyn Ambient>) -> Result<crate::Shared, String> {
        match Sqlite::open(&self.path(), ambient, &Options::default()) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(error.to_string()),
        }
    }
}

mod suite {
    conformance!(super::Folder::new);
}

#[test]
fn who_holds_the_store_is_named() {
    let folder = Folder::new();
    let _held = Sqlite::open(&folder.path(), Arc::new(TestAmbient::default()), &Options::default()).unwrap();
    let second = Sqlite::open(&folder.path(), Arc::new(TestAmbient::default()), &Options::default());
    assert_eq!(second.err(), Some(OpenError::Taken { by: Some(std::process::id()) }));
}
