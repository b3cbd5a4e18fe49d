//! The figures of a day, and its closing.
//!
//! * [`closing`]: what a closing counts, and how it is stored and shown.
//! * [`figures`]: adds up the sales.
//! * `random_days`: compares closings with a plain ledger.

mod closing;
mod figures;
#[cfg(test)]
mod random_days;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use comptoir_identity::Action;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::dto;
use super::sales::READING_TURN;
use crate::http::problem::operations::{self, problems};
use crate::http::query::invalid;
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};
use comptoir_core::event::Kind;
use figures::Figures;

problems!(DayProblems: operations::ACCESS, operations::READ, &[
    ProblemType::MalformedPath,
    ProblemType::InvalidParameter,
]);
problems!(CloseProblems: operations::ACCESS, operations::READ, operations::APPEND, operations::BODY, &[
    ProblemType::MalformedPath,
    ProblemType::InvalidParameter,
    ProblemType::DayIsClosed,
    ProblemType::DayHasNotBegun,
]);

/// Returns the figures of a day of this shop: what was paid by method, till and hour, and what was sold by VAT rate and
/// product.
///
/// The day is one of the shop's time zone, the configuration's `time_zone`. Until it is closed, the figures are those of the
/// moment: they may still change when a till sends sales that it has kept.
#[utoipa::path(get, path = "/api/days/{date}", security(("token" = ["cashier"])), tag = "sales", params(("date" = String, Path, format = Date, description = "A day, or `today`.")),
    responses((status = 200, body = dto::ShopDay), DayProblems))]
pub async fn day(
    State(app): State<Arc<AppState>>,
    date: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (day, today) = Day::of_path(&app, date)?;
    let zone = &app.time_zone;
    if let Some(closing) = app.journal.closing_of(&day.date.to_string()).await? {
        let ledger = app.projection.ledger().await?;
        return Ok(Json(closing::shown(&closing, &ledger, &day, today)?).into_response());
    }
    let period = (day.from.as_millisecond(), day.to.as_millisecond());
    // Never closed.
    let _turn = READING_TURN.acquire().await;
    app.projection.flush().await?;
    let mut figures = Figures::new(&app.store, app.currency, zone.clone());
    let mut is_complete = true;
    for kind in [Kind::Order, Kind::Payment] {
        let visited = app
            .projection
            .visit_period(kind, period, |sale| figures.add(kind, sale.payload()));
        is_complete &= visited.await?;
    }
    Ok(Json(figures.finish(&day, day.date == today, is_complete)).into_response())
}

/// Closes a day: its figures no longer change, and what arrives for it later is counted by the next closing.
///
/// Days are closed in order, each once, and none of the future. Days in between that were not closed are counted, too. The
/// closing of today is allowed: what is sold afterwards is counted by the next one. A closing is an entry of the journal and a
/// record of the topic `closings`; it needs no Kafka.
#[utoipa::path(post, path = "/api/days/{date}/close", security(("token" = ["manager"])), tag = "sales", params(("date" = String, Path, format = Date, description = "A day, or `today`.")),
    responses((status = 201, body = dto::ShopDay), CloseProblems))]
pub async fn close(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    date: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (day, today) = Day::of_path(&app, date)?;
    if day.date > today {
        let problem = format!(
            "{} has not begun in the shop. Close {today} or an earlier day.",
            day.date
        );
        return Err(Problem::new(ProblemType::DayHasNotBegun, problem));
    }
    let closed_by = caller.principal().map(|principal| principal.name.clone());
    let closed = closing::close(&app, &day, today, closed_by).await?;
    app.audit(&caller, &origin, Action::DayClosed, |act| {
        act.on(day.date.to_string())
    })
    .await;
    Ok((StatusCode::CREATED, Json(closed)).into_response())
}

/// A day of the shop.
struct Day {
    date: Date,
    time_zone: String,
    from: Timestamp,
    to: Timestamp,
}

impl Day {
    /// The day in the path, and today.
    fn of_path(app: &AppState, date: Result<Path<String>, PathRejection>) -> Result<(Self, Date), Problem> {
        let Path(date) = date.map_err(|rejection| Problem::of_path("date", &rejection))?;
        let today = Timestamp::now().to_zoned(app.time_zone.clone()).date();
        Ok((Self::parse(&date, today, &app.time_zone)?, today))
    }

    fn parse(text: &str, today: Date, zone: &TimeZone) -> Result<Self, Problem> {
        let parsed = match text {
            "today" => Some(today),
            // Other spellings of a date are longer, or shorter.
            _ => text.parse().ok().filter(|_| text.len() == "YYYY-MM-DD".len()),
        };
        let Some(date) = parsed else {
            let problem = format!("{text:?} is not a day; write for example {today}, or \"today\"");
            return Err(invalid("date", problem));
        };
        // The last days of the year 9999 are beyond the last time.
        let begins = |date: Date| date.to_zoned(zone.clone()).map(|begin| begin.timestamp());
        let from = begins(date).unwrap_or(Timestamp::MAX);
        let to = date.tomorrow().and_then(begins).unwrap_or(Timestamp::MAX);
        let time_zone = match zone.iana_name() {
            Some(name) => name.to_owned(),
            None => zone.to_offset(from).to_string(),
        };
        Ok(Self {
            date,
            time_zone,
            from,
            to,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_hours_of_its_time_zone() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let today = "2026-12-02".parse().unwrap();
        let hours = |date: &str| {
            let day = Day::parse(date, today, &paris).unwrap();
            (
                day.from.to_string(),
                (day.to - day.from).total(jiff::Unit::Hour).unwrap(),
            )
        };
        assert_eq!(hours("today"), ("2026-12-01T23:00:00Z".to_owned(), 24.0));
        assert_eq!(
            hours("2026-03-29"),
            ("2026-03-28T23:00:00Z".to_owned(), 23.0),
            "summer time begins"
        );
        assert_eq!(
            hours("2026-10-25"),
            ("2026-10-24T22:00:00Z".to_owned(), 25.0),
            "summer time ends"
        );
        assert_eq!(hours("9999-12-31").1, 0.0, "beyond the last time");
        for text in [
            "",
            "2026-13-01",
            "2026-02-29",
            "20261202",
            "yesterday",
            "-009999-01-01",
        ] {
            assert!(Day::parse(text, today, &paris).is_err(), "{text}");
        }
    }
}
