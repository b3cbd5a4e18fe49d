//! Generates `web/office/lib/types.ts`, and fails if the file is out of date.

use std::{env, fs};

use ts_rs::{Config, TS as _};

use crate::commands::receipts::{CommandDetails, CommandItem, CommandsPage, Receipt, ReceiptCounts};
use crate::commands::store::CommandSummary;
use crate::comparison::{By, Compared, Comparison, ShopComparison, Sums};
use crate::http::CommandTargets;
use crate::http::dto::{CurrentUser, RoleName, Session, UserKind};
use crate::overview::{Amount, Gateway, Overview, Shop, Today};
use crate::sales::{SaleItem, SalesPage};
use crate::stats::{ShopHour, ShopQuarters, ShopStats};

const TYPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/office/lib/types.ts");
const HEADER: &str = "// Generated from gateway/office/src by `make types`. Do not edit.\n";

fn typescript() -> String {
    let config = Config::new().with_large_int("number");
    let declarations = [
        Amount::decl(&config),
        Today::decl(&config),
        Gateway::decl(&config),
        Shop::decl(&config),
        Overview::decl(&config),
        SaleItem::decl(&config),
        SalesPage::decl(&config),
        RoleName::decl(&config),
        UserKind::decl(&config),
        CurrentUser::decl(&config),
        Session::decl(&config),
        ShopQuarters::decl(&config),
        ShopHour::decl(&config),
        ShopStats::decl(&config),
        By::decl(&config),
        Sums::decl(&config),
        Compared::decl(&config),
        ShopComparison::decl(&config),
        Comparison::decl(&config),
        CommandSummary::decl(&config),
        ReceiptCounts::decl(&config),
        CommandItem::decl(&config),
        CommandsPage::decl(&config),
        Receipt::decl(&config),
        CommandDetails::decl(&config),
        CommandTargets::decl(&config),
    ];
    declarations.iter().fold(HEADER.to_owned(), |text, declaration| {
        format!("{text}\nexport {declaration}\n")
    })
}

#[test]
fn the_page_has_the_types_of_the_office() {
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
