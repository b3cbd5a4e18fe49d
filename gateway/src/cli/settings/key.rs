//! The keys of `comptoir.txt`.

/// A key of `comptoir.txt`. The names are a stable interface: shops have files that use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Store,
    Hostname,
    WifiCountry,
    WifiSsid,
    WifiPassword,
    Timezone,
    KafkaBrokers,
    KafkaTopicPrefix,
    KafkaSecurity,
    KafkaMechanism,
    KafkaUser,
    KafkaPassword,
    Terminals,
    Simulator,
    DashboardPassword,
    LogFormat,
    Ssh,
}

impl Key {
    pub const ALL: [Self; 17] = [
        Self::Store,
        Self::Hostname,
        Self::WifiCountry,
        Self::WifiSsid,
        Self::WifiPassword,
        Self::Timezone,
        Self::KafkaBrokers,
        Self::KafkaTopicPrefix,
        Self::KafkaSecurity,
        Self::KafkaMechanism,
        Self::KafkaUser,
        Self::KafkaPassword,
        Self::Terminals,
        Self::Simulator,
        Self::DashboardPassword,
        Self::LogFormat,
        Self::Ssh,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "STORE",
            Self::Hostname => "HOSTNAME",
            Self::WifiCountry => "WIFI_COUNTRY",
            Self::WifiSsid => "WIFI_SSID",
            Self::WifiPassword => "WIFI_PASSWORD",
            Self::Timezone => "TIMEZONE",
            Self::KafkaBrokers => "KAFKA_BROKERS",
            Self::KafkaTopicPrefix => "KAFKA_TOPIC_PREFIX",
            Self::KafkaSecurity => "KAFKA_SECURITY",
            Self::KafkaMechanism => "KAFKA_MECHANISM",
            Self::KafkaUser => "KAFKA_USER",
            Self::KafkaPassword => "KAFKA_PASSWORD",
            Self::Terminals => "TERMINALS",
            Self::Simulator => "SIMULATOR",
            Self::DashboardPassword => "DASHBOARD_PASSWORD",
            Self::LogFormat => "LOG_FORMAT",
            Self::Ssh => "SSH_KEY",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key that a misspelt name most likely stands for.
    pub fn nearest(name: &str) -> Option<Self> {
        let distance = |key: &Self| strsim::damerau_levenshtein(name, key.name());
        let nearest = Self::ALL.into_iter().min_by_key(distance)?;
        (distance(&nearest) <= (nearest.name().len() / 3).max(1)).then_some(nearest)
    }

    /// Whether the value is a password, which the Pi stores and erases from the card.
    pub const fn is_stored(self) -> bool {
        matches!(
            self,
            Self::WifiPassword | Self::KafkaPassword | Self::DashboardPassword
        )
    }

    /// Whether a problem may quote the value. The gateway page shows problems to everyone on the network, so a value
    /// that is or may contain a password is not quoted.
    pub const fn is_quotable(self) -> bool {
        matches!(
            self,
            Self::Store
                | Self::Hostname
                | Self::WifiCountry
                | Self::WifiSsid
                | Self::Timezone
                | Self::KafkaSecurity
                | Self::KafkaMechanism
                | Self::LogFormat
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_key() {
        for key in Key::ALL {
            assert_eq!(Key::from_name(key.name()), Some(key));
        }
    }

    #[test]
    fn a_misspelt_name_finds_the_key_that_was_meant() {
        assert_eq!(Key::nearest("KAFKA_BROKER"), Some(Key::KafkaBrokers));
        assert_eq!(Key::nearest("TILLS"), None);
        assert_eq!(Key::nearest("WIFI_SSDI"), Some(Key::WifiSsid));
    }
}
