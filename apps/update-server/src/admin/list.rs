//! `list`: everything that the server remembers.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::clock;
use crate::store::Store;

#[derive(Args)]
pub struct List {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, store: &Store) -> Result<()> {
        let all = gather(store).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            print!("{}", text(&all));
        }
        Ok(())
    }
}

fn moment(millis: Option<i64>) -> Value {
    millis.map_or(Value::Null, |millis| json!(clock::from_db(millis).to_string()))
}

async fn gather(store: &Store) -> Result<Value> {
    let mut appliances = Vec::new();
    for appliance in store.appliances().await? {
        let inventory: Option<Value> =
            appliance.inventory.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let report = store.last_report(appliance.id).await?;
        appliances.push(json!({
            "id": appliance.id,
            "customer": appliance.customer,
            "hostname": appliance.hostname,
            "enrolled": moment(Some(appliance.enrolled_at)),
            "last_check": moment(appliance.last_check_at),
            "inventory": inventory,
            "last_report": report.map(|report| json!({
                "state": report.state, "text": report.text, "at": moment(Some(report.at)),
            })),
        }));
    }
    let entitlements: Vec<Value> = store
        .entitlements()
        .await?
        .into_iter()
        .map(|e| {
            json!({
                "hostname": e.hostname, "customer": e.customer, "licenses": e.licenses,
                "expires": moment(e.expires_at),
            })
        })
        .collect();
    let holds = store.holds().await?;
    let holds: Vec<Value> =
        holds.iter().map(|h| json!({ "scope": h.scope, "reason": h.reason })).collect();
    let blocks = store.blocks().await?;
    let blocks: Vec<Value> =
        blocks.iter().map(|b| json!({ "target": b.target, "reason": b.reason })).collect();
    Ok(json!({
        "customers": store.customers().await?,
        "appliances": appliances,
        "entitlements": entitlements,
        "holds": holds,
        "blocks": blocks,
    }))
}

fn text(all: &Value) -> String {
    let mut out = String::new();
    for (title, rows) in all.as_object().into_iter().flatten() {
        let _ = writeln!(out, "{title}:");
        let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
        if rows.is_empty() {
            out += "  none\n";
        }
        for row in rows {
            let _ = writeln!(out, "  {}", words(row));
        }
    }
    out
}

/// One row as `name=value`, simple values only; what an appliance runs as `site 1.1.0 (rev 2)`.
fn words(row: &Value) -> String {
    let Some(fields) = row.as_object() else { return plain(row) };
    let mut parts = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(installed).collect();
                parts.push(format!("{name}={}", items.join(", ")));
            }
            Value::Object(_) => parts.push(format!("{name}={}", plain(&value["state"]))),
            other => parts.push(format!("{name}={}", plain(other))),
        }
    }
    parts.join("  ")
}

fn installed(item: &Value) -> String {
    let version = plain(&item["version"]);
    format!("{} {version} (rev {})", plain(&item["name"]), plain(&item["revision"]))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
