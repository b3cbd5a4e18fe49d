//! Tests of errors about invalid values.

use super::environment_tests::{from_variable, load};
use super::keys::variable;

/// Key, value and expected message. Each is tried in a file and in a variable.
#[test]
fn an_error_about_a_value_names_the_key_the_value_and_an_example() {
    for (key, text, expected) in [
        (
            "http.listen",
            "8080",
            r#""8080" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:8080"#,
        ),
        (
            "http.listen",
            "localhost:8080",
            r#""localhost:8080" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:8080"#,
        ),
        (
            "http.listen",
            ":8080",
            r#"":8080" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:8080"#,
        ),
        (
            "mqtt.embedded",
            "true",
            r#""true" is not a socket address; write ADDRESS:PORT, for example 127.0.0.1:1883"#,
        ),
        (
            "mqtt.url",
            "localhost:1883",
            r#""localhost:1883" is not the URL of an MQTT broker (mqtt:// is missing); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883"#,
        ),
        (
            "mqtt.url",
            "http://broker",
            r#""http://broker" is not the URL of an MQTT broker (the scheme is http); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883"#,
        ),
        (
            "mqtt.url",
            "mqtt://till:hunter2@broker:99999",
            r#""mqtt://…@broker:99999" is not the URL of an MQTT broker (invalid port number); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883"#,
        ),
        (
            "mqtt.url",
            "mqtt://till:hunter2",
            "the value is not the URL of an MQTT broker (invalid port number); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883",
        ),
        (
            "kafka.brokers",
            "kafka:port",
            r#""kafka:port" is not a list of brokers ("kafka:port" is not HOST:PORT); write HOST:PORT,HOST:PORT, for example kafka-1:9092,kafka-2:9092"#,
        ),
        (
            "kafka.brokers",
            "a:9092,http://b:9092",
            r#""a:9092,http://b:9092" is not a list of brokers ("http://b:9092" is not HOST:PORT); write HOST:PORT,HOST:PORT, for example kafka-1:9092,kafka-2:9092"#,
        ),
        (
            "store",
            "Paris 1",
            r#""Paris 1" is not a store name; write 1 to 32 of a-z, 0-9 and '-', beginning with a letter or digit, for example paris-1"#,
        ),
        (
            "currency",
            "euro",
            r#""euro" is not a currency; write its ISO 4217 code, for example EUR"#,
        ),
        (
            "http.mdns",
            "kasse.local",
            r#""kasse.local" is not an mDNS host name; write a-z, 0-9 and '-' without .local, or leave it empty to announce none, for example comptoir"#,
        ),
        (
            "journal.path",
            "",
            r#""" is not a file path; example: /var/lib/comptoir/journal.db"#,
        ),
        (
            "journal.path",
            "/data/",
            r#""/data/" is not a file path; example: /var/lib/comptoir/journal.db"#,
        ),
        (
            "kafka.topic_prefix",
            "a/b",
            r#""a/b" is not a topic prefix; write only a-z, A-Z, 0-9, '.', '_' and '-', for example shops-"#,
        ),
        (
            "log.format",
            "jsno",
            r#""jsno" is not text or json; did you mean json?"#,
        ),
        ("log.format", "xml", r#""xml" is not text or json; example: json"#),
        (
            "log.filter",
            "warning",
            r#""warning" has no level "warning"; did you mean warn?"#,
        ),
        (
            "log.filter",
            "inof,rumqttd=off",
            r#""inof,rumqttd=off" has no level "inof"; did you mean info?"#,
        ),
        (
            "log.filter",
            "verbose",
            r#""verbose" has no level "verbose"; did you mean debug?"#,
        ),
        (
            "log.filter",
            "comptoir_gateway=loud",
            r#""comptoir_gateway=loud" is not a log filter; write LEVEL or LEVEL,TARGET=LEVEL with off, error, warn, info, debug, trace, for example info,comptoir_gateway=debug"#,
        ),
    ] {
        let error = from_variable(&variable(key), text).expect_err(text);
        assert_eq!(error.to_string(), format!("the environment: {key}: {expected}"));
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let section = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let error = load(&format!("{section}{name} = {text:?}"), &[]).expect_err(text);
        assert_eq!(error.key.as_deref(), Some(key));
        assert_eq!(error.message, expected);
    }
}

#[test]
fn an_error_about_a_number_names_the_range_and_an_example() {
    for (key, text, expected) in [
        (
            "journal.max_bytes",
            "2 GB",
            "is not a whole number from 0 to 18446744073709551615; example: 2147483648",
        ),
        (
            "journal.max_bytes",
            "-1",
            "is not a whole number from 0 to 18446744073709551615; example: 2147483648",
        ),
        ("journal.max_bytes", "1.5", "is not a whole number from"),
        (
            "journal.max_bytes",
            "10",
            "is too small; write 1048576 or more, for example 2147483648",
        ),
        (
            "kafka.partitions",
            "three",
            "is not a whole number from -2147483648 to 2147483647; example: 3",
        ),
        ("kafka.partitions", "99999999999", "is not a whole number from"),
        (
            "kafka.partitions",
            "0",
            "is not a number of partitions; write 1 or more, for example 3",
        ),
        ("kafka.partitions", "", "is not a whole number from"),
        (
            "kafka.replication_factor",
            "0",
            "is not a replication factor; write 1 or more",
        ),
    ] {
        let error = from_variable(&variable(key), text).expect_err(text).to_string();
        let expected = format!("the environment: {key}: {text:?} {expected}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
    let error = load("[journal]\nmax_bytes = \"big\"", &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(r#"journal.max_bytes: "big" is not a whole number"#),
        "{error}"
    );
}

#[test]
fn an_error_about_a_list_names_the_invalid_item() {
    for (key, text, expected) in [
        ("mqtt.stores", "paris-1,Lyon", r#""Lyon" is not a store name"#),
        (
            "http.hosts",
            "kasse.example,kasse.example:8080",
            r#""kasse.example:8080" is not a host name"#,
        ),
        (
            "http.hosts",
            "https://kasse.example",
            r#""https://kasse.example" is not a host name"#,
        ),
        (
            "mqtt.stores",
            r#"["paris-1""#,
            r#""[\"paris-1\"" is not a list; write a,b or JSON, for example"#,
        ),
    ] {
        let error = from_variable(&variable(key), text).expect_err(text).to_string();
        assert!(
            error.starts_with(&format!("the environment: {key}: {expected}")),
            "{error}"
        );
    }
    let error = load("[mqtt]\nstores = \"paris-1\"", &[]).unwrap_err().message;
    assert!(
        error.starts_with(r#""paris-1" is not a list; write its items in brackets"#),
        "{error}"
    );
}

#[test]
fn a_value_for_a_whole_section_is_an_error_about_that_section() {
    for variables in [
        &[("COMPTOIR_MQTT", "mqtt://x")][..],
        &[("COMPTOIR_MQTT__URL", "mqtt://x"), ("COMPTOIR_MQTT", "mqtt://x")],
    ] {
        let error = load("", variables).unwrap_err().to_string();
        assert_eq!(error, r#"the environment: mqtt: "mqtt://x" is not a section"#);
    }
}
