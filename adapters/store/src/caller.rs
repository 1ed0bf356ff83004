use model::OperatorId;

use crate::{Error, Result};

/// On whose behalf the store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The site itself: its own upkeep, and what it does for an agent that has proven its key.
    Site,
    /// A person who has signed in.
    Operator {
        /// Their account.
        id: OperatorId,
        /// Their name, for the audit log and for refusals.
        name: String,
        /// Whether they administer the site.
        admin: bool,
        /// The address they come from, for the audit log; empty when it is not known.
        peer: String,
    },
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Accounts.
    Operators,
    /// Jump Clients.
    Agents,
    /// Enrolment tokens.
    EnrolmentTokens,
    /// Access consoles.
    Consoles,
    /// Bearer tokens and browser sessions of a person.
    Credentials,
    /// Sessions.
    Sessions,
    /// Recordings.
    Recordings,
    /// The audit log.
    Audit,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To see it.
    Read,
    /// To make, change or remove it.
    Write,
}

/// How much of a resource a caller reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    All,
    /// What belongs to this operator.
    Own(OperatorId),
}

impl Scope {
    /// Whether something of that operator is within reach.
    pub fn holds(self, owner: OperatorId) -> bool {
        match self {
            Self::All => true,
            Self::Own(id) => id == owner,
        }
    }
}

impl Caller {
    /// How much of `resource` this caller may see or change.
    ///
    /// # Errors
    ///
    /// [`Error::CallerForbidden`] when it is nothing at all.
    pub fn scope(&self, resource: Resource, action: Action) -> Result<Scope> {
        use Action::{Read, Write};
        use Resource::{
            Agents, Audit, Consoles, Credentials, EnrolmentTokens, Operators, Recordings, Sessions,
        };
        let Self::Operator { id, admin, .. } = self else { return Ok(Scope::All) };
        let own = Ok(Scope::Own(*id));
        match (resource, action) {
            // A recording is evidence and the audit log is history: nobody edits them.
            (Recordings | Audit, Write) => Err(self.forbidden(resource, action)),
            _ if *admin => Ok(Scope::All),
            (Agents, Read) => Ok(Scope::All),
            (Operators | Consoles | Credentials | Sessions, _) | (Recordings, Read) => own,
            (Agents, Write) | (EnrolmentTokens, _) | (Audit, Read) => {
                Err(self.forbidden(resource, action))
            }
        }
    }

    /// The address that the caller comes from, where one is known.
    pub(crate) fn peer(&self) -> Option<String> {
        match self {
            Self::Operator { peer, .. } if !peer.is_empty() => Some(peer.clone()),
            Self::Operator { .. } | Self::Site => None,
        }
    }

    /// Passes when the caller reaches all of `resource`.
    pub(crate) fn all(&self, resource: Resource, action: Action) -> Result<()> {
        match self.scope(resource, action)? {
            Scope::All => Ok(()),
            Scope::Own(_) => Err(self.forbidden(resource, action)),
        }
    }

    /// Passes when the caller reaches what belongs to `owner`.
    pub(crate) fn owns(&self, resource: Resource, action: Action, owner: OperatorId) -> Result<()> {
        if self.scope(resource, action)?.holds(owner) {
            Ok(())
        } else {
            Err(self.forbidden(resource, action))
        }
    }

    /// Passes for the site itself only.
    pub(crate) fn site(&self, what: &'static str) -> Result<()> {
        match self {
            Self::Site => Ok(()),
            Self::Operator { name, .. } => Err(Error::CallerForbidden { who: name.clone(), what }),
        }
    }

    fn forbidden(&self, resource: Resource, action: Action) -> Error {
        let what = match (resource, action) {
            (Resource::Operators, Action::Read) => "see the accounts of others",
            (Resource::Operators, Action::Write) => "change the accounts of others",
            (Resource::Agents, Action::Read) => "see Jump Clients",
            (Resource::Agents, Action::Write) => "change Jump Clients",
            (Resource::EnrolmentTokens, Action::Read) => "see enrolment tokens",
            (Resource::EnrolmentTokens, Action::Write) => "make or withdraw enrolment tokens",
            (Resource::Consoles, Action::Read) => "see the consoles of others",
            (Resource::Consoles, Action::Write) => "change the consoles of others",
            (Resource::Credentials, Action::Read) => "see the tokens of others",
            (Resource::Credentials, Action::Write) => "change the tokens of others",
            (Resource::Sessions, Action::Read) => "see the sessions of others",
            (Resource::Sessions, Action::Write) => "change the sessions of others",
            (Resource::Recordings, Action::Read) => "see the recordings of others",
            (Resource::Recordings, Action::Write) => "change a recording",
            (Resource::Audit, Action::Read) => "see the audit log",
            (Resource::Audit, Action::Write) => "change the audit log",
        };
        let who = match self {
            Self::Site => "the site".to_owned(),
            Self::Operator { name, .. } => name.clone(),
        };
        Error::CallerForbidden { who, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCES: [Resource; 8] = [
        Resource::Operators,
        Resource::Agents,
        Resource::EnrolmentTokens,
        Resource::Consoles,
        Resource::Credentials,
        Resource::Sessions,
        Resource::Recordings,
        Resource::Audit,
    ];

    fn row(caller: &Caller, action: Action) -> String {
        let cell = |resource| match caller.scope(resource, action) {
            Ok(Scope::All) => 'A',
            Ok(Scope::Own(_)) => 'o',
            Err(_) => '-',
        };
        RESOURCES.into_iter().map(cell).collect()
    }

    #[test]
    fn the_policy_matrix_is_this() {
        let person = |admin| Caller::Operator {
            id: OperatorId::from_bytes([7; 16]),
            name: "ruth".to_owned(),
            admin,
            peer: String::new(),
        };
        // Operators, agents, enrolment tokens, consoles, credentials, sessions, recordings, audit.
        assert_eq!(row(&Caller::Site, Action::Read), "AAAAAAAA");
        assert_eq!(row(&Caller::Site, Action::Write), "AAAAAAAA");
        assert_eq!(row(&person(true), Action::Read), "AAAAAAAA");
        assert_eq!(row(&person(true), Action::Write), "AAAAAA--");
        assert_eq!(row(&person(false), Action::Read), "oA-oooo-");
        assert_eq!(row(&person(false), Action::Write), "o--ooo--");
    }

    #[test]
    fn a_refusal_names_who_and_what() {
        let ruth = Caller::Operator {
            id: OperatorId::from_bytes([7; 16]),
            name: "ruth".to_owned(),
            admin: false,
            peer: String::new(),
        };
        let error = ruth.scope(Resource::Audit, Action::Read).expect_err("not an administrator");
        assert_eq!(error.to_string(), "ruth may not see the audit log; an administrator can");
    }
}
