use anyhow::{Result, bail};
use model::{ApplianceId, PublicKey};
use release::Hostname;
use release::offer::{Nonce, ReportRequest};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::Store;
use super::entity::{appliance, code, nonce, report};

/// Reports kept of one appliance; older ones go.
const REPORTS_KEPT: u64 = 2000;

/// An enrolment code to be given out.
pub struct NewCode {
    pub hash: String,
    pub customer: String,
    pub hostname: Option<Hostname>,
    pub created_at: i64,
    pub expires_at: i64,
}

/// One enrolled appliance.
#[derive(Debug, Clone)]
pub struct Appliance {
    pub id: ApplianceId,
    pub customer: String,
    pub public_key: PublicKey,
    pub hostname: Hostname,
    pub enrolled_at: i64,
    pub last_check_at: Option<i64>,
    pub inventory: Option<String>,
}

/// The newest thing that an appliance reported.
#[derive(Debug, Clone)]
pub struct LastReport {
    pub state: String,
    pub text: String,
    pub at: i64,
}

/// Why a code does not enrol.
#[derive(Debug, PartialEq, Eq)]
pub enum EnrolRefused {
    Unknown,
    Expired(i64),
    Used(i64),
    OtherHostname(String),
}

impl Store {
    /// Gives out a code.
    pub async fn code_add(&self, new: NewCode) -> Result<()> {
        let txn = self.begin().await?;
        self.demand_customer(&txn, &new.customer).await?;
        let row = code::Model {
            hash: new.hash,
            customer: new.customer,
            hostname: new.hostname.map(String::from),
            created_at: new.created_at,
            expires_at: new.expires_at,
            used_at: None,
            appliance: None,
        };
        code::Entity::insert(row.into_active_model()).exec_without_returning(&txn).await?;
        txn.commit().await?;
        Ok(())
    }

    /// Enrols an appliance with a code, once; the same key with the same code gets the same answer,
    /// so that an answer that was lost on the way costs nothing.
    pub async fn enrol(
        &self,
        hash: &str,
        key: &PublicKey,
        hostname: &Hostname,
        now: i64,
    ) -> Result<Result<Appliance, EnrolRefused>> {
        let txn = self.begin().await?;
        let Some(found) = code::Entity::find_by_id(hash).one(&txn).await? else {
            return Ok(Err(EnrolRefused::Unknown));
        };
        let by_key = appliance::Entity::find()
            .filter(appliance::Column::PublicKey.eq(key.to_string()))
            .one(&txn)
            .await?;
        if let Some(used) = found.used_at {
            let same = by_key.filter(|row| Some(row.id) == found.appliance);
            return Ok(match same {
                Some(row) => Ok(row.try_into()?),
                None => Err(EnrolRefused::Used(used)),
            });
        }
        if found.expires_at <= now {
            return Ok(Err(EnrolRefused::Expired(found.expires_at)));
        }
        if let Some(wanted) = found.hostname.as_ref().filter(|wanted| *wanted != hostname.as_str())
        {
            return Ok(Err(EnrolRefused::OtherHostname(wanted.clone())));
        }
        let row = appliance::Model {
            id: by_key.as_ref().map_or_else(Uuid::now_v7, |row| row.id),
            customer: found.customer.clone(),
            public_key: key.to_string(),
            hostname: hostname.to_string(),
            enrolled_at: now,
            last_check_at: None,
            inventory: None,
        };
        if by_key.is_some() {
            // Enrolled anew with its own key: it keeps its id.
            appliance::Entity::delete_by_id(row.id).exec(&txn).await?;
        }
        let insert = appliance::Entity::insert(row.clone().into_active_model());
        insert.exec_without_returning(&txn).await?;
        let mut used = found.into_active_model();
        used.used_at = Set(Some(now));
        used.appliance = Set(Some(row.id));
        code::Entity::update(used).exec(&txn).await?;
        txn.commit().await?;
        Ok(Ok(row.try_into()?))
    }

    /// One appliance.
    pub async fn appliance(&self, id: ApplianceId) -> Result<Option<Appliance>> {
        let row = appliance::Entity::find_by_id(id.0).one(&self.db).await?;
        row.map(TryInto::try_into).transpose()
    }

    /// All appliances, by customer and hostname.
    pub async fn appliances(&self) -> Result<Vec<Appliance>> {
        let rows = appliance::Entity::find()
            .order_by_asc(appliance::Column::Customer)
            .order_by_asc(appliance::Column::Hostname)
            .order_by_asc(appliance::Column::Id)
            .all(&self.db)
            .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Forgets an appliance; it must enrol again to get offers.
    pub async fn appliance_remove(&self, id: ApplianceId) -> Result<()> {
        let txn = self.begin().await?;
        let gone = appliance::Entity::delete_by_id(id.0).exec(&txn).await?;
        if gone.rows_affected == 0 {
            bail!("there is no appliance {id}: `sluis-update list` shows them");
        }
        let of = |column: nonce::Column| column.eq(id.0);
        nonce::Entity::delete_many().filter(of(nonce::Column::Appliance)).exec(&txn).await?;
        let mine = report::Column::Appliance.eq(id.0);
        report::Entity::delete_many().filter(mine).exec(&txn).await?;
        txn.commit().await?;
        Ok(())
    }

    /// Notes a check, unless its nonce was used; says whether it was fresh.
    ///
    /// Nonces older than `forget` are dropped: their requests are refused by their time.
    pub async fn check_noted(
        &self,
        id: ApplianceId,
        value: Nonce,
        inventory: String,
        now: i64,
        forget: i64,
    ) -> Result<bool> {
        let txn = self.begin().await?;
        nonce::Entity::delete_many().filter(nonce::Column::At.lt(forget)).exec(&txn).await?;
        let row = nonce::Model { appliance: id.0, nonce: value.to_string(), at: now };
        if nonce::Entity::find_by_id((id.0, row.nonce.clone())).one(&txn).await?.is_some() {
            return Ok(false);
        }
        nonce::Entity::insert(row.into_active_model()).exec_without_returning(&txn).await?;
        let change = appliance::ActiveModel {
            id: Set(id.0),
            last_check_at: Set(Some(now)),
            inventory: Set(Some(inventory)),
            ..Default::default()
        };
        appliance::Entity::update(change).exec(&txn).await?;
        txn.commit().await?;
        Ok(true)
    }

    /// Records one step of one attempt; says whether it was news.
    pub async fn report_add(&self, new: &ReportRequest, now: i64) -> Result<bool> {
        let txn = self.begin().await?;
        let row = report::Model {
            appliance: new.appliance.0,
            attempt: new.attempt.0,
            step: new.step.into(),
            state: new.state.clone(),
            text: new.text.clone(),
            at: i64::try_from(new.at.0).unwrap_or(i64::MAX),
            received_at: now,
        };
        let key = [report::Column::Appliance, report::Column::Attempt, report::Column::Step];
        let news = report::Entity::insert(row.into_active_model())
            .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
            .exec_without_returning(&txn)
            .await?
            > 0;
        if news {
            forget_old_reports(&txn, new.appliance.0).await?;
        }
        txn.commit().await?;
        Ok(news)
    }

    /// What an appliance reported last.
    pub async fn last_report(&self, id: ApplianceId) -> Result<Option<LastReport>> {
        let row = reports_of(id.0).one(&self.db).await?;
        Ok(row.map(|row| LastReport { state: row.state, text: row.text, at: row.at }))
    }
}

fn reports_of(id: Uuid) -> sea_orm::Select<report::Entity> {
    report::Entity::find()
        .filter(report::Column::Appliance.eq(id))
        .order_by_desc(report::Column::ReceivedAt)
        .order_by_desc(report::Column::Step)
}

async fn forget_old_reports(db: &impl ConnectionTrait, id: Uuid) -> Result<()> {
    let newest = reports_of(id).offset(REPORTS_KEPT).limit(1).one(db).await?;
    if let Some(row) = newest {
        let old = report::Column::ReceivedAt.lte(row.received_at);
        let mine = report::Column::Appliance.eq(id);
        report::Entity::delete_many().filter(mine).filter(old).exec(db).await?;
    }
    Ok(())
}

impl TryFrom<appliance::Model> for Appliance {
    type Error = anyhow::Error;

    fn try_from(row: appliance::Model) -> Result<Self> {
        Ok(Self {
            id: ApplianceId(row.id),
            customer: row.customer,
            public_key: row.public_key.parse()?,
            hostname: row.hostname.parse()?,
            enrolled_at: row.enrolled_at,
            last_check_at: row.last_check_at,
            inventory: row.inventory,
        })
    }
}
