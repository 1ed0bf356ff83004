//! The tables as rows. Moments are milliseconds since 1970, as in `model::Timestamp`.

macro_rules! plain {
    () => {
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}
        impl ActiveModelBehavior for ActiveModel {}
    };
}

pub mod customer {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "customer")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub created_at: i64,
    }
    plain!();
}

pub mod code {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "enrolment_code")]
    pub struct Model {
        /// SHA-256 of the code: the code itself is not kept.
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        pub customer: String,
        pub hostname: Option<String>,
        pub created_at: i64,
        pub expires_at: i64,
        pub used_at: Option<i64>,
        pub appliance: Option<Uuid>,
    }
    plain!();
}

pub mod appliance {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "appliance")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub customer: String,
        #[sea_orm(unique)]
        pub public_key: String,
        pub hostname: String,
        pub enrolled_at: i64,
        pub last_check_at: Option<i64>,
        /// JSON of what it ran at its last check.
        pub inventory: Option<String>,
    }
    plain!();
}

pub mod entitlement {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "entitlement")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hostname: String,
        pub customer: String,
        pub licenses: Option<i64>,
        pub expires_at: Option<i64>,
    }
    plain!();
}

pub mod hold {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "hold")]
    pub struct Model {
        /// `all`, `customer:NAME` or `appliance:ID`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub scope: String,
        pub reason: String,
        pub at: i64,
    }
    plain!();
}

pub mod block {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "block")]
    pub struct Model {
        /// Name of the TUF target.
        #[sea_orm(primary_key, auto_increment = false)]
        pub target: String,
        pub reason: String,
        pub at: i64,
    }
    plain!();
}

pub mod nonce {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "nonce")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub appliance: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub nonce: String,
        pub at: i64,
    }
    plain!();
}

pub mod report {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "report")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub appliance: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub attempt: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub step: i64,
        pub state: String,
        pub text: String,
        pub at: i64,
        pub received_at: i64,
    }
    plain!();
}
