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
    /// Install an update, with what it needs first, and follow it to its end
    Install {
        /// Name of the package, as `list` shows it
        #[arg(required_unless_present = "all")]
        target: Option<String>,
        /// Install the newest of everything, in the order of the plan that `list` shows
        #[arg(long, conflicts_with = "target")]
        all: bool,
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
            Updates::Install { target, all: _, yes } => appliance.install(target, yes).await,
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
/// How long an answer may take; one that waits for news comes within 20 s.
const ANSWER_MAX: Duration = Duration::from_secs(30);

impl Appliance<'_> {
    fn token(&self) -> Result<String, Problem> {
        let token = std::fs::read_to_string(self.profile.appliance_token()).map_err(|_| {
            Problem::new(
                "this console has not signed in to /appliance",
                "run `sluis appliance login`",
            )
        })?;
        Ok(token.trim().to_owned())
    }

    /// Asks for something over the newest link, and again over a newer one when there is one before the answer came:
    /// the generation at the other end of the older one is leaving.
    async fn ask(&self, path: &str) -> Result<Value, Problem> {
        let (path, token) = (format!("{API}{path}"), self.token()?);
        let (mut newest, mut after) = (self.connection.newest.clone(), 0);
        loop {
            let current = newer_link(&mut newest, after).await;
            let current = current.context("the link is not kept any more")?;
            after = current.number;
            let mut newer = newest.clone();
            tokio::select! {
                answer = api::call(&current, Method::GET, &path, Some(&token), None) => return answer,
                Some(_) = newer_link(&mut newer, after) => {}
                () = tokio::time::sleep(ANSWER_MAX) => {
                    return Err(Problem::new("no answer came in time", "try again"));
                }
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let token = self.token()?;
        let mut newest = self.connection.newest.clone();
        let current = newer_link(&mut newest, 0).await.context("the link is not kept any more")?;
        api::call(&current, method, &format!("{API}{path}"), Some(&token), body).await
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
            if let Some(steps @ 2..) = card["way"].as_array().map(Vec::len) {
                println!("    `sluis appliance updates install` takes the {steps} steps to it");
            }
            for line in card["notes"].as_str().unwrap_or_default().lines() {
                println!("    | {}", clean(line));
            }
        }
        for (i, step) in answer["plan"].as_array().into_iter().flatten().enumerate() {
            println!("{}. {}", i + 1, plain(&step["text"]));
        }
    }

    /// Installs one package with what it needs first, or the newest of everything when none is named.
    async fn install(&self, target: Option<String>, yes: bool) -> Result<ExitCode, Problem> {
        let known = self.call(Method::GET, "/updates", None).await?;
        let steps = way(&known, target.as_deref());
        let several = steps.len() > 1;
        if several && !self.json {
            for (i, step) in steps.iter().enumerate() {
                eprintln!("{}. {}", i + 1, plain(&step["text"]));
            }
        }
        let question = match &target {
            _ if several => format!("Install these {} in this order?", steps.len()),
            Some(target) => format!("Install {target} now?"),
            None => "Install the newest of everything now?".to_owned(),
        };
        confirm(yes, &format!("{question} Sessions go on."))?;
        let mut body = match target {
            Some(target) => json!({ "target": target }),
            None => json!({ "all": true }),
        };
        if several {
            // What was shown is what is installed, or nothing is.
            body["steps"] = steps.iter().map(|step| step["target"].clone()).collect();
        }
        let answer = self.call(Method::POST, "/updates/install", Some(&body)).await?;
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
            let progress = match self.ask(&path).await {
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
            bar.set_message(at_work(&progress));
            let is_ours = attempt.is_none_or(|attempt| belongs(&progress, attempt));
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
        let good = matches!(progress["phase"].as_str(), Some("committed" | "contracted" | "idle"))
            && progress["plan"]["state"] != "stopped";
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

/// The steps that lead to a package, or to the newest of everything; empty when it is not known.
fn way<'a>(known: &'a Value, target: Option<&str>) -> &'a [Value] {
    let steps = match target {
        Some(target) => {
            let cards = known["packages"].as_array().into_iter().flatten();
            cards.into_iter().find(|card| card["target"] == target).map(|card| &card["way"])
        }
        None => Some(&known["plan"]),
    };
    steps.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What is being done, and in which step of how many.
fn at_work(progress: &Value) -> String {
    let phase = plain(&progress["phase"]);
    match (progress["plan"]["step"].as_u64(), progress["plan"]["of"].as_u64()) {
        (Some(step), Some(of)) => format!("step {step} of {of}: {phase}"),
        _ => phase,
    }
}

/// Whether the progress is that of the attempt, or of a plan that it is a step of.
fn belongs(progress: &Value, attempt: &str) -> bool {
    let attempts = progress["attempts"].as_array().into_iter().flatten();
    progress["attempt"] == attempt || attempts.into_iter().any(|other| other == attempt)
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
