//! What the interactive till says, in two languages.

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
    /// As the environment's `LC_ALL`, `LC_MESSAGES` or `LANG` says; the first that is set counts.
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
    not_queued: &'static str,
    empty: &'static str,
    busy: &'static str,
    too_little: &'static str,
    too_many: &'static str,
    unknown: &'static str,
}

impl Words {
    /// Why the till did not take an act.
    pub fn refusal(&self, error: TillError) -> &'static str {
        match error {
            TillError::NotQueued => self.not_queued,
            TillError::EmptyCart => self.empty,
            TillError::Paying => self.busy,
            TillError::TooLittle(_) => self.too_little,
            TillError::TooManyParcels | TillError::TooManyAttempts => self.too_many,
            TillError::NotPaying | TillError::Text | TillError::Unknown => self.unknown,
        }
    }
}

static ENGLISH: Words = Words {
    articles: "Articles",
    cart: "Cart",
    paying: "To be paid",
    total: "Total",
    discount: "Discount",
    parcels: "deliveries under way",
    queue: "queue",
    unacked: "unacked",
    acked: "acked",
    connected: "connected",
    connecting: "connecting …",
    unplugged: "network unplugged",
    cash: "Cash handed over",
    percent: "Discount in percent",
    change: "Paid. Change",
    paid: "Paid by card.",
    declined: "The card was declined.",
    cancelled: "Cancelled.",
    refunded: "Refunded",
    delivery: "Delivery",
    power: "The power was cut; started again from the flash.",
    full: "The queue is full: no sale until the gateway has acked some.",
    safe: "The gateway has all through",
    head_office: "Head office",
    prices: "new prices",
    lost: "The flash lost event",
    number: "That is no such number.",
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
        "digits, then Enter   (cash: nothing is the exact sum)",
        "Esc back",
        "",
    ],
    not_queued: "The queue has not taken the last sale yet.",
    empty: "The cart is empty.",
    busy: "Take the payment first, or cancel.",
    too_little: "That is too little.",
    too_many: "No more of that now.",
    unknown: "There is nothing to do that to.",
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
    connecting: "connexion …",
    unplugged: "réseau débranché",
    cash: "Espèces reçues",
    percent: "Remise en pour cent",
    change: "Payé. Rendu",
    paid: "Payé par carte.",
    declined: "La carte a été refusée.",
    cancelled: "Annulé.",
    refunded: "Remboursé",
    delivery: "Livraison",
    power: "Coupure de courant ; reprise depuis la mémoire flash.",
    full: "La file est pleine : pas de vente avant un acquittement.",
    safe: "La passerelle a tout jusqu'à",
    head_office: "Siège",
    prices: "nouveaux prix",
    lost: "La mémoire flash a perdu l'événement",
    number: "Ce nombre ne convient pas.",
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
        "des chiffres, puis Entrée   (espèces : rien = le compte exact)",
        "Échap retour",
        "",
    ],
    not_queued: "La file n'a pas encore pris la dernière vente.",
    empty: "Le panier est vide.",
    busy: "Encaissez d'abord, ou annulez.",
    too_little: "Ce n'est pas assez.",
    too_many: "Pas plus pour le moment.",
    unknown: "Il n'y a rien à traiter.",
};
