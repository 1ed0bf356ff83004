//! The short commands: one question each.

use std::process::ExitCode;

use anyhow::anyhow;
use hyper::Method;
use model::Timestamp;
use serde_json::{Value, json};

use crate::LoginArguments;
use crate::admin::CLIENT_COLUMNS;
use crate::api;
use crate::connect::{self, connect, connect_to};
use crate::exit::Problem;
use crate::os;
use crate::profile::{Profile, Site};
use crate::{update, version};

/// Signs in and registers this console.
pub async fn login(
    profile: &Profile,
    login: LoginArguments,
    json: bool,
) -> Result<ExitCode, Problem> {
    let known = profile.site().ok();
    let address = connect::with_port(&login.site);
    let pinned = match (login.site_key, &known) {
        (Some(key), _) => vec![key],
        (None, Some(site)) if site.address == address => vec![site.key],
        _ => Vec::new(),
    };
    let first_time = pinned.is_empty();
    let connection = connect_to(profile, &address, pinned).await?;
    let key = connection.first.site_key;
    if first_time && !json {
        eprintln!("The site's identity is {key}");
        eprintln!("({}): it is kept and checked from now on.", key.fingerprint());
    }
    let user = match login.user.or(known.map(|site| site.user)) {
        Some(user) => user,
        None => ask("Name: ")?,
    };
    let password =
        if login.password_stdin { ask("")? } else { secret(&format!("Password of {user}: "))? };
    let body = json!({ "name": user, "password": password });
    let signed_in =
        api::call(&connection.first, Method::POST, "/api/v1/login", None, Some(&body)).await?;
    if signed_in["must_change_password"] == true {
        let text = format!("{user} has to choose a new password first");
        return Err(Problem::new(text, format!("sign in at https://{address}/login")));
    }
    let Some(token) = signed_in["token"].as_str() else {
        return Err(anyhow!("the site's answer to the sign-in has no token").into());
    };
    let name = login.console_name.unwrap_or_else(connect::host_name);
    let body = json!({ "name": name });
    api::call(&connection.first, Method::POST, "/api/v1/consoles", Some(token), Some(&body))
        .await?;
    profile.set_site(&Site::normal(&address, key, &user))?;
    if let Err(error) = update::trust_first_root(profile, &connection.first).await {
        // The console works all the same; only its updates need a root.
        eprintln!("sluis: this console cannot update itself: {error:#}");
    }
    if json {
        println!("{}", json!({ "site": address, "site_key": key, "user": user }));
    } else {
        println!("Signed in to {address} as {user}.");
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(prompt: &str) -> Result<String, Problem> {
    eprint!("{prompt}");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| anyhow!("no answer could be read: {error}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn secret(prompt: &str) -> Result<String, Problem> {
    Ok(os::read_secret(prompt).map_err(|error| anyhow!("no password could be read: {error}"))?)
}

/// Withdraws this console.
pub async fn logout(profile: &Profile) -> Result<ExitCode, Problem> {
    let connection = connect(profile).await?;
    api::call(&connection.first, Method::DELETE, "/api/v1/consoles/self", None, None).await?;
    profile.forget_site()?;
    println!("Signed out.");
    Ok(ExitCode::SUCCESS)
}

/// Lists the Jump Clients.
pub async fn list(profile: &Profile, json: bool) -> Result<ExitCode, Problem> {
    let connection = connect(profile).await?;
    let answer = api::get(&connection.first, "/api/v1/jump-clients").await?;
    print(&answer, json, "jump_clients", CLIENT_COLUMNS);
    Ok(ExitCode::SUCCESS)
}

/// Lists sessions.
pub async fn sessions(profile: &Profile, past: u32, json: bool) -> Result<ExitCode, Problem> {
    let connection = connect(profile).await?;
    let answer = api::get(&connection.first, &format!("/api/v1/sessions?past={past}")).await?;
    print(
        &answer,
        json,
        "sessions",
        &["id", "operator", "endpoint", "kind", "state", "started", "outcome"],
    );
    Ok(ExitCode::SUCCESS)
}

/// Shows versions.
pub async fn about(profile: &Profile, json: bool) -> Result<ExitCode, Problem> {
    let own = version::release();
    let site = match profile.site() {
        Ok(_) => Some(connect(profile).await?.first),
        Err(_) => None,
    };
    if json {
        let site = site.map(|c| {
            json!({
                "version": c.site.version, "revision": c.site.revision, "identity": c.site_key,
                "generation": c.site.generation,
            })
        });
        println!("{}", json!({ "version": own.version, "revision": own.revision, "site": site }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("Console  {own}");
    match site {
        Some(c) => {
            println!("Site     {} (rev {})", c.site.version, c.site.revision);
            println!("Identity {}", c.site_key);
        }
        None => println!("Site     none: run `sluis login HOST`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a list: a table for people, the answer as it is for programs.
pub fn print(answer: &Value, json: bool, list: &str, columns: &[&str]) {
    if json {
        println!("{answer}");
        return;
    }
    let rows = answer.get(list).or(Some(answer)).and_then(Value::as_array);
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .flatten()
        .map(|row| columns.iter().map(|column| cell(column, &row[*column])).collect())
        .collect();
    if rows.is_empty() {
        println!("None.");
        return;
    }
    let header: Vec<String> = columns.iter().map(|c| c.replace('_', " ").to_uppercase()).collect();
    let width = |i: usize| {
        rows.iter().chain([&header]).map(|row| row[i].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for row in [&header].into_iter().chain(&rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}

/// Columns that hold moments, as milliseconds since 1970.
const MOMENTS: &[&str] = &[
    "at",
    "created",
    "ended",
    "enrolled",
    "expires",
    "finished",
    "last_login",
    "last_seen",
    "locked_until",
    "next_try",
    "started",
];

/// A field as a person reads it.
pub fn cell(name: &str, value: &Value) -> String {
    match value.as_u64() {
        Some(at) if MOMENTS.contains(&name) => Timestamp(at).to_string(),
        _ => word(value),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // What a site says must not move the cursor of whoever lists it.
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        Value::Number(number) => number.to_string(),
        other => other.to_string(),
    }
}
