//! How a comparison divides time.

use super::*;

fn plan(query: ComparisonQuery, now: &str) -> Plan {
    query.check(now.parse().unwrap()).unwrap()
}

fn query(by: &str, since: &str, until: &str, time_zone: &str) -> ComparisonQuery {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ComparisonQuery {
        by: some(by),
        since: some(since),
        until: some(until),
        time_zone: some(time_zone),
        store: None,
    }
}

fn bounds(plan: &Plan) -> Vec<String> {
    plan.bounds.iter().map(ToString::to_string).collect()
}

#[test]
fn days_are_those_of_the_time_zone_even_when_its_clocks_change() {
    // Summer time began in Paris on 29 March 2026, at 01:00 UTC.
    let plan = plan(
        query("day", "2026-03-29", "2026-03-31", "Europe/Paris"),
        "2026-06-01T00:00:00Z",
    );
    assert_eq!(
        bounds(&plan),
        [
            "2026-03-26T23:00:00Z",
            "2026-03-27T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "2026-03-30T22:00:00Z"
        ]
    );
    assert_eq!(plan.cut, None);
}

#[test]
fn half_hour_time_zones_have_days_of_their_own() {
    let plan = plan(
        query("day", "2026-03-30", "2026-03-31", "Asia/Kolkata"),
        "2026-06-01T00:00:00Z",
    );
    assert_eq!(
        bounds(&plan),
        [
            "2026-03-28T18:30:00Z",
            "2026-03-29T18:30:00Z",
            "2026-03-30T18:30:00Z"
        ]
    );
}

#[test]
fn weeks_begin_on_monday_and_an_unfinished_one_is_compared_with_the_same_part() {
    // A Wednesday.
    let plan = plan(
        query("week", "2026-11-26", "2026-12-02", ""),
        "2026-12-02T10:07:00Z",
    );
    assert_eq!(
        plan.days.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "2026-11-09",
            "2026-11-16",
            "2026-11-23",
            "2026-11-30",
            "2026-12-07"
        ]
    );
    let cut = plan.cut.map(|cut| cut.to_string());
    assert_eq!(cut.as_deref(), Some("2026-11-18T10:00:00Z"));
}

#[test]
fn without_days_the_last_seven_are_compared_until_now() {
    let plan = plan(ComparisonQuery::default(), "2026-12-02T10:07:00Z");
    assert_eq!(
        (plan.count(), plan.days[7].to_string()),
        (7, "2026-11-26".to_owned())
    );
    let cut = plan.cut.map(|cut| cut.to_string());
    assert_eq!(cut.as_deref(), Some("2026-11-25T10:00:00Z"));
}

#[test]
fn a_wrong_parameter_is_named() {
    for (query, parameter) in [
        (query("month", "", "", ""), "by"),
        (query("", "yesterday", "", ""), "since"),
        (query("", "2026-11-30T00:00:00Z", "", ""), "since"),
        (query("", "2026-12-04", "", ""), "since"),
        (query("", "2026-01-01", "2026-12-01", ""), "since"),
        (query("", "2026-11-30", "2026-13-01", ""), "until"),
        (query("", "", "", "Paris"), "time_zone"),
        (
            ComparisonQuery {
                store: Some("Paris".to_owned()),
                ..ComparisonQuery::default()
            },
            "store",
        ),
    ] {
        let error = query
            .clone()
            .check("2026-12-02T10:00:00Z".parse().unwrap())
            .unwrap_err();
        assert_eq!(error.parameter, parameter, "{query:?}: {error}");
        assert!(error.to_string().starts_with(parameter), "{error}");
    }
}
