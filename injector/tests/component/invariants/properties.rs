//! The invariants as properties of random pods. A failure prints the pod, shrunk, and how to run it again.

use injector::inject::{Decision, Verdict, apply, uninject};
use proptest::prelude::*;
use serde_json::Value;

use super::mutations;
use crate::common::{decision, patched};
use crate::judge;

/// What must hold whatever is sent: no panic, a reason for everything, and a patch exactly where something is injected.
fn consistent(decision: &Decision) -> Result<(), TestCaseError> {
    prop_assert!(!decision.reasons.is_empty());
    prop_assert!(decision.reasons.iter().all(|reason| !reason.text.is_empty()));
    prop_assert_eq!(decision.verdict == Verdict::Inject, !decision.operations.is_empty());
    Ok(())
}

fn holds(pod: &Value) -> Result<(), TestCaseError> {
    let first = decision(pod);
    consistent(&first)?;
    if first.verdict != Verdict::Inject {
        return Ok(());
    }
    let patched = patched(pod, &first);
    prop_assert_eq!(judge::injection(pod, &patched), Vec::<String>::new());
    let second = decision(&patched);
    prop_assert_eq!(second.verdict, Verdict::Unchanged, "{:?}", second.reasons);
    consistent(&second)?;
    let back = uninject(&patched).map_err(|reason| TestCaseError::fail(reason.text))?;
    let mut restored = patched;
    apply(&mut restored, &back.operations).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    prop_assert_eq!(&restored, pod);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// I1 to I8 of pods that users could have written.
    #[test]
    fn invariants_hold_for_every_pod(pod in mutations::pod()) {
        holds(&pod)?;
    }

    /// The same of what is hardly a pod any more.
    #[test]
    fn invariants_hold_for_anything(pod in mutations::anything()) {
        holds(&pod)?;
    }
}
