//! Starts the parts of a built gateway, watches them, and stops them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::serving::ServingRuntime;
use super::supervisor::Supervisor;
use super::{App, Health, KafkaParts};
use crate::http::{self, LiveFeed};
use crate::platform::address::{self, MdnsAnnouncement, Scheme};
use crate::platform::heap;
use crate::platform::last_exit::RunMarker;
use crate::platform::uplink::UplinkMeter;
use comptoir_journal::Journal;

/// Longest time from the request to stop until the process ends. A part that is still blocked by an unresponsive Kafka
/// is abandoned; the next start aborts its open transaction.
const SHUTDOWN: Duration = Duration::from_secs(8);
/// How long closing the journal waits for an unresponsive Kafka, as part of [`SHUTDOWN`].
const KAFKA_GRACE: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The gateway, running.
pub struct RunningApp {
    journal: Journal,
    health: Health,
    /// `None` if no name is configured or it could not be announced.
    announcement: Option<MdnsAnnouncement>,
    scheme: Scheme,
    supervisor: Supervisor,
    /// Ends with this value.
    _serving: ServingRuntime,
    run_marker: RunMarker,
    /// `None` without Kafka.
    uplink: Option<Arc<UplinkMeter>>,
}

impl App {
    /// Starts every part.
    ///
    /// # Errors
    /// A thread cannot be started, or the certificate does not suit the TLS library.
    pub fn start(self) -> anyhow::Result<RunningApp> {
        let mut supervisor = Supervisor::new();
        let (stop_intake, stop) = (supervisor.stop_intake.clone(), supervisor.stop.clone());
        supervisor.spawn_writer("journal", self.writer.run());
        supervisor.spawn_task("dashboard", self.projector.run(stop.clone()));
        if let Some(broker) = self.broker {
            supervisor.spawn_task("built-in MQTT broker", broker.run(stop.clone()));
        }
        supervisor.spawn_intake("MQTT", self.ingest.run(stop_intake.clone()));
        let scheme = match self.certificate {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        };
        let announcement = match self.mdns.as_str() {
            "" => None,
            name => address::announce(name, &self.state.store, scheme, self.http),
        };
        let clock = self.state.clock.clone();
        let live = LiveFeed {
            app: Arc::clone(&self.state),
        };
        let serving = ServingRuntime::new().context("start the threads of the pages")?;
        supervisor.spawn_task("live pages", serving.run(live.run(stop.clone())));
        supervisor.spawn_task("clock", clock.watch(stop.clone()));
        supervisor.spawn_task("memory", heap::trim_periodically(stop.clone()));
        if self.personal_data_days > 0 {
            let keep = DAY * self.personal_data_days;
            let (projection, metrics) = (self.state.projection.clone(), &self.state.metrics);
            let erased = metrics.personal_data_erased.clone();
            supervisor.spawn_task(
                "personal data",
                projection.expire_personal_data(keep, erased, stop.clone()),
            );
        }
        if let Some(archiver) = self.archiver {
            let (runtime, stop) = (Handle::current(), stop.clone());
            // It reads and writes large files.
            supervisor.spawn_thread("archives", move || runtime.block_on(archiver.run(stop)))?;
        }
        if let Some(audit) = self.audit {
            supervisor.spawn_task("audit log", audit.run(stop.clone()));
        }
        if let Some(alerts) = self.alerts {
            supervisor.spawn_task("alerts", alerts.run(stop.clone()));
        }
        let router = http::router(&self.state);
        let metrics = Arc::clone(&self.state.metrics);
        let tls = match self.certificate {
            None => None,
            Some(certificate) => {
                let server = certificate.server().context("configure TLS")?;
                supervisor.spawn_task("certificate", certificate.renew(metrics, stop.clone()));
                Some(server)
            }
        };
        let connections = Arc::clone(&self.state.connections);
        // Its socket belongs to the runtime that it was bound on.
        let listener = self
            .listener
            .into_std()
            .context("pass on the port of the pages")?;
        let server = async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => http::serve(listener, tls, router, connections, stop_intake).await,
                Err(error) => error!(%error, "the pages cannot be served"),
            }
        };
        supervisor.spawn_intake("HTTP", serving.run(server));
        if let Some(KafkaParts {
            relay,
            read_back,
            commands,
            spot_check,
            state_reporter,
        }) = self.kafka
        {
            if let Some(state_reporter) = state_reporter {
                supervisor.spawn_task("state of the gateway", state_reporter.run(stop.clone()));
            }
            if let Some(spot_check) = spot_check {
                supervisor.spawn_task("spot check", spot_check.run(stop.clone()));
            }
            let runtime = Handle::current();
            let (handle, token) = (runtime.clone(), stop.clone());
            supervisor.spawn_thread("relay", move || relay.run(&handle, &token))?;
            let (handle, token) = (runtime.clone(), stop.clone());
            if let Some(read_back) = read_back {
                supervisor.spawn_thread("read-back", move || read_back.run(&handle, &token))?;
            }
            supervisor.spawn_thread("commands", move || commands.run(&runtime, &stop))?;
        }
        Ok(RunningApp {
            health: Health {
                journal: self.journal.clone(),
                projection: self.state.projection.clone(),
                connections: Arc::clone(&self.state.connections),
            },
            journal: self.journal,
            announcement,
            scheme,
            supervisor,
            _serving: serving,
            run_marker: self.run_marker,
            uplink: self.state.uplink.clone(),
        })
    }
}

impl RunningApp {
    /// The URLs under which other machines on the network reach the pages: by address and by name.
    pub fn page_urls(&self, http: SocketAddr) -> Vec<String> {
        let by_name = self.announcement.as_ref().map(|announcement| {
            self.scheme
                .url(format_args!("{}:{}", announcement.host, http.port()))
        });
        let by_address = address::lan_url(self.scheme, http);
        by_address.into_iter().chain(by_name).collect()
    }

    /// Whether the parts still work.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Waits until a part ends without having been stopped, and returns its name. The gateway cannot work without it,
    /// so the caller ends the process.
    pub async fn wait_for_failure(&mut self) -> &'static str {
        let part = self.supervisor.wait_for_failure().await;
        error!(
            part,
            "a part of the gateway stopped unexpectedly; the gateway stops too"
        );
        part
    }

    /// Stops in order: accept nothing new, commit what was accepted, update the projection, let the bridge finish its
    /// transaction, close the files. Returns true if everything stopped in time.
    pub async fn stop(mut self) -> bool {
        let deadline = Instant::now() + SHUTDOWN;
        drop(self.announcement.take());
        let mut in_time = tokio::time::timeout_at(deadline.into(), self.supervisor.stop())
            .await
            .is_ok();
        // Usually the threads have ended by now and the journal has recorded the bridge's last transaction. The journal
        // does not wait for an unresponsive Kafka: the next start asks Kafka how that transaction ended.
        let kafka = deadline.min(Instant::now() + KAFKA_GRACE);
        let _ = tokio::time::timeout_at(kafka.into(), self.supervisor.join_threads()).await;
        // Closing the journal depends on nothing else, so it happens even after the deadline.
        self.journal.close().await;
        self.supervisor.join_writer().await;
        in_time &= tokio::time::timeout_at(deadline.into(), self.supervisor.join_threads())
            .await
            .is_ok();
        if !in_time {
            warn!("a part did not end in time; the next start settles what it left open");
        }
        if let Some(uplink) = &self.uplink {
            uplink.save();
        }
        self.run_marker.end();
        info!("stopped");
        in_time
    }
}

#[cfg(test)]
mod tests {
    use comptoir_core::event::Kind;
    use comptoir_core::record::PartitionOffset;
    use comptoir_journal::Offset;
    use comptoir_kafka::InMemoryKafka;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpStream;

    use super::super::Unresponsive;
    use super::*;
    use crate::config::{Config, Follow, Uplink};
    use crate::platform::peer::PeerState;

    /// For operations that take a second or two on an idle machine.
    const DEADLINE: Duration = Duration::from_secs(40);

    fn config(folder: &tempfile::TempDir) -> Config {
        let mut config = Config::default();
        config.journal.path = folder.path().join("journal.db");
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.mdns = String::new();
        // Nothing listens on this port.
        config.mqtt.url.port = 1;
        config
    }

    async fn running(folder: &tempfile::TempDir) -> RunningApp {
        let app = App::build(&config(folder), Vec::new()).await.unwrap();
        app.start().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn own_events_are_read_back_as_samples_and_what_kafka_has_instead_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        let kafka = InMemoryKafka::start(&config.store).unwrap();
        config.kafka.brokers = Some(kafka.brokers());
        config.http.open = true;
        let mut app = App::build(&config, Vec::new()).await.unwrap();
        let (http, state) = (app.http, Arc::clone(&app.state));
        let check = app.kafka.as_mut().unwrap().spot_check.as_mut().unwrap();
        check.interval = Duration::from_millis(100);
        let places = check.recent_places.clone();
        let running = app.start().unwrap();
        let mut client = TcpStream::connect(http).await.unwrap();
        let request = b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
        client.write_all(request).await.unwrap();
        let verified = async || {
            while state.metrics.samples_verified.get() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, verified())
            .await
            .expect("a sample");
        assert_eq!(state.metrics.samples_failed.get(), 0);
        // An event whose recorded place in Kafka holds something else.
        let elsewhere = PartitionOffset {
            partition: 0,
            offset: 1_000,
        };
        places.add(Offset(1), Kind::Order, elsewhere);
        let warned = async || {
            while state.kafka.status().warnings.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, warned()).await.expect("a warning");
        let warnings = state.kafka.status().warnings.join("\n");
        assert!(
            warnings.contains("orders/0/1000: there is no record"),
            "{warnings}"
        );
        running.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn kafka_counts_as_reachable_soon_after_it_is_back_on_a_metered_uplink_too() {
        let folder = tempfile::tempdir().unwrap();
        for follow in [Follow::Own, Follow::All] {
            let mut config = config(&folder);
            config.journal.path = folder.path().join(format!("{follow:?}.db"));
            let kafka = InMemoryKafka::start(&config.store).unwrap();
            config.kafka.brokers = Some(kafka.brokers());
            config.kafka.follow = follow;
            config.kafka.uplink = Uplink::Metered;
            let app = App::build(&config, Vec::new()).await.unwrap();
            let mut status = app.state.kafka.watch();
            let running = app.start().unwrap();
            for is_up in [true, false, true] {
                kafka.set_up(is_up).unwrap();
                let changed = status.wait_for(|status| (status.state == PeerState::Up) == is_up);
                let changed = tokio::time::timeout(DEADLINE, changed).await;
                assert!(changed.is_ok(), "{follow:?}, up: {is_up}");
            }
            running.stop().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_that_panics_is_named_and_the_others_still_stop_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = running(&folder).await;
        running
            .supervisor
            .spawn_task("till", async { panic!("the test wants this part to panic") });
        let failed = tokio::time::timeout(SHUTDOWN, running.wait_for_failure()).await;
        assert_eq!(failed, Ok("till"));
        assert!(running.stop().await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_that_does_not_answer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = running(&folder).await;
        let health = running.health();
        assert_eq!(health.check(SHUTDOWN).await, Ok(()));
        running.supervisor.writer.abort_all();
        let short = Duration::from_secs(2);
        assert_eq!(health.check(short).await, Err(Unresponsive::Journal));
        running.stop().await;
        assert!(health.check(short).await.is_err(), "nothing answers any more");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_gateway_stops_in_time_even_after_its_journal_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = running(&folder).await;
        running.supervisor.writer.abort_all();
        let failed = tokio::time::timeout(SHUTDOWN, running.wait_for_failure()).await;
        assert_eq!(failed, Ok("journal"));
        let stopped = tokio::time::timeout(SHUTDOWN + SHUTDOWN, running.stop()).await;
        assert!(stopped.is_ok());
    }
}
