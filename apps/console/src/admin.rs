//! Administering the site: what the pages of `/login` do, these commands do.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use hyper::Method;
use model::Timestamp;
use serde_json::{Value, json};

use crate::api;
use crate::commands::print;
use crate::connect::{Connection, connect};
use crate::exit::Problem;
use crate::profile::Profile;

#[derive(Subcommand)]
pub enum Clients {
    /// List them, as `sluis ls` does
    List,
    /// Show one with everything that is known of it
    Show {
        /// Name or id
        name: String,
    },
    /// Give one another name or group
    Edit {
        /// Name or id
        name: String,
        /// The new name
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
        /// The new group; empty for none
        #[arg(long)]
        group: Option<String>,
    },
    /// Remove one for good; its history stays
    Remove {
        /// Name or id
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
pub enum EnrolmentTokens {
    /// List those that still enrol
    List,
    /// Make one and print the commands to run on an endpoint
    Create {
        /// What it is for
        name: String,
        /// The group that its Jump Clients join
        #[arg(long, default_value = "")]
        group: String,
        /// Its Jump Clients only check in
        #[arg(long)]
        passive: bool,
        /// How many Jump Clients it enrols
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// For how many hours it works
        #[arg(long, default_value_t = 24)]
        hours: u64,
    },
    /// Withdraw one
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Users {
    /// List them
    List,
    /// Add one and print the first password
    Add {
        /// What the person signs in with
        name: String,
        /// The person's name
        #[arg(long, default_value = "")]
        display_name: String,
        /// May administer the site
        #[arg(long)]
        admin: bool,
    },
    /// Sign one out everywhere and keep them out
    Disable {
        /// Name or id
        name: String,
    },
    /// Let one in again
    Enable {
        /// Name or id
        name: String,
    },
    /// Give one a new first password and print it
    Reset {
        /// Name or id
        name: String,
    },
}

#[derive(Subcommand)]
pub enum Consoles {
    /// List them
    List,
    /// Revoke one
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Tokens {
    /// List bearer tokens of the API
    List,
    /// Make one for your account and print it
    Create {
        /// What it is for
        name: String,
        /// For how many hours it works
        #[arg(long, default_value_t = 720)]
        hours: u64,
    },
    /// Revoke one
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Recordings {
    /// List them
    List,
    /// Fetch one as an asciicast file
    Get {
        /// The session's id
        session: String,
        /// Where to write it; SESSION.cast when left out
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct Audit {
    /// Only what this person or Jump Client did
    #[arg(long, default_value = "")]
    who: String,
    /// Only what holds this text: a name, an id
    #[arg(long, default_value = "")]
    about: String,
    /// Only actions that begin so, such as `session.`
    #[arg(long, default_value = "")]
    action: String,
    /// From this day (UTC) on, such as 2026-11-01
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Timestamp>,
    /// Until the end of this day
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Timestamp>,
    /// How many lines
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Write all of it into this file instead: CSV, or JSON lines when it does not end in .csv
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn day(text: &str) -> Result<Timestamp, String> {
    let day = Timestamp::parse_utc(&format!("{text}T00:00:00Z"));
    day.ok_or_else(|| format!("“{text}” is not a day such as 2026-11-21"))
}

/// The site's API, and whether answers are printed as they come.
pub struct Site {
    connection: Connection,
    json: bool,
}

impl Site {
    /// The site of that profile.
    pub async fn connect(profile: &Profile, json: bool) -> Result<Self, Problem> {
        Ok(Self { connection: connect(profile).await?, json })
    }

    async fn get(&self, path: &str) -> Result<Value, Problem> {
        api::get(&self.connection.first, &format!("/api/v1{path}")).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let path = format!("/api/v1{path}");
        api::call(&self.connection.first, method, &path, None, body).await
    }

    async fn list(&self, path: &str, name: &str, columns: &[&str]) -> Result<ExitCode, Problem> {
        let answer = self.get(path).await?;
        print(&answer, self.json, name, columns);
        Ok(ExitCode::SUCCESS)
    }

    /// Prints an answer as it is, or a sentence.
    fn done(&self, answer: &Value, text: &str) -> ExitCode {
        if self.json {
            println!("{answer}");
        } else {
            println!("{text}");
        }
        ExitCode::SUCCESS
    }

    /// Prints all fields of an answer.
    fn show(&self, answer: &Value) -> ExitCode {
        if self.json {
            println!("{answer}");
            return ExitCode::SUCCESS;
        }
        for (name, value) in answer.as_object().into_iter().flatten() {
            println!("{:14} {}", name.replace('_', " "), crate::commands::cell(name, value));
        }
        ExitCode::SUCCESS
    }

    /// `sluis clients …`
    pub async fn clients(&self, command: Clients) -> Result<ExitCode, Problem> {
        let path = |name: &str| format!("/jump-clients/{}", segment(name));
        match command {
            Clients::List => self.list("/jump-clients", "jump_clients", CLIENT_COLUMNS).await,
            Clients::Show { name } => Ok(self.show(&self.get(&path(&name)).await?)),
            Clients::Edit { name, to, group } => {
                let known = self.get(&path(&name)).await?;
                let text = |key: &str| known[key].as_str().unwrap_or_default().to_owned();
                let (to, group) =
                    (to.unwrap_or_else(|| text("name")), group.unwrap_or_else(|| text("group")));
                let body = json!({ "name": to, "group": group });
                let answer = self.call(Method::POST, &path(&text("id")), Some(&body)).await?;
                Ok(self.done(&answer, &format!("Saved {to}.")))
            }
            Clients::Remove { name, yes } => {
                let known = self.get(&path(&name)).await?;
                let question = format!(
                    "Remove the Jump Client {name}? Its agent can no longer connect; its history stays."
                );
                confirm(yes, &question)?;
                let id = known["id"].as_str().unwrap_or_default();
                let answer = self.call(Method::DELETE, &path(id), None).await?;
                Ok(self.done(&answer, &format!("Removed {name}.")))
            }
        }
    }

    /// `sluis enrolment-tokens …`
    pub async fn enrolment_tokens(&self, command: EnrolmentTokens) -> Result<ExitCode, Problem> {
        let all = "/enrolment-tokens";
        match command {
            EnrolmentTokens::List => {
                let columns = ["id", "name", "group", "mode", "uses_left", "expires"];
                self.list(all, "enrolment_tokens", &columns).await
            }
            EnrolmentTokens::Create { name, group, passive, uses, hours } => {
                let mode = if passive { "passive" } else { "active" };
                let body = json!({
                    "name": name, "group": group, "mode": mode, "uses": uses, "hours": hours
                });
                let made = self.call(Method::POST, all, Some(&body)).await?;
                let mut text =
                    "Run this on the endpoint; the token is shown this one time.".to_owned();
                for command in made["commands"].as_array().into_iter().flatten() {
                    let word = |key: &str| command[key].as_str().unwrap_or_default();
                    let _ = write!(text, "\n\n{}:\n{}", word("system"), word("lines"));
                }
                Ok(self.done(&made, &text))
            }
            EnrolmentTokens::Revoke { id } => self.revoke(all, &id).await,
        }
    }

    async fn revoke(&self, all: &str, id: &str) -> Result<ExitCode, Problem> {
        let path = format!("{all}/{}", segment(id));
        let answer = self.call(Method::DELETE, &path, None).await?;
        Ok(self.done(&answer, &format!("Revoked {id}.")))
    }

    /// `sluis users …`
    pub async fn users(&self, command: Users) -> Result<ExitCode, Problem> {
        match command {
            Users::List => {
                let columns = ["name", "display_name", "admin", "disabled", "last_login"];
                self.list("/users", "users", &columns).await
            }
            Users::Add { name, display_name, admin } => {
                let body = json!({ "name": name, "display_name": display_name, "admin": admin });
                let made = self.call(Method::POST, "/users", Some(&body)).await?;
                Ok(self.first_password(&made))
            }
            Users::Disable { name } => self.access(&name, "disable", "is disabled").await,
            Users::Enable { name } => self.access(&name, "enable", "can sign in again").await,
            Users::Reset { name } => {
                let path = format!("/users/{}/reset", self.user(&name).await?);
                let made = self.call(Method::POST, &path, None).await?;
                Ok(self.first_password(&made))
            }
        }
    }

    async fn access(&self, name: &str, what: &str, said: &str) -> Result<ExitCode, Problem> {
        let path = format!("/users/{}/{what}", self.user(name).await?);
        let answer = self.call(Method::POST, &path, None).await?;
        Ok(self.done(&answer, &format!("{name} {said}.")))
    }

    fn first_password(&self, made: &Value) -> ExitCode {
        let word = |key: &str| made[key].as_str().unwrap_or_default();
        let text = format!(
            "First password of {}, shown this one time: {}",
            word("name"),
            word("password")
        );
        self.done(made, &text)
    }

    /// The id of the account of that name or id.
    async fn user(&self, name: &str) -> Result<String, Problem> {
        let users = self.get("/users").await?;
        let mut users = users.as_array().into_iter().flatten();
        let is_it = |user: &&Value| {
            user["id"] == name || user["name"].as_str().is_some_and(|n| n == name.to_lowercase())
        };
        let id = users.find(is_it).and_then(|user| user["id"].as_str()).map(str::to_owned);
        id.ok_or_else(|| {
            Problem::new(format!("there is no user {name}"), "`sluis users list` lists them")
        })
    }

    /// `sluis consoles …`
    pub async fn consoles(&self, command: Consoles) -> Result<ExitCode, Problem> {
        match command {
            Consoles::List => {
                let columns = ["id", "name", "operator", "revoked", "last_seen", "expires"];
                self.list("/consoles", "consoles", &columns).await
            }
            Consoles::Revoke { id } => self.revoke("/consoles", &id).await,
        }
    }

    /// `sluis tokens …`
    pub async fn tokens(&self, command: Tokens) -> Result<ExitCode, Problem> {
        match command {
            Tokens::List => {
                let columns = ["id", "name", "operator", "created", "expires"];
                self.list("/api-tokens", "api_tokens", &columns).await
            }
            Tokens::Create { name, hours } => {
                let body = json!({ "name": name, "hours": hours });
                let made = self.call(Method::POST, "/api-tokens", Some(&body)).await?;
                let token = made["token"].as_str().unwrap_or_default();
                Ok(self.done(&made, token))
            }
            Tokens::Revoke { id } => self.revoke("/api-tokens", &id).await,
        }
    }

    /// `sluis recordings …`
    pub async fn recordings(&self, command: Recordings) -> Result<ExitCode, Problem> {
        match command {
            Recordings::List => {
                let columns = ["session", "operator", "endpoint", "started", "size", "complete"];
                self.list("/recordings", "recordings", &columns).await
            }
            Recordings::Get { session, output } => {
                let path = format!("/recordings/{}", segment(&session));
                let file = output.unwrap_or_else(|| PathBuf::from(format!("{session}.cast")));
                self.save(&path, &file).await
            }
        }
    }

    async fn save(&self, path: &str, file: &Path) -> Result<ExitCode, Problem> {
        let path = format!("/api/v1{path}");
        let bytes = api::save(&self.connection.first, &path, file).await?;
        let text = format!("{bytes} bytes written to {}", file.display());
        Ok(self.done(&json!({ "file": file, "bytes": bytes }), &text))
    }

    /// `sluis end SESSION`
    pub async fn end(&self, session: &str) -> Result<ExitCode, Problem> {
        let path = format!("/sessions/{}/end", segment(session));
        let answer = self.call(Method::POST, &path, None).await?;
        Ok(self.done(&answer, "The session is being ended."))
    }

    /// `sluis audit …`
    pub async fn audit(&self, asked: Audit) -> Result<ExitCode, Problem> {
        let mut query = format!(
            "actor={}&about={}&action={}",
            segment(&asked.who),
            segment(&asked.about),
            segment(&asked.action)
        );
        if let Some(from) = asked.from {
            let _ = write!(query, "&from={}", from.0);
        }
        if let Some(until) = asked.until {
            let end = until.plus(std::time::Duration::from_hours(24));
            let _ = write!(query, "&until={}", end.0);
        }
        if let Some(file) = &asked.output {
            let csv = file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("csv"));
            let format = if csv { "csv" } else { "json" };
            return self.save(&format!("/audit/file?format={format}&{query}"), file).await;
        }
        let columns = ["at", "actor", "action", "subject", "detail"];
        self.list(&format!("/audit?limit={}&{query}", asked.limit), "audit", &columns).await
    }
}

/// What a list of Jump Clients shows.
pub const CLIENT_COLUMNS: &[&str] =
    &["name", "state", "position", "version", "revision", "group", "last_seen"];

fn confirm(yes: bool, question: &str) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    eprint!("{question} [y/N] ");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| anyhow!("no answer could be read: {error}"))?;
    if matches!(line.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Problem::new("nothing was done", "answer y, or say --yes"))
    }
}

/// Text as part of a path or query.
fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A file that is being fetched: what was there before stays until all of it came.
pub fn partial(file: &Path) -> anyhow::Result<(PathBuf, std::fs::File)> {
    let partial = file.with_extension("part");
    let made = std::fs::File::create(&partial);
    let made = made.with_context(|| format!("cannot write {}", partial.display()))?;
    Ok((partial, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_an_address() {
        assert_eq!(segment("web-01"), "web-01");
        assert_eq!(segment("a/b c?&é"), "a%2Fb%20c%3F%26%C3%A9");
    }

    #[test]
    fn a_day_is_a_day() {
        assert_eq!(day("2026-11-21").map(|day| day.to_string()), Ok("2026-11-21T00:00:00Z".into()));
        assert!(day("today").is_err_and(|text| text.contains("2026-11-21")));
    }
}
