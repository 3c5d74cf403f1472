//! The HTTP server around the API: call log, faults, start and end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State as Extract};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hoox_sim::socket::{Line, Lines};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, Api, Shared};
use crate::control;
use crate::envelope::Failure;
use crate::fault::{Fault, FaultAnswer};
use crate::inner::Call;
use crate::state::State;

/// Where the API begins.
pub const BASE: &str = "/client/v4";
/// Largest request body: KV's largest value, and room for a form around it.
const MAX_BODY: usize = 26 * 1024 * 1024;
/// How long open connections may hold up the end.
const DRAIN: Duration = Duration::from_millis(500);

/// Why the double cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on 127.0.0.1:{port} ({source}): choose another port, or 0 for a free one")]
pub struct StartError {
    port: u16,
    source: io::Error,
}

/// Starts doubles of the API.
#[derive(Debug, Clone, Copy)]
pub struct Cloud;

impl Cloud {
    /// Starts on 127.0.0.1; port 0 takes a free one. It must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start(port: u16, state: State) -> Result<Handle, StartError> {
        let failed = |source| StartError { port, source };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared::new(state));
        let app = Router::new()
            .nest("/__control", control::routes())
            .nest(
                BASE,
                api::routes().layer(middleware::from_fn_with_state(Arc::clone(&shared), gate)),
            )
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Line>();
        let (stop, mut stopped) = watch::channel(false);
        let server = tokio::spawn(async move {
            axum::serve(Lines(listener), app)
                .with_graceful_shutdown(async move {
                    // An error means that the handle is gone, which ends the server as well.
                    stopped.wait_for(|stopped| *stopped).await.ok();
                })
                .await
        });
        Ok(Handle {
            url: format!("http://{address}"),
            shared,
            stop,
            server,
        })
    }
}

/// What every call of the API passes: the log and the faults.
async fn gate(
    Extract(api): Extract<Api>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let fault = api.lock().faults.take(&method, &path);
    let response = match fault {
        None => in_envelope(next.run(request).await),
        Some(fault) => faulty(&fault, &line, request, next).await,
    };
    api.lock().calls.push(Call {
        method: method.as_str().to_owned(),
        path,
        status: response.status().as_u16(),
    });
    response
}

/// The framework's own refusals, of a method, a query or a form, come as text; the API's never do.
fn in_envelope(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !status.is_client_error() || kind.is_some_and(|kind| kind == "application/json") {
        return response;
    }
    let (code, message) = if status == StatusCode::METHOD_NOT_ALLOWED {
        (10_405, "Method not allowed for this authentication scheme")
    } else {
        (6_003, "Invalid request parameters")
    };
    Failure::new(status, code, message).into_response()
}

async fn faulty(fault: &Fault, line: &Line, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let usual = match (&fault.answer, fault.effect) {
        (FaultAnswer::Delay { millis }, _) => {
            let answer = in_envelope(next.run(request).await);
            tokio::time::sleep(Duration::from_millis(*millis)).await;
            Some(answer)
        }
        (_, true) => Some(in_envelope(next.run(request).await)),
        (_, false) => {
            // An answer before the end of a large body would break the connection, and no client would see it.
            to_bytes(request.into_body(), MAX_BODY).await.ok();
            None
        }
    };
    if fault.answer == FaultAnswer::Disconnect {
        line.cut();
    }
    fault
        .answer
        .response(&path)
        .or(usual)
        .unwrap_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// A running double. Dropping it ends it without waiting.
pub struct Handle {
    url: String,
    shared: Api,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

impl Handle {
    /// Where it listens, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the API begins, as clients are told it.
    pub fn base_url(&self) -> String {
        format!("{}{BASE}", self.url)
    }

    /// Everything it remembers, secrets included.
    pub fn state(&self) -> State {
        self.shared.lock().state.clone()
    }

    /// Forgets everything and begins with this.
    pub fn set_state(&self, state: State) {
        self.shared.lock().replace(state);
    }

    /// Queues faults.
    pub fn faults(&self, faults: Vec<Fault>) {
        self.shared.lock().faults.push(faults);
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// The faults that have not struck yet.
    pub fn waiting_faults(&self) -> Vec<Fault> {
        self.shared.lock().faults.waiting().to_vec()
    }

    /// Every call of the API, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        self.shared.lock().calls.clear();
    }

    /// Ends it: no new calls, and those under way get a moment.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let mut server = self.server;
        if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            // A held answer would keep its connection for longer than anyone waits.
            server.abort();
        }
    }
}
