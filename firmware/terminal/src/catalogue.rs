//! What is sold, and for how much.

use comptoir_wire::{Currency, MAX_AMOUNT, MAX_PRODUCT, PriceList};
use heapless::{String, Vec};

/// One article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// At most [`MAX_PRODUCT`] bytes.
    pub name: String<MAX_PRODUCT>,
    /// Of one piece, in minor units, at most [`MAX_AMOUNT`].
    pub unit_price: u64,
}

/// Why an article could not be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// As many articles as there is room for are listed.
    Full,
    /// The name is empty or too long, or the price is above the bound.
    Product,
    /// The prices are in another currency than the till's.
    Currency,
}

/// Articles of a till, at most `PRODUCTS`, in the order in which they were listed.
#[derive(Clone, Debug)]
pub struct Catalogue<const PRODUCTS: usize> {
    currency: Currency,
    products: Vec<Product, PRODUCTS>,
}

impl<const PRODUCTS: usize> Catalogue<PRODUCTS> {
    /// Nothing is listed yet.
    pub const fn new(currency: Currency) -> Self {
        Self {
            currency,
            products: Vec::new(),
        }
    }

    /// Of all prices.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Lists an article, or gives it a new price.
    ///
    /// # Errors
    /// It is none, or there is no room.
    pub fn set(&mut self, name: &str, unit_price: u64) -> Result<(), CatalogueError> {
        if unit_price > MAX_AMOUNT || name.is_empty() {
            return Err(CatalogueError::Product);
        }
        if let Some(product) = self.products.iter_mut().find(|product| product.name == name) {
            product.unit_price = unit_price;
            return Ok(());
        }
        let name = String::try_from(name).map_err(|_| CatalogueError::Product)?;
        let product = Product { name, unit_price };
        self.products.push(product).map_err(|_| CatalogueError::Full)
    }

    /// Takes head office's prices; how many were taken. Articles that it does not name keep theirs. What has
    /// no room is left out.
    ///
    /// # Errors
    /// The currency is another: then none is taken.
    pub fn take(&mut self, list: &PriceList<'_>) -> Result<usize, CatalogueError> {
        if list.currency != self.currency {
            return Err(CatalogueError::Currency);
        }
        let taken = list.prices.iter();
        Ok(taken
            .filter(|price| self.set(price.product, price.unit_price).is_ok())
            .count())
    }

    /// The article at a place, from 0.
    pub fn get(&self, at: usize) -> Option<&Product> {
        self.products.get(at)
    }

    /// All articles.
    pub fn products(&self) -> &[Product] {
        &self.products
    }
}
