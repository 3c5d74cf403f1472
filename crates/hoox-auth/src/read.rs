//! Reads a manifest and reports every problem with its place.

use core::net::IpAddr;
use core::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use hoox_model::{Amount, Decimal, Limits, Name, Product, Symbol, SymbolLimits, Timestamp, Venue};

use crate::manifest::{MAX_ACCOUNTS, MAX_BYTES, MAX_RANGES, MAX_SENDERS, ROWS_A_DAY};
use crate::tree::Node;
use crate::{
    Account, AccountPattern, EntryRate, Environment, Level, LocationHint, MAX_OPERATORS, Manifest,
    ManifestError, OPERATOR, Operator, Operators, PasskeyHash, Past, PastSender, Permission,
    Published, Range, Scheme, Sealed, Sender, SenderKey, SigningKey, Window,
};

/// Most entries in a sender's lists of accounts and namespaces.
const MAX_NAMES: usize = 100;
/// Most origins whose pages may call the operator API.
const MAX_ORIGINS: usize = 20;
/// Salts are 16 to 64 bytes.
const SALT_BYTES: core::ops::RangeInclusive<usize> = 16..=64;
/// Largest version: 2^53 - 1, which JSON, JavaScript and SQLite all hold exactly.
const MAX_VERSION: u64 = 9_007_199_254_740_991;
/// A document with more problems than this is not worth reading on.
const MAX_PROBLEMS: usize = 50;

/// What to do with fields this version does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Ignored,
    Refused,
}

/// Reads and validates a document.
pub(crate) fn manifest(text: &str, unknown: Unknown) -> Result<Manifest, ManifestError> {
    let only = |problem: String| ManifestError {
        problems: vec![problem],
    };
    if text.len() > MAX_BYTES {
        return Err(only(format!(
            "the document is larger than {MAX_BYTES} bytes"
        )));
    }
    let tree: Node = serde_json::from_str(text)
        .map_err(|error| only(format!("the document is not valid JSON: {error}")))?;
    self::tree(&tree, unknown)
}

/// Validates a document that is JSON.
pub(crate) fn tree(tree: &Node, unknown: Unknown) -> Result<Manifest, ManifestError> {
    let mut problems = Problems {
        unknown,
        found: Vec::new(),
    };
    let read = read_manifest(tree, &mut problems);
    if let Ok(manifest) = &read {
        cross_check(manifest, &mut problems);
        // At write only: what is stored stays readable, whatever is asked of new ones.
        if unknown == Unknown::Refused {
            check_useful(manifest, &mut problems);
        }
    }
    match read {
        Ok(manifest) => problems.none().map(|()| manifest),
        Err(Reported) => Err(ManifestError {
            problems: problems.found,
        }),
    }
}

/// Checks the rules that span several entries.
pub(crate) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    let mut problems = Problems {
        unknown: Unknown::Ignored,
        found: Vec::new(),
    };
    cross_check(manifest, &mut problems);
    problems.none()
}

/// Reads and validates one value with its own reader, unknown fields ignored or refused.
fn alone<T>(
    tree: &Node,
    path: &str,
    unknown: Unknown,
    read: impl FnOnce(&Node, &str, &mut Problems) -> Result<T, Reported>,
) -> Result<T, ManifestError> {
    let mut problems = Problems {
        unknown,
        found: Vec::new(),
    };
    match read(tree, path, &mut problems) {
        Ok(value) => problems.none().map(|()| value),
        Err(Reported) => Err(ManifestError {
            problems: problems.found,
        }),
    }
}

/// Reads one sender of a message between workers.
pub(crate) fn sender(tree: &Node) -> Result<Sender, ManifestError> {
    alone(tree, "sender", Unknown::Ignored, read_sender)
}

/// Reads a published document: a manifest, the routing before it, and the operators.
pub(crate) fn published(tree: &Node) -> Result<Published, ManifestError> {
    let manifest = self::tree(tree, Unknown::Ignored)?;
    let history = alone(tree, "", Unknown::Ignored, read_history)?;
    let operators = alone(tree, "", Unknown::Ignored, read_published_operators)?;
    Ok(Published {
        manifest,
        history,
        operators,
    })
}

/// Reads the operators of a message between workers.
pub(crate) fn operators(tree: &Node) -> Result<Operators, ManifestError> {
    alone(tree, "operators", Unknown::Ignored, read_operators)
}

/// Reads what is remembered of one change.
pub(crate) fn past(tree: &Node) -> Result<Past, ManifestError> {
    alone(tree, "history", Unknown::Ignored, read_past)
}

/// Reads one key of a message between workers.
pub(crate) fn key(tree: &Node) -> Result<SenderKey, ManifestError> {
    alone(tree, "key", Unknown::Ignored, read_key)
}

/// Reads what an operator wants a new sender to be; its key is added afterwards.
pub(crate) fn new_sender(text: &str) -> Result<Sender, ManifestError> {
    let tree: Node = serde_json::from_str(text).map_err(|error| ManifestError {
        problems: vec![format!("the body is not valid JSON: {error}")],
    })?;
    alone(&tree, "", Unknown::Refused, read_new_sender)
}

/// Reads and validates one account of a message between workers, as strictly as in a manifest: the
/// keys go to its `baseUrl`.
pub(crate) fn account(tree: &Node) -> Result<Account, ManifestError> {
    alone(tree, "account", Unknown::Ignored, read_account)
}

struct Problems {
    unknown: Unknown,
    found: Vec<String>,
}

impl Problems {
    fn none(mut self) -> Result<(), ManifestError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.truncate(MAX_PROBLEMS);
        Err(ManifestError {
            problems: self.found,
        })
    }

    fn add(&mut self, path: &str, problem: impl core::fmt::Display) {
        let path = if path.is_empty() {
            "the document"
        } else {
            path
        };
        self.found.push(format!("{path}: {problem}"));
    }
}

/// A value that cannot be used, after its problem was reported.
struct Reported;

/// A field that may be missing.
type Optional<T> = Result<Option<T>, Reported>;

/// One JSON object while its fields are read. What is asked for is known; the rest is unknown.
struct Object<'a> {
    path: String,
    fields: &'a [(String, Node)],
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    fn open(node: &'a Node, path: &str, problems: &mut Problems) -> Result<Self, Reported> {
        if let Node::Object(fields) = node {
            return Ok(Self {
                path: path.to_owned(),
                fields,
                known: Vec::new(),
            });
        }
        problems.add(path, format_args!("must be an object, not {}", node.kind()));
        Err(Reported)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Whether the field is there and `null`, where that is something else than none.
    fn is_null(&self, name: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|(known, node)| known == name && matches!(node, Node::Null))
    }

    /// The field, unless it is missing or `null`.
    fn get(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        self.fields
            .iter()
            .find_map(|(known, node)| (known == name).then_some(node))
            .filter(|node| !matches!(node, Node::Null))
    }

    /// Reads a field that may be missing.
    fn optional<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Optional<T> {
        let Some(node) = self.get(name) else {
            return Ok(None);
        };
        match read(node) {
            Ok(value) => Ok(Some(value)),
            Err(problem) => Err(self.report(name, &problem, problems)),
        }
    }

    /// Kept out of the readers of every type, which are many.
    #[inline(never)]
    fn report(&self, name: &str, problem: &str, problems: &mut Problems) -> Reported {
        problems.add(&self.path_of(name), problem);
        Reported
    }

    /// Reads a field that must be there.
    fn required<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Result<T, Reported> {
        let value = self.optional(name, problems, read)?;
        self.present(name, value, problems)
    }

    fn present<T>(
        &self,
        name: &str,
        value: Option<T>,
        problems: &mut Problems,
    ) -> Result<T, Reported> {
        value.ok_or_else(|| self.report(name, "is missing", problems))
    }

    /// Reads a list that may be missing, each entry with its path.
    fn list<T>(
        &mut self,
        name: &'static str,
        limit: usize,
        problems: &mut Problems,
        mut read: impl FnMut(&'a Node, &str, &mut Problems) -> Result<T, Reported>,
    ) -> Optional<Vec<T>> {
        let path = self.path_of(name);
        let entries = match self.get(name) {
            None => return Ok(None),
            Some(Node::List(entries)) => entries,
            Some(other) => {
                problems.add(&path, format_args!("must be a list, not {}", other.kind()));
                return Err(Reported);
            }
        };
        if entries.len() > limit {
            problems.add(&path, format_args!("has more than {limit} entries"));
            return Err(Reported);
        }
        let read: Vec<Result<T, Reported>> = entries
            .iter()
            .enumerate()
            .map(|(place, node)| read(node, &format!("{path}[{place}]"), problems))
            .collect();
        read.into_iter()
            .collect::<Result<Vec<T>, Reported>>()
            .map(Some)
    }

    /// Reads a list that must be there.
    fn required_list<T>(
        &mut self,
        name: &'static str,
        limit: usize,
        problems: &mut Problems,
        read: impl FnMut(&'a Node, &str, &mut Problems) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let value = self.list(name, limit, problems, read)?;
        self.present(name, value, problems)
    }

    fn close(self, problems: &mut Problems) {
        if problems.unknown == Unknown::Ignored {
            return;
        }
        for (name, _) in self.fields {
            if !self.known.contains(&name.as_str()) {
                let shown: String = name.chars().take(40).collect();
                problems.add(
                    &self.path_of(&shown),
                    format_args!("is not a known field; known are {}", self.known.join(", ")),
                );
            }
        }
    }
}

/// Versions before called it `previous`.
fn read_history(tree: &Node, path: &str, problems: &mut Problems) -> Result<Vec<Past>, Reported> {
    let mut object = Object::open(tree, path, problems)?;
    let history = object.list("history", usize::MAX, problems, read_past)?;
    let previous = object.list("previous", usize::MAX, problems, read_past)?;
    Ok(history.or(previous).unwrap_or_default())
}

/// Versions before knew the owner only.
fn read_published_operators(
    tree: &Node,
    path: &str,
    problems: &mut Problems,
) -> Result<Operators, Reported> {
    match Object::open(tree, path, problems)?.get("operators") {
        Some(operators) => read_operators(operators, "operators", problems),
        None => Ok(Operators::default()),
    }
}

fn read_operators(node: &Node, path: &str, problems: &mut Problems) -> Result<Operators, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let revision = object.required("revision", problems, whole(0, MAX_VERSION));
    let list = object.required_list("list", MAX_OPERATORS, problems, read_operator);
    Ok(Operators {
        revision: revision?,
        list: list?,
    })
}

fn read_operator(node: &Node, path: &str, problems: &mut Problems) -> Result<Operator, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let name = object.required("name", problems, parsed);
    let levels = Level::ALL.map(|level| (level.as_str(), level));
    let level = object.required("level", problems, one_of(&levels));
    let key_sha256 = object.required("keySha256", problems, parsed);
    let key_created_at = object.required("keyCreatedAt", problems, moment);
    Ok(Operator {
        name: name?,
        level: level?,
        key_sha256: key_sha256?,
        key_created_at: key_created_at?,
    })
}

/// What routed before a change; versions before stored the whole manifest.
fn read_past(node: &Node, path: &str, problems: &mut Problems) -> Result<Past, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let until = object.required("until", problems, whole(0, MAX_VERSION))?;
    let until = Timestamp::from_millis(until);
    if let Some(manifest) = object.get("manifest") {
        return Ok(Past::of(until, &read_manifest(manifest, problems)?));
    }
    let sender = |node: &Node, path: &str, problems: &mut Problems| {
        read_new_sender(node, path, problems).map(|sender| PastSender::of(&sender))
    };
    let senders = object.required_list("senders", MAX_SENDERS, problems, sender);
    let accounts = object.required_list("accounts", MAX_ACCOUNTS, problems, read_account);
    Ok(Past {
        until,
        senders: senders?,
        accounts: accounts?,
    })
}

fn read_manifest(tree: &Node, problems: &mut Problems) -> Result<Manifest, Reported> {
    let mut object = Object::open(tree, "", problems)?;
    let version = object.required("version", problems, whole(1, MAX_VERSION));
    let ranges = object.list("ranges", MAX_RANGES, problems, entry(parsed::<Range>));
    let cors_origins = object.list("corsOrigins", MAX_ORIGINS, problems, entry(cors_origin));
    let usual = (!object.is_null("rowsADay")).then_some(ROWS_A_DAY);
    let rows_a_day = object.optional("rowsADay", problems, rows_a_day);
    let senders = object.required_list("senders", MAX_SENDERS, problems, read_sender);
    let accounts = object.required_list("accounts", MAX_ACCOUNTS, problems, read_account);
    object.close(problems);
    Ok(Manifest {
        rows_a_day: rows_a_day?.or(usual),
        version: version?,
        ranges: ranges?,
        cors_origins: cors_origins?.unwrap_or_default(),
        senders: senders?,
        accounts: accounts?,
    })
}

fn read_sender(node: &Node, path: &str, problems: &mut Problems) -> Result<Sender, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let rights = read_rights(&mut object, problems);
    let keys = object.required_list("keys", 2, problems, read_key);
    if keys.as_ref().is_ok_and(Vec::is_empty) {
        problems.add(
            &object.path_of("keys"),
            "must hold one key, or two while it is rotated",
        );
    }
    if let (Ok(rights), Ok(keys)) = (&rights, &keys)
        && !keys.iter().all(|key| key.fits(rights.scheme))
    {
        problems.add(
            &object.path_of("keys"),
            "must hold salt and hash for the scheme passkey, and sealed for the others",
        );
    }
    let rate_path = object.path_of("entryRate");
    let entry_rate = match object.get("entryRate") {
        None => Ok(EntryRate::default()),
        Some(node) => read_rate(node, &rate_path, problems),
    };
    object.close(problems);
    Ok(Sender {
        keys: keys?,
        entry_rate: entry_rate?,
        ..rights?
    })
}

/// A sender as an operator creates it: without keys, and with its rate by the minute.
fn read_new_sender(node: &Node, path: &str, problems: &mut Problems) -> Result<Sender, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let rights = read_rights(&mut object, problems);
    let count = object.optional("ratePerMinute", problems, whole(1, 10_000));
    object.close(problems);
    let entry_rate =
        count?.map_or_else(EntryRate::default, |count| EntryRate { count, seconds: 60 });
    Ok(Sender {
        entry_rate,
        ..rights?
    })
}

/// What a sender is and may do: everything but its keys and its rate.
fn read_rights(object: &mut Object<'_>, problems: &mut Problems) -> Result<Sender, Reported> {
    let id = object.required("id", problems, |node| match parsed::<Name>(node) {
        Ok(name) if name.as_str() == OPERATOR => Err(format!(
            "'{OPERATOR}' is what the operator's own signals are called; use another"
        )),
        read => read,
    });
    let permission = object.required(
        "permission",
        problems,
        one_of(&[("read", Permission::Read), ("trade", Permission::Trade)]),
    );
    let accounts = object.required_list("accounts", MAX_NAMES, problems, entry(pattern));
    let namespaces = object.list("namespaces", MAX_NAMES, problems, entry(parsed::<Name>));
    let default_account = object.optional("defaultAccount", problems, parsed);
    let scheme = object.optional(
        "scheme",
        problems,
        one_of(
            &[
                Scheme::Passkey,
                Scheme::Standard,
                Scheme::Stripe,
                Scheme::Github,
            ]
            .map(|scheme| (scheme.as_str(), scheme)),
        ),
    );
    let client_certificate = object.optional("clientCertificate", problems, boolean);
    let ranges = object.list("ranges", MAX_RANGES, problems, entry(parsed::<Range>));
    let window = read_window(object, problems);
    Ok(Sender {
        id: id?,
        permission: permission?,
        accounts: accounts?,
        namespaces: namespaces?,
        default_account: default_account?,
        scheme: scheme?.unwrap_or_default(),
        client_certificate: client_certificate?.unwrap_or(false),
        keys: Vec::new(),
        ranges: ranges?.unwrap_or_default(),
        entry_rate: EntryRate::default(),
        window: window?,
    })
}

fn read_rate(node: &Node, path: &str, problems: &mut Problems) -> Result<EntryRate, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let count = object.required("count", problems, whole(1, 10_000));
    let seconds = object.required("seconds", problems, whole(1, 86_400));
    object.close(problems);
    Ok(EntryRate {
        count: count?,
        seconds: seconds?,
    })
}

fn read_key(node: &Node, path: &str, problems: &mut Problems) -> Result<SenderKey, Reported> {
    let mut object = Object::open(node, path, problems)?;
    if let Some(sealed) = object.optional("sealed", problems, parsed::<Sealed>)? {
        let window = read_window(&mut object, problems);
        object.close(problems);
        return Ok(SenderKey::Signing(SigningKey {
            sealed,
            window: window?,
        }));
    }
    let salt = object.required("salt", problems, |node| {
        let salt = hex(node)?;
        if SALT_BYTES.contains(&salt.len()) {
            Ok(salt)
        } else {
            Err("must be 16 to 64 bytes, written as 32 to 128 hex digits".to_owned())
        }
    });
    let hash = object.required("hash", problems, |node| {
        <[u8; 32]>::try_from(hex(node)?)
            .map_err(|_| "must be SHA-256 of salt and passkey, written as 64 hex digits".to_owned())
    });
    let window = read_window(&mut object, problems);
    object.close(problems);
    Ok(PasskeyHash::from_parts(salt?, hash?, window?).into())
}

fn read_window(object: &mut Object<'_>, problems: &mut Problems) -> Result<Window, Reported> {
    let not_before = object.optional("notBefore", problems, moment);
    let expires = object.optional("expires", problems, moment);
    let window = Window {
        not_before: not_before?,
        expires: expires?,
    };
    if let (Some(start), Some(end)) = (window.not_before, window.expires)
        && start >= end
    {
        problems.add(&object.path_of("expires"), "must be later than notBefore");
    }
    Ok(window)
}

fn read_account(node: &Node, path: &str, problems: &mut Problems) -> Result<Account, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let id = object.required("id", problems, parsed);
    let name = object.required("name", problems, parsed);
    let namespace = object.optional("namespace", problems, parsed);
    let venue = object.required("venue", problems, parsed::<Venue>);
    let environment = object.required("environment", problems, |node| match node {
        Node::Text(text) if text == "paper" => {
            Err("paper is reserved and not available yet; use live, testnet or sim".to_owned())
        }
        _ => one_of(&Environment::ALL.map(|e| (e.as_str(), e)))(node),
    });
    let generation = object.optional("generation", problems, whole(1, u64::from(u32::MAX)));
    let default_product = object.optional(
        "defaultProduct",
        problems,
        one_of(&[Product::Linear, Product::Spot].map(|p| (p.as_str(), p))),
    );
    let location_hint = object.optional(
        "locationHint",
        problems,
        one_of(&LocationHint::ALL.map(|hint| (hint.as_str(), hint))),
    );
    let base_url = object.optional("baseUrl", problems, |node| text(node).map(str::to_owned));
    let secret_suffix = object.optional("secretSuffix", problems, suffix);
    let default = object.optional("default", problems, boolean);
    let limits_path = object.path_of("limits");
    let limits = match object.get("limits") {
        None => Ok(Limits::default()),
        Some(node) => read_limits(node, &limits_path, problems),
    };
    if let (Ok(venue), Ok(environment), Ok(url)) = (&venue, &environment, &base_url)
        && let Err(problem) = base_url_fits(*venue, *environment, url.as_deref())
    {
        problems.add(&object.path_of("baseUrl"), problem);
    }
    object.close(problems);
    Ok(Account {
        id: id?,
        name: name?,
        namespace: namespace?,
        venue: venue?,
        environment: environment?,
        generation: generation?.unwrap_or(1),
        default_product: default_product?.unwrap_or(Product::Linear),
        location_hint: location_hint?,
        base_url: base_url?,
        secret_suffix: secret_suffix?,
        default: default?.unwrap_or(false),
        limits: limits?,
    })
}

fn read_limits(node: &Node, path: &str, problems: &mut Problems) -> Result<Limits, Reported> {
    let mut object = Object::open(node, path, problems)?;
    let max_open_positions = object.optional("maxOpenPositions", problems, whole(1, 1_000));
    let max_daily_loss = object.optional("maxDailyLoss", problems, amount);
    let account = read_symbol_limits(&mut object, problems);
    let symbols_path = object.path_of("symbols");
    let symbols = match object.get("symbols") {
        None => Ok(Vec::new()),
        Some(node) => read_symbols(node, &symbols_path, problems),
    };
    object.close(problems);
    Ok(Limits {
        max_open_positions: max_open_positions?,
        max_daily_loss: max_daily_loss?,
        account: account?,
        symbols: symbols?,
    })
}

fn read_symbol_limits(
    object: &mut Object<'_>,
    problems: &mut Problems,
) -> Result<SymbolLimits, Reported> {
    let max_position_notional = object.optional("maxPositionNotional", problems, amount);
    let max_orders_per_minute = object.optional("maxOrdersPerMinute", problems, whole(1, 10_000));
    Ok(SymbolLimits {
        max_position_notional: max_position_notional?,
        max_orders_per_minute: max_orders_per_minute?,
    })
}

/// Limits by symbol: the names are symbols in Hoox's one spelling, such as `BTCUSDT`.
fn read_symbols(
    node: &Node,
    path: &str,
    problems: &mut Problems,
) -> Result<Vec<(Symbol, SymbolLimits)>, Reported> {
    let object = Object::open(node, path, problems)?;
    if object.fields.len() > MAX_NAMES {
        problems.add(path, format_args!("has more than {MAX_NAMES} symbols"));
        return Err(Reported);
    }
    // Every entry is read, so that all problems are told at once.
    let mut symbols = Ok(Vec::new());
    for (name, node) in object.fields {
        let path = format!("{path}.{}", name.chars().take(40).collect::<String>());
        let entry = match (name.parse::<Symbol>(), Object::open(node, &path, problems)) {
            (Ok(symbol), Ok(mut object)) => {
                let limits = read_symbol_limits(&mut object, problems);
                object.close(problems);
                limits.map(|limits| (symbol, limits))
            }
            (Err(_), _) => {
                problems.add(&path, "is no symbol; write it as in BTCUSDT");
                Err(Reported)
            }
            (_, Err(reported)) => Err(reported),
        };
        match (&mut symbols, entry) {
            (Ok(symbols), Ok(entry)) => symbols.push(entry),
            (_, Ok(_)) => {}
            (_, Err(reported)) => symbols = Err(reported),
        }
    }
    symbols
}

/// Rules that span several entries. There are at most [`MAX_SENDERS`] and [`MAX_ACCOUNTS`], so that looking
/// at all the earlier ones is quick.
fn cross_check(manifest: &Manifest, problems: &mut Problems) {
    for (place, sender) in manifest.senders.iter().enumerate() {
        let path = |field: &str| format!("senders[{place}].{field}");
        if manifest
            .senders
            .iter()
            .take(place)
            .any(|earlier| earlier.id == sender.id)
        {
            problems.add(
                &path("id"),
                format_args!("'{}' is taken by another sender", sender.id),
            );
        }
        for (entry, pattern) in sender.accounts.iter().enumerate() {
            if let AccountPattern::Named(name) = pattern
                && !manifest.accounts.iter().any(|a| a.name == *name)
            {
                problems.add(
                    &path(&format!("accounts[{entry}]")),
                    format_args!("there is no account named '{name}'"),
                );
            }
        }
        if let Some(name) = &sender.default_account
            && !manifest
                .accounts
                .iter()
                .any(|a| a.name == *name && sender.may_use(a))
        {
            problems.add(
                &path("defaultAccount"),
                format_args!("'{name}' is not one of the accounts this sender may use"),
            );
        }
    }
    for (place, account) in manifest.accounts.iter().enumerate() {
        let path = |field: &str| format!("accounts[{place}].{field}");
        let taken = |same: fn(&Account, &Account) -> bool| {
            let mut earlier = manifest.accounts.iter().take(place);
            earlier.any(|earlier| same(earlier, account))
        };
        if taken(|a, b| a.id == b.id) {
            problems.add(
                &path("id"),
                format_args!("'{}' is taken by another account", account.id),
            );
        }
        if taken(|a, b| a.name == b.name) {
            problems.add(
                &path("name"),
                format_args!("'{}' is taken by another account", account.name),
            );
        }
        if account.default
            && taken(|a, b| a.default && (a.venue, a.environment) == (b.venue, b.environment))
        {
            problems.add(
                &path("default"),
                format_args!(
                    "another account on {} {} is marked as default already",
                    account.venue, account.environment
                ),
            );
        }
        // Two Ledgers on one account of the venue would not see each other's orders. Simulators
        // are told apart by their address.
        if account.environment != Environment::Sim
            && taken(|a, b| a.secret_names() == b.secret_names())
        {
            problems.add(
                &path("secretSuffix"),
                format_args!(
                    "another account uses the same API key {}; give each its own secretSuffix",
                    account.secret_names().0
                ),
            );
        }
    }
}

fn check_useful(manifest: &Manifest, problems: &mut Problems) {
    for (place, sender) in manifest.senders.iter().enumerate() {
        for (field, problem) in useless(sender, &manifest.accounts) {
            problems.add(&format!("senders[{place}].{field}"), problem);
        }
    }
}

/// Why a sender could never send or may use nothing: the field, and what to do.
pub(crate) fn useless(sender: &Sender, accounts: &[Account]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if sender.scheme != Scheme::Passkey && sender.ranges.is_empty() {
        let problem = format!(
            "is missing: a sender of scheme {} needs the addresses it sends from, such as [\"203.0.113.0/24\"], \
             because the shared ones are for TradingView, which signs nothing",
            sender.scheme.as_str()
        );
        found.push(("ranges".to_owned(), problem));
    }
    let namespaces = sender.namespaces.iter().flatten();
    for (place, namespace) in namespaces.enumerate() {
        if !accounts
            .iter()
            .any(|a| a.namespace.as_ref() == Some(namespace))
        {
            let problem = format!(
                "no account is in namespace '{namespace}'; put an account into it first, or leave it out"
            );
            found.push((format!("namespaces[{place}]"), problem));
        }
    }
    let usable = accounts.iter().any(|account| sender.may_use(account));
    if found.is_empty() && sender.namespaces.is_some() && !sender.accounts.is_empty() && !usable {
        let problem = "none of the sender's accounts is in one of them, so it could use nothing; add an account \
                       that is, or leave namespaces out";
        found.push(("namespaces".to_owned(), problem.to_owned()));
    }
    found
}

fn boolean(node: &Node) -> Result<bool, String> {
    match node {
        Node::Bool(value) => Ok(*value),
        other => Err(format!("must be true or false, not {}", other.kind())),
    }
}

fn text(node: &Node) -> Result<&str, String> {
    match node {
        Node::Text(text) => Ok(text),
        other => Err(format!("must be a text, not {}", other.kind())),
    }
}

fn parsed<T: FromStr<Err: core::fmt::Display>>(node: &Node) -> Result<T, String> {
    text(node)?
        .parse()
        .map_err(|error: T::Err| error.to_string())
}

/// Adapts a reader of one value to the entries of a list.
fn entry<'a, T>(
    read: impl Fn(&'a Node) -> Result<T, String>,
) -> impl FnMut(&'a Node, &str, &mut Problems) -> Result<T, Reported> {
    move |node, path, problems| {
        read(node).map_err(|problem| {
            problems.add(path, problem);
            Reported
        })
    }
}

fn pattern(node: &Node) -> Result<AccountPattern, String> {
    match text(node)? {
        "*" => Ok(AccountPattern::All),
        _ => parsed(node).map(AccountPattern::Named),
    }
}

fn whole<T: TryFrom<u64>>(min: u64, max: u64) -> impl Fn(&Node) -> Result<T, String> {
    let refuse = move || format!("must be a whole number from {min} to {max}");
    move |node| match node {
        Node::Whole(value) if (min..=max).contains(value) => {
            T::try_from(*value).map_err(|_| refuse())
        }
        _ => Err(refuse()),
    }
}

fn rows_a_day(node: &Node) -> Result<u64, String> {
    let range = whole(1_000, MAX_VERSION)(node);
    range.map_err(|_| {
        "must be a whole number from 1000, or null on a plan that does not limit the rows of a day".to_owned()
    })
}

fn one_of<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&Node) -> Result<T, String> {
    |node| {
        let text = text(node)?;
        choices
            .iter()
            .find_map(|(name, value)| (*name == text).then_some(*value))
            .ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                format!("must be one of {}", names.join(", "))
            })
    }
}

/// An amount above 0: a text, because most fractions have no exact binary form, or a whole number.
fn amount(node: &Node) -> Result<Amount, String> {
    let read = match node {
        Node::Text(text) => text.parse().ok(),
        Node::Whole(value) => Amount::try_from(Decimal::from(*value)).ok(),
        _ => None,
    };
    read.filter(|amount| *amount > Amount::ZERO)
        .ok_or_else(|| "must be an amount above 0 such as \"250.50\", as a text".to_owned())
}

fn hex(node: &Node) -> Result<Vec<u8>, String> {
    HEXLOWER_PERMISSIVE
        .decode(text(node)?.as_bytes())
        .map_err(|_| "must be written in hex digits".to_owned())
}

/// RFC 3339, or whole epoch seconds or milliseconds.
fn moment(node: &Node) -> Result<Timestamp, String> {
    let parsed = match node {
        Node::Whole(number) => Timestamp::parse(&number.to_string()),
        Node::Text(text) => Timestamp::parse(text),
        _ => return Err("must be an RFC 3339 time or milliseconds since 1970".to_owned()),
    };
    parsed.map_err(|_| "must be an RFC 3339 time such as 2026-01-31T00:00:00Z".to_owned())
}

fn suffix(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    let fits = (1..=32).contains(&text.len())
        && !text.starts_with('_')
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 32 capital letters, digits or '_', such as SUB1".to_owned())
    }
}

/// Hosts that a venue's keys may be sent to (`facts/exchanges.md`; for Bybit
/// bybit-exchange.github.io/docs/v5/guide, "Integration Guidance").
const fn hosts(venue: Venue, environment: Environment) -> &'static [&'static str] {
    match (venue, environment) {
        (Venue::Bybit, Environment::Live) => &[
            "api.bybit.com",
            "api.bytick.com",
            "api.bybit.eu",
            "api.bybit.nl",
            "api.bybit-tr.com",
            "api.bybit.tr",
            "api.bybit.kz",
            "api.bybit.ae",
            "api.bybit.id",
            "api.bybitgeorgia.ge",
            "api.manepa.jp",
        ],
        (Venue::Bybit, Environment::Testnet) => &["api-testnet.bybit.com", "api-demo.bybit.com"],
        _ => &[],
    }
}

/// API keys are sent to this address, so it must be one of the venue's own, or for a simulator
/// one on this machine.
fn base_url_fits(venue: Venue, environment: Environment, url: Option<&str>) -> Result<(), String> {
    let known = hosts(venue, environment);
    let sim = environment == Environment::Sim;
    let Some(url) = url else {
        return if sim {
            Err(
                "is missing: a simulator needs its address, such as http://127.0.0.1:8787"
                    .to_owned(),
            )
        } else {
            Ok(())
        };
    };
    let Some((secure, host)) = origin(url) else {
        return Err("must be an origin such as https://api.bybit.com, without a path".to_owned());
    };
    if sim {
        return if is_loopback(host) {
            Ok(())
        } else {
            Err("must be on this machine (127.0.0.1, [::1] or localhost), because a simulator gets no real traffic".to_owned())
        };
    }
    if known.is_empty() {
        return Err(format!(
            "cannot be set for {venue} {environment}; remove it"
        ));
    }
    if secure && known.contains(&host) && url.strip_prefix("https://") == Some(host) {
        Ok(())
    } else {
        Err(format!(
            "must be https:// and one of {}, because API keys are sent there",
            known.join(", ")
        ))
    }
}

/// An origin as browsers send it, character by character; a wildcard would let any page in.
fn cors_origin(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    let fits = origin(text).is_some_and(|(secure, host)| {
        let default_port = if secure { ":443" } else { ":80" };
        (secure || is_loopback(host)) && !host.contains('*') && !text.ends_with(default_port)
    });
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be one exact origin such as https://desk.example, without path, wildcard or default port".to_owned())
    }
}

/// Whether it is https, and the host, of `http(s)://host[:port]`.
fn origin(url: &str) -> Option<(bool, &str)> {
    let (secure, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']')?;
            host.parse::<core::net::Ipv6Addr>().ok()?;
            (host, after)
        }
        None => match rest.find(':') {
            Some(colon) => (rest.get(..colon)?, rest.get(colon..)?),
            None => (rest, ""),
        },
    };
    let host_fits = !host.is_empty()
        && host.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':')
        });
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|port| port > 0)
        });
    (host_fits && port_fits).then_some((secure, host))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}
