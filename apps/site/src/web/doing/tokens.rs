use std::time::Duration;

use model::OperatorId;
use store::{Acting, ApiToken, NewApiToken, TokenHash};

use crate::web::problem::Problem;
use crate::web::{WebState, secrets};

/// The longest that a bearer token may work: a year.
pub const HOURS_MOST: u64 = 8784;

/// Makes a bearer token of an account; answers what is kept of it, and its text, which is not.
pub async fn make(
    state: &WebState,
    acting: &Acting,
    owner: OperatorId,
    name: &str,
    valid_for: Duration,
) -> Result<(ApiToken, String), Problem> {
    let secret = secrets::token();
    let now = state.now();
    let new = NewApiToken {
        token: TokenHash::of(&secret),
        operator: owner,
        name: name.to_owned(),
        expires: now.plus(valid_for),
    };
    Ok((acting.api_tokens().issue(new, now).await?, secret))
}
