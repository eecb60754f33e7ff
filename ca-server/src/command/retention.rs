//! `ca-server admin retention`: what the job would remove, before it does.

use ca_core::time::Lifetime;
use ca_engine::flow::retention::{MonthPlan, Stay, StayReason, review};
use ca_runtime::open::{Purpose, Runtime};
use serde_json::{Value, json};

use super::{load, say};
use crate::args::{Global, Output};
use crate::job::with_detail;

pub(super) async fn retention(global: &Global, output: Output) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let keep_expired = runtime.config.keep_expired;
    let plans = review(&runtime.engine).await;
    runtime.close().await;
    let plans = plans.map_err(with_detail)?;
    match output {
        Output::Json => say(as_json(keep_expired, &plans)),
        Output::Table => tell(keep_expired, &plans),
    }
    Ok(())
}

fn tell(keep_expired: Option<Lifetime>, plans: &[MonthPlan]) {
    match keep_expired {
        Some(kept) => {
            say(format!("certificates go {kept} after the month of their end, unless their profile keeps them longer"));
        }
        None => say("retention.expired is off: every certificate stays for ever"),
    }
    say(format!("{:<9}{:>10}{:>10}  WHY THEY STAY", "MONTH", "GO", "STAY"));
    for plan in plans {
        let why: Vec<String> = plan.stays.iter().map(reason).collect();
        let line =
            format!("{:<9}{:>10}{:>10}  {}", plan.month.to_string(), plan.goes, plan.stay_count(), why.join(", "));
        say(line.trim_end());
    }
    say(format!("in all, {} would go now", plans.iter().map(|plan| plan.goes).sum::<u64>()));
}

fn reason(stay: &Stay) -> String {
    let Stay { profile, reason, certificates } = stay;
    match reason {
        StayReason::Until(until) => format!("{certificates} {profile}: not yet, until {until}"),
        reason => format!("{certificates} {profile}: {}", reason.as_str()),
    }
}

fn as_json(keep_expired: Option<Lifetime>, plans: &[MonthPlan]) -> Value {
    let stay = |stay: &Stay| {
        let mut shown = json!({
            "certificates": stay.certificates,
            "profile": stay.profile.as_str(),
            "reason": stay.reason.as_str(),
        });
        if let StayReason::Until(until) = stay.reason {
            shown["until"] = json!(until.to_rfc3339());
        }
        shown
    };
    let month = |plan: &MonthPlan| {
        json!({
            "go": plan.goes,
            "month": plan.month.to_string(),
            "stay": plan.stay_count(),
            "stays": plan.stays.iter().map(stay).collect::<Vec<_>>(),
        })
    };
    json!({
        "expired": keep_expired.map_or_else(|| "off".to_owned(), |kept| kept.to_string()),
        "months": plans.iter().map(month).collect::<Vec<_>>(),
    })
}
