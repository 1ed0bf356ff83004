//! The tables as rows, one module each: what the repositories read and write.
//!
//! A table that a later level widened has a second module with only the columns of that level, so that
//! a program of the lower level never names them.

macro_rules! plain {
    () => {
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}
        impl ActiveModelBehavior for ActiveModel {}
    };
}

pub mod operator {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "operator")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub display_name: String,
        pub password_hash: String,
        pub admin: bool,
        pub must_change_password: bool,
        pub disabled: bool,
        pub builtin: bool,
        pub failed_logins: i64,
        pub locked_until: Option<i64>,
        pub last_login_at: Option<i64>,
        pub created_at: i64,
    }
    plain!();
}

pub mod web_session {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "web_session")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token_hash: String,
        pub csrf: String,
        pub operator_id: Uuid,
        pub peer: String,
        pub created_at: i64,
        pub expires_at: i64,
    }
    plain!();
}

pub mod console {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "console")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub key: String,
        pub operator_id: Uuid,
        pub name: String,
        pub created_at: i64,
        pub expires_at: i64,
        pub last_seen_at: Option<i64>,
        pub revoked: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::operator::Entity",
            from = "Column::OperatorId",
            to = "super::operator::Column::Id"
        )]
        Operator,
    }
    impl Related<super::operator::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Operator.def()
        }
    }
    impl ActiveModelBehavior for ActiveModel {}
}

pub mod api_token {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub token_hash: String,
        pub operator_id: Uuid,
        pub name: String,
        pub created_at: i64,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::operator::Entity",
            from = "Column::OperatorId",
            to = "super::operator::Column::Id"
        )]
        Operator,
    }
    impl Related<super::operator::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Operator.def()
        }
    }
    impl ActiveModelBehavior for ActiveModel {}
}

pub mod enrolment_token {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "enrolment_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub token_hash: String,
        pub name: String,
        pub group_name: String,
        pub mode: String,
        pub uses_left: i32,
        pub created_by: Option<Uuid>,
        pub created_at: i64,
        pub expires_at: i64,
    }
    plain!();
}

pub mod agent {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "agent")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub key: String,
        pub name: String,
        pub group_name: String,
        pub os: String,
        pub arch: String,
        pub mode: String,
        pub version: String,
        pub revision: i64,
        pub builtin: bool,
        pub disabled: bool,
        pub created_at: i64,
        pub last_seen_at: Option<i64>,
        pub generation: Option<i64>,
        pub uninstalled_at: Option<i64>,
        pub removed_at: Option<i64>,
        pub upgrade_stage: Option<String>,
        pub upgrade_text: Option<String>,
        pub upgrade_at: Option<i64>,
    }
    plain!();
}

pub mod session {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "session")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub operator_id: Uuid,
        pub agent_id: Uuid,
        pub console_id: Option<Uuid>,
        pub kind: String,
        pub command: Option<String>,
        pub state: String,
        pub started_at: i64,
        pub ended_at: Option<i64>,
        pub outcome: Option<String>,
        pub bytes_out: i64,
        pub bytes_in: i64,
        pub recorded: bool,
        pub generation: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::operator::Entity",
            from = "Column::OperatorId",
            to = "super::operator::Column::Id"
        )]
        Operator,
        #[sea_orm(
            belongs_to = "super::agent::Entity",
            from = "Column::AgentId",
            to = "super::agent::Column::Id"
        )]
        Agent,
    }
    impl ActiveModelBehavior for ActiveModel {}
}

/// What level 2 added to the table of sessions.
pub mod session_stalls {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "session")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub stall_ms_max: i64,
        pub resume_count: i64,
    }
    plain!();
}

/// Level 2.
pub mod session_leg {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "session_leg")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub session_id: Uuid,
        pub leg: String,
        pub generation: i64,
        pub attached_at: i64,
        pub detached_at: Option<i64>,
        pub resumed_from: Option<i64>,
        pub stall_ms: i64,
        pub peer: Option<String>,
    }
    plain!();
}

pub mod recording {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "recording")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub session_id: Uuid,
        pub path: String,
        pub size: i64,
        pub chain_head: Option<String>,
        pub complete: bool,
        pub started_at: i64,
        pub finished_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::session::Entity",
            from = "Column::SessionId",
            to = "super::session::Column::Id"
        )]
        Session,
    }
    impl ActiveModelBehavior for ActiveModel {}
}

pub mod audit {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub at: i64,
        pub actor_kind: String,
        pub actor: String,
        pub action: String,
        pub subject: String,
        pub detail: String,
        pub peer: Option<String>,
        pub generation: i64,
    }
    plain!();
}

pub mod fence {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "fence")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub generation: i64,
        pub term: i64,
        pub taken_at: i64,
    }
    plain!();
}

pub mod probe {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "probe")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub generation: i64,
        pub at: i64,
    }
    plain!();
}

pub mod setting {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "setting")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub value: String,
        pub changed_at: i64,
    }
    plain!();
}
