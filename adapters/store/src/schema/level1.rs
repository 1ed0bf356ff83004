//! Level 1: the first release.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::SchemaManager;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_uuid, string, string_null, string_uniq,
    text, text_null, uuid, uuid_null,
};
use sea_orm_migration::sea_query::{
    ColumnDef, ConditionalStatement, Expr, ExprTrait, ForeignKey, ForeignKeyCreateStatement, Index,
    IndexCreateStatement, Table, TableCreateStatement,
};

pub async fn expand(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    for table in [
        operator(),
        web_session(),
        console(),
        api_token(),
        enrolment_token(),
        agent(),
        session(),
        recording(),
        audit(),
        fence(),
        probe(),
        setting(),
    ] {
        schema.create_table(table).await?;
    }
    for index in indexes() {
        schema.create_index(index).await?;
    }
    for trigger in AUDIT_TRIGGERS {
        schema.get_connection().execute_unprepared(trigger).await?;
    }
    Ok(())
}

fn table(name: &'static str, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create().table(name).take();
    for column in columns {
        table.col(column);
    }
    table
}

fn refers(column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col(column).to_tbl(to).to_col("id").take()
}

fn flag(name: &'static str) -> ColumnDef {
    boolean(name).default(false).take()
}

fn zero(name: &'static str) -> ColumnDef {
    big_integer(name).default(0).take()
}

fn operator() -> TableCreateStatement {
    table(
        "operator",
        [
            pk_uuid("id"),
            string_uniq("name"),
            string("display_name"),
            string("password_hash"),
            flag("admin"),
            flag("must_change_password"),
            flag("disabled"),
            // Made by the site for its self-test; no person signs in with it.
            flag("builtin"),
            zero("failed_logins"),
            big_integer_null("locked_until"),
            big_integer_null("last_login_at"),
            big_integer("created_at"),
        ],
    )
}

fn web_session() -> TableCreateStatement {
    table(
        "web_session",
        [
            string("token_hash").primary_key().take(),
            string("csrf"),
            uuid("operator_id"),
            string("peer"),
            big_integer("created_at"),
            big_integer("expires_at"),
        ],
    )
    .foreign_key(&mut refers("operator_id", "operator"))
    .take()
}

fn console() -> TableCreateStatement {
    table(
        "console",
        [
            pk_uuid("id"),
            string_uniq("key"),
            uuid("operator_id"),
            string("name"),
            big_integer("created_at"),
            big_integer("expires_at"),
            big_integer_null("last_seen_at"),
            flag("revoked"),
        ],
    )
    .foreign_key(&mut refers("operator_id", "operator"))
    .take()
}

fn api_token() -> TableCreateStatement {
    table(
        "api_token",
        [
            pk_uuid("id"),
            string_uniq("token_hash"),
            uuid("operator_id"),
            string("name"),
            big_integer("created_at"),
            big_integer("expires_at"),
        ],
    )
    .foreign_key(&mut refers("operator_id", "operator"))
    .take()
}

fn enrolment_token() -> TableCreateStatement {
    table(
        "enrolment_token",
        [
            pk_uuid("id"),
            string_uniq("token_hash"),
            string("name"),
            string("group_name"),
            string("mode"),
            integer("uses_left"),
            uuid_null("created_by"),
            big_integer("created_at"),
            big_integer("expires_at"),
        ],
    )
    .foreign_key(&mut refers("created_by", "operator"))
    .take()
}

fn agent() -> TableCreateStatement {
    table(
        "agent",
        [
            pk_uuid("id"),
            string("key"),
            string("name"),
            string("group_name"),
            string("os"),
            string("arch"),
            string("mode"),
            string("version"),
            big_integer("revision"),
            flag("builtin"),
            flag("disabled"),
            big_integer("created_at"),
            big_integer_null("last_seen_at"),
            // The generation that holds its link; null when none does.
            big_integer_null("generation"),
            big_integer_null("uninstalled_at"),
            big_integer_null("removed_at"),
            string_null("upgrade_stage"),
            text_null("upgrade_text"),
            big_integer_null("upgrade_at"),
        ],
    )
}

fn session() -> TableCreateStatement {
    table(
        "session",
        [
            pk_uuid("id"),
            uuid("operator_id"),
            uuid("agent_id"),
            uuid_null("console_id"),
            string("kind"),
            text_null("command"),
            string("state"),
            big_integer("started_at"),
            big_integer_null("ended_at"),
            text_null("outcome"),
            zero("bytes_out"),
            zero("bytes_in"),
            flag("recorded"),
            big_integer("generation"),
        ],
    )
    .foreign_key(&mut refers("operator_id", "operator"))
    .foreign_key(&mut refers("agent_id", "agent"))
    .foreign_key(&mut refers("console_id", "console"))
    .take()
}

fn recording() -> TableCreateStatement {
    table(
        "recording",
        [
            uuid("session_id").primary_key().take(),
            text("path"),
            zero("size"),
            string_null("chain_head"),
            flag("complete"),
            big_integer("started_at"),
            big_integer_null("finished_at"),
        ],
    )
    .foreign_key(&mut refers("session_id", "session"))
    .take()
}

fn audit() -> TableCreateStatement {
    table(
        "audit",
        [
            pk_uuid("id"),
            big_integer("at"),
            string("actor_kind"),
            string("actor"),
            string("action"),
            string("subject"),
            text("detail"),
            string_null("peer"),
            big_integer("generation"),
        ],
    )
}

fn fence() -> TableCreateStatement {
    table(
        "fence",
        [
            string("name").primary_key().take(),
            big_integer("generation"),
            // Counts how often the fence changed hands, so that a holder of before is told apart.
            big_integer("term"),
            big_integer("taken_at"),
        ],
    )
}

fn probe() -> TableCreateStatement {
    table("probe", [big_integer("generation").primary_key().take(), big_integer("at")])
}

fn setting() -> TableCreateStatement {
    table(
        "setting",
        [string("name").primary_key().take(), text("value"), big_integer("changed_at")],
    )
}

fn index(
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).take();
    for column in columns {
        index.col(*column);
    }
    index
}

fn indexes() -> Vec<IndexCreateStatement> {
    // A removed Jump Client keeps its row for the log, and gives its name and key free.
    let present = || Expr::col("removed_at").is_null();
    vec![
        index("agent", "agent_key", &["key"]).unique().and_where(present()).take(),
        index("agent", "agent_name", &["name"]).unique().and_where(present()).take(),
        index("session", "session_state", &["state", "started_at"]),
        index("session", "session_started", &["started_at", "id"]),
        index("session", "session_operator", &["operator_id", "started_at"]),
        index("session", "session_agent", &["agent_id"]),
        index("console", "console_operator", &["operator_id"]),
        index("web_session", "web_session_operator", &["operator_id"]),
        index("api_token", "api_token_operator", &["operator_id"]),
        index("recording", "recording_started", &["started_at"]),
    ]
}

/// The audit log only grows; a bug or a hasty hand on the file gets an error.
const AUDIT_TRIGGERS: [&str; 2] = [
    "CREATE TRIGGER audit_keeps BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
    "CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
];
