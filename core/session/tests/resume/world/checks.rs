//! What must hold after every step, and in the end.

use super::*;

impl World {
    pub(super) fn check_ack(&self, offset: u64) -> Step {
        if self.trouble != Trouble::Power && offset > self.disk.cast.len() as u64 {
            return Err(format!(
                "byte {offset} is acknowledged, {} are recorded",
                self.disk.cast.len()
            ));
        }
        let seen = self.console.inbox.received();
        if offset > seen {
            return Err(format!("byte {offset} is acknowledged, {seen} are seen"));
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Step {
        let outbox = &self.agent.stream.outbox;
        let held = (outbox.head() - outbox.base()) as usize;
        if held >= OUTPUT_WINDOW + PUSH_MAX {
            return Err(format!("the agent holds {held} bytes"));
        }
        let right = |(offset, byte): (usize, &Option<u8>)| {
            byte.map_or(self.trouble == Trouble::Power, |b| b == byte_at(OUTPUT, offset as u64))
        };
        let last = self.disk.cast.len().saturating_sub(40);
        if !self.disk.cast.iter().enumerate().skip(last).all(right) {
            return Err("the recording holds wrong bytes".to_owned());
        }
        Ok(())
    }

    pub(super) fn is_settled(&self) -> bool {
        self.agent.over && self.console.done
    }

    pub(super) fn check_end(&self) -> Step {
        let total = self.agent.stream.total;
        let seen = self.console.inbox.received();
        if seen != total || !self.console.has_everything() {
            return Err(format!(
                "the operator saw {seen} of {total} bytes, exit {:?}",
                self.console.exit
            ));
        }
        if self.disk.cast.len() as u64 != total || !self.disk.ended {
            let (len, ended) = (self.disk.cast.len(), self.disk.ended);
            return Err(format!("the recording has {len} of {total} bytes, ended: {ended}"));
        }
        let wrong = self
            .disk
            .cast
            .iter()
            .zip(0..)
            .find(|(b, o)| b.is_some_and(|b| b != byte_at(OUTPUT, *o)));
        if let Some((_, offset)) = wrong {
            return Err(format!("the recording is wrong at {offset}"));
        }
        let read = self.agent.inbox.received();
        if self.agent.reads_to_end && read != self.console.stream.total {
            return Err(format!("the process read {read} of {} bytes", self.console.stream.total));
        }
        Ok(())
    }

    pub(super) fn stuck(&self) -> String {
        let (out, input) = (&self.agent.stream.outbox, &self.console.stream.outbox);
        format!(
            "stuck: output {}..{}..{} of {}, seen {}, recorded {}, ended {}; input {}..{}..{} of {}, read {}; \
             agent over {}, exit {}, console exit {}, done {}",
            out.base(),
            out.cursor(),
            out.head(),
            self.agent.stream.total,
            self.console.inbox.received(),
            self.disk.cast.len(),
            self.disk.ended,
            input.base(),
            input.cursor(),
            input.head(),
            self.console.stream.total,
            self.agent.inbox.received(),
            self.agent.over,
            self.agent.exit.is_some(),
            self.console.exit.is_some(),
            self.console.done,
        )
    }
}
