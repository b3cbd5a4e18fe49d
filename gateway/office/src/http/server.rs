//! Serves the connections of the port. A connection whose client sends no whole request in time is closed, because it takes
//! the place of another.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::LimitedListener;
use super::connection::LimitedStream;

/// How long a connection may be idle between two requests: longer than nginx keeps one open (60 s), so that nginx does not
/// send a request on a connection that is being closed. [`LimitedStream`] limits the time for the head of a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes of a request's head, and of what is buffered for reading.
const MAX_HEAD: usize = 32 << 10;

/// Accepts connections until `stop`, and then waits for the requests in progress.
pub async fn serve(mut listener: LimitedListener, router: Router, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    while let Some((stream, _)) = stop.run_until_cancelled(listener.accept()).await {
        tasks.spawn(handle(stream, router.clone(), stop.clone()));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn handle(stream: LimitedStream, router: Router, stop: CancellationToken) {
    let connection = stream.connection();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let in_progress = connection.begin_request();
        request.extensions_mut().insert(ConnectInfo(connection.clone()));
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let Ok(response) = answer.await.map_err(|never: Infallible| never);
            drop(in_progress);
            Ok::<_, Infallible>(response)
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    tokio::select! {
        // An error means that the client has gone away, was too slow, or does not speak HTTP.
        _ = serving.as_mut() => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
