use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use model::PublicKey;
use serde::de::DeserializeOwned;
use store::{Acting, Caller, Operator, TokenHash};

use crate::patience::Patience;
use crate::web::origin::{host, peer};
use crate::web::problem::{ApiProblem, Problem};
use crate::web::{LinkPeer, WebState};

/// What an address names, if it is an id at all.
pub type Named<T> = Result<Path<T>, PathRejection>;

/// What may be asked before the first password was changed.
const FREE: [&str; 3] = ["/password", "/logout", "/account"];

/// A request of the API, by somebody who has proven who they are.
pub struct ApiMember {
    /// What handlers get.
    pub state: WebState,
    /// Who it is.
    pub operator: Operator,
    /// The bearer token that says so; none when the link does.
    pub bearer: Option<TokenHash>,
    /// The key of the link that the request came on.
    pub link: Option<PublicKey>,
    /// The address that it comes from.
    pub peer: String,
    /// The name of the site, as agents are told.
    pub host: String,
}

impl FromRequestParts<WebState> for ApiMember {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiProblem> {
        let link = parts.extensions.get::<LinkPeer>().map(|LinkPeer(key)| *key);
        let bearer = bearer(&parts.headers).map(TokenHash::of);
        let operator = match (bearer, link) {
            (Some(token), _) => of_token(state, token).await?,
            (None, Some(key)) => of_console(state, &key).await?,
            (None, None) => return Err(Problem::signed_out().into()),
        };
        if let Some(patience) = parts.extensions.get::<Patience>() {
            patience.known();
        }
        let path = parts.uri.path();
        if operator.must_change_password && !FREE.iter().any(|free| path.ends_with(free)) {
            return Err(password_due().into());
        }
        let (peer, host) = (peer(parts), host(state, parts));
        Ok(Self { state: state.clone(), operator, bearer, link, peer, host })
    }
}

impl ApiMember {
    /// The store, asked on their behalf.
    pub fn acting(&self) -> Acting {
        self.state.store.by(&Caller::Operator {
            id: self.operator.id,
            name: self.operator.name.clone(),
            admin: self.operator.admin,
            peer: self.peer.clone(),
        })
    }

    /// Passes for administrators only.
    pub fn administers(&self, what: &'static str) -> Result<(), Problem> {
        if self.operator.admin {
            return Ok(());
        }
        Err(store::Error::CallerForbidden { who: self.operator.name.clone(), what }.into())
    }
}

async fn of_token(state: &WebState, token: TokenHash) -> Result<Operator, Problem> {
    let found = state.store.api_tokens().operator_of(token, state.now()).await?;
    found.ok_or_else(Problem::signed_out)
}

async fn of_console(state: &WebState, key: &PublicKey) -> Result<Operator, Problem> {
    let found = state.store.consoles().by_key(key).await?;
    let console = found.ok_or_else(Problem::signed_out)?;
    console.usable(state.now()).map_err(|refused| {
        let way_out = "Run `sluis login` again.";
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "You are not signed in",
            refused.to_string(),
            way_out,
        )
    })?;
    Ok(console.operator)
}

fn password_due() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "Your first password has to be changed",
        "Somebody else knows it.",
        "Change it with POST /api/v1/password or at /login, then try again.",
    )
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A JSON document of the request.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<WebState> for Input<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, ApiProblem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(input)) => Ok(Self(input)),
            Err(rejection) => {
                let way_out = "Send a JSON document with `Content-Type: application/json`.";
                let thing = "The request could not be read";
                Err(Problem::new(rejection.status(), thing, rejection.body_text(), way_out).into())
            }
        }
    }
}
