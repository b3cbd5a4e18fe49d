//! The `embedded-svc` traits for minimq.

use embedded_svc::mqtt::client::asynch::{Client, Publish};
use embedded_svc::mqtt::client::{ErrorType, MessageId, QoS};
use minimq::{Connection, Error, Io, PubError, Publication, SubscriptionOptions, TopicFilter};

/// Why the client failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttError {
    /// There is no room for another publish now.
    Busy,
    /// The connection is lost.
    Lost,
}

impl MqttError {
    /// Whether the same call will succeed later on this connection.
    pub fn is_busy(&self) -> bool {
        *self == Self::Busy
    }
}

impl<E> From<Error<E>> for MqttError {
    fn from(error: Error<E>) -> Self {
        match error {
            Error::NotReady | Error::Resource(_) => Self::Busy,
            _ => Self::Lost,
        }
    }
}

fn to_minimq(qos: QoS) -> minimq::QoS {
    match qos {
        QoS::AtMostOnce => minimq::QoS::AtMostOnce,
        QoS::AtLeastOnce => minimq::QoS::AtLeastOnce,
        QoS::ExactlyOnce => minimq::QoS::ExactlyOnce,
    }
}

/// A connection, and whether its MQTT broker supports retained messages.
pub struct Mqtt<'c, 's, 'b, I: Io>(pub &'c mut Connection<'s, 'b, I>, pub bool);

impl<I: Io> ErrorType for Mqtt<'_, '_, '_, I> {
    type Error = MqttError;
}

impl<I: Io> Client for Mqtt<'_, '_, '_, I> {
    async fn subscribe(&mut self, topic: &str, qos: QoS) -> Result<MessageId, MqttError> {
        let options = SubscriptionOptions::default().maximum_qos(to_minimq(qos));
        let filter = TopicFilter::new(topic).options(options);
        self.0.subscribe(&[filter], &[]).await?;
        Ok(0)
    }

    async fn unsubscribe(&mut self, topic: &str) -> Result<MessageId, MqttError> {
        self.0.unsubscribe(&[topic], &[]).await?;
        Ok(0)
    }
}

impl<I: Io> Publish for Mqtt<'_, '_, '_, I> {
    async fn publish(
        &mut self,
        topic: &str,
        qos: QoS,
        retain: bool,
        payload: &[u8],
    ) -> Result<MessageId, MqttError> {
        let qos = to_minimq(qos);
        if !self.0.can_publish(qos) {
            return Err(if self.0.is_connected() {
                MqttError::Busy
            } else {
                MqttError::Lost
            });
        }
        let publication = Publication::bytes(topic, payload).qos(qos);
        let publication = if retain && self.1 {
            publication.retain()
        } else {
            publication
        };
        match self.0.publish(publication).await {
            Ok(_) => Ok(0),
            Err(PubError::Session(error)) => Err(error.into()),
            // Publishes that wait for their PUBACK occupy the client's memory.
            Err(PubError::Payload(_)) if !self.0.session().is_publish_quiescent() => Err(MqttError::Busy),
            Err(PubError::Payload(_)) => Err(MqttError::Lost),
        }
    }
}
