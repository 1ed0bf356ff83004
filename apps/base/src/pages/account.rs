use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use ui_kit::account::{
    PasswordChange, PasswordFault, PasswordInput, SignIn, SignInInput, SignInRefused,
};
use ui_kit::url::appliance as url;
use ui_kit::{Csrf, CsrfInput, Flash, Variant};

use super::viewer::{AnyViewer, done, form_token, set_form_token, signed_in, signed_out, stranger};
use crate::accounts::{AccountError, CHARS_MAX, CHARS_MIN, Refused};
use crate::base::{Base, Shared};
use crate::secrets;

/// `GET /appliance`
pub async fn home(
    State(base): State<Shared>,
    viewer: Result<AnyViewer, Response>,
    headers: HeaderMap,
) -> Response {
    if viewer.is_ok() {
        return Redirect::to(&url::Status.to_string()).into_response();
    }
    let token = form_token(&headers).map_or_else(secrets::token, str::to_owned);
    let page = SignIn::new(Variant::Appliance, Csrf(token.clone()));
    let mut response = Html(stranger(&base, &page)).into_response();
    set_form_token(&mut response, &token);
    response
}

/// `POST /appliance/sign-in`
pub async fn sign_in(
    State(base): State<Shared>,
    headers: HeaderMap,
    Form(input): Form<SignInInput>,
) -> Response {
    if !form_token(&headers).is_some_and(|token| secrets::same(token, &input.csrf)) {
        return refused(&base, &input.name, SignInRefused::Stale);
    }
    let now = host::now();
    match base.accounts.sign_in(&input.name, &input.password, now).await {
        Ok(account) => {
            let token = base.signed_in.begin(&account.name, now);
            if account.must_change_password {
                signed_in(&token, url::Password)
            } else {
                signed_in(&token, url::Status)
            }
        }
        Err(Refused) => refused(&base, &input.name, SignInRefused::Wrong),
    }
}

fn refused(base: &Base, name: &str, why: SignInRefused) -> Response {
    let token = secrets::token();
    let page = SignIn::new(Variant::Appliance, Csrf(token.clone())).refused(name, why);
    let mut response = (StatusCode::UNAUTHORIZED, Html(stranger(base, &page))).into_response();
    set_form_token(&mut response, &token);
    response
}

/// `POST /appliance/sign-out`
pub async fn sign_out(
    State(base): State<Shared>,
    AnyViewer { viewer, .. }: AnyViewer,
    Form(input): Form<CsrfInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    base.signed_in.end(&viewer.token);
    Ok(signed_out())
}

/// `GET /appliance/password`
pub async fn password(AnyViewer { viewer, must_change }: AnyViewer) -> Response {
    let page = PasswordChange::new(Variant::Appliance, &viewer.name, viewer.csrf(), CHARS_MIN);
    if must_change { viewer.alone(&page.forced()) } else { viewer.aside(&page) }
}

/// `POST /appliance/password`
pub async fn change_password(
    State(base): State<Shared>,
    AnyViewer { viewer, must_change }: AnyViewer,
    Form(input): Form<PasswordInput>,
) -> Result<Response, Response> {
    viewer.check(&input.csrf)?;
    let fault = if input.new == input.again {
        match base.accounts.change_password(&viewer.name, &input.old, &input.new).await {
            Ok(()) => {
                base.signed_in.end_all(&viewer.name, Some(&viewer.token));
                return Ok(done(url::Status, &Flash::done("The password was changed.")));
            }
            Err(AccountError::WrongOld) => PasswordFault::OldWrong,
            Err(AccountError::TooShort) => PasswordFault::TooShort,
            Err(AccountError::TooLong) => PasswordFault::TooLong(CHARS_MAX),
            Err(AccountError::Same) => PasswordFault::Same,
            Err(other) => return Ok(viewer.problem(&other.into(), url::Password)),
        }
    } else {
        PasswordFault::Differ
    };
    let page = PasswordChange::new(Variant::Appliance, &viewer.name, viewer.csrf(), CHARS_MIN)
        .wrong(fault);
    let shown = if must_change { viewer.alone(&page.forced()) } else { viewer.aside(&page) };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
}
