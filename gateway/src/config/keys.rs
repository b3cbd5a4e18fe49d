//! The table of keys, and the error messages for an unknown key or an invalid value.

/// Every key with an example value; empty for secrets and for `kafka.properties`, whose keys are librdkafka's.
pub const KEYS: &[(&str, &str)] = &[
    ("store", "paris-1"),
    ("currency", "EUR"),
    ("time_zone", "Europe/Paris"),
    ("mqtt.url", "mqtt://localhost:1883"),
    ("mqtt.embedded", "127.0.0.1:1883"),
    ("mqtt.client_id", "comptoir-paris-1"),
    ("mqtt.stores", "paris-1,lyon-2"),
    ("kafka.brokers", "kafka-1:9092,kafka-2:9092"),
    ("kafka.topic_prefix", "shops-"),
    ("kafka.replication_factor", "3"),
    ("kafka.partitions", "3"),
    ("kafka.follow", "own"),
    ("kafka.follow_since", "2026-11-01T00:00:00Z"),
    ("kafka.uplink", "metered"),
    ("kafka.uplink_delay", "10"),
    ("kafka.uplink_budget", "20000000"),
    ("kafka.payments_at_once", "true"),
    ("kafka.properties", ""),
    ("journal.path", "/var/lib/comptoir/journal.db"),
    ("journal.max_bytes", "2147483648"),
    ("archive.path", "/var/lib/comptoir/archives"),
    ("http.listen", "0.0.0.0:8080"),
    ("http.port_file", "/run/comptoir/port"),
    ("http.mdns", "comptoir"),
    ("http.hosts", "kasse.example.com"),
    ("http.tls", "auto"),
    ("http.tls_cert", "/etc/comptoir/tls/cert.pem"),
    ("http.tls_key", "/etc/comptoir/tls/key.pem"),
    ("http.password", ""),
    ("http.open", "true"),
    ("http.plain_sign_in", "true"),
    ("demo.invent", "true"),
    ("retention.personal_data_days", "400"),
    ("alerts.webhook", ""),
    ("alerts.smtp_url", ""),
    ("alerts.from", "gateway@example.org"),
    ("alerts.to", "ada@example.org,bob@example.org"),
    ("alerts.language", "fr"),
    ("alerts.quiet", "22:00-07:00 Europe/Paris"),
    ("alerts.page", "https://kasse.example.com"),
    ("alerts.after", "60"),
    ("log.format", "json"),
    ("log.filter", "info,comptoir_gateway=debug"),
];

/// The sections of the file.
pub const SECTIONS: [&str; 9] = [
    "mqtt",
    "kafka",
    "journal",
    "archive",
    "http",
    "demo",
    "retention",
    "alerts",
    "log",
];

/// Longest value that an error quotes, in characters. Longer ones are cut, so that the error stays readable.
const MAX_QUOTED: usize = 80;

/// Whether errors and logs must hide the value. Any librdkafka property may be a password.
pub fn is_secret(key: &str) -> bool {
    ["http.password", "alerts.webhook", "alerts.smtp_url"].contains(&key)
        || key.starts_with("kafka.properties")
}

/// The error message for an invalid value, ending with an example: `"8080" is not a socket address; write ADDRESS:PORT,
/// for example 0.0.0.0:8080`. `value` is `None` if it must not be shown; `wrong` continues the sentence after the
/// value.
pub fn sentence(key: &str, value: Option<&str>, wrong: &str) -> String {
    let value = match value {
        Some(value) if value.chars().count() > MAX_QUOTED => {
            let beginning: String = value.chars().take(MAX_QUOTED).collect();
            format!("{beginning:?}…")
        }
        Some(value) => format!("{value:?}"),
        None => "the value".to_owned(),
    };
    let example = match KEYS.iter().find(|(name, _)| *name == key) {
        // `wrong` ends with a suggestion, which helps more than an example.
        _ if wrong.ends_with('?') => String::new(),
        None | Some((_, "")) => String::new(),
        Some((_, example)) if wrong.contains("; write ") => format!(", for example {example}"),
        Some((_, example)) => format!("; example: {example}"),
    };
    format!("{value} {wrong}{example}")
}

/// The error for an unknown key in a file.
pub fn unknown_key(key: &str) -> String {
    match closest_key(key) {
        Some(closest) => format!("unknown key; did you mean {closest}?"),
        None => format!("unknown key; known here are {}", siblings(key).join(", ")),
    }
}

/// The error for an environment variable that matches no key.
pub fn unknown_variable(key: &str) -> String {
    let name = variable(key);
    match closest_key(key) {
        Some(closest) => format!(
            "{name} is not a known variable; did you mean {}?",
            variable(closest)
        ),
        None => {
            let known: Vec<String> = siblings(key).into_iter().map(variable).collect();
            format!(
                "{name} is not a known variable; known here are {}",
                known.join(", ")
            )
        }
    }
}

/// The environment variable of a key: `COMPTOIR_HTTP__LISTEN` for `http.listen`.
pub fn variable(key: &str) -> String {
    format!("COMPTOIR_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The key or section that was probably meant. In order of preference: a similar name in the same section; the same
/// name written with too few underscores; the same name in another section; the most similar name of all.
fn closest_key(key: &str) -> Option<&'static str> {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let is_sibling = |known: &&str| section_of(known) == section;
    let leaf = |known: &'static str| known.rsplit_once('.').map_or(known, |(_, name)| name);
    let siblings = sections_and_keys().filter(is_sibling);
    let near = nearest(name, siblings.clone().map(leaf));
    near.and_then(|near| siblings.clone().find(|known| leaf(known) == near))
        .or_else(|| sections_and_keys().find(|known| flat(known) == flat(key)))
        .or_else(|| sections_and_keys().find(|known| leaf(known) == name))
        .or_else(|| nearest(key, sections_and_keys()))
}

fn flat(key: &str) -> String {
    key.replace(['.', '-'], "_")
}

fn section_of(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(section, _)| section)
}

fn sections_and_keys() -> impl Iterator<Item = &'static str> + Clone {
    SECTIONS.into_iter().chain(KEYS.iter().map(|(key, _)| *key))
}

/// The keys and sections at the level of `key`.
fn siblings(key: &str) -> Vec<&'static str> {
    let section = section_of(key);
    sections_and_keys()
        .filter(|known| section_of(known) == section)
        .collect()
}

/// The most similar name, if it differs by a typing error at most: a third of its letters, but at least one.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = flat(&name.to_lowercase());
    let distance = |known: &str| strsim::damerau_levenshtein(&name, &flat(known));
    let max_distance = |known: &str| (known.len().max(name.len()) / 3).max(1);
    known
        .filter(|known| distance(known) <= max_distance(known))
        .min_by_key(|known| distance(known))
}
