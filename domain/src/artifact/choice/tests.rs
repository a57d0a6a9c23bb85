use chrono::DateTime;

use super::*;
use crate::{artifact::NamePattern, job::JobId};

const NAME: &str = "h_db.tar.gz";

fn name() -> ArtifactName {
    let id = JobId::parse("j").expect("an id");
    NamePattern::parse("{host}_{database}")
        .expect("a pattern")
        .name("h", "db", &id, DateTime::UNIX_EPOCH)
}

fn entry(name: &str, kind: FileKind) -> FileEntry {
    FileEntry {
        name: name.to_owned(),
        kind,
        size_bytes: 1,
        identity: (1, name.len() as u64),
        modified_ns: 7,
    }
}

fn file(name: &str) -> FileEntry {
    entry(name, FileKind::Regular)
}

fn staging(named: Option<FileEntry>, own: &[FileEntry]) -> Staging {
    Staging {
        named,
        own_directory: (!own.is_empty()).then(|| own.to_vec()),
    }
}

fn choice(after: &Staging) -> Result<Found, NoArtifact> {
    choose(&name(), "j", &Staging::default(), after)
}

#[test]
fn the_rule_finds_the_artifact_of_every_generation() {
    let own = |files: &[&str]| staging(None, &files.iter().map(|name| file(name)).collect::<Vec<_>>());
    for (after, expected) in [
        (staging(Some(file(NAME)), &[]), NAME),
        (staging(Some(file(NAME)), &[file("other")]), NAME),
        (own(&[NAME, "h_db.sql", "x"]), NAME),
        (own(&["h_db.sql", "x", "y"]), "h_db.sql"),
        (own(&["only"]), "only"),
        (own(&["only", ".hidden"]), "only"),
    ] {
        let found = choice(&after).unwrap_or_else(|none| panic!("{expected}: {none}"));
        assert_eq!(found.entry().name, expected);
    }
}

#[test]
fn a_file_in_the_job_s_own_directory_is_known_to_be_there() {
    assert_eq!(choice(&staging(Some(file(NAME)), &[])), Ok(Found::Named(file(NAME))));
    assert_eq!(
        choice(&staging(None, &[file("x")])),
        Ok(Found::InOwnDirectory(file("x")))
    );
}

#[test]
fn what_is_no_artifact_or_no_single_one_is_said() {
    let link = |name: &str| entry(name, FileKind::Link);
    for (after, said) in [
        (staging(None, &[]), "nothing is there"),
        (
            staging(None, &[file("a"), file("b")]),
            "more than one file could be it: \"a\", \"b\"",
        ),
        (
            staging(None, &[file("h_db.a"), file("h_db.b"), file("c")]),
            "more than one",
        ),
        (staging(Some(link(NAME)), &[]), "\"h_db.tar.gz\" (a symbolic link)"),
        (staging(None, &[link("x")]), "\"x\" (a symbolic link)"),
        (
            staging(None, &[entry("d", FileKind::Other)]),
            "\"d\" (not a regular file)",
        ),
        (staging(None, &[file(".x")]), "\".x\" (hidden)"),
        (
            staging(None, &[file("-x")]),
            "\"-x\" (a name that no restore may ask for)",
        ),
        (staging(None, &[file("a\nb")]), "(a name that no restore may ask for)"),
    ] {
        let none = choice(&after).expect_err(said).to_string();
        assert!(none.contains(said), "{none}");
        assert!(none.contains(NAME), "{none}");
    }
    let many: Vec<FileEntry> = (0..20).map(|n| file(&format!("f{n}"))).collect();
    let none = choice(&staging(None, &many)).expect_err("too many").to_string();
    assert!(none.ends_with("and 15 more"), "{none}");
}

#[test]
fn a_file_counts_only_if_the_script_has_touched_it() {
    let old = file(NAME);
    let rewritten = [
        FileEntry {
            size_bytes: 2,
            ..old.clone()
        },
        FileEntry {
            modified_ns: 8,
            ..old.clone()
        },
        FileEntry {
            identity: (1, 99),
            ..old.clone()
        },
    ];
    for before in [
        staging(Some(old.clone()), &[]),
        staging(None, std::slice::from_ref(&old)),
    ] {
        let stale = choose(&name(), "j", &before, &before).expect_err("a stale file");
        assert!(stale.to_string().contains("there before the script"), "{stale}");
        for new in &rewritten {
            let after = match before.named {
                Some(_) => staging(Some(new.clone()), &[]),
                None => staging(None, std::slice::from_ref(new)),
            };
            assert!(choose(&name(), "j", &before, &after).is_ok(), "{new:?}");
        }
    }
}

#[test]
fn a_stale_file_is_not_made_new_by_a_new_name_or_place() {
    let old = file("old");
    let before = staging(None, std::slice::from_ref(&old));
    let renamed = FileEntry {
        name: NAME.to_owned(),
        ..old.clone()
    };
    for after in [staging(Some(renamed.clone()), &[]), staging(None, &[renamed])] {
        assert!(choose(&name(), "j", &before, &after).is_err(), "{after:?}");
    }
}

#[test]
fn a_stale_file_of_the_right_name_does_not_hide_a_new_one() {
    let before = staging(Some(file(NAME)), &[file("old")]);
    let after = staging(Some(file(NAME)), &[file("old"), file("new!")]);
    let found = choose(&name(), "j", &before, &after).expect("the new file");
    assert_eq!(found.entry().name, "new!");
}
