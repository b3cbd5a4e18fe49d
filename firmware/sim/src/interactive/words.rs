//! The texts of the interactive till, in two languages.

use comptoir_terminal::TillError;

/// A language of the interactive till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// The language of a locale such as `fr_FR.UTF-8`; English for others and for none.
    pub fn of(locale: Option<&str>) -> Self {
        match locale {
            Some(locale) if locale.starts_with("fr") => Self::French,
            _ => Self::English,
        }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }
}

/// All texts in one language.
pub struct Words {
    pub articles: &'static str,
    pub cart: &'static str,
    pub paying: &'static str,
    pub total: &'static str,
    pub discount: &'static str,
    pub parcels: &'static str,
    pub queue: &'static str,
    pub unacked: &'static str,
    pub acked: &'static str,
    pub connected: &'static str,
    pub connecting: &'static str,
    pub unplugged: &'static str,
    pub cash: &'static str,
    pub percent: &'static str,
    pub change: &'static str,
    pub paid: &'static str,
    pub declined: &'static str,
    pub cancelled: &'static str,
    pub refunded: &'static str,
    pub delivery: &'static str,
    pub power: &'static str,
    pub full: &'static str,
    pub safe: &'static str,
    pub head_office: &'static str,
    pub prices: &'static str,
    pub lost: &'static str,
    pub number: &'static str,
    pub help_selling: [&'static str; 3],
    pub help_paying: [&'static str; 3],
    pub help_typing: [&'static str; 3],
    not_stored: &'static str,
    empty: &'static str,
    busy: &'static str,
    insufficient: &'static str,
    too_many: &'static str,
    not_found: &'static str,
}

impl Words {
    /// Why the till refused an act.
    pub fn refusal(&self, error: TillError) -> &'static str {
        match error {
            TillError::NotStored => self.not_stored,
            TillError::EmptyCart => self.empty,
            TillError::Paying => self.busy,
            TillError::InsufficientCash(_) => self.insufficient,
            TillError::TooManyParcels | TillError::TooManyAttempts => self.too_many,
            TillError::NotPaying | TillError::InvalidText | TillError::NotFound => self.not_found,
        }
    }
}

static ENGLISH: Words = Words {
    articles: "Articles",
    cart: "Cart",
    paying: "To pay",
    total: "Total",
    discount: "Discount",
    parcels: "deliveries in progress",
    queue: "queue",
    unacked: "unacked",
    acked: "acked",
    connected: "connected",
    connecting: "connecting…",
    unplugged: "network unplugged",
    cash: "Cash handed over",
    percent: "Discount in percent",
    change: "Paid. Change",
    paid: "Paid by card.",
    declined: "The card was declined.",
    cancelled: "Cancelled.",
    refunded: "Refunded",
    delivery: "Delivery",
    power: "Power cut. Restarted from the flash.",
    full: "The queue is full. No sale until the gateway acks some events.",
    safe: "The gateway has everything up to",
    head_office: "Head office",
    prices: "new prices",
    lost: "Damaged on flash: event",
    number: "Not a valid number.",
    help_selling: [
        "↑↓ choose  + one more  - one less  d discount  c check out  l deliver",
        "r refund the last   v next step of a delivery",
        "n plug or unplug the network   k cut the power   q quit",
    ],
    help_paying: [
        "1 cash   2 card accepted   3 card declined   x cancel the order",
        "",
        "n plug or unplug the network   k cut the power   q quit",
    ],
    help_typing: [
        "digits, then Enter   (cash: Enter alone for the exact amount)",
        "Esc back",
        "",
    ],
    not_stored: "The last sale is not stored yet.",
    empty: "The cart is empty.",
    busy: "Take the payment first, or cancel.",
    insufficient: "The cash does not cover the amount.",
    too_many: "No more of that now.",
    not_found: "There is nothing to refund or deliver.",
};

static FRENCH: Words = Words {
    articles: "Articles",
    cart: "Panier",
    paying: "À payer",
    total: "Total",
    discount: "Remise",
    parcels: "livraisons en cours",
    queue: "file",
    unacked: "non acquittés",
    acked: "acquittés",
    connected: "connecté",
    connecting: "connexion…",
    unplugged: "réseau débranché",
    cash: "Espèces reçues",
    percent: "Remise en pour cent",
    change: "Payé. À rendre",
    paid: "Payé par carte.",
    declined: "La carte a été refusée.",
    cancelled: "Annulé.",
    refunded: "Remboursé",
    delivery: "Livraison",
    power: "Coupure de courant. Reprise depuis la mémoire flash.",
    full: "La file est pleine. Pas de vente avant un acquittement.",
    safe: "La passerelle a tout reçu jusqu'à",
    head_office: "Siège",
    prices: "nouveaux prix",
    lost: "Illisible en mémoire flash\u{a0}: événement",
    number: "Nombre non valable.",
    help_selling: [
        "↑↓ choisir  + un de plus  - un de moins  d remise  c encaisser  l livrer",
        "r rembourser le dernier   v étape suivante d'une livraison",
        "n (dé)brancher le réseau   k couper le courant   q quitter",
    ],
    help_paying: [
        "1 espèces   2 carte acceptée   3 carte refusée   x annuler la commande",
        "",
        "n (dé)brancher le réseau   k couper le courant   q quitter",
    ],
    help_typing: [
        "des chiffres, puis Entrée   (espèces\u{a0}: Entrée seule pour le compte exact)",
        "Échap retour",
        "",
    ],
    not_stored: "La dernière vente n'est pas encore enregistrée.",
    empty: "Le panier est vide.",
    busy: "Encaissez d'abord, ou annulez.",
    insufficient: "Le compte n'y est pas.",
    too_many: "Pas plus pour le moment.",
    not_found: "Rien à rembourser ni à livrer.",
};
