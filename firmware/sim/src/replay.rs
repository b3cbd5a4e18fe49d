//! Real receipts from a file: CSV with the columns `store_id, basket_id, timestamp, product, quantity,
//! amount`.
//!
//! One row per line of a receipt, the rows of a basket one after another; `timestamp` in RFC 3339; `amount`
//! is the line's total, an exact decimal in the currency's main unit. Columns may stand in any order, others
//! are passed over. The file is read as it is needed, never whole.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use comptoir_wire::topic::{self, Name};
use comptoir_wire::{MAX_AMOUNT, MAX_ID, MAX_LINES, MAX_PRODUCT};
use csv::{ByteRecord, Reader, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::invent::Line;

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// It is not CSV.
    #[error("{file}: {source}")]
    Csv {
        /// The file.
        file: String,
        /// What is wrong, and where.
        source: csv::Error,
    },
    /// It has not all the columns.
    #[error("{file}, line 1: no column {column}")]
    Column {
        /// The file.
        file: String,
        /// The column that is missing.
        column: &'static str,
    },
    /// A cell makes no sense.
    #[error("{file}, line {line}, {column}: {what}")]
    Cell {
        /// The file.
        file: String,
        /// The line, from 1, the heading's.
        line: u64,
        /// The column.
        column: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// One receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    /// The store's name, made from its id.
    pub store: String,
    /// `{store}-{basket_id}`.
    pub order_id: String,
    /// Unix time.
    pub time_ms: u64,
    /// One per row. The unit price is that of a piece, rounded down; of a line of 0 pieces it is the line's
    /// total.
    pub lines: Vec<Line>,
    /// The sum of the rows' amounts, exact, in minor units.
    pub amount: u64,
}

/// What an order needs besides its basket: room for the `-p` of its payment.
const LONGEST_ORDER_ID: usize = MAX_ID - 2;

const COLUMNS: [&str; 6] = [
    "store_id",
    "basket_id",
    "timestamp",
    "product",
    "quantity",
    "amount",
];
const STORE: usize = 0;
const BASKET: usize = 1;
const TIMESTAMP: usize = 2;
const PRODUCT: usize = 3;
const QUANTITY: usize = 4;
const AMOUNT: usize = 5;

/// The receipts of a file, in the file's order.
pub struct Baskets {
    file: String,
    reader: Reader<Box<dyn Read + Send>>,
    /// Where each of `COLUMNS` stands.
    columns: [usize; 6],
    /// 10 to the power of the currency's decimal places.
    scale: Decimal,
    row: ByteRecord,
    /// Whether `row` holds a row that belongs to the next basket.
    ahead: bool,
    /// Which ids have which name, so that two stores are never taken for one.
    stores: std::collections::HashMap<String, String>,
    failed: bool,
}

impl Baskets {
    /// Opens a file whose amounts have `decimals` places at most.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a column.
    pub fn open(path: &Path, decimals: u16) -> Result<Self, ReplayError> {
        let file = path.display().to_string();
        let opened = File::open(path).map_err(|source| ReplayError::Io {
            file: file.clone(),
            source,
        })?;
        let source: Box<dyn Read + Send> = if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(MultiGzDecoder::new(BufReader::new(opened)))
        } else {
            Box::new(opened)
        };
        let mut reader = ReaderBuilder::new().from_reader(source);
        let headings = reader.byte_headers().map_err(|source| ReplayError::Csv {
            file: file.clone(),
            source,
        })?;
        let mut columns = [0; 6];
        for (at, column) in columns.iter_mut().zip(COLUMNS) {
            let missing = || ReplayError::Column {
                file: file.clone(),
                column,
            };
            *at = headings
                .iter()
                .position(|heading| heading == column.as_bytes())
                .ok_or_else(missing)?;
        }
        Ok(Self {
            file,
            reader,
            columns,
            scale: Decimal::from(10u64.saturating_pow(u32::from(decimals))),
            row: ByteRecord::new(),
            ahead: false,
            stores: std::collections::HashMap::new(),
            failed: false,
        })
    }

    fn basket(&mut self) -> Result<Option<Basket>, ReplayError> {
        if !self.ahead && !self.read()? {
            return Ok(None);
        }
        let store_id = self.cell(STORE).to_vec();
        let basket_id = self.cell(BASKET).to_vec();
        let store = self.store()?;
        let order_id = format!("{store}-{}", self.text(BASKET)?);
        if basket_id.is_empty() || order_id.len() > LONGEST_ORDER_ID {
            return Err(self.wrong(
                BASKET,
                format!("1 to {} bytes expected", LONGEST_ORDER_ID - store.len() - 1),
            ));
        }
        let mut basket = Basket {
            store,
            order_id,
            time_ms: self.time()?,
            lines: Vec::new(),
            amount: 0,
        };
        loop {
            let (line, amount) = self.line()?;
            if basket.lines.len() == MAX_LINES {
                return Err(self.wrong(BASKET, format!("more than {MAX_LINES} rows")));
            }
            basket.lines.push(line);
            basket.amount += amount;
            if basket.amount > MAX_AMOUNT {
                return Err(self.wrong(AMOUNT, "the basket's sum is too large".to_owned()));
            }
            self.ahead = self.read()?;
            if !self.ahead || self.cell(STORE) != store_id || self.cell(BASKET) != basket_id {
                return Ok(Some(basket));
            }
        }
    }

    fn read(&mut self) -> Result<bool, ReplayError> {
        let file = &self.file;
        self.reader
            .read_byte_record(&mut self.row)
            .map_err(|source| ReplayError::Csv {
                file: file.clone(),
                source,
            })
    }

    fn line(&self) -> Result<(Line, u64), ReplayError> {
        let product = self.text(PRODUCT)?;
        if product.len() > MAX_PRODUCT {
            return Err(self.wrong(PRODUCT, format!("{} bytes, at most {MAX_PRODUCT}", product.len())));
        }
        let quantity = self.text(QUANTITY)?;
        let quantity: u32 = quantity
            .parse()
            .map_err(|_| self.wrong(QUANTITY, format!("{quantity:?} is not a whole number of pieces")))?;
        let amount = self.amount()?;
        let unit_price = amount.checked_div(u64::from(quantity)).unwrap_or(amount);
        Ok((
            Line {
                product: product.to_owned(),
                quantity,
                unit_price,
            },
            amount,
        ))
    }

    fn amount(&self) -> Result<u64, ReplayError> {
        let text = self.text(AMOUNT)?;
        let decimal = Decimal::from_str_exact(text)
            .map_err(|_| self.wrong(AMOUNT, format!("{text:?} is not a decimal number")))?;
        let minor = decimal
            .checked_mul(self.scale)
            .filter(|minor| minor.fract().is_zero());
        let minor = minor.ok_or_else(|| {
            self.wrong(
                AMOUNT,
                format!("{text} has more decimal places than the currency"),
            )
        })?;
        match minor.to_u64() {
            Some(minor) if minor <= MAX_AMOUNT => Ok(minor),
            _ if minor.is_sign_negative() => Err(self.wrong(AMOUNT, format!("{text} is negative"))),
            _ => Err(self.wrong(AMOUNT, format!("{text} is too large"))),
        }
    }

    fn time(&self) -> Result<u64, ReplayError> {
        let text = self.text(TIMESTAMP)?;
        let time: Timestamp = text
            .parse()
            .map_err(|_| self.wrong(TIMESTAMP, format!("{text:?} is not a time in RFC 3339")))?;
        u64::try_from(time.as_millisecond())
            .map_err(|_| self.wrong(TIMESTAMP, format!("{text} is before 1970")))
    }

    /// The store's name: its id in lower case, with dashes for what a name cannot have.
    fn store(&mut self) -> Result<String, ReplayError> {
        let id = self.text(STORE)?.to_owned();
        let valid = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let name: String = id
            .chars()
            .map(valid)
            .collect::<String>()
            .trim_start_matches('-')
            .to_owned();
        let name = name.get(..topic::MAX_NAME).unwrap_or(&name).to_owned();
        Name::new(&name).map_err(|error| self.wrong(STORE, format!("{id:?} gives no name: {error}")))?;
        match self.stores.get(&name) {
            Some(other) if *other != id => {
                Err(self.wrong(STORE, format!("{id:?} and {other:?} would both be named {name}")))
            }
            Some(_) => Ok(name),
            None => {
                self.stores.insert(name.clone(), id);
                Ok(name)
            }
        }
    }

    fn cell(&self, column: usize) -> &[u8] {
        self.row.get(self.columns[column]).unwrap_or_default()
    }

    fn text(&self, column: usize) -> Result<&str, ReplayError> {
        std::str::from_utf8(self.cell(column)).map_err(|_| self.wrong(column, "not UTF-8".to_owned()))
    }

    fn wrong(&self, column: usize, what: String) -> ReplayError {
        let line = self.row.position().map_or(0, csv::Position::line);
        ReplayError::Cell {
            file: self.file.clone(),
            line,
            column: COLUMNS[column],
            what,
        }
    }
}

/// Ends at the first error.
impl Iterator for Baskets {
    type Item = Result<Basket, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let basket = self.basket();
        self.failed = basket.is_err();
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
    fn rows_of_a_basket_make_one_order() {
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
    fn errors_name_line_and_column() {
        let good = "1,7,2017-01-01T00:00:00Z,TEA,1,1.00\n";
        let wrong = |row: &str| read(&format!("{good}{row}\n")).unwrap_err();
        assert_eq!(
            wrong("1,8,yesterday,TEA,1,1.00"),
            "FILE, line 3, timestamp: \"yesterday\" is not a time in RFC 3339"
        );
        assert_eq!(
            wrong("1,8,2017-01-01T00:00:00Z,TEA,-1,1.00"),
            "FILE, line 3, quantity: \"-1\" is not a whole number of pieces"
        );
        assert_eq!(
            wrong("1,7,2017-01-01T00:00:00Z,TEA,1,1.005"),
            "FILE, line 3, amount: 1.005 has more decimal places than the currency"
        );
        assert_eq!(
            wrong("1,8,2017-01-01T00:00:00Z,TEA,1,-1.00"),
            "FILE, line 3, amount: -1.00 is negative"
        );
        assert_eq!(
            wrong("1,8,2017-01-01T00:00:00Z,TEA,1,1e3"),
            "FILE, line 3, amount: \"1e3\" is not a decimal number"
        );
        assert_eq!(
            wrong("_,8,2017-01-01T00:00:00Z,TEA,1,1"),
            "FILE, line 3, store_id: \"_\" gives no name: empty"
        );
        assert_eq!(
            wrong("1,,2017-01-01T00:00:00Z,TEA,1,1"),
            "FILE, line 3, basket_id: 1 to 60 bytes expected"
        );
        assert!(wrong("1,8").contains("line: 3"));
        let long = format!("1,8,2017-01-01T00:00:00Z,{},1,1", "x".repeat(65));
        assert_eq!(wrong(&long), "FILE, line 3, product: 65 bytes, at most 64");
        assert_eq!(
            read(&good.replace("1,7", "a b,7").repeat(257)).unwrap_err(),
            "FILE, line 258, basket_id: more than 256 rows"
        );
        assert!(
            read("a b,1,2017-01-01T00:00:00Z,TEA,1,1\na-b,2,2017-01-01T00:00:00Z,TEA,1,1\n")
                .unwrap_err()
                .contains("both be named a-b")
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
