use axum::http::StatusCode;
use axum::response::IntoResponse;
use ui_site::{Command, Enrol, EnrolFault, EnrolInput, Enrolled, EnrolledFacts, Tab};

use super::{Answer, Member, Posted};
use crate::web::doing::enrol::{self, Wanted};
use crate::web::facts;

const MANAGE: &str = "add Jump Clients";

pub async fn form(member: Member) -> Answer {
    member.administers(MANAGE)?;
    Ok(member.page(Tab::Clients, &Enrol::new(member.csrf())))
}

pub async fn make(Posted(member, input): Posted<EnrolInput>) -> Answer {
    member.administers(MANAGE)?;
    let numbers = input.uses().and_then(|uses| input.valid_for().map(|hours| (uses, hours)));
    let (uses, valid_for) = match numbers {
        Ok(numbers) => numbers,
        Err(fault) => return Ok(wrong(&member, &input, fault)),
    };
    let mode = facts::agent_mode(input.mode());
    let wanted = Wanted { name: &input.name, group: &input.group, mode, uses, valid_for };
    let host = &member.visit.host;
    match enrol::make(member.state(), &member.acting(), wanted, host).await {
        Ok(made) => {
            let commands = enrol::commands(member.state(), &made);
            let command = |(system, lines)| Command { system, lines };
            let page = Enrolled::new(EnrolledFacts {
                name: made.token.name,
                group: made.token.group,
                mode: input.mode(),
                uses,
                expires: made.token.expires,
                commands: commands.into_iter().map(command).collect(),
            });
            Ok(member.page(Tab::Clients, &page))
        }
        Err(problem) if problem.status == StatusCode::BAD_REQUEST => {
            let words = problem.page().reason.clone();
            let fault = if words.starts_with("Group") {
                EnrolFault::Group(words)
            } else if words.starts_with("Uses") {
                EnrolFault::Uses(words)
            } else {
                EnrolFault::Name(words)
            };
            Ok(wrong(&member, &input, fault))
        }
        Err(problem) => Err(member.fault(problem)),
    }
}

fn wrong(member: &Member, input: &EnrolInput, fault: EnrolFault) -> axum::response::Response {
    let page = Enrol::new(member.csrf()).wrong(input, fault);
    (StatusCode::UNPROCESSABLE_ENTITY, member.page(Tab::Clients, &page)).into_response()
}
