use std::fmt;

use anyhow::{Result, bail};
use model::ApplianceId;
use release::Hostname;
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder};

use super::entity::{block, entitlement, hold};
use super::{Appliance, Store};

/// What one site may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    pub hostname: Hostname,
    pub customer: String,
    /// Operators who may work at the same time.
    pub licenses: Option<u32>,
    /// None means never.
    pub expires_at: Option<i64>,
}

/// Whose updates are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldScope {
    All,
    Customer(String),
    Appliance(ApplianceId),
}

impl fmt::Display for HoldScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Customer(name) => write!(f, "customer:{name}"),
            Self::Appliance(id) => write!(f, "appliance:{id}"),
        }
    }
}

/// One hold, its scope as text.
#[derive(Debug, Clone)]
pub struct Hold {
    pub scope: String,
    pub reason: String,
}

/// One release that nobody is offered.
#[derive(Debug, Clone)]
pub struct Block {
    pub target: String,
    pub reason: String,
}

impl Store {
    /// Says what a site may have; replaces what was said before.
    pub async fn entitlement_set(&self, new: &Entitlement) -> Result<()> {
        let txn = self.begin().await?;
        self.demand_customer(&txn, &new.customer).await?;
        let old = entitlement::Entity::find_by_id(new.hostname.as_str()).one(&txn).await?;
        if let Some(old) = old.filter(|old| old.customer != new.customer) {
            bail!("{} belongs to the customer “{}”", new.hostname, old.customer);
        }
        let row = entitlement::Model {
            hostname: new.hostname.to_string(),
            customer: new.customer.clone(),
            licenses: new.licenses.map(i64::from),
            expires_at: new.expires_at,
        };
        let replaced = [entitlement::Column::Licenses, entitlement::Column::ExpiresAt];
        entitlement::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(entitlement::Column::Hostname)
                    .update_columns(replaced)
                    .to_owned(),
            )
            .exec_without_returning(&txn)
            .await?;
        txn.commit().await?;
        Ok(())
    }

    /// What an appliance's site may have; only its own customer can say so.
    pub async fn entitlement_of(&self, appliance: &Appliance) -> Result<Option<Entitlement>> {
        let row =
            entitlement::Entity::find_by_id(appliance.hostname.as_str()).one(&self.db).await?;
        let row = row.filter(|row| row.customer == appliance.customer);
        row.map(TryInto::try_into).transpose()
    }

    /// All entitlements, by hostname.
    pub async fn entitlements(&self) -> Result<Vec<Entitlement>> {
        let rows = entitlement::Entity::find().order_by_asc(entitlement::Column::Hostname);
        rows.all(&self.db).await?.into_iter().map(TryInto::try_into).collect()
    }

    /// Holds updates, or changes the reason of a hold.
    pub async fn hold(&self, scope: &HoldScope, reason: &str, now: i64) -> Result<()> {
        let txn = self.begin().await?;
        if let HoldScope::Customer(name) = scope {
            self.demand_customer(&txn, name).await?;
        }
        let row = hold::Model { scope: scope.to_string(), reason: reason.to_owned(), at: now };
        let replaced = [hold::Column::Reason, hold::Column::At];
        hold::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(hold::Column::Scope).update_columns(replaced).to_owned(),
            )
            .exec_without_returning(&txn)
            .await?;
        txn.commit().await?;
        Ok(())
    }

    /// Lifts a hold.
    pub async fn unhold(&self, scope: &HoldScope) -> Result<()> {
        let txn = self.begin().await?;
        if hold::Entity::delete_by_id(scope.to_string()).exec(&txn).await?.rows_affected == 0 {
            bail!("nothing holds {scope}: `sluis-update list` shows the holds");
        }
        txn.commit().await?;
        Ok(())
    }

    /// All holds.
    pub async fn holds(&self) -> Result<Vec<Hold>> {
        let rows = hold::Entity::find().order_by_asc(hold::Column::Scope).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| Hold { scope: row.scope, reason: row.reason }).collect())
    }

    /// Why an appliance's updates are held, if they are; the widest hold speaks.
    pub async fn hold_of(&self, appliance: &Appliance) -> Result<Option<String>> {
        let scopes = [
            HoldScope::All,
            HoldScope::Customer(appliance.customer.clone()),
            HoldScope::Appliance(appliance.id),
        ];
        for scope in scopes {
            if let Some(row) = hold::Entity::find_by_id(scope.to_string()).one(&self.db).await? {
                return Ok(Some(row.reason));
            }
        }
        Ok(None)
    }

    /// Withdraws a release from everybody.
    pub async fn block(&self, target: &str, reason: &str, now: i64) -> Result<()> {
        let txn = self.begin().await?;
        let row = block::Model { target: target.to_owned(), reason: reason.to_owned(), at: now };
        let replaced = [block::Column::Reason, block::Column::At];
        block::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(block::Column::Target).update_columns(replaced).to_owned(),
            )
            .exec_without_returning(&txn)
            .await?;
        txn.commit().await?;
        Ok(())
    }

    /// Offers a release again.
    pub async fn unblock(&self, target: &str) -> Result<()> {
        let txn = self.begin().await?;
        if block::Entity::delete_by_id(target).exec(&txn).await?.rows_affected == 0 {
            bail!("{target} is not blocked: `sluis-update list` shows what is");
        }
        txn.commit().await?;
        Ok(())
    }

    /// All withdrawn releases.
    pub async fn blocks(&self) -> Result<Vec<Block>> {
        let rows = block::Entity::find().order_by_asc(block::Column::Target).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| Block { target: row.target, reason: row.reason }).collect())
    }
}

impl TryFrom<entitlement::Model> for Entitlement {
    type Error = anyhow::Error;

    fn try_from(row: entitlement::Model) -> Result<Self> {
        Ok(Self {
            hostname: row.hostname.parse()?,
            customer: row.customer,
            licenses: row.licenses.and_then(|count| u32::try_from(count).ok()),
            expires_at: row.expires_at,
        })
    }
}
