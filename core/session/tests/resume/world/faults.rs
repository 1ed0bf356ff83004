//! What goes wrong.

use super::*;

impl World {
    pub(super) fn fault(&mut self) {
        let all = self.trouble == Trouble::Everything;
        let kind = self.chance.below(9);
        match kind {
            0..=3 if all || self.trouble == Trouble::Network || kind == 0 => self.cut_some_leg(),
            4 if all || self.trouble == Trouble::Network => self.double_some_frame(),
            5 if all || self.trouble == Trouble::Crash => self.kill(),
            5 if self.trouble == Trouble::Power => self.power_cut(),
            6 if all || self.trouble == Trouble::HandOver => self.hand_over(),
            7 if all => self.disk.full = !self.disk.full,
            8 => self.disk.synced = self.disk.cast.len(),
            _ => self.move_on(),
        }
    }

    pub(super) fn cut_some_leg(&mut self) {
        let legs: Vec<u64> = self.legs.keys().copied().collect();
        let number = legs.get(self.chance.below(legs.len())).copied();
        if let Some(leg) = number.and_then(|n| self.legs.get_mut(&n)) {
            leg.cut(&mut self.chance);
            let whose = name(leg.role);
            self.needs_link.retain(|end| *end != whose);
        }
    }

    pub(super) fn double_some_frame(&mut self) {
        let chance = &mut self.chance;
        self.legs.values_mut().for_each(|leg| leg.double(chance));
    }

    pub(super) fn start_relay(&mut self) {
        self.newest += 1;
        let number = self.newest;
        let relay = Relay { draining: false, session: None, settling: false, unwritten: vec![] };
        self.relays.insert(number, relay);
    }

    /// A relay dies: only what it flushed survives.
    pub(super) fn kill(&mut self) {
        let numbers: Vec<u64> = self.relays.keys().copied().collect();
        let number = numbers[self.chance.below(numbers.len())];
        self.relays.remove(&number);
        for leg in self.legs.values_mut().filter(|leg| leg.relay == number) {
            leg.cut(&mut self.chance);
        }
        if self.disk.holder == Some(number) {
            self.disk.holder = None;
        }
        if number == self.newest {
            self.relays.values_mut().for_each(|relay| relay.draining = true);
            self.start_relay();
        }
        let newest = self.newest;
        self.target.values_mut().filter(|t| **t == number).for_each(|target| *target = newest);
        self.needs_link.clear();
    }

    pub(super) fn power_cut(&mut self) {
        while self.relays.len() > 1 {
            self.kill();
        }
        self.kill();
        let lost = self.disk.cast.len() - self.disk.synced;
        let kept = self.disk.synced + self.chance.below(lost + 1);
        self.disk.cast.truncate(kept);
    }

    /// A newer generation starts; the older one drains.
    pub(super) fn hand_over(&mut self) {
        if self.relays.len() == 1 {
            self.start_relay();
            let old = self.newest - 1;
            self.relays.range_mut(..=old).for_each(|(_, relay)| relay.draining = true);
        } else {
            self.move_on();
        }
    }

    /// An end gets its new link; a draining relay lets go when both have one, or loses patience.
    pub(super) fn move_on(&mut self) {
        let end = if self.chance.once_in(2) { "agent" } else { "console" };
        self.target.insert(end, self.newest);
        self.needs_link.retain(|waiting| *waiting != end || self.relays.len() == 1);
        let ready = self.target.values().all(|target| *target == self.newest);
        let draining: Vec<u64> = self.relays.range(..self.newest).map(|(n, _)| *n).collect();
        for number in draining {
            if ready || self.chance.once_in(6) {
                self.release(number);
            }
            if ready {
                self.relays.remove(&number);
                for leg in self.legs.values_mut().filter(|leg| leg.relay == number) {
                    leg.broken |= !leg.closed;
                }
            }
        }
    }
}
