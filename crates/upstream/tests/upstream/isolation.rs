//! What a child can do to stepup's own files: nothing (decisions A20). Needs a kernel with Landlock, as CI's is.

use std::os::unix::fs::{PermissionsExt, symlink};

use terms::Json;
use upstream::{Isolation, Transport, Unreachable, Upstreams};

use crate::world::{World, hostile, launcher, process_exists, session};

async fn isolated(isolation: Isolation, user: Option<&str>) -> World {
    let mut config = hostile(&[]);
    let Transport::Stdio(child) = &mut config.transport else { panic!() };
    child.isolation = isolation;
    child.user = user.map(str::to_owned);
    let world = World::new(vec![config]).await;
    world.pin(&["reach", "environ"]).await;
    world
}

/// What became of each way to reach a private file, and of a file beside the private folder's own folder.
async fn reached(world: &World) -> serde_json::Value {
    let root = world.folder.path().canonicalize().unwrap();
    let key = root.join("keys/signing.key");
    std::fs::write(&key, "s3cr3t").unwrap();
    let work = root.join("work");
    symlink(&key, work.join("link")).unwrap();
    let path = |path: std::path::PathBuf| Json::from(path.display().to_string());
    let arguments = Json::object([
        ("path", path(key.clone())),
        ("aside", path(work.join("stolen"))),
        ("link", path(work.join("link"))),
        ("beside", path(work.join("mine"))),
    ]);
    let told = world.json("reach", arguments).await;
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "s3cr3t", "{told}");
    assert!(!work.join("stolen").exists(), "{told}");
    told
}

#[tokio::test]
async fn a_child_can_neither_read_nor_write_what_is_private() {
    let world = isolated(Isolation::Landlock, None).await;
    let work = world.folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let told = reached(&world).await;
    for way in ["read", "write", "list", "create", "remove", "rename", "link", "by proc", "by link"] {
        let refused = ["PermissionError", "OSError"].contains(&told[way].as_str().unwrap());
        assert!(refused, "{way}: {told}");
    }
    assert_eq!(told["beside"], "done", "and works beside it: {told}");
}

/// Whether accounts that do not own a folder cannot pass it.
fn closed_to_others(folder: &std::path::Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 == 0)
}

#[tokio::test]
async fn another_account_keeps_a_child_out_where_files_do() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: a child cannot run under another account here");
        return;
    }
    if let Some(closed) = launcher().ancestors().skip(1).find(|folder| closed_to_others(folder)) {
        println!("{} is closed to other accounts: a child of theirs cannot start here", closed.display());
        return;
    }
    let world = isolated(Isolation::None, Some("nobody")).await;
    // The launcher, the script and the folder must be within that account's reach.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.folder.path(), open).unwrap();
    std::fs::set_permissions(world.folder.path().join("keys"), std::fs::Permissions::from_mode(0o700))
        .unwrap();
    let work = world.folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::set_permissions(&work, std::fs::Permissions::from_mode(0o777)).unwrap();
    let told = reached(&world).await;
    for way in ["read", "write", "list", "create", "remove", "rename", "by proc", "by link"] {
        assert_eq!(told[way], "PermissionError", "{way}: {told}");
    }
    assert_eq!(told["beside"], "done");
}

#[test]
fn t30_a_child_of_root_has_no_capability_and_cannot_read_the_environment_of_stepup() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: a child has no capabilities to lose here");
        return;
    }
    for isolation in ["none", "landlock"] {
        let script = "grep ^Cap /proc/self/status; grep -c WEBHOOK /proc/$PPID/environ && echo read";
        let launch = format!(r#""$0" __child {isolation} $$ -- sh -c '{script}'; exit 0"#);
        let output = shell(&launch).env("WEBHOOK", "s3cr3t").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let sets: Vec<&str> = told.lines().filter(|line| line.starts_with("Cap")).collect();
        assert_eq!(sets.len(), 5, "{told} {}", String::from_utf8_lossy(&output.stderr));
        assert!(sets.iter().all(|set| set.ends_with("\t0000000000000000")), "{isolation}: {told}");
        assert!(!told.contains("read"), "{isolation}: {told}");
    }
}

#[tokio::test]
async fn an_account_that_does_not_exist_and_a_private_folder_that_is_not_there_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let machine = std::sync::Arc::new(crate::world::Machine::default());
    let mut config = hostile(&[]);
    let Transport::Stdio(child) = &mut config.transport else { panic!() };
    child.user = Some("no such user".to_owned());
    let none = Upstreams::new(vec![config], machine.clone(), &[], launcher()).map(|_| ());
    assert!(none.unwrap_err().why.contains("no user"));
    let missing = [folder.path().join("missing")];
    let none = Upstreams::new(Vec::new(), machine, &missing, launcher()).map(|_| ());
    assert!(none.unwrap_err().why.contains("is not there"));
}

#[tokio::test]
async fn an_upstream_without_isolation_is_named() {
    let world = isolated(Isolation::None, None).await;
    assert_eq!(world.upstreams.unisolated().collect::<Vec<_>>(), ["ops"]);
    let world = isolated(Isolation::Landlock, None).await;
    assert_eq!(world.upstreams.unisolated().count(), 0);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = hostile(&[]);
    let Transport::Stdio(child) = &mut config.transport else { panic!() };
    child.command = vec![program.display().to_string()];
    let world = World::new(vec![config]).await;
    let refused = world.upstreams.link("ops", session(1)).await.map(|_| ());
    assert!(matches!(&refused, Err(Unreachable::Start(why)) if why.contains("No such file")), "{refused:?}");
}

/// Runs a shell script whose `$0` is the launcher.
fn shell(script: &str) -> std::process::Command {
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(script).arg(launcher()).stderr(std::process::Stdio::piped());
    command
}

#[test]
fn what_somebody_left_open_in_stepup_is_closed_to_a_child() {
    let parent = std::process::id();
    let listing =
        format!(r#"exec 7</etc/passwd 9>/dev/null; exec "$0" __child none {parent} -- ls -l /proc/self/fd"#);
    let output = shell(&listing).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && listed.contains(" 2 -> "), "{listed}");
    assert!(!listed.contains("/etc/passwd") && !listed.contains(" 9 -> "), "{listed}");
}

#[test]
fn a_child_dies_with_stepup_however_that_died() {
    use std::io::BufRead;
    let mut stepup = shell(r#""$0" __child none $$ -- sleep 3600 & echo $!; wait"#)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(stepup.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let child: i64 = line.trim().parse().unwrap();
    let sleeps =
        || std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "sleep");
    let soon = |what: &str, so: &dyn Fn() -> bool| {
        let found = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            so()
        });
        assert!(found, "{what}");
    };
    soon("the child runs", &sleeps);
    stepup.kill().unwrap();
    stepup.wait().unwrap();
    soon("the child is gone", &|| !process_exists(child));
}

#[test]
fn a_launcher_whose_stepup_is_gone_starts_nothing() {
    let output = shell(r#"exec "$0" __child none 1 -- echo started"#).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("stepup ended meanwhile"));
}
