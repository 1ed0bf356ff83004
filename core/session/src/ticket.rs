use minicbor::{Decode, Encode};
use model::{AgentId, OperatorId, PublicKey, SessionId, Timestamp};

use crate::sign::{SigningKey, verify};

/// What a site instance must know to take a session over that it has never seen.
///
/// The site signs it with its session key, which both instances of a pair hold, and gives it to
/// agent and console when the session opens. It proves that the session was allowed; who shows it
/// must also prove to be the agent or console that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The session.
    pub session: SessionId,
    /// The agent that runs it.
    pub agent: AgentId,
    /// The identity of the console that opened it.
    pub console: PublicKey,
    /// The operator at work.
    pub operator: OperatorId,
    /// The operator's name, for lists and logs.
    pub operator_name: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The command, when it is not a shell.
    pub command: Option<String>,
    /// When the session opened; its recording counts from here.
    pub opened: Timestamp,
    /// After this moment nobody resumes with it.
    pub expires: Timestamp,
    /// Columns when it opened.
    pub columns: u16,
    /// Rows when it opened.
    pub rows: u16,
}

/// The ticket does not open anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The bytes are no ticket.
    #[error("the session ticket cannot be read")]
    PeerMalformed,
    /// Nobody we trust signed it.
    #[error("the session ticket was not signed by this site")]
    PeerSignature,
    /// Its time is over.
    #[error("the session ticket expired at {0}")]
    Expired(Timestamp),
}

const DOMAIN: &[u8] = b"sluis session ticket v1\0";
const SIGNATURE_LEN: usize = 64;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    session: [u8; 16],
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    agent: [u8; 16],
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    console: [u8; 32],
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    operator: [u8; 16],
    #[n(5)]
    operator_name: String,
    #[n(6)]
    endpoint: String,
    #[n(7)]
    command: Option<String>,
    #[n(8)]
    opened: u64,
    #[n(9)]
    expires: u64,
    #[n(10)]
    columns: u16,
    #[n(11)]
    rows: u16,
}

impl Ticket {
    /// The signed bytes: signature, then the fields as a CBOR map.
    pub fn seal(&self, key: &SigningKey) -> Vec<u8> {
        let body = minicbor::to_vec(Body {
            session: *self.session.as_bytes(),
            agent: *self.agent.as_bytes(),
            console: self.console.0,
            operator: *self.operator.as_bytes(),
            operator_name: self.operator_name.clone(),
            endpoint: self.endpoint.clone(),
            command: self.command.clone(),
            opened: self.opened.0,
            expires: self.expires.0,
            columns: self.columns,
            rows: self.rows,
        })
        .unwrap_or_default();
        [key.sign(&[DOMAIN, &body].concat()), body].concat()
    }

    /// Reads a ticket that one of `keys` signed.
    ///
    /// # Errors
    /// When it is malformed, foreign or too old.
    pub fn open(bytes: &[u8], keys: &[PublicKey], now: Timestamp) -> Result<Self, TicketError> {
        let (signature, body) =
            bytes.split_at_checked(SIGNATURE_LEN).ok_or(TicketError::PeerMalformed)?;
        let signed = [DOMAIN, body].concat();
        if !keys.iter().any(|key| verify(key, &signed, signature)) {
            return Err(TicketError::PeerSignature);
        }
        let body: Body = minicbor::decode(body).map_err(|_| TicketError::PeerMalformed)?;
        let ticket = Self {
            session: SessionId::from_bytes(body.session),
            agent: AgentId::from_bytes(body.agent),
            console: PublicKey(body.console),
            operator: OperatorId::from_bytes(body.operator),
            operator_name: body.operator_name,
            endpoint: body.endpoint,
            command: body.command,
            opened: Timestamp(body.opened),
            expires: Timestamp(body.expires),
            columns: body.columns,
            rows: body.rows,
        };
        if ticket.expires <= now {
            return Err(TicketError::Expired(ticket.expires));
        }
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            session: SessionId::from_bytes([1; 16]),
            agent: AgentId::from_bytes([2; 16]),
            console: PublicKey([3; 32]),
            operator: OperatorId::from_bytes([4; 16]),
            operator_name: "ada".into(),
            endpoint: "web-1".into(),
            command: Some("uptime".into()),
            opened: Timestamp(1000),
            expires: Timestamp(2000),
            columns: 80,
            rows: 24,
        }
    }

    #[test]
    fn opens_with_the_right_key_in_time_only() {
        let key = SigningKey::from_seed(&[9; 32]).expect("a seed");
        let sealed = ticket().seal(&key);
        let (own, other) = (key.public(), PublicKey([0; 32]));
        assert_eq!(Ticket::open(&sealed, &[other, own], Timestamp(1999)), Ok(ticket()));
        assert_eq!(Ticket::open(&sealed, &[other], Timestamp(0)), Err(TicketError::PeerSignature));
        assert_eq!(
            Ticket::open(&sealed, &[own], Timestamp(2000)),
            Err(TicketError::Expired(Timestamp(2000)))
        );
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(Ticket::open(&bent, &[own], Timestamp(0)).is_err(), "bit flipped at {at}");
            assert!(Ticket::open(&sealed[..at], &[own], Timestamp(0)).is_err(), "cut at {at}");
        }
    }
}
