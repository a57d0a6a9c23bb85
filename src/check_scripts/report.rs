//! What a rehearsal has shown, for people and for machines.

use serde_json::{Value, json};

use super::{
    played::Played,
    rule::{Book, Rule, Verdict},
};
use crate::out::Out;

/// Tells people of every rule, the broken ones last, where they are seen.
pub(super) fn show(book: &Book, out: &Out) {
    out.line("\nThe rules");
    let mut rules: Vec<Rule> = Rule::ALL.to_vec();
    rules.sort_by_key(|rule| book.of(*rule).0 == Verdict::Broken);
    for rule in rules {
        let (verdict, said) = book.of(rule);
        let mark = match verdict {
            Verdict::Kept => "✓",
            Verdict::Broken => "✗ BROKEN:",
            Verdict::Hint => "! hint:",
            Verdict::NotChecked => "· not checked:",
        };
        out.line(&format!("  {mark} {} ({})", rule.text(), rule.name()));
        for text in said {
            out.line(&format!("      {text}"));
        }
    }
}

/// The same, and every run, as JSON.
pub(super) fn json(book: &Book, played: &[Played], about: Value, problem: Option<&str>) -> Value {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| {
            let (verdict, said) = book.of(*rule);
            json!({"rule": rule.name(), "text": rule.text(), "result": verdict.name(), "details": said})
        })
        .collect();
    let runs: Vec<Value> = played
        .iter()
        .map(|played| {
            let [(_, stdout), (_, stderr)] = played.output();
            json!({
                "scene": played.scene,
                "job": played.job.to_string(),
                "phase": played.phase.as_str(),
                "exit": played.exit(),
                "milliseconds": u64::try_from(played.elapsed.as_millis()).unwrap_or(u64::MAX),
                "stdout": stdout,
                "stderr": stderr,
            })
        })
        .collect();
    let is_complete = problem.is_none();
    let mut report = json!({
        "ok": is_complete && !book.has_broken(),
        "complete": is_complete,
        "about": about,
        "rules": rules,
        "runs": runs,
    });
    if let Some(problem) = problem {
        report["problem"] = problem.into();
    }
    report
}
