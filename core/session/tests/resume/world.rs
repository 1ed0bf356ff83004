//! Everything together, step by step, with trouble and a checker.

mod checks;
mod faults;

use std::collections::BTreeMap;

use bytes::Bytes;
use session::{Channel, Finished, Frame, Message, Moved, Refused, RefusedCode};

use crate::ends::{Agent, Console, Next, OUTPUT, OUTPUT_WINDOW, PUSH_MAX};
use crate::relay::{Disk, Relay, Relayed, Rules};
use crate::wire::{Chance, Leg, Role, byte_at, message, read};

/// Steps with trouble, and steps after it in which everything must come to its end.
const WILD: usize = 1500;
const CALM: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Network,
    HandOver,
    Crash,
    Everything,
    Power,
}

pub struct World {
    chance: Chance,
    trouble: Trouble,
    rules: Rules,
    agent: Agent,
    console: Console,
    /// The relay that each end dials.
    target: BTreeMap<&'static str, u64>,
    relays: BTreeMap<u64, Relay>,
    newest: u64,
    legs: BTreeMap<u64, Leg>,
    next_leg: u64,
    /// Ends that wait for another link.
    needs_link: Vec<&'static str>,
    disk: Disk,
    /// A running hash of what happened.
    story: u64,
}

type Step = Result<(), String>;

const fn name(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Console => "console",
    }
}

impl World {
    pub fn new(seed: u64, trouble: Trouble, rules: Rules) -> Self {
        let mut chance = Chance::new(seed);
        let (agent, console) = (Agent::new(rules, &mut chance), Console::new(rules, &mut chance));
        let mut world = Self {
            chance,
            trouble,
            rules,
            agent,
            console,
            target: BTreeMap::from([("agent", 1), ("console", 1)]),
            relays: BTreeMap::new(),
            newest: 0,
            legs: BTreeMap::new(),
            next_leg: 1,
            needs_link: Vec::new(),
            disk: Disk::default(),
            story: 0,
        };
        world.start_relay();
        world.disk.holder = Some(1);
        let (agent, console) = (world.dial(Role::Agent), world.dial(Role::Console));
        world.agent.stream.leg = Some(agent);
        world.console.stream.leg = Some(console);
        let mut session = Relayed::new(rules, &world.disk);
        (session.agent, session.console) = (Some(agent), Some(console));
        world.relay(1).session = Some(session);
        world
    }

    /// Runs to the end; answers a hash of the story.
    pub fn run(mut self) -> Result<u64, String> {
        let fault_rate = 8 + self.chance.below(60);
        for _ in 0..WILD {
            if self.chance.once_in(fault_rate) {
                self.fault();
            }
            self.step()?;
            self.check()?;
        }
        self.disk.full = false;
        self.agent.reads_every = 1;
        for _ in 0..CALM {
            if self.is_settled() {
                self.check_end()?;
                return Ok(self.story);
            }
            self.move_on();
            self.step()?;
            self.check()?;
        }
        Err(self.stuck())
    }

    fn step(&mut self) -> Step {
        let pick = self.chance.below(14);
        self.story =
            self.story.wrapping_mul(0x0100_0000_01b3) ^ pick as u64 ^ self.disk.cast.len() as u64;
        match pick {
            0 => self.agent.work(&mut self.chance),
            1 => self.agent.read_input(&mut self.chance)?,
            2 => self.console.work(&mut self.chance),
            3 | 4 => self.end_sends(Role::Agent),
            5 => self.end_sends(Role::Console),
            6 | 7 => self.end_receives(Role::Agent)?,
            8 | 9 => self.end_receives(Role::Console)?,
            10 => self.settle(),
            11 => self.write_late(),
            _ => self.relay_reads()?,
        }
        Ok(())
    }

    // ---- the ends ----

    fn dial(&mut self, role: Role) -> u64 {
        let number = self.next_leg;
        self.next_leg += 1;
        self.legs.insert(number, Leg::new(role, self.target[name(role)]));
        number
    }

    fn leg_of(&self, role: Role) -> Option<u64> {
        match role {
            Role::Agent => self.agent.stream.leg,
            Role::Console => self.console.stream.leg,
        }
    }

    fn end_sends(&mut self, role: Role) {
        let over = if role == Role::Agent { self.agent.over } else { self.console.done };
        if over || self.needs_link.contains(&name(role)) {
            return;
        }
        let Some(number) = self.leg_of(role) else {
            let number = self.dial(role);
            let resume = match role {
                Role::Agent => self.agent.resume(number),
                Role::Console => self.console.resume(number),
            };
            return self.legs.get_mut(&number).expect("just dialled").send_up(resume);
        };
        let leg = self.legs.get_mut(&number).expect("its leg is there");
        if leg.takes_up() {
            let frame = match role {
                Role::Agent => self.agent.next_frame(),
                Role::Console => self.console.next_frame(),
            };
            if let Some(frame) = frame {
                leg.send_up(frame);
            }
        }
    }

    fn end_receives(&mut self, role: Role) -> Step {
        let Some(number) = self.leg_of(role) else { return Ok(()) };
        let leg = self.legs.get_mut(&number).expect("its leg is there");
        let Some(frame) = leg.down.pop_front() else {
            if leg.closed && role == Role::Console {
                self.console.closed();
            }
            if leg.broken || leg.closed {
                self.hang_up(role, number);
            }
            return Ok(());
        };
        let frame = read(frame);
        if let (Frame::Ack(offset), Role::Agent) = (&frame, role) {
            self.check_ack(*offset)?;
        }
        let next = match role {
            Role::Agent => self.agent.take(frame)?,
            Role::Console => self.console.take(frame)?,
        };
        if next == Next::NewLink {
            self.needs_link.push(name(role));
        }
        if next != Next::Go {
            self.hang_up(role, number);
        }
        Ok(())
    }

    /// An end leaves its leg; the relay still reads what was sent.
    fn hang_up(&mut self, role: Role, number: u64) {
        let leg = self.legs.get_mut(&number).expect("its leg is there");
        leg.broken = true;
        leg.down.clear();
        match role {
            Role::Agent => self.agent.stream.leg = None,
            Role::Console => self.console.stream.leg = None,
        }
    }

    // ---- the relays ----

    fn relay(&mut self, number: u64) -> &mut Relay {
        self.relays.get_mut(&number).expect("a live relay")
    }

    fn relay_reads(&mut self) -> Step {
        let (relays, legs) = (&self.relays, &self.legs);
        let live: Vec<u64> = legs
            .iter()
            .filter(|(_, leg)| relays.contains_key(&leg.relay))
            .map(|(n, _)| *n)
            .collect();
        let Some(number) = live.get(self.chance.below(live.len())).copied() else { return Ok(()) };
        if !self.legs[&number].replaced && self.has_way_on(number) {
            self.read_one(number)?;
        }
        self.forget_dead_legs();
        Ok(())
    }

    /// Back-pressure: a frame is read only when it can be passed on.
    fn has_way_on(&self, number: u64) -> bool {
        let leg = &self.legs[&number];
        let session = self.relays[&leg.relay].session.as_ref();
        let other = session.and_then(|s| if leg.role == Role::Agent { s.console } else { s.agent });
        other.and_then(|other| self.legs.get(&other)).is_none_or(Leg::takes_down)
    }

    fn read_one(&mut self, number: u64) -> Step {
        let leg = self.legs.get_mut(&number).expect("a live leg");
        let (role, at) = (leg.role, leg.relay);
        let Some(frame) = leg.up.pop_front() else {
            if leg.broken {
                self.detach(at, number);
            }
            return Ok(());
        };
        match (role, read(frame.clone())) {
            (_, Frame::Message(Message::Resume(resume))) => {
                return self.resume(at, number, role, &resume);
            }
            (Role::Agent, said) => self.agent_said(at, number, said, frame),
            (Role::Console, said) => self.console_said(at, number, said, frame),
        }
        let relay = self.relays.get_mut(&at).expect("a live relay");
        let disk = &self.disk;
        relay.settling |=
            role == Role::Agent && relay.session.as_ref().is_some_and(|s| s.is_unsettled(disk));
        Ok(())
    }

    fn resume(&mut self, at: u64, number: u64, role: Role, resume: &session::Resume) -> Step {
        if let Err(code) = self.take_over(at) {
            self.send(number, message(Refused::new(code, "no")));
            let leg = self.legs.get_mut(&number).expect("a live leg");
            (leg.closed, leg.replaced) = (!leg.broken, true);
            return Ok(());
        }
        let relay = self.relays.get_mut(&at).expect("a live relay");
        let session = relay.session.as_mut().expect("just taken");
        let (old, sends) = match role {
            Role::Agent => (session.agent, session.attach_agent(&mut self.disk, number, resume)),
            Role::Console => {
                (session.console, session.attach_console(&mut self.disk, number, resume))
            }
        };
        if self.rules.attach_in_order {
            for (leg, frame) in sends {
                self.send(leg, frame);
            }
        } else {
            relay.unwritten.push(sends);
        }
        let Some(old) = old.filter(|old| *old != number) else { return Ok(()) };
        // A frame of the leg before may be in hand just now.
        let has_one = self.legs.get(&old).is_some_and(|leg| !leg.up.is_empty() && !leg.replaced);
        if has_one && self.chance.once_in(2) {
            self.read_one(old)?;
        }
        if let Some(leg) = self.legs.get_mut(&old) {
            // Its stream is reset: an end that still uses it resumes.
            (leg.replaced, leg.broken) = (true, true);
        }
        Ok(())
    }

    /// Makes the session this relay's, if it may have it.
    fn take_over(&mut self, at: u64) -> Result<(), RefusedCode> {
        if self.relays[&at].session.is_some() {
            return Ok(());
        }
        if self.relays[&at].draining {
            return Err(RefusedCode::Moved);
        }
        if let Some(holder) = self.disk.holder {
            self.release(holder);
        }
        if self.disk.ended {
            return Err(RefusedCode::UnknownSession);
        }
        self.disk.holder = Some(at);
        self.relay(at).session = Some(Relayed::new(self.rules, &self.disk));
        Ok(())
    }

    /// A relay gives the session up; its ends are told.
    fn release(&mut self, number: u64) {
        let Some(mut session) = self.relay(number).session.take() else { return };
        session.flush(&mut self.disk);
        self.relay(number).unwritten.clear();
        if self.disk.holder == Some(number) {
            self.disk.holder = None;
        }
        for leg in [session.agent, session.console].into_iter().flatten() {
            self.send(leg, message(Moved {}));
            self.close(leg);
        }
    }

    fn send(&mut self, number: u64, frame: Bytes) {
        if let Some(leg) = self.legs.get_mut(&number) {
            leg.send_down(frame);
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(leg) = self.legs.get_mut(&number) {
            (leg.closed, leg.replaced) = (!leg.broken, true);
        }
    }

    fn detach(&mut self, at: u64, number: u64) {
        self.legs.get_mut(&number).expect("a live leg").replaced = true;
        if let Some(session) = &mut self.relay(at).session {
            session.agent = session.agent.filter(|leg| *leg != number);
            session.console = session.console.filter(|leg| *leg != number);
        }
    }

    fn agent_said(&mut self, at: u64, number: u64, said: Frame, raw: Bytes) {
        let relay = self.relays.get_mut(&at).expect("a live relay");
        let Some(session) = &mut relay.session else { return };
        match said {
            Frame::Data { channel: Channel::Output | Channel::Error, offset, bytes } => {
                let onward = session.output(&mut self.disk, offset, &bytes);
                if let Some(console) = onward.console {
                    self.send(console, raw.clone());
                }
                if let Some(offset) = onward.ack {
                    self.send(number, crate::wire::ack(offset));
                }
            }
            Frame::Ack(offset) => {
                let console = session.input_arrived(offset);
                if let Some(console) = console {
                    self.send(console, raw.clone());
                }
            }
            Frame::Message(Message::Exit(exit)) => {
                session.exit = Some(exit);
                let console = session.console;
                if let Some(console) = console {
                    self.send(console, raw.clone());
                }
                if !self.rules.end_after_console {
                    self.end_recording(at);
                }
            }
            _ => {}
        }
        self.try_finish(at);
    }

    fn console_said(&mut self, at: u64, number: u64, said: Frame, raw: Bytes) {
        let disk = &self.disk;
        let relay = self.relays.get_mut(&at).expect("a live relay");
        let Some(session) = &mut relay.session else { return };
        match said {
            Frame::Ack(offset) => {
                if let Some((agent, ack)) = session.console_saw(disk, offset) {
                    self.send(agent, crate::wire::ack(ack));
                }
            }
            Frame::Data { channel: Channel::Input, .. }
            | Frame::Message(Message::EndOfInput(_)) => {
                let agent = session.agent;
                if let Some(agent) = agent {
                    self.send(agent, raw.clone());
                }
            }
            Frame::Message(Message::Finished(_)) => {
                session.console_done = true;
                if !self.rules.forget_when_recorded {
                    self.end_recording(at);
                    self.forget(at);
                    self.close(number);
                }
            }
            _ => {}
        }
        self.try_finish(at);
    }

    /// Ends the recording when it is whole. Answers whether it is ended.
    fn end_recording(&mut self, at: u64) -> bool {
        let relay = self.relays.get_mut(&at).expect("a live relay");
        let Some(session) = &mut relay.session else { return false };
        if session.buffer.is_some() && session.is_recorded(&mut self.disk) {
            (session.buffer, self.disk.ended, self.disk.holder) = (None, true, None);
            self.disk.synced = self.disk.cast.len();
        }
        session.buffer.is_none()
    }

    fn try_finish(&mut self, at: u64) {
        if self.relays[&at].session.as_ref().is_some_and(|s| s.console_done)
            && self.end_recording(at)
        {
            self.forget(at);
        }
    }

    fn forget(&mut self, at: u64) {
        let Some(session) = self.relay(at).session.take() else { return };
        if self.disk.holder == Some(at) {
            self.disk.holder = None;
        }
        if let Some(agent) = session.agent {
            self.send(agent, message(Finished {}));
            self.close(agent);
        }
        if let Some(console) = session.console {
            self.close(console);
        }
    }

    fn settle(&mut self) {
        let settling: Vec<u64> =
            self.relays.iter().filter(|(_, relay)| relay.settling).map(|(n, _)| *n).collect();
        for number in settling {
            let relay = self.relays.get_mut(&number).expect("a live relay");
            relay.settling = false;
            let Some(session) = &mut relay.session else { continue };
            let due = session.settle(&mut self.disk);
            relay.settling = self.rules.settle_until_settled && session.is_unsettled(&self.disk);
            if let Some((agent, offset)) = due {
                self.send(agent, crate::wire::ack(offset));
            }
            self.try_finish(number);
        }
    }

    /// Writes what was decided and not written, in any order.
    fn write_late(&mut self) {
        let numbers: Vec<u64> = self.relays.keys().copied().collect();
        for number in numbers {
            let waiting = self.relays[&number].unwritten.len();
            if waiting > 0 {
                let pick = self.chance.below(waiting);
                let sends = self.relay(number).unwritten.remove(pick);
                for (leg, frame) in sends {
                    self.send(leg, frame);
                }
            }
        }
    }

    fn forget_dead_legs(&mut self) {
        let used = [self.agent.stream.leg, self.console.stream.leg];
        let relays = &self.relays;
        self.legs.retain(|number, leg| {
            used.contains(&Some(*number)) || (!leg.replaced && relays.contains_key(&leg.relay))
        });
    }
}
