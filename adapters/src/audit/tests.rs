use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use domain::{
    job::JobId,
    plan::JobKind,
    ports::{Actor, Claim},
};
use serde_json::{Value, json};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn trigger(id: &str) -> AuditEntry {
    AuditEntry {
        action: AuditAction::Trigger,
        actor: Actor::Caller {
            user: Some("admin".into()),
            address: Some("127.0.0.1:4711".parse().expect("an address")),
        },
        kind: Some(JobKind::Backup),
        id: Some(JobId::parse(id).expect("an id")),
        outcome: "201".into(),
    }
}

fn refused(address: &str, user: &[u8]) -> AuditEntry {
    AuditEntry {
        action: AuditAction::Login,
        actor: Actor::Caller {
            user: Some(Claim::of(user)),
            address: Some(address.parse().expect("an address")),
        },
        kind: None,
        id: None,
        outcome: "401".into(),
    }
}

/// The lines of a file, each of which must be JSON.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file is there");
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

fn ids(path: &Path) -> Vec<String> {
    lines(path)
        .iter()
        .map(|line| line["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn keep(trail: &AuditTrail, id: &str) {
    trail.record(trigger(id));
    trail.flush(PATIENCE);
}

#[test]
fn a_line_says_who_from_where_what_and_what_became_of_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("audit");
    let trail = AuditTrail::new(Some(path.clone()));
    trail.record(trigger("b1"));
    trail.record(AuditEntry {
        action: AuditAction::Unlock,
        actor: Actor::Process { uid: 0, pid: Some(7) },
        outcome: "done: \"x\"\n{\"forged\":1}".into(),
        ..trigger("b2")
    });
    trail.flush(PATIENCE);
    let mut lines = lines(&path);
    for line in &mut lines {
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
    }
    assert_eq!(
        lines,
        [
            json!({"action": "trigger", "user": "admin", "address": "127.0.0.1:4711", "kind": "backup", "id": "b1", "outcome": "201"}),
            json!({"action": "unlock", "uid": 0, "pid": 7, "kind": "backup", "id": "b2",
                   "outcome": "done: \"x\"\\n{\"forged\":1}"}),
        ]
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_was_moved_away_or_emptied_goes_on_at_its_path() {
    let place = tempfile::tempdir().unwrap();
    let (path, moved) = (place.path().join("audit"), place.path().join("audit.1"));
    let trail = AuditTrail::new(Some(path.clone()));
    keep(&trail, "a");
    fs::rename(&path, &moved).unwrap();
    keep(&trail, "b");
    assert_eq!((ids(&moved), ids(&path)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    // As logrotate does with `create`: another file is there already.
    fs::rename(&path, &moved).unwrap();
    fs::write(&path, "").unwrap();
    keep(&trail, "c");
    assert_eq!(ids(&path), ["c"]);
    // As with `copytruncate`.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    keep(&trail, "d");
    assert_eq!(ids(&path), ["d"]);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        fs::read(&path).unwrap().len() as u64
    );
}

#[test]
fn what_was_there_stays_and_a_line_that_was_cut_off_stays_a_line_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("audit");
    fs::write(&path, "{\"id\":\"old\"}\n{\"id\":\"cut").unwrap();
    keep(&AuditTrail::new(Some(path.clone())), "new");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["{\"id\":\"old\"}", "{\"id\":\"cut"]);
    assert!(lines.len() == 3 && lines[2].contains("\"new\""), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_is_a_problem_until_it_can() {
    let place = tempfile::tempdir().unwrap();
    let (directory, pipe) = (place.path().join("missing"), place.path().join("pipe"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let device = place.path().join("device");
    symlink("/dev/full", &device).unwrap();
    for path in [directory.join("audit"), pipe, device, place.path().to_owned()] {
        let trail = AuditTrail::new(Some(path.clone()));
        // Nobody who records waits, or hears of it.
        keep(&trail, "lost");
        let problem = trail.problem().expect("it cannot be written");
        assert!(
            problem.contains("audit_log_file") && problem.contains(&*path.to_string_lossy()),
            "{problem}"
        );
    }
    let path = directory.join("audit");
    let trail = AuditTrail::new(Some(path.clone()));
    keep(&trail, "lost");
    fs::create_dir(&directory).unwrap();
    keep(&trail, "kept");
    assert_eq!((trail.problem(), ids(&path)), (None, vec!["kept".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refused_logins_makes_few_lines_that_count_them_all() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("audit");
    let trail = AuditTrail::new(Some(path.clone()));
    let told = || {
        trail.inner.file.as_ref().unwrap().flush(PATIENCE);
        lines(&path)
    };
    let count = |lines: &[Value]| -> u64 { lines.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum() };
    trail.record(refused("10.0.0.1:1", b"root"));
    assert_eq!(told().len(), 1, "the first is told at once");
    for port in 2..1000 {
        trail.record(refused(&format!("10.0.0.1:{port}"), b"root\n{\"action\":\"trigger\"}"));
    }
    assert_eq!(told().len(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let lines = told();
    assert_eq!((lines.len(), count(&lines)), (2, 999));
    assert_eq!(lines[1]["user"], "root\\n{\"action\":\"trigger\"}");
    assert_eq!(lines[1]["address"], "10.0.0.1:999");
    // A network of IPv6 is one attacker, and more addresses than are told apart are counted together.
    for last in 0..1000 {
        trail.record(refused(&format!("[2001:db8::{last:x}]:1"), b"x"));
        trail.record(refused(&format!("10.1.{}.{}:1", last / 250, last % 250), b"x"));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lines = told();
    assert_eq!(count(&lines), 2999);
    assert!(lines.len() < 25, "{}", lines.len());
    assert!(lines.iter().any(|line| line["address"] == "others"));
    // It is over; the next has its line at once again, and somebody comes for what follows.
    for _ in 0..2 {
        trail.record(refused("10.0.0.1:1", b"x"));
    }
    assert_eq!(told().len(), lines.len() + 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(count(&told()), 3001);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_for_a_day_gets_a_line_a_minute() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("audit");
    let trail = AuditTrail::new(Some(path.clone()));
    const HOURS: u64 = 24;
    for _ in 0..HOURS * 3600 {
        trail.record(refused("10.0.0.1:1", b"root"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    trail.flush(PATIENCE);
    let lines = lines(&path);
    let most = usize::try_from(HOURS * 60 + 10).expect("it is small");
    assert!(lines.len() < most, "{} lines", lines.len());
    let count: u64 = lines.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(count, HOURS * 3600, "all are counted");
}
