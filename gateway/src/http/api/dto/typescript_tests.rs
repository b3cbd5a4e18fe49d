//! Generates `web/src/lib/api/types.ts`, and fails if the file is out of date.

use std::{env, fs};

use serde_json::json;
use ts_rs::{Config, TS};

use super::*;
use crate::http::problem::{Problem, ProblemType, Stored};
use comptoir_core::event::Kind;
use comptoir_core::sale::{Currency, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

const TYPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/src/lib/api/types.ts");
const HEADER: &str = "// Generated from gateway/src/http/api/dto by `make types`. Do not edit.\n";

fn typescript() -> String {
    let config = Config::new().with_large_int("number");
    let declarations = [
        Kind::decl(&config),
        OrderStatus::decl(&config),
        PaymentMethod::decl(&config),
        PaymentStatus::decl(&config),
        DeliveryStatus::decl(&config),
        Origin::decl(&config),
        EventLocation::decl(&config),
        Line::decl(&config),
        Order::decl(&config),
        Payment::decl(&config),
        Delivery::decl(&config),
        Correction::decl(&config),
        Page::<Order>::decl(&config),
        OrderLife::<Order, Payment, Delivery>::decl(&config),
        Quarters::decl(&config),
        Hour::decl(&config),
        Stats::decl(&config),
        PeerState::decl(&config),
        Peer::decl(&config),
        JournalStatus::decl(&config),
        ClockState::decl(&config),
        ClockJump::decl(&config),
        Clock::decl(&config),
        Partition::decl(&config),
        Follow::decl(&config),
        Shops::decl(&config),
        GatewayStatus::decl(&config),
        Epoch::decl(&config),
        Device::decl(&config),
        RefusalReason::decl(&config),
        RefusedDevice::decl(&config),
        BacklogPoint::decl(&config),
        UplinkMode::decl(&config),
        Uplink::decl(&config),
        Alerts::decl(&config),
        Gateway::decl(&config),
        SettingsProblem::decl(&config),
        DeadLetterCause::decl(&config),
        DeadLetter::decl(&config),
        RetryResult::decl(&config),
        DemoKafka::decl(&config),
        ForgottenDevice::decl(&config),
        ProblemType::decl(&config),
        Stored::decl(&config),
        Problem::decl(&config),
        RoleName::decl(&config),
        UserKind::decl(&config),
        CurrentUser::decl(&config),
        Session::decl(&config),
        SignIn::decl(&config),
        Setup::decl(&config),
        NewPassword::decl(&config),
        User::decl(&config),
        NewUser::decl(&config),
        UserChange::decl(&config),
        OpenSession::decl(&config),
        Token::decl(&config),
        NewToken::decl(&config),
        CreatedToken::decl(&config),
        Pairing::decl(&config),
        PairingState::decl(&config),
        PairingStatus::decl(&config),
        PairingApproval::decl(&config),
        ActorKind::decl(&config),
        AuditEntry::decl(&config),
        AuditPage::decl(&config),
        DayTakings::decl(&config),
        DayOrders::decl(&config),
        MethodTakings::decl(&config),
        TillTakings::decl(&config),
        VatAmount::decl(&config),
        ProductSales::decl(&config),
        OtherProducts::decl(&config),
        HourTakings::decl(&config),
        NetAmount::decl(&config),
        CountedTakings::decl(&config),
        LatePayment::decl(&config),
        CoveredNumbers::decl(&config),
        ClosingRecord::decl(&config),
        DayClosing::decl(&config),
        ShopDay::decl(&config),
        Auth::decl(&config),
        Confirmation::decl(&config),
        InitialData::<Order, Payment, Delivery>::decl(&config),
        Batch::<Order, Payment, Delivery>::decl(&config),
    ];
    let types = declarations.iter().fold(HEADER.to_owned(), |text, declaration| {
        format!("{text}\nexport {declaration}\n")
    });
    format!("{types}\n{}\n{}", problems(), decimals())
}

/// The problem definitions, for the pages' tests and the simulated gateway. The built pages do not use them.
fn problems() -> String {
    let entries: String = ProblemType::ALL
        .into_iter()
        .map(|kind| {
            let of = kind.definition();
            let definition = json!({
                "title": of.title, "status": of.status.as_u16(), "stored": of.stored, "retry_after": of.retry_after,
            });
            format!("  {}: {definition},\n", json!(kind))
        })
        .collect();
    let definition = "{ title: string, status: number, stored: Stored, retry_after: number | null, }";
    format!("export const PROBLEMS: Record<ProblemType, {definition}> = {{\n{entries}}};\n")
}

/// The number of decimals of each currency, because browsers disagree with ISO 4217 on some of them.
fn decimals() -> String {
    let mut unusual: Vec<_> = Currency::all()
        .filter(|currency| currency.decimals() != 2)
        .map(|currency| format!("{}: {}", currency.code(), currency.decimals()))
        .collect();
    unusual.sort();
    format!(
        "/** Decimals of the currencies that do not have two. */\nexport const DECIMALS: Readonly<Record<string, number>> = {{ {} }};\n",
        unusual.join(", ")
    )
}

#[test]
fn the_pages_have_the_types_of_the_gateway() {
    if env::var_os("COMPTOIR_WRITE_TYPES").is_some() {
        fs::write(TYPES, typescript()).unwrap();
    }
    let (written, generated) = (fs::read_to_string(TYPES).unwrap(), typescript());
    let difference = written.lines().zip(generated.lines()).find(|(a, b)| a != b);
    assert!(
        written == generated,
        "{TYPES} is out of date: run `make types` ({difference:?})"
    );
}
