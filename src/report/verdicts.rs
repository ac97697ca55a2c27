//! Which sentences hold.

use maud::{Markup, html};

use crate::table::claim::{self, Judged, Verdict};

/// A claim of the pipeline.
pub struct Claim {
    /// Its stage, with its coordinates.
    pub name: String,
    /// The sentence and the verdict.
    pub judged: Judged,
    /// The query that tests it.
    pub sql: String,
}

pub(super) fn section(claims: &[Claim]) -> Markup {
    html! {
        section id="verdicts" {
            h2 { "Verdicts" }
            @if claims.is_empty() { p { "This pipeline states no claim: a stage of the kind " code { "claim" } " does." } }
            @for claim in claims { (article(claim)) }
        }
    }
}

fn article(claim: &Claim) -> Markup {
    let Judged { number, says, place, effect_is, tested_if, judgement } = &claim.judged;
    let verdict = judgement.verdict;
    html! {
        article class={ "claim " (class(verdict)) } {
            h3 {
                span class="verdict" { (verdict) }
                @if let Some(number) = number { " (" (number) ") " } @else { " " }
                (says)
            }
            @if !place.is_empty() { p class="place" { (place) } }
            @if verdict == Verdict::NotTested {
                p { "Not tested at this scale" @if !tested_if.is_empty() { ": it takes " (tested_if) } "." }
            }
            table {
                caption class="hidden" { "What " (claim.name) " found" }
                tbody {
                    @if let Some(effect) = judgement.effect {
                        tr {
                            th scope="row" { "effect" @if !effect_is.is_empty() { ": " (effect_is) } }
                            td { (claim::number(effect)) }
                        }
                    }
                    @if let Some(repeated) = &judgement.repeated {
                        tr {
                            th scope="row" { "its mean over " (repeated.tested) " repetitions, 95 % interval" }
                            td { (claim::number(repeated.effect.0)) " to " (claim::number(repeated.effect.1)) }
                        }
                        tr { th scope="row" { "it holds in" } td { (repeated.hold) " of " (repeated.tested) } }
                    }
                    @for (name, value) in &judgement.evidence { tr { th scope="row" { (name) } td { (claim::shown(value)) } } }
                }
            }
            details { summary { "The query" } pre tabindex="0" { code { (claim.sql.trim_end()) } } }
        }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "fails",
        Verdict::NotTested => "untested",
    }
}
