//! The manifests of a run: two senders, two accounts, routing that moves, generations that rise.

use std::sync::LazyLock;

use hoox_auth::{
    Account, AccountPattern, EntryRate, Environment, Manifest, PasskeyHash, Permission, ROWS_A_DAY,
    Scheme, Sender, Window,
};
use hoox_model::{Limits, Name, Product, Secret, Venue};

/// Names of the accounts, as alerts call them.
pub(crate) const ACCOUNT_NAMES: [&str; 2] = ["alpha", "beta"];
/// The account that may leave the manifest.
pub(crate) const LEAVES: usize = 1;
/// The senders: a charting service and a program of the trader's own.
pub(crate) const SENDERS: [&str; 2] = ["chart", "program"];
/// Their passkeys.
pub(crate) const PASSKEYS: [&str; 2] = ["hoox_chart_0123456789", "hoox_program_9876543210"];
/// An address that may send.
pub(crate) const ADDRESS: &str = "203.0.113.7";
/// One that may not.
pub(crate) const STRANGE_ADDRESS: &str = "198.51.100.9";

static KEYS: LazyLock<[PasskeyHash; 2]> =
    LazyLock::new(|| PASSKEYS.map(|key| PasskeyHash::new([7; 16], &Secret::new(key.to_owned()))));

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An account of the installation in one of its generations.
pub(crate) fn account(number: usize, generation: u32) -> Account {
    Account {
        id: format!("acc-{number}").parse().unwrap(),
        name: name(ACCOUNT_NAMES[number]),
        namespace: None,
        venue: Venue::Bybit,
        environment: Environment::Sim,
        generation,
        default_product: Product::Linear,
        location_hint: None,
        base_url: Some("http://127.0.0.1:1".to_owned()),
        secret_suffix: (number > 0).then(|| "B".to_owned()),
        default: number == 0,
        limits: Limits::default(),
    }
}

/// What an operator changes from one manifest to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Where each sender's alerts go that name no account.
    pub(crate) routes: [usize; 2],
    /// Which accounts each sender may use; none of them: the sender is struck off.
    pub(crate) allowed: [[bool; 2]; 2],
    /// Entries a minute of each sender.
    pub(crate) rates: [u32; 2],
    /// Limits of each account.
    pub(crate) limits: [Limits; 2],
    /// The generation of each account, where the one in force is no higher.
    pub(crate) generations: [u32; 2],
    /// Whether [`LEAVES`] is retired.
    pub(crate) retired: bool,
}

impl Wishes {
    /// The same without going back to a generation: each is used once.
    pub(crate) fn after(&self, lowest: [u32; 2]) -> Self {
        let mut wishes = self.clone();
        for (generation, lowest) in wishes.generations.iter_mut().zip(lowest) {
            *generation = (*generation).max(lowest);
        }
        wishes
    }

    /// The same without the account that may leave.
    pub(crate) fn without(&self) -> Self {
        let mut wishes = self.clone();
        wishes.retired = true;
        for allowed in &mut wishes.allowed {
            allowed[LEAVES] = false;
        }
        wishes
    }

    /// The document of a version.
    pub(crate) fn manifest(&self, version: u64) -> Manifest {
        let senders = (0..SENDERS.len()).filter(|sender| self.allowed[*sender].contains(&true));
        Manifest {
            cors_origins: Vec::new(),
            rows_a_day: Some(ROWS_A_DAY),
            version,
            ranges: Some(vec!["203.0.113.0/24".parse().unwrap()]),
            senders: senders.map(|sender| self.sender(sender)).collect(),
            accounts: (0..ACCOUNT_NAMES.len())
                .filter(|number| !(self.retired && *number == LEAVES))
                .map(|number| Account {
                    limits: self.limits[number].clone(),
                    ..account(number, self.generations[number])
                })
                .collect(),
        }
    }

    fn sender(&self, number: usize) -> Sender {
        let usable = (0..ACCOUNT_NAMES.len()).filter(|account| self.allowed[number][*account]);
        Sender {
            id: name(SENDERS[number]),
            permission: Permission::Trade,
            accounts: usable
                .map(|account| AccountPattern::Named(name(ACCOUNT_NAMES[account])))
                .collect(),
            namespaces: None,
            default_account: self.allowed[number][self.routes[number]]
                .then(|| name(ACCOUNT_NAMES[self.routes[number]])),
            scheme: Scheme::Passkey,
            client_certificate: false,
            keys: vec![KEYS[number].clone().into()],
            ranges: Vec::new(),
            entry_rate: EntryRate {
                count: self.rates[number],
                seconds: 60,
            },
            window: Window::default(),
        }
    }
}
