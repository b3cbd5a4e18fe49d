//! Tests of reading values from environment variables and from the file.

use figment::Figment;
use figment::providers::{Format, Toml};

use super::keys::variable;
use super::sources::{Environment, NormalizedSource};
use super::{Config, ConfigError, LogFormat};
use crate::app::SECTION_CHECKS;
use comptoir_core::Secret;

/// Reads a configuration from the text of a file and from variables that override it.
pub(super) fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables
        .iter()
        .map(|(name, text)| (name.into(), text.into()))
        .collect();
    let figment =
        Figment::from(NormalizedSource(Toml::string(file))).merge(NormalizedSource(Environment(variables)));
    Config::from_figment(&figment, SECTION_CHECKS)
}

/// Reads a configuration from one variable.
pub(super) fn from_variable(name: &str, text: &str) -> Result<Config, ConfigError> {
    load("", &[(name, text)])
}

fn property<'c>(config: &'c Config, name: &str) -> Option<&'c str> {
    config.kafka.properties.get(name).map(Secret::reveal)
}

#[test]
fn a_list_in_a_variable_may_be_separated_by_commas_or_json() {
    type List = fn(&Config) -> Vec<String>;
    let lists: [(&str, List); 3] = [
        ("mqtt.stores", |config| {
            config.mqtt.stores.clone().unwrap_or_default()
        }),
        ("http.hosts", |config| config.http.hosts.clone()),
        ("kafka.brokers", |config| {
            let brokers = config.kafka.brokers.as_deref().unwrap_or_default();
            brokers.split(',').map(str::to_owned).collect()
        }),
    ];
    for (key, list) in lists {
        for (text, expected) in [
            ("paris-1", vec!["paris-1"]),
            ("paris-1,lyon-2", vec!["paris-1", "lyon-2"]),
            (" paris-1 , lyon-2 ,", vec!["paris-1", "lyon-2"]),
            (r#"["paris-1","lyon-2"]"#, vec!["paris-1", "lyon-2"]),
            (r#"[ "paris-1" ]"#, vec!["paris-1"]),
            ("[paris-1, lyon-2]", vec!["paris-1", "lyon-2"]),
            (r#""paris-1,lyon-2""#, vec!["paris-1", "lyon-2"]),
            // A parser that guesses types would turn these into numbers and booleans.
            ("007", vec!["007"]),
            ("1e5,0330", vec!["1e5", "0330"]),
            (r#"["007"]"#, vec!["007"]),
            ("true,null", vec!["true", "null"]),
        ] {
            let config = from_variable(&variable(key), text);
            let config = config.unwrap_or_else(|error| panic!("{key} {text}: {error}"));
            assert_eq!(list(&config), expected, "{key} {text}");
        }
        let file = r#"
            [mqtt]
            stores = ["a", "b", "c"]
            [kafka]
            brokers = ["a:1", "b:2"]
            [http]
            hosts = ["a", "b", "c"]
        "#;
        let config = load(file, &[(&variable(key), "d")]).unwrap();
        assert_eq!(list(&config), ["d"], "{key}");
    }
    assert_eq!(
        from_variable("COMPTOIR_HTTP__HOSTS", "").unwrap().http.hosts,
        [""; 0]
    );
    assert_eq!(
        from_variable("COMPTOIR_HTTP__HOSTS", "[]").unwrap().http.hosts,
        [""; 0]
    );
    for key in ["mqtt.stores", "kafka.brokers"] {
        for empty in ["", " ", ",", "[]"] {
            let error = from_variable(&variable(key), empty).unwrap_err().to_string();
            let beginning = format!("the environment: {key}: must not be empty; remove the key");
            assert!(error.starts_with(&beginning), "{empty:?}: {error}");
        }
    }
}

#[test]
fn text_in_a_variable_is_never_taken_for_a_number_or_a_boolean() {
    for text in [
        "007", "1e5", "12345", "true", "false", "null", "1.50", "0x10", "+5", "-0", "1_000", "inf", "nan",
        "{a}", "[x]", "a,b", "'q'", "a=b",
    ] {
        let config = from_variable("COMPTOIR_HTTP__PASSWORD", text).unwrap();
        assert_eq!(config.http.password.as_ref().map(Secret::reveal), Some(text));
        let config = from_variable("COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD", text).unwrap();
        assert_eq!(property(&config, "sasl.password"), Some(text));
        let config = from_variable("COMPTOIR_JOURNAL__PATH", text).unwrap();
        assert_eq!(config.journal.path.to_str(), Some(text));
        let config = from_variable("COMPTOIR_MQTT__CLIENT_ID", text).unwrap();
        assert_eq!(config.mqtt.client_id.as_deref(), Some(text));
    }
    // Other values lose surrounding spaces and quotation marks; passwords keep them.
    for text in [" ", " x ", "\"x\"", "\"", "x\n"] {
        let config = from_variable("COMPTOIR_HTTP__PASSWORD", text).unwrap();
        assert_eq!(config.http.password.as_ref().map(Secret::reveal), Some(text));
        let config = from_variable("COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD", text).unwrap();
        assert_eq!(property(&config, "sasl.password"), Some(text));
    }
    for text in ["007", "1e5", "0330", "true", "2024"] {
        assert_eq!(from_variable("COMPTOIR_STORE", text).unwrap().store, text);
        assert_eq!(
            from_variable("COMPTOIR_HTTP__MDNS", text).unwrap().http.mdns,
            text
        );
        let config = from_variable("COMPTOIR_KAFKA__TOPIC_PREFIX", text).unwrap();
        assert_eq!(config.kafka.topic_prefix, text);
    }
}

#[test]
fn spaces_quotation_marks_and_line_ends_around_a_variables_value_are_ignored() {
    for around in ["{}", " {} ", "\"{}\"", "{}\r", "{}\n"] {
        let write = |value: &str| around.replace("{}", value);
        assert_eq!(
            from_variable("COMPTOIR_STORE", &write("paris-1")).unwrap().store,
            "paris-1"
        );
        let config = from_variable("comptoir_http__listen", &write("[::]:80")).unwrap();
        assert_eq!(config.http.listen, "[::]:80".parse().unwrap());
        let config = from_variable("COMPTOIR_JOURNAL__MAX_BYTES", &write("2000000")).unwrap();
        assert_eq!(config.journal.max_bytes, 2_000_000);
        let config = from_variable("COMPTOIR_KAFKA__PARTITIONS", &write("6")).unwrap();
        assert_eq!(config.kafka.partitions, Some(6));
        let config = from_variable("COMPTOIR_LOG__FORMAT", &write("json")).unwrap();
        assert_eq!(config.log.format, LogFormat::Json);
        let config = from_variable("COMPTOIR_CURRENCY", &write("TND")).unwrap();
        assert_eq!(config.currency.code(), "TND");
    }
}

#[test]
fn an_integer_in_the_file_is_accepted_where_a_name_is_expected() {
    let config = load("store = 330\n[mqtt]\nstores = [330, 7]\nclient_id = 7", &[]).unwrap();
    assert_eq!(config.store, "330");
    assert_eq!(config.mqtt.stores.unwrap(), ["330", "7"]);
    // TOML parses these as other types, and the original text is lost.
    for store in ["1e5", "true", "2024-01-01"] {
        let error = load(&format!("store = {store}"), &[]).unwrap_err().to_string();
        assert!(
            error.contains("store: ") && error.contains("quotation marks"),
            "{error}"
        );
    }
}

#[test]
fn brokers_may_have_every_form_that_librdkafka_accepts() {
    for brokers in [
        "kafka",
        "kafka:9092",
        "kafka_1:9092,kafka-2.example:9093",
        "192.168.1.5:9092",
        "[fd00::1]:9092",
        "[fd00::1]",
        "SASL_SSL://kafka:9093",
        "ssl://kafka",
    ] {
        let config =
            from_variable("COMPTOIR_KAFKA__BROKERS", brokers).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.kafka.brokers.as_deref(), Some(brokers));
    }
    for wrong in [
        "kafka:",
        "kafka:0",
        "kafka:99999",
        "a b:9092",
        "kafka:9092;b:9092",
        "mqtt://kafka",
        "[fd00::1:9092",
    ] {
        assert!(
            from_variable("COMPTOIR_KAFKA__BROKERS", wrong).is_err(),
            "{wrong}"
        );
    }
}
