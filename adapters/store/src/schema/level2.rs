//! Level 2: a session has legs.
//!
//! An auditor sees each time an agent or a console attached to a session, through which generation,
//! from which offset it went on, and how long the bytes stood still.

use sea_orm::DbErr;
use sea_orm_migration::SchemaManager;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, string, string_null, uuid,
};
use sea_orm_migration::sea_query::{
    ForeignKey, ForeignKeyAction, Index, Table, TableAlterStatement,
};

pub async fn expand(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    let leg = Table::create()
        .table("session_leg")
        .col(big_pk_auto("id"))
        .col(uuid("session_id"))
        .col(string("leg"))
        .col(big_integer("generation"))
        .col(big_integer("attached_at"))
        .col(big_integer_null("detached_at"))
        // Null for the first attachment; after it the offset of the first byte that was missing.
        .col(big_integer_null("resumed_from"))
        .col(big_integer("stall_ms"))
        .col(string_null("peer"))
        // A program of level 1 removes sessions without knowing of their legs.
        .foreign_key(
            ForeignKey::create()
                .from_col("session_id")
                .to_tbl("session")
                .to_col("id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    schema.create_table(leg).await?;
    let by_session = Index::create()
        .name("session_leg_session")
        .table("session_leg")
        .col("session_id")
        .col("leg")
        .take();
    schema.create_index(by_session).await?;
    // With a default, so that a program of level 1 goes on inserting without them.
    for column in ["stall_ms_max", "resume_count"] {
        schema.alter_table(column_of_session(column)).await?;
    }
    Ok(())
}

fn column_of_session(name: &'static str) -> TableAlterStatement {
    Table::alter().table("session").add_column(big_integer(name).default(0)).take()
}
