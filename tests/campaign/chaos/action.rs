//! What happens in a round.

use std::fs;

use sluicegate_guest_builder as guests;
use sluicegate_harness::{host, proxy::Network};

use super::{Beginning, Campaign, Output, Place};

/// Outputs that are added beside the four that are always there, at a time and in all.
const ADDED: (usize, usize) = (2, 8);
/// Transactions of the writers, about a second, in which a broker ends those of the outputs that it has been asked to commit.
const CALM: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    KillHost,
    /// Also while it starts.
    KillHostTwice,
    StopHost,
    KillBroker,
    KillBrokerAndHost,
    BrokerNetwork,
    DatabaseNetwork,
    /// With a kill of the program while it lasts.
    BrokerNetworkAndHost,
    DatabaseNetworkAndHost,
    BothNetworks,
    Swap,
    SwapAndKillHost,
    Pause,
    PauseAndKillHost,
    AddOutput,
    RemoveOutput,
    BringBackOutput,
}

pub(super) const ACTIONS: [Action; 17] = [
    Action::KillHost,
    Action::KillHostTwice,
    Action::StopHost,
    Action::KillBroker,
    Action::KillBrokerAndHost,
    Action::BrokerNetwork,
    Action::DatabaseNetwork,
    Action::BrokerNetworkAndHost,
    Action::DatabaseNetworkAndHost,
    Action::BothNetworks,
    Action::Swap,
    Action::SwapAndKillHost,
    Action::Pause,
    Action::PauseAndKillHost,
    Action::AddOutput,
    Action::RemoveOutput,
    Action::BringBackOutput,
];

impl Campaign {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::KillHost => self.restart(),
            Action::KillHostTwice => {
                self.restart();
                let transactions = self.random.below(40);
                self.writers.wait_for(transactions);
                self.restart();
            }
            Action::StopHost => {
                self.stop();
                self.spawn();
            }
            Action::KillBroker => self.kill_broker(false),
            Action::KillBrokerAndHost => self.kill_broker(true),
            Action::BrokerNetwork => self.outage(true, false, false),
            Action::DatabaseNetwork => self.outage(false, true, false),
            Action::BrokerNetworkAndHost => self.outage(true, false, true),
            Action::DatabaseNetworkAndHost => self.outage(false, true, true),
            Action::BothNetworks => self.outage(true, true, false),
            Action::Swap => self.swap(),
            Action::SwapAndKillHost => {
                self.swap();
                let transactions = self.random.below(10);
                self.writers.wait_for(transactions);
                self.restart();
            }
            Action::Pause | Action::PauseAndKillHost => {
                let output = if self.random.once_in(2) { "away" } else { "archive" };
                // it may be too early for that, or the output be away
                let asked = host::http_request(self.http, "POST", &format!("/outputs/{output}/pause"), &[], &[]);
                eprintln!("    {output}: {:?}", asked.map(|(code, _)| code));
                let transactions = 10 + self.random.below(60);
                self.writers.wait_for(transactions);
                if action == Action::PauseAndKillHost {
                    self.restart();
                }
            }
            Action::AddOutput => self.add(),
            Action::RemoveOutput => self.turn(true),
            Action::BringBackOutput => self.turn(false),
        }
    }

    fn kill_broker(&mut self, and_host: bool) {
        // What is being committed gets its end in each partition before: a broker that is killed in that moment and is the only one forgets
        // it after its start (KAFKA-20734), and readers then wait there for good. Transactions that are open do not matter.
        self.to_broker.set(Network::Stalled);
        self.writers.wait_for(CALM);
        self.broker.kill9();
        self.to_broker.break_off();
        self.to_broker.set(Network::Open);
        let transactions = self.random.below(40);
        self.writers.wait_for(transactions);
        if and_host {
            self.restart();
        }
        self.broker.start_again();
    }

    fn outage(&mut self, of_broker: bool, of_database: bool, and_host: bool) {
        let network = [Network::Refused, Network::Stalled, Network::Mute][self.random.below(3) as usize];
        let breaks_off = self.random.once_in(2);
        // now and then longer than a record may take to be delivered
        let transactions = if self.random.once_in(5) { 500 } else { self.random.below(120) };
        eprintln!("    {network:?} for {transactions} transactions");
        let which: Vec<bool> = [(true, of_broker), (false, of_database)].into_iter().filter(|(_, of)| *of).map(|(to, _)| to).collect();
        let proxy = |this: &Self, to: bool, network| if to { this.to_broker.set(network) } else { this.to_database.set(network) };
        which.iter().for_each(|to| proxy(self, *to, network));
        self.writers.wait_for(transactions / 2);
        if and_host {
            self.restart();
        }
        self.writers.wait_for(transactions / 2);
        for to in which {
            if breaks_off {
                if to { self.to_broker.break_off() } else { self.to_database.break_off() }
            }
            proxy(self, to, Network::Open);
        }
    }

    fn swap(&mut self) {
        self.version += 1;
        let (file, new) = (self.host.path("stamp.wasm"), self.host.path("stamp.wasm.new"));
        fs::write(&new, guests::stamp(self.version)).expect("written");
        fs::rename(new, file).expect("renamed");
    }

    /// Ends the program, in order or not, and starts it with another list of outputs.
    fn relist(&mut self, change: impl FnOnce(&mut Self)) {
        if self.random.once_in(2) {
            self.kill();
        } else {
            self.stop();
        }
        change(self);
        self.spawn();
    }

    fn add(&mut self) {
        let added = self.outputs.iter().filter(|output| output.is_added());
        let (there, all) = (added.clone().filter(|output| output.there).count(), added.count());
        if there >= ADDED.0 || all >= ADDED.1 {
            return;
        }
        let beginning = [Beginning::Earliest, Beginning::Now, Beginning::Copy][self.random.below(3) as usize];
        let place = [Place::Topics, Place::Topic, Place::Files { zstd: false }, Place::Files { zstd: true }];
        let place = place.into_iter().nth(self.random.below(4) as usize).expect("one of four");
        let apart = self.random.once_in(2);
        let name = format!("added-{all}");
        eprintln!("    {name} from {beginning:?}");
        self.relist(|this| {
            let output = Output::new(&this.broker, this.host.folder(), &name, place, apart);
            this.outputs.push(output.added(beginning));
        });
    }

    /// Takes an added output out of the pipeline file, or puts one back that was taken out.
    fn turn(&mut self, there: bool) {
        let candidates: Vec<usize> =
            (0..self.outputs.len()).filter(|at| self.outputs[*at].is_added() && self.outputs[*at].there == there).collect();
        if candidates.is_empty() {
            return;
        }
        let at = candidates[self.random.below(candidates.len() as u64) as usize];
        eprintln!("    {}", self.outputs[at].name);
        self.relist(|this| this.outputs[at].there = !there);
    }
}
