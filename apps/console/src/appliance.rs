//! Administering the appliance over the same link: what `/appliance` does, this does.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use link::newer_link;
use model::Timestamp;
use serde_json::{Value, json};

use crate::api;
use crate::connect::{Connection, connect};
use crate::exit::Problem;
use crate::os;
use crate::profile::{Profile, write_durably};

#[derive(Subcommand)]
pub enum Command {
    /// Sign in to /appliance with an account of its own
    Login {
        /// The account's name
        #[arg(long, short, default_value = "admin")]
        user: String,
        /// Read the password from standard input instead of asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// Choose a new password: two lines on standard input, or asked for
    Password,
    /// Show versions, clock, disk and how the site is
    Status,
    /// Look for updates, install them, follow them, take them back
    Updates {
        #[command(subcommand)]
        command: Updates,
    },
}

#[derive(Subcommand)]
pub enum Updates {
    /// Ask the update server what there is
    Check,
    /// List what the last check found
    List,
    /// Install an update and follow it to its end
    Install {
        /// Name of the package, as `list` shows it
        target: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Go back to the version before, without losing data
    Rollback {
        /// What to take back
        #[arg(value_parser = ["site", "base"])]
        kind: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Let a version that was put back be offered again
    Retry {
        /// Name of the package, as `list` shows it
        target: String,
    },
    /// Print the log of installs
    Log,
    /// Follow the install that runs
    Watch,
}

/// Runs a command.
pub async fn run(profile: &Profile, command: Command, json: bool) -> Result<ExitCode, Problem> {
    let appliance = Appliance { profile, connection: connect(profile).await?, json };
    match command {
        Command::Login { user, password_stdin } => appliance.login(&user, password_stdin).await,
        Command::Password => appliance.password().await,
        Command::Status => appliance.status().await,
        Command::Updates { command } => match command {
            Updates::Check => appliance.check().await,
            Updates::List => appliance.list().await,
            Updates::Install { target, yes } => appliance.install(&target, yes).await,
            Updates::Rollback { kind, yes } => appliance.rollback(&kind, yes).await,
            Updates::Retry { target } => appliance.retry(&target).await,
            Updates::Log => appliance.log().await,
            Updates::Watch => appliance.watch(None).await,
        },
    }
}

struct Appliance<'p> {
    profile: &'p Profile,
    connection: Connection,
    json: bool,
}

const API: &str = "/appliance/api/v1";

impl Appliance<'_> {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let token = std::fs::read_to_string(self.profile.appliance_token()).map_err(|_| {
            Problem::new(
                "this console has not signed in to /appliance",
                "run `sluis appliance login`",
            )
        })?;
        let mut newest = self.connection.newest.clone();
        let current = newer_link(&mut newest, 0).await.context("the link is not kept any more")?;
        api::call(&current, method, &format!("{API}{path}"), Some(token.trim()), body).await
    }

    async fn login(&self, user: &str, password_stdin: bool) -> Result<ExitCode, Problem> {
        let prompt = if password_stdin {
            String::new()
        } else {
            format!("Password of {user} at /appliance: ")
        };
        let password = os::read_secret(&prompt).context("no password could be read")?;
        let body = json!({ "name": user, "password": password });
        let path = format!("{API}/login");
        let answer =
            api::call(&self.connection.first, Method::POST, &path, None, Some(&body)).await?;
        let token = answer["token"].as_str().context("the answer to the sign-in has no token")?;
        write_durably(&self.profile.appliance_token(), token.as_bytes())
            .context("the token cannot be kept")?;
        if answer["must_change_password"] == true {
            eprintln!("The password has to be changed first: `sluis appliance password`.");
        } else if !self.json {
            println!("Signed in to /appliance as {user}.");
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn password(&self) -> Result<ExitCode, Problem> {
        let old = os::read_secret("Old password: ").context("no password could be read")?;
        let new = os::read_secret("New password: ").context("no password could be read")?;
        let body = json!({ "old": old, "new": new });
        let answer = self.call(Method::POST, "/password", Some(&body)).await?;
        // The change ends former sign-ins; a fresh token may come with the answer.
        if let Some(token) = answer["token"].as_str() {
            write_durably(&self.profile.appliance_token(), token.as_bytes())
                .context("the token cannot be kept")?;
        }
        println!("The password is changed.");
        Ok(ExitCode::SUCCESS)
    }

    async fn status(&self) -> Result<ExitCode, Problem> {
        let answer = self.call(Method::GET, "/status", None).await?;
        if self.json {
            println!("{answer}");
        } else if let Some(fields) = answer.as_object() {
            for (name, value) in fields {
                println!("{:14} {}", name.replace('_', " "), plain(value));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn check(&self) -> Result<ExitCode, Problem> {
        let answer = self.call(Method::POST, "/updates/check", Some(&json!({}))).await?;
        self.show_updates(&answer);
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self) -> Result<ExitCode, Problem> {
        let answer = self.call(Method::GET, "/updates", None).await?;
        self.show_updates(&answer);
        Ok(ExitCode::SUCCESS)
    }

    fn show_updates(&self, answer: &Value) {
        if self.json {
            println!("{answer}");
            return;
        }
        let packages = answer["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        if packages.is_empty() {
            println!("No updates are available.");
        }
        for card in packages {
            println!("{}", plain(&card["target"]));
            println!(
                "    {} {} (rev {}): {}",
                plain(&card["name"]),
                plain(&card["version"]),
                plain(&card["revision"]),
                plain(&card["status"])
            );
            if let Some(text) = card["blocked"]["text"].as_str() {
                println!("    {}", clean(text));
            }
            for line in card["notes"].as_str().unwrap_or_default().lines() {
                println!("    | {}", clean(line));
            }
        }
        for (i, step) in answer["plan"].as_array().into_iter().flatten().enumerate() {
            println!("{}. {}", i + 1, plain(&step["text"]));
        }
    }

    async fn install(&self, target: &str, yes: bool) -> Result<ExitCode, Problem> {
        confirm(yes, &format!("Install {target} now? Sessions go on."))?;
        let answer =
            self.call(Method::POST, "/updates/install", Some(&json!({ "target": target }))).await?;
        self.watch(answer["attempt"].as_str()).await
    }

    async fn rollback(&self, kind: &str, yes: bool) -> Result<ExitCode, Problem> {
        confirm(
            yes,
            &format!("Go back to the previous {kind} software? Sessions go on, no data is lost."),
        )?;
        let answer =
            self.call(Method::POST, "/updates/rollback", Some(&json!({ "kind": kind }))).await?;
        self.watch(answer["attempt"].as_str()).await
    }

    async fn retry(&self, target: &str) -> Result<ExitCode, Problem> {
        let body = json!({ "target": target });
        let answer = self.call(Method::POST, "/updates/retry", Some(&body)).await?;
        self.show_updates(&answer);
        Ok(ExitCode::SUCCESS)
    }

    async fn log(&self) -> Result<ExitCode, Problem> {
        let answer = self.call(Method::GET, "/updates/log", None).await?;
        if self.json {
            println!("{answer}");
            return Ok(ExitCode::SUCCESS);
        }
        let entries = answer.get("entries").or(Some(&answer)).and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            println!("{}", line(entry));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Follows an install to its end, over every hand-over on the way.
    async fn watch(&self, attempt: Option<&str>) -> Result<ExitCode, Problem> {
        let bar = ProgressBar::new(100);
        if self.json {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut after = 0;
        let mut failures = 0;
        loop {
            let path = format!("/updates/progress?after={after}&wait=1");
            let progress = match self.call(Method::GET, &path, None).await {
                Ok(progress) => progress,
                // The generation that answered may just have left; the next one knows as much.
                Err(_) if failures < 20 => {
                    failures += 1;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    continue;
                }
                Err(problem) => return Err(problem),
            };
            failures = 0;
            for entry in progress["entries"].as_array().into_iter().flatten() {
                after = entry["n"].as_u64().unwrap_or(after).max(after);
                self.say(&bar, entry);
            }
            bar.set_position(progress["percent"].as_u64().unwrap_or_default());
            bar.set_message(plain(&progress["phase"]));
            let is_ours = attempt.is_none_or(|attempt| progress["attempt"] == attempt);
            if is_ours && progress["done"] == true {
                bar.finish_and_clear();
                return self.outcome(&progress);
            }
        }
    }

    /// One entry of the log, above the bar where there is one.
    fn say(&self, bar: &ProgressBar, entry: &Value) {
        if self.json {
            println!("{entry}");
        } else if bar.is_hidden() {
            println!("{}", line(entry));
        } else {
            bar.println(line(entry));
        }
    }

    fn outcome(&self, progress: &Value) -> Result<ExitCode, Problem> {
        let text = plain(&progress["text"]);
        let good = matches!(progress["phase"].as_str(), Some("committed" | "contracted" | "idle"));
        if !good {
            let next = progress["next"].as_str().filter(|next| !next.is_empty());
            return Err(Problem::new(
                text,
                next.unwrap_or("`sluis appliance updates log` says more"),
            ));
        }
        if !self.json {
            println!("{text}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn confirm(yes: bool, question: &str) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    eprint!("{question} [y/N] ");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| anyhow!("no answer could be read: {error}"))?;
    if matches!(line.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Problem::new("nothing was done", "answer y, or say --yes"))
    }
}

fn line(entry: &Value) -> String {
    let at =
        entry["at"].as_u64().map_or_else(|| plain(&entry["at"]), |at| Timestamp(at).to_string());
    format!("{at}  {:14} {}", plain(&entry["phase"]), plain(&entry["text"]))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => clean(text),
        other => other.to_string(),
    }
}

/// What a server says must not move the cursor of whoever reads it.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
