//! The operator's commands; they work on the data directory while the server runs.

mod list;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use model::ApplianceId;
use release::Hostname;
use release::offer::EnrolmentText;

use crate::clock::{self, End};
use crate::data::{self, Data};
use crate::store::{Entitlement, HoldScope, NewCode};

#[derive(Subcommand)]
pub enum Command {
    /// Customers.
    #[command(subcommand)]
    Customer(Customer),
    /// Appliances.
    #[command(subcommand)]
    Appliance(Appliance),
    /// What sites may have.
    #[command(subcommand)]
    Entitlement(EntitlementCommand),
    /// Offer nothing new to all, to one customer or to one appliance, until `unhold`.
    Hold(Hold),
    /// Offer again.
    Unhold(Unhold),
    /// Withdraw one release from everybody, until `unblock`.
    Block(Block),
    /// Offer a release again.
    Unblock(Unblock),
    /// Show customers, appliances, entitlements, holds and blocks.
    List(list::List),
}

#[derive(Subcommand)]
pub enum Customer {
    /// Add a customer.
    Add {
        /// Name, up to 100 characters.
        name: String,
    },
}

#[derive(Subcommand)]
pub enum Appliance {
    /// Make a one-time code and print the enrolment text to type on the appliance.
    Code(Code),
    /// Forget an appliance; it must enrol again.
    Remove {
        /// Its id.
        id: ApplianceId,
    },
}

#[derive(Args)]
pub struct Code {
    /// Customer that the appliance will belong to.
    #[arg(long)]
    customer: String,
    /// Only for this primary hostname.
    #[arg(long)]
    hostname: Option<Hostname>,
    /// How long the code works.
    #[arg(long, default_value = "7d", value_parser = clock::span)]
    valid: std::time::Duration,
    /// Address that the appliance uses; that of the server's last start when not given.
    #[arg(long)]
    url: Option<String>,
}

#[derive(Subcommand)]
pub enum EntitlementCommand {
    /// Say what one site may have; replaces what was said before.
    Set {
        /// Customer that the site belongs to.
        #[arg(long)]
        customer: String,
        /// Primary hostname of the site.
        #[arg(long)]
        hostname: Hostname,
        /// Operators who may work at the same time.
        #[arg(long)]
        licenses: Option<u32>,
        /// When updates end: a date such as 2027-12-31, or `never`.
        #[arg(long, default_value = "never", value_parser = clock::end)]
        expires: End,
    },
}

/// Whose updates.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Scope {
    /// Everybody's.
    #[arg(long)]
    all: bool,
    /// One customer's.
    #[arg(long)]
    customer: Option<String>,
    /// One appliance's.
    #[arg(long)]
    appliance: Option<ApplianceId>,
}

#[derive(Args)]
pub struct Hold {
    #[command(flatten)]
    scope: Scope,
    /// Why; shown to the customer.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub struct Unhold {
    #[command(flatten)]
    scope: Scope,
}

#[derive(Args)]
pub struct Block {
    /// Target, such as `site/site-1.1.0-r2-x86_64.pkg`.
    target: String,
    /// Why; shown to the customer.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub struct Unblock {
    /// Target, such as `site/site-1.1.0-r2-x86_64.pkg`.
    target: String,
}

impl From<Scope> for HoldScope {
    fn from(scope: Scope) -> Self {
        match (scope.customer, scope.appliance) {
            (Some(name), _) => Self::Customer(name),
            (_, Some(id)) => Self::Appliance(id),
            // The command line demands one of the three.
            _ => Self::All,
        }
    }
}

impl Command {
    pub async fn run(self, data: &Data) -> Result<()> {
        let store = data.store().await?;
        let now = clock::to_db(clock::now());
        match self {
            Self::Customer(Customer::Add { name }) => {
                let name = line(&name)?;
                store.customer_add(&name, now).await?;
                println!("Added the customer “{name}”.");
            }
            Self::Appliance(Appliance::Code(code)) => code.run(data).await?,
            Self::Appliance(Appliance::Remove { id }) => {
                store.appliance_remove(id).await?;
                println!("Removed the appliance {id}.");
            }
            Self::Entitlement(EntitlementCommand::Set {
                customer,
                hostname,
                licenses,
                expires,
            }) => {
                let expires_at = expires.0.map(clock::to_db);
                let entitlement = Entitlement { hostname, customer, licenses, expires_at };
                store.entitlement_set(&entitlement).await?;
                println!("Set the entitlement of {}.", entitlement.hostname);
            }
            Self::Hold(hold) => {
                let scope = HoldScope::from(hold.scope);
                store.hold(&scope, &line(&hold.reason)?, now).await?;
                println!("Held {scope}.");
            }
            Self::Unhold(unhold) => {
                let scope = HoldScope::from(unhold.scope);
                store.unhold(&scope).await?;
                println!("Lifted the hold of {scope}.");
            }
            Self::Block(block) => {
                store.block(&block.target, &line(&block.reason)?, now).await?;
                println!("Blocked {}.", block.target);
            }
            Self::Unblock(unblock) => {
                store.unblock(&unblock.target).await?;
                println!("Unblocked {}.", unblock.target);
            }
            Self::List(list) => list.run(&store).await?,
        }
        Ok(())
    }
}

impl Code {
    async fn run(self, data: &Data) -> Result<()> {
        let url = self.url.or_else(|| data.url()).context(
            "the address of this server is not known yet: start `serve` once, or give `--url https://…`",
        )?;
        // 100 bits: nobody guesses one, however often they try.
        let code = data::code(5)?;
        let now = clock::now();
        let new = NewCode {
            hash: data::code_hash(&code),
            customer: self.customer,
            hostname: self.hostname,
            created_at: clock::to_db(now),
            expires_at: clock::to_db(now.plus(self.valid)),
        };
        data.store().await?.code_add(new).await?;
        let url = url.trim_end_matches('/').to_owned();
        let (offer_key, pins) = (data.offer_public()?, data.pins());
        println!("{}", EnrolmentText { url, code, offer_key, pins });
        Ok(())
    }
}

/// A name or reason: one line that is not empty and not endless.
fn line(text: &str) -> Result<String> {
    let text = text.trim();
    let good =
        !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).context("a name or reason is one line of 1 to 200 characters")
}
