//! A disk that can be full. Tests of the program use this file too.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// A small disk of its own, where this machine lets us have one.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mounted(at: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&at).output();
        if mount.is_ok_and(|done| done.status.success()) {
            return Some(Self(at));
        }
        println!("skipped: this machine does not let us mount a small disk");
        None
    }

    /// Fills what is left of it with a file.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut ballast = std::fs::File::create(&path).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
