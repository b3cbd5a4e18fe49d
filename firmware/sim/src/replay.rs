//! Real receipts from a file: CSV with the columns `store_id, basket_id, timestamp, product, quantity, amount`.
//!
//! One row per line of a receipt, with the rows of a basket one after another. `timestamp` is in RFC 3339, and `amount` is
//! the line's total, an exact decimal in the currency's main unit. Columns may be in any order, and other columns are
//! ignored. The file is read as needed, never as a whole.

mod rows;

use std::collections::HashMap;
use std::io;
use std::path::Path;

use comptoir_wire::topic::{self, Name};
use comptoir_wire::{MAX_AMOUNT, MAX_ID, MAX_LINES};

use comptoir_invent::Line;
use rows::{Column, Rows};

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not CSV.
    #[error("{file}: {source}")]
    Csv {
        /// The file.
        file: String,
        /// What is wrong, and where.
        source: csv::Error,
    },
    /// A column is missing.
    #[error("{file}, line 1: no column {column}")]
    Column {
        /// The file.
        file: String,
        /// The missing column.
        column: &'static str,
    },
    /// A cell is invalid.
    #[error("{file}, line {line}, {column}: {reason}")]
    Cell {
        /// The file.
        file: String,
        /// The line; the header is line 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What is wrong with the cell.
        reason: String,
    },
}

/// One receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    /// The store's name, derived from its id.
    pub store: String,
    /// `{store}-{basket_id}`.
    pub order_id: String,
    /// Unix time in milliseconds.
    pub time_ms: u64,
    /// One line per row. The unit price is the price of one piece, rounded down; for a line of 0 pieces it is the line's
    /// total.
    pub lines: Vec<Line>,
    /// The exact sum of the rows' amounts, in minor units.
    pub amount: u64,
}

/// Maximum length of an order id: it leaves room for the `-p` of the payment's id.
const MAX_ORDER_ID: usize = MAX_ID - 2;

/// The receipts of a file, in the file's order. Ends at the first error.
pub struct Baskets {
    rows: Rows,
    /// Whether the current row belongs to the next basket.
    has_row: bool,
    /// The id of each store name, so that two stores never share a name.
    stores: HashMap<String, String>,
    has_failed: bool,
}

impl Baskets {
    /// Opens a file whose amounts have at most `decimals` decimal places.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a column.
    pub fn open(path: &Path, decimals: u16) -> Result<Self, ReplayError> {
        Ok(Self {
            rows: Rows::open(path, decimals)?,
            has_row: false,
            stores: HashMap::new(),
            has_failed: false,
        })
    }

    fn basket(&mut self) -> Result<Option<Basket>, ReplayError> {
        if !self.has_row && !self.rows.advance()? {
            return Ok(None);
        }
        let store_id = self.rows.cell(Column::Store).to_vec();
        let basket_id = self.rows.cell(Column::Basket).to_vec();
        let store = self.store()?;
        let order_id = format!("{store}-{}", self.rows.text(Column::Basket)?);
        if basket_id.is_empty() || order_id.len() > MAX_ORDER_ID {
            let max = MAX_ORDER_ID - store.len() - 1;
            return Err(self
                .rows
                .error(Column::Basket, format!("must have 1 to {max} bytes")));
        }
        let mut basket = Basket {
            store,
            order_id,
            time_ms: self.rows.time()?,
            lines: Vec::new(),
            amount: 0,
        };
        loop {
            let (line, amount) = self.rows.line()?;
            if basket.lines.len() == MAX_LINES {
                return Err(self
                    .rows
                    .error(Column::Basket, format!("more than {MAX_LINES} rows")));
            }
            basket.lines.push(line);
            basket.amount += amount;
            if basket.amount > MAX_AMOUNT {
                return Err(self
                    .rows
                    .error(Column::Amount, "the basket's sum is too large".to_owned()));
            }
            self.has_row = self.rows.advance()?;
            if !self.has_row
                || self.rows.cell(Column::Store) != store_id
                || self.rows.cell(Column::Basket) != basket_id
            {
                return Ok(Some(basket));
            }
        }
    }

    /// The store's name: its id in lower case, with dashes for characters that a name cannot have.
    fn store(&mut self) -> Result<String, ReplayError> {
        let id = self.rows.text(Column::Store)?.to_owned();
        let name_character = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let name: String = id
            .chars()
            .map(name_character)
            .collect::<String>()
            .trim_start_matches('-')
            .to_owned();
        let name = name.get(..topic::MAX_NAME).unwrap_or(&name).to_owned();
        Name::new(&name).map_err(|error| {
            self.rows.error(
                Column::Store,
                format!("{id:?} has no characters for a store name: {error}"),
            )
        })?;
        match self.stores.get(&name) {
            Some(other) if *other != id => Err(self.rows.error(
                Column::Store,
                format!("{id:?} and {other:?} would both become the store {name}"),
            )),
            Some(_) => Ok(name),
            None => {
                self.stores.insert(name.clone(), id);
                Ok(name)
            }
        }
    }
}

impl Iterator for Baskets {
    type Item = Result<Basket, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let basket = self.basket();
        self.has_failed = basket.is_err();
        basket.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(rows: &str) -> Result<Vec<Basket>, String> {
        let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        write!(
            file,
            "store_id,basket_id,timestamp,product,quantity,amount\n{rows}"
        )
        .unwrap();
        let baskets = Baskets::open(file.path(), 2).and_then(Iterator::collect);
        baskets.map_err(|error| {
            error
                .to_string()
                .replace(&file.path().display().to_string(), "FILE")
        })
    }

    #[test]
    fn consecutive_rows_of_a_basket_become_one_order() {
        let baskets = read(
            "Nord 1,7,1970-01-01T00:00:01Z,\"TEA, GREEN\",3,10.00\nNord 1,7,1970-01-01T00:00:01Z,APPLES,0,0.05\n\
             Nord 1,8,1970-01-01T00:00:02Z,TEA,1,0.1\n2,8,1970-01-01T00:00:03+00:00,TEA,1,0.00\n",
        )
        .unwrap();
        let line = |product: &str, quantity, unit_price| Line {
            product: product.to_owned(),
            quantity,
            unit_price,
        };
        assert_eq!(baskets.len(), 3);
        assert_eq!(
            baskets[0],
            Basket {
                store: "nord-1".to_owned(),
                order_id: "nord-1-7".to_owned(),
                time_ms: 1000,
                lines: vec![line("TEA, GREEN", 3, 333), line("APPLES", 0, 5)],
                amount: 1005,
            }
        );
        assert_eq!((baskets[1].amount, baskets[2].amount), (10, 0));
        assert_eq!(baskets[2].order_id, "2-8");
    }

    #[test]
    fn an_error_names_the_line_and_the_column() {
        let good = "1,7,2017-01-01T00:00:00Z,TEA,1,1.00\n";
        let error = |row: &str| read(&format!("{good}{row}\n")).unwrap_err();
        assert_eq!(
            error("1,8,yesterday,TEA,1,1.00"),
            "FILE, line 3, timestamp: \"yesterday\" is not a time in RFC 3339"
        );
        assert_eq!(
            error("1,8,2017-01-01T00:00:00Z,TEA,-1,1.00"),
            "FILE, line 3, quantity: \"-1\" is not a whole number of pieces"
        );
        assert_eq!(
            error("1,7,2017-01-01T00:00:00Z,TEA,1,1.005"),
            "FILE, line 3, amount: 1.005 has more decimal places than the currency"
        );
        assert_eq!(
            error("1,8,2017-01-01T00:00:00Z,TEA,1,-1.00"),
            "FILE, line 3, amount: -1.00 is negative"
        );
        assert_eq!(
            error("1,8,2017-01-01T00:00:00Z,TEA,1,1e3"),
            "FILE, line 3, amount: \"1e3\" is not a decimal number"
        );
        assert_eq!(
            error("_,8,2017-01-01T00:00:00Z,TEA,1,1"),
            "FILE, line 3, store_id: \"_\" has no characters for a store name: empty"
        );
        assert_eq!(
            error("1,,2017-01-01T00:00:00Z,TEA,1,1"),
            "FILE, line 3, basket_id: must have 1 to 60 bytes"
        );
        assert!(error("1,8").contains("line: 3"));
        let long = format!("1,8,2017-01-01T00:00:00Z,{},1,1", "x".repeat(65));
        assert_eq!(error(&long), "FILE, line 3, product: 65 bytes, at most 64");
        assert_eq!(
            read(&good.replace("1,7", "a b,7").repeat(257)).unwrap_err(),
            "FILE, line 258, basket_id: more than 256 rows"
        );
        assert!(
            read("a b,1,2017-01-01T00:00:00Z,TEA,1,1\na-b,2,2017-01-01T00:00:00Z,TEA,1,1\n")
                .unwrap_err()
                .contains("both become the store a-b")
        );
    }

    #[test]
    fn a_missing_column_is_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "store_id,basket_id,timestamp,product,amount").unwrap();
        let error = Baskets::open(file.path(), 2).err().unwrap().to_string();
        assert!(error.ends_with("line 1: no column quantity"), "{error}");
    }
}
