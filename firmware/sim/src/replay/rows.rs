//! The rows of a file of receipts: finds the columns, and parses and validates the cells.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use comptoir_wire::{MAX_AMOUNT, MAX_PRODUCT};
use csv::{ByteRecord, Reader, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::ReplayError;
use comptoir_invent::Line;

/// A column.
#[derive(Clone, Copy)]
pub enum Column {
    Store,
    Basket,
    Timestamp,
    Product,
    Quantity,
    Amount,
}

impl Column {
    const ALL: [Self; 6] = [
        Self::Store,
        Self::Basket,
        Self::Timestamp,
        Self::Product,
        Self::Quantity,
        Self::Amount,
    ];

    /// The column's header.
    const fn name(self) -> &'static str {
        match self {
            Self::Store => "store_id",
            Self::Basket => "basket_id",
            Self::Timestamp => "timestamp",
            Self::Product => "product",
            Self::Quantity => "quantity",
            Self::Amount => "amount",
        }
    }
}

/// The rows of a file, one at a time.
pub struct Rows {
    file: String,
    reader: Reader<Box<dyn Read + Send>>,
    /// Index of each [`Column`] in a row.
    columns: [usize; Column::ALL.len()],
    /// 10 to the power of the currency's decimal places.
    scale: Decimal,
    row: ByteRecord,
}

impl Rows {
    /// Opens a file whose amounts have at most `decimals` decimal places.
    pub fn open(path: &Path, decimals: u16) -> Result<Self, ReplayError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| ReplayError::Io {
            file: name.clone(),
            source,
        })?;
        let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
        let source: Box<dyn Read + Send> = match is_gzip {
            true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            false => Box::new(file),
        };
        let mut reader = ReaderBuilder::new().from_reader(source);
        let headers = reader.byte_headers().map_err(|source| ReplayError::Csv {
            file: name.clone(),
            source,
        })?;
        let mut columns = [0; Column::ALL.len()];
        for (at, column) in columns.iter_mut().zip(Column::ALL) {
            let missing = || ReplayError::Column {
                file: name.clone(),
                column: column.name(),
            };
            *at = headers
                .iter()
                .position(|header| header == column.name().as_bytes())
                .ok_or_else(missing)?;
        }
        Ok(Self {
            file: name,
            reader,
            columns,
            scale: Decimal::from(10u64.saturating_pow(u32::from(decimals))),
            row: ByteRecord::new(),
        })
    }

    /// Reads the next row; `false` at the end of the file.
    pub fn advance(&mut self) -> Result<bool, ReplayError> {
        let file = &self.file;
        self.reader
            .read_byte_record(&mut self.row)
            .map_err(|source| ReplayError::Csv {
                file: file.clone(),
                source,
            })
    }

    /// The line of the receipt, and its amount in minor units.
    pub fn line(&self) -> Result<(Line, u64), ReplayError> {
        let product = self.text(Column::Product)?;
        if product.len() > MAX_PRODUCT {
            let reason = format!("{} bytes, at most {MAX_PRODUCT}", product.len());
            return Err(self.error(Column::Product, reason));
        }
        let quantity = self.text(Column::Quantity)?;
        let quantity: u32 = quantity.parse().map_err(|_| {
            self.error(
                Column::Quantity,
                format!("{quantity:?} is not a whole number of pieces"),
            )
        })?;
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
        let text = self.text(Column::Amount)?;
        let error = |reason| self.error(Column::Amount, reason);
        let decimal =
            Decimal::from_str_exact(text).map_err(|_| error(format!("{text:?} is not a decimal number")))?;
        let minor = decimal
            .checked_mul(self.scale)
            .filter(|minor| minor.fract().is_zero())
            .ok_or_else(|| error(format!("{text} has more decimal places than the currency")))?;
        match minor.to_u64() {
            Some(minor) if minor <= MAX_AMOUNT => Ok(minor),
            _ if minor.is_sign_negative() => Err(error(format!("{text} is negative"))),
            _ => Err(error(format!("{text} is too large"))),
        }
    }

    /// The timestamp as Unix time in milliseconds.
    pub fn time(&self) -> Result<u64, ReplayError> {
        let text = self.text(Column::Timestamp)?;
        let error = |reason| self.error(Column::Timestamp, reason);
        let time: Timestamp = text
            .parse()
            .map_err(|_| error(format!("{text:?} is not a time in RFC 3339")))?;
        u64::try_from(time.as_millisecond()).map_err(|_| error(format!("{text} is before 1970")))
    }

    /// A cell's bytes.
    pub fn cell(&self, column: Column) -> &[u8] {
        self.row.get(self.columns[column as usize]).unwrap_or_default()
    }

    /// A cell's text.
    pub fn text(&self, column: Column) -> Result<&str, ReplayError> {
        std::str::from_utf8(self.cell(column)).map_err(|_| self.error(column, "not UTF-8".to_owned()))
    }

    /// An error in the current row.
    pub fn error(&self, column: Column, reason: String) -> ReplayError {
        ReplayError::Cell {
            file: self.file.clone(),
            line: self.row.position().map_or(0, csv::Position::line),
            column: column.name(),
            reason,
        }
    }
}
