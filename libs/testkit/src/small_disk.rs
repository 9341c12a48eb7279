//! A disk that is soon full: a file system of a few megabytes, in memory. It needs root.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use crate::state_dir::StateDir;

const KIND: &str = "disk";
/// What takes the room.
const FILLER: &str = "filler";
/// Bytes that are written at once: also the last few have to be taken.
const PART: usize = 512;

/// A file system, mounted as long as this value lives. What a killed test leaves is unmounted by the next one.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    _dir: StateDir,
}

impl SmallDisk {
    /// An empty one that everybody may write to.
    ///
    /// # Panics
    /// If it cannot be mounted: that takes root.
    pub fn of_megabytes(size: usize) -> Self {
        for left in StateDir::stale(KIND) {
            unmount(&left.join(KIND));
        }
        let dir = StateDir::create(KIND);
        // Servers run as users of their own.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).expect("it is ours");
        let path = dir.join(KIND);
        fs::create_dir(&path).expect("the directory is writable");
        let mut mount = command("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}m,mode=1777")]);
        let done = mount.arg("trilby").arg(&path).output();
        let done = done.unwrap_or_else(|error| panic!("mount: {error}"));
        assert!(
            done.status.success(),
            "a small disk takes root: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Self { path, _dir: dir }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// If it fails for another reason than that.
    pub fn fill(&self) {
        let file = File::options()
            .create(true)
            .append(true)
            .open(self.path.join(FILLER));
        let mut file = file.expect("everybody may write there");
        loop {
            match file.write(&[b'x'; PART]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return,
                Err(error) => panic!("{}: {error}", self.path.display()),
            }
        }
    }

    /// Gives back what [`SmallDisk::fill`] took.
    ///
    /// # Panics
    /// If it was not called.
    pub fn clear(&self) {
        fs::remove_file(self.path.join(FILLER)).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Also one that somebody still uses; it ends with its last user.
fn unmount(path: &Path) {
    let done = command("umount").arg("--lazy").arg(path).output();
    match done {
        Ok(done) if done.status.success() => {}
        Ok(done) => eprintln!("umount: {}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => eprintln!("umount: {error}"),
    }
}

fn command(name: &str) -> Command {
    Command::new(programs::system(name).unwrap_or_else(|error| panic!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_until_it_is_cleared_and_gone_afterwards() {
        let disk = SmallDisk::of_megabytes(1);
        let file = disk.path().join("file");
        fs::write(&file, [0; 4_096]).unwrap();
        disk.fill();
        let refused = fs::write(disk.path().join("other"), [0; 4_096]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&file).unwrap().len(), 4_096);
        disk.clear();
        fs::write(disk.path().join("other"), [0; 4_096]).unwrap();
        let path = disk.path().to_owned();
        drop(disk);
        assert!(!path.exists());
    }
}
