//! The articles of a till and their prices.

use comptoir_wire::{Currency, MAX_AMOUNT, MAX_PRODUCT, PriceList};
use heapless::{String, Vec};

/// One article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// At most [`MAX_PRODUCT`] bytes.
    pub name: String<MAX_PRODUCT>,
    /// Price of one piece in minor units, at most [`MAX_AMOUNT`].
    pub unit_price: u64,
}

/// Why the catalogue refused an article or a price list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// There is no room for another article.
    Full,
    /// The name is empty or too long, or the price exceeds [`MAX_AMOUNT`].
    InvalidProduct,
    /// The prices are not in the till's currency.
    WrongCurrency,
}

/// At most `PRODUCTS` articles, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Catalogue<const PRODUCTS: usize> {
    currency: Currency,
    products: Vec<Product, PRODUCTS>,
}

impl<const PRODUCTS: usize> Catalogue<PRODUCTS> {
    /// An empty catalogue.
    pub const fn new(currency: Currency) -> Self {
        Self {
            currency,
            products: Vec::new(),
        }
    }

    /// The currency of all prices.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Adds an article, or changes its price.
    ///
    /// # Errors
    /// The name or price is out of bounds, or there is no room.
    pub fn set(&mut self, name: &str, unit_price: u64) -> Result<(), CatalogueError> {
        if unit_price > MAX_AMOUNT || name.is_empty() {
            return Err(CatalogueError::InvalidProduct);
        }
        if let Some(product) = self.products.iter_mut().find(|product| product.name == name) {
            product.unit_price = unit_price;
            return Ok(());
        }
        let name = String::try_from(name).map_err(|_| CatalogueError::InvalidProduct)?;
        let product = Product { name, unit_price };
        self.products.push(product).map_err(|_| CatalogueError::Full)
    }

    /// Applies a price list from head office; returns the number of prices applied. Articles that the list does not name
    /// keep their prices. Articles beyond the catalogue's capacity are left out.
    ///
    /// # Errors
    /// The list is in another currency. Then no price changes.
    pub fn apply(&mut self, list: &PriceList<'_>) -> Result<usize, CatalogueError> {
        if list.currency != self.currency {
            return Err(CatalogueError::WrongCurrency);
        }
        let prices = list.prices.iter();
        Ok(prices
            .filter(|price| self.set(price.product, price.unit_price).is_ok())
            .count())
    }

    /// The article at an index.
    pub fn get(&self, at: usize) -> Option<&Product> {
        self.products.get(at)
    }

    /// All articles.
    pub fn products(&self) -> &[Product] {
        &self.products
    }
}
