//! A cluster leaves the machine as it was, however it ends, and two of them do not meet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use trilby_testkit::node::{NodeDir, Record};
use trilby_testkit::process::{Log, Process};
use trilby_testkit::state_dir::StateDir;
use trilby_testkit::{Cluster, assert_eventually, programs};

/// One cluster at a time, but where two are the point: each has the whole machine's patience.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// What a node could change on the machine, by name.
fn machine() -> BTreeMap<String, String> {
    const SYSCTLS: &[&str] = &[
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys",
        "kernel/keys/root_maxbytes",
        "kernel/hostname",
        "net/ipv4/ip_forward",
        "net/netfilter/nf_conntrack_max",
    ];
    let file = |path: String| {
        (
            path.clone(),
            std::fs::read_to_string(path).unwrap_or_default(),
        )
    };
    let mut state: BTreeMap<_, _> = SYSCTLS
        .iter()
        .map(|name| file(format!("/proc/sys/{name}")))
        .collect();
    state.extend([file("/proc/self/mountinfo".to_owned())]);
    for command in [
        "ip link",
        "ip address",
        "ip route show table all",
        "nft list ruleset",
    ] {
        state.insert(command.to_owned(), output(command));
    }
    state
}

/// Counters of time and traffic aside, the same for the same state.
fn output(command: &str) -> String {
    let (program, arguments) = command.split_once(' ').expect("a program and arguments");
    let output = Command::new(programs::system(program).expect("installed"))
        .args(arguments.split(' '))
        .output()
        .expect("it can be started");
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A node's processes and cgroups are gone, and its directory.
fn is_gone(dir: &Path, record: &Record) -> bool {
    let processes = [Some(record.supervisor), record.outer];
    !dir.exists()
        && record.cgroups.iter().all(|cgroup| !cgroup.exists())
        && processes
            .iter()
            .flatten()
            .all(|process| !process.is_alive())
}

/// `testkit-node up --attached`: a process that starts a node and can be killed.
async fn attached(dir: &Path) -> Process {
    let mut command = Command::new(programs::node().expect("built"));
    command.args(["up", "--attached", "--state-dir"]).arg(dir);
    let log = Log::at(dir.with_extension("log"));
    let process = Process::spawn("testkit-node", command, log).expect("it can be started");
    process.log().wait_for("node: ready").await;
    process
}

#[tokio::test]
async fn a_cluster_that_ran_pods_leaves_the_machine_as_it_was() {
    let _alone = alone().await;
    let before = machine();
    let cluster = Cluster::start().await;
    let during = machine();
    let dir = cluster.node().dir().clone();
    let record = Record::read(&dir).unwrap();
    assert!(record.cgroups.iter().all(|cgroup| cgroup.exists()));
    drop(cluster);
    let after = machine();
    assert!(is_gone(dir.path(), &record), "{record:?}");
    assert_eq!(before, during, "while it ran");
    assert_eq!(before, after, "after it ended");
}

#[tokio::test]
async fn a_killed_starter_takes_its_node_along() {
    let _alone = alone().await;
    let scratch = StateDir::create("killed");
    let dir = NodeDir::at(scratch.join("node")).unwrap();
    let mut starter = attached(dir.path()).await;
    let record = Record::read(&dir).unwrap();
    assert!(!is_gone(dir.path(), &record));
    starter.kill().await;
    assert_eventually!(is_gone(dir.path(), &record));
}

#[tokio::test]
async fn an_interrupted_starter_ends_its_node() {
    let _alone = alone().await;
    let scratch = StateDir::create("interrupted");
    let dir = NodeDir::at(scratch.join("node")).unwrap();
    let mut starter = attached(dir.path()).await;
    let record = Record::read(&dir).unwrap();
    assert!(starter.terminate().await.success());
    assert!(is_gone(dir.path(), &record));
}

#[tokio::test]
async fn a_node_whose_supervisor_was_killed_can_still_be_removed() {
    let _alone = alone().await;
    let scratch = StateDir::create("orphan");
    let dir = NodeDir::at(scratch.join("node")).unwrap();
    let mut starter = attached(dir.path()).await;
    let record = Record::read(&dir).unwrap();
    let supervisor = record.supervisor.pid.to_string();
    assert!(
        Command::new("kill")
            .args(["-KILL", &supervisor])
            .status()
            .unwrap()
            .success()
    );
    let outer = record.outer.unwrap();
    assert_eventually!(!outer.is_alive());
    assert!(dir.path().exists(), "nobody could remove it yet");
    trilby_testkit::node::down(&dir).unwrap();
    assert!(is_gone(dir.path(), &record));
    starter.terminate().await;
}

#[tokio::test]
async fn two_clusters_run_at_once() {
    let _alone = alone().await;
    let (one, two) = tokio::join!(Cluster::start(), Cluster::start());
    one.namespace_named("only-in-one").await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().into_iter().flatten();
        items
            .map(|item| item["metadata"]["name"].to_string())
            .collect()
    };
    let in_one = names(&one.get_json("", "namespaces").await);
    let in_two = names(&two.get_json("", "namespaces").await);
    assert!(in_one.contains(&"\"only-in-one\"".to_owned()), "{in_one:?}");
    assert!(
        !in_two.contains(&"\"only-in-one\"".to_owned()),
        "{in_two:?}"
    );
    let dirs: [PathBuf; 2] = [&one, &two].map(|cluster| cluster.node().dir().path().to_owned());
    drop((one, two));
    assert!(dirs.iter().all(|dir| !dir.exists()));
}
