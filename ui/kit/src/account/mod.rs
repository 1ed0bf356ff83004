//! Pages about accounts that `/login` and `/appliance` share: signing in, choosing a password.

mod first_password;
mod password;
mod sign_in;

pub use first_password::FirstPassword;
pub use password::{PasswordChange, PasswordFault, PasswordInput};
pub use sign_in::{SignIn, SignInInput, SignInRefused};
