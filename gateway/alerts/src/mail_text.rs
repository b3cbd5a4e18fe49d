//! The text of a mail: which troubles began and ended, since when, and where to look.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::ShopTrouble;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    Fr,
}

/// The program that sends a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Gateway,
    /// Head office.
    Office,
}

impl Sender {
    /// The name for Message-IDs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Office => "office",
        }
    }

    /// The path of the page that shows a shop's troubles.
    fn path(self, store: &str) -> String {
        match self {
            Self::Gateway => "/gateway".to_owned(),
            Self::Office => format!("/shops/{store}"),
        }
    }
}

/// A trouble, and when it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedTrouble {
    #[serde(flatten)]
    pub trouble: ShopTrouble,
    pub since: Timestamp,
}

/// The changes at one moment, as they wait in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailChanges {
    pub time: Timestamp,
    pub began: Vec<ShopTrouble>,
    pub ended: Vec<DatedTrouble>,
    /// Those that were reported before and last. Only what a sender lists here keeps a mail from saying "all clear".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lasting: Vec<DatedTrouble>,
}

/// How mails are written.
#[derive(Debug, Clone)]
pub struct MailStyle {
    pub sender: Sender,
    pub language: Language,
    pub time_zone: TimeZone,
    /// The address of the sender's pages, if people can open them from their mail.
    pub page: Option<Url>,
}

/// Subject and plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailText {
    pub subject: String,
    pub body: String,
}

/// When a trouble was noticed, and when it ended.
#[derive(Debug, Clone, Copy)]
struct Span {
    since: Timestamp,
    until: Option<Timestamp>,
}

impl MailStyle {
    /// One mail about all these changes, in the order in which they happened.
    pub fn write(&self, changes: &[MailChanges]) -> MailText {
        let (mut began, mut ended) = (Vec::new(), Vec::new());
        for (trouble, span) in spans(changes) {
            match span.until {
                None => began.push((trouble, span)),
                Some(_) => ended.push((trouble, span)),
            }
        }
        let lasting = changes.last().map_or(&[][..], |change| &change.lasting);
        let lasting = lasting.iter().map(|dated| {
            let span = Span {
                since: dated.since,
                until: None,
            };
            (&dated.trouble, span)
        });
        let mut lasting: Vec<_> = lasting.collect();
        lasting.retain(|(trouble, _)| !began.iter().any(|(other, _)| other == trouble));
        let over = match lasting.is_empty() {
            true => self.pick("All clear", "Fin d’alerte"),
            false => self.pick("Ended", "Terminé"),
        };
        let mut body = String::new();
        let colon = self.colon();
        self.list(&mut body, self.pick("Problems:", "Problèmes\u{a0}:"), &began);
        self.list(&mut body, &format!("{over}{colon}"), &ended);
        let lasts = self.pick("Not over yet:", "Toujours en cours\u{a0}:");
        self.list(&mut body, lasts, &lasting);
        body.push_str(match self.sender {
            Sender::Gateway => self.pick(
                "The gateway page shows the details.\n",
                "La page Passerelle montre les détails.\n",
            ),
            Sender::Office => self.pick(
                "Each shop's page at head office shows its state.\n",
                "La page de chaque magasin, sur le serveur du siège, montre son état.\n",
            ),
        });
        MailText {
            subject: self.subject(&began, &ended, over),
            body,
        }
    }

    /// The punctuation after a title.
    fn colon(&self) -> &'static str {
        self.pick(":", "\u{a0}:")
    }

    fn pick(&self, en: &'static str, fr: &'static str) -> &'static str {
        match self.language {
            Language::En => en,
            Language::Fr => fr,
        }
    }

    fn subject(
        &self,
        began: &[(&ShopTrouble, Span)],
        ended: &[(&ShopTrouble, Span)],
        over: &'static str,
    ) -> String {
        let colon = self.colon();
        let one = |trouble: &ShopTrouble| format!("{}{colon} {}", trouble.store, self.name(&trouble.trouble));
        // A gateway's mails are all about one shop.
        let store = |items: &[(&ShopTrouble, Span)]| match (self.sender, items.first()) {
            (Sender::Gateway, Some((trouble, _))) => format!("{}{colon} ", trouble.store),
            _ => String::new(),
        };
        let problems = self.pick("problems", "problèmes");
        let text = match (began, ended) {
            ([(trouble, _)], _) => one(trouble),
            ([], [(trouble, _)]) => format!("{over}{colon} {}", one(trouble)),
            ([], ended) => format!("{over}{colon} {}{} {problems}", store(ended), ended.len()),
            (began, _) => format!("{}{} {problems}", store(began), began.len()),
        };
        format!("[Comptoir] {text}")
    }

    fn list(&self, body: &mut String, title: &str, items: &[(&ShopTrouble, Span)]) {
        if items.is_empty() {
            return;
        }
        body.push_str(title);
        body.push_str("\n\n");
        for (trouble, span) in items {
            let colon = self.colon();
            let when = match span.until {
                None => format!("{} {}", self.pick("since", "depuis le"), self.time(span.since)),
                Some(until) => format!(
                    "{} {} {} {}",
                    self.pick("from", "du"),
                    self.time(span.since),
                    self.pick("to", "au"),
                    self.time(until)
                ),
            };
            body.push_str(&format!(
                "- {}{colon} {}, {when}\n",
                trouble.store,
                self.name(&trouble.trouble)
            ));
            if let Some(page) = self
                .page
                .as_ref()
                .and_then(|page| page.join(&self.sender.path(&trouble.store)).ok())
            {
                body.push_str(&format!("  {page}\n"));
            }
        }
        body.push('\n');
    }

    fn time(&self, at: Timestamp) -> String {
        let format = self.pick("%d %b %Y, %H:%M %Z", "%d/%m/%Y à %H:%M (%Z)");
        at.to_zoned(self.time_zone.clone()).strftime(format).to_string()
    }

    /// The same words as on the pages. A word of a later gateway is shown as it is.
    fn name<'a>(&self, word: &'a str) -> &'a str {
        let names = NAMES.iter().find(|(known, ..)| *known == word);
        names.map_or(word, |(_, en, fr)| self.pick(en, fr))
    }
}

const NAMES: [(&str, &str, &str); 16] = [
    ("silent", "Silent", "Plus de nouvelles"),
    ("missing-numbers", "Missing events", "Événements manquants"),
    ("backlog", "Sending delayed", "Envoi en retard"),
    ("journal-fills", "Journal almost full", "Journal presque plein"),
    ("disk-low", "Disk almost full", "Disque presque plein"),
    ("dead-letters", "Unreadable messages", "Messages illisibles"),
    ("mqtt-down", "MQTT broker unreachable", "Serveur MQTT injoignable"),
    ("bridge-down", "Sending has stopped", "Envoi arrêté"),
    (
        "payments-only",
        "Only payments are sent",
        "Seuls les paiements partent",
    ),
    ("commands-down", "Commands do not arrive", "Consignes non reçues"),
    ("warnings", "Connection warnings", "Connexions à vérifier"),
    (
        "journal-refusing",
        "Not accepting sales",
        "N’accepte plus de ventes",
    ),
    ("events-lost", "Sales lost", "Ventes perdues"),
    ("devices-refused", "Tills refused", "Caisses refusées"),
    (
        "archive-failing",
        "Archives cannot be written",
        "Archives impossibles à écrire",
    ),
    (
        "clock-unsynchronised",
        "Clock not synchronised",
        "Horloge non synchronisée",
    ),
];

/// The last state of each trouble.
fn spans(changes: &[MailChanges]) -> BTreeMap<&ShopTrouble, Span> {
    let mut spans: BTreeMap<&ShopTrouble, Span> = BTreeMap::new();
    for change in changes {
        for trouble in &change.began {
            let span = Span {
                since: change.time,
                until: None,
            };
            // A trouble that comes and goes is one since its first time.
            spans.entry(trouble).or_insert(span).until = None;
        }
        for ended in &change.ended {
            let span = Span {
                since: ended.since,
                until: None,
            };
            spans.entry(&ended.trouble).or_insert(span).until = Some(change.time);
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(language: Language) -> MailStyle {
        MailStyle {
            sender: Sender::Office,
            language,
            time_zone: TimeZone::get("Europe/Paris").unwrap(),
            page: Some("https://office.example.org".parse().unwrap()),
        }
    }

    fn trouble(store: &str, word: &str) -> ShopTrouble {
        ShopTrouble {
            store: store.to_owned(),
            trouble: word.to_owned(),
        }
    }

    fn changes() -> Vec<MailChanges> {
        let began = |time: &str, trouble| MailChanges {
            time: time.parse().unwrap(),
            began: vec![trouble],
            ended: Vec::new(),
            lasting: Vec::new(),
        };
        vec![
            began("2026-11-30T22:16:00Z", trouble("lyon-2", "silent")),
            began("2026-11-30T22:20:00Z", trouble("paris-1", "a-later-word")),
            MailChanges {
                time: "2026-12-01T05:00:00Z".parse().unwrap(),
                began: Vec::new(),
                ended: vec![DatedTrouble {
                    trouble: trouble("lyon-2", "silent"),
                    since: "2026-11-30T22:16:00Z".parse().unwrap(),
                }],
                lasting: Vec::new(),
            },
        ]
    }

    #[test]
    fn a_mail_says_what_since_when_and_where_to_look() {
        let text = style(Language::En).write(&changes()[..1]);
        assert_eq!(text.subject, "[Comptoir] lyon-2: Silent");
        let line =
            "- lyon-2: Silent, since 30 Nov 2026, 23:16 CET\n  https://office.example.org/shops/lyon-2\n";
        assert!(text.body.contains(line), "{}", text.body);
    }

    #[test]
    fn a_summary_says_what_is_still_wrong_and_what_has_ended() {
        let text = style(Language::Fr).write(&changes());
        assert_eq!(text.subject, "[Comptoir] paris-1\u{a0}: a-later-word");
        let ended =
            "- lyon-2\u{a0}: Plus de nouvelles, du 30/11/2026 à 23:16 (CET) au 01/12/2026 à 06:00 (CET)\n";
        assert!(
            text.body.contains("Fin d’alerte\u{a0}:") && text.body.contains(ended),
            "{}",
            text.body
        );
        let clear = style(Language::En).write(&changes()[2..]);
        assert_eq!(clear.subject, "[Comptoir] All clear: lyon-2: Silent");
    }

    #[test]
    fn a_mail_is_no_all_clear_while_something_lasts() {
        let mut change = changes().pop().unwrap();
        change.lasting = vec![DatedTrouble {
            trouble: trouble("lyon-2", "mqtt-down"),
            since: "2026-12-01T04:00:00Z".parse().unwrap(),
        }];
        let style = MailStyle {
            sender: Sender::Gateway,
            ..style(Language::En)
        };
        let text = style.write(&[change.clone()]);
        assert_eq!(text.subject, "[Comptoir] Ended: lyon-2: Silent");
        let last = "Not over yet:\n\n- lyon-2: MQTT broker unreachable, since 01 Dec 2026, 05:00 CET\n  \
                    https://office.example.org/gateway\n";
        assert!(text.body.contains(last), "{}", text.body);
        change.began = vec![trouble("lyon-2", "mqtt-down"), trouble("lyon-2", "warnings")];
        let text = style.write(&[change]);
        assert_eq!(text.subject, "[Comptoir] lyon-2: 2 problems");
        assert!(!text.body.contains("Not over yet"), "{}", text.body);
    }

    #[test]
    fn the_words_are_those_of_the_pages() {
        for (file, of) in [("en", 0), ("fr", 1)] {
            let file = format!(
                "{}/../../web/office/lib/i18n/{file}.ts",
                env!("CARGO_MANIFEST_DIR")
            );
            let texts = std::fs::read_to_string(file).unwrap();
            for (word, en, fr) in NAMES {
                let text = [en, fr][of];
                let quoted = [format!("'{word}': '{text}'"), format!("{word}: '{text}'")];
                assert!(quoted.iter().any(|line| texts.contains(line)), "{word}: {text}");
            }
        }
    }
}
