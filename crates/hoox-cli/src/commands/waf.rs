//! `hoox waf`: the rule in front of the webhook that lets only known addresses through.
//!
//! In scope: one rule of the zone's custom rules, found by its name; every other rule stays as it is. Out of scope:
//! who may send. The gateway checks addresses itself as well.

use core::fmt::Write as _;
use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use hoox_auth::{Manifest, Range, Scheme, TRADINGVIEW_RANGES};
use hoox_mesh::Worker;
use reqwest::Url;
use serde_json::{Value, json};

use super::confirm;
use crate::addresses::{Addresses, host_of};
use crate::cloudflare::{Cloudflare, Rule, Ruleset, Zone};
use crate::context::Context;
use crate::deployment::Store;
use crate::failure::Failure;
use crate::output::{Done, plain};
use crate::status::{self, OF_A_VERDICT};
use crate::{profile, target};

/// The longest expression that Cloudflare takes
/// (developers.cloudflare.com/ruleset-engine/rules-language/expressions).
const LONGEST: usize = 4_096;

#[derive(Debug, Subcommand)]
pub(crate) enum Waf {
    /// Put the rule in place, or bring it up to date with the manifest
    Configure(Configure),
    /// Whether the rule is in place and up to date, and nothing leads past it
    #[command(after_help = OF_A_VERDICT)]
    Status,
    /// Take the rule away
    Remove,
}

#[derive(Debug, Args)]
pub(crate) struct Configure {
    /// Let only the manifest's addresses reach the webhook: TradingView's, unless it lists others
    #[arg(long = "tradingview-only", alias = "TradingView-only", required = true)]
    tradingview_only: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// The zone as it is, and the rule as it should be.
pub(crate) struct Plan {
    api: Cloudflare,
    stand: Stand,
    /// The gateway's addresses.
    addresses: Addresses,
    /// What the token does not show of them.
    unseen: Vec<&'static str>,
    ways: Vec<Way>,
}

/// How the rule of one host stands.
struct Stand {
    host: String,
    zone: Zone,
    ruleset: Option<Ruleset>,
    wanted: Rule,
}

/// A way to the webhook past the rule.
pub(crate) struct Way {
    /// What it is.
    pub(crate) what: String,
    /// How it is closed.
    pub(crate) fix: String,
}

impl Way {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

pub(crate) async fn run(context: &Context, task: &Waf) -> Result<Done, Failure> {
    if context.global.is_local() {
        return Err(Failure::new(
            "NO_FIREWALL",
            "the sandbox has no firewall in front of it; its gateway checks addresses itself",
        )
        .hint("give --host, or --profile, of a deployment"));
    }
    let plan = Plan::make(context).await?;
    match task {
        Waf::Configure(asked) => configure(context, &plan, asked.dry_run).await,
        Waf::Status => Ok(status(&plan)),
        Waf::Remove => remove(context, &plan).await,
    }
}

impl Plan {
    pub(crate) async fn make(context: &Context) -> Result<Self, Failure> {
        let api = context.cloudflare()?;
        let gateway = target::host(&context.global, &profile::of(&context.global)?)?;
        let host = in_a_zone(&gateway)?;
        let store = Store::of(&api).await?.ok_or_else(|| {
            Failure::new(
                "NOT_DEPLOYED",
                "this account has no gateway, whose manifest says who may send",
            )
            .hint("check CLOUDFLARE_ACCOUNT_ID, or run `hoox deploy` first")
        })?;
        let manifest = store.manifest().await?;
        let stand = Stand::of(&api, &host, manifest.as_ref()).await?;
        let mut found = Addresses::of(&api, &[Worker::Hoox]).await?;
        let addresses = found.take(Worker::Hoox);
        let mut plan = Self {
            api,
            stand,
            addresses,
            unseen: found.unseen,
            ways: Vec::new(),
        };
        plan.ways = plan.look(manifest.as_ref()).await?;
        Ok(plan)
    }

    pub(crate) fn present(&self) -> Option<&Rule> {
        self.stand.present()
    }

    /// Whether the rule stands as it should.
    pub(crate) fn is_in_place(&self) -> bool {
        self.stand.is_in_place()
    }

    /// How the rule stands, in words.
    pub(crate) fn state(&self) -> &'static str {
        self.stand.state()
    }

    pub(crate) fn host(&self) -> &str {
        &self.stand.host
    }

    /// Every way to the webhook past the rule.
    pub(crate) fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// What nobody could look at, as it stands behind a verdict.
    pub(crate) fn unseen_words(&self) -> String {
        if self.unseen.is_empty() {
            return String::new();
        }
        format!("; the token does not show {}", self.unseen.join(" and "))
    }

    async fn look(&self, manifest: Option<&Manifest>) -> Result<Vec<Way>, Failure> {
        let (host, addresses) = (self.host(), &self.addresses);
        let mut ways = Vec::new();
        if addresses.workers_dev {
            ways.push(Way::new(
                "the gateway also answers at its workers.dev address, where no rule applies",
                "set workers_dev = false in wrangler.toml and deploy",
            ));
        }
        if addresses.previews {
            ways.push(Way::new(
                "the gateway's versions have preview addresses at workers.dev, where no rule applies",
                "set preview_urls = false in wrangler.toml and deploy",
            ));
        }
        for other in addresses.hosts() {
            if other != host {
                ways.extend(self.around(other, manifest).await?);
            }
        }
        for pattern in &addresses.routes {
            if host_of(pattern).contains('*') {
                ways.push(Way::new(
                    format!("the route {pattern} leads other hosts to the gateway as well"),
                    "give the route one host (Workers, Settings, Domains & Routes)",
                ));
            }
        }
        if !addresses.serves(host) && self.unseen.is_empty() {
            ways.push(self.unserved());
        }
        Ok(ways)
    }

    /// A further host that leads to the gateway, unless the rule stands there as well.
    async fn around(
        &self,
        other: &str,
        manifest: Option<&Manifest>,
    ) -> Result<Option<Way>, Failure> {
        let (state, first) = match Stand::of(&self.api, other, manifest).await {
            Ok(stand) if stand.is_in_place() => return Ok(None),
            Ok(stand) => (stand.state(), String::new()),
            Err(failure) if matches!(failure.code.as_str(), "NO_ZONE" | "CLOUDFLARE_TOKEN") => {
                let first = failure.hint.unwrap_or_default();
                ("not to be seen with this token", format!("{first}; then "))
            }
            Err(failure) => return Err(failure),
        };
        Ok(Some(Way::new(
            format!("{other} leads to the gateway as well, and its rule is {state}"),
            format!(
                "{first}hoox waf configure --tradingview-only --host {other}, or take it away (Workers, Settings, Domains & Routes)"
            ),
        )))
    }

    /// The rule's host is none of the gateway's.
    fn unserved(&self) -> Way {
        let host = self.host();
        let hosts = self.addresses.hosts();
        let fix = match hosts.first() {
            Some(first) => format!(
                "the gateway answers at {}: hoox init --host {first}",
                hosts.join(", ")
            ),
            None => {
                format!("give the gateway the domain {host} (Workers, Settings, Domains & Routes)")
            }
        };
        Way::new(
            format!("neither a domain nor a route leads {host} to the gateway"),
            fix,
        )
    }

    /// The ways past the rule, for people.
    fn warnings(&self) -> String {
        let mut text = String::new();
        for way in &self.ways {
            writeln!(text, "WARNING: {}. To do: {}.", way.what, way.fix).unwrap_or_default();
        }
        if !self.unseen.is_empty() {
            writeln!(
                text,
                "Not known: the token does not show {} ('Workers Routes: Read', 'Zone: Read').",
                self.unseen.join(" and ")
            )
            .unwrap_or_default();
        }
        text
    }

    fn data(&self, more: Value) -> Value {
        let mut data = json!({
            "host": self.stand.host,
            "zone": self.stand.zone.name,
            "rule": self.stand.wanted.reference,
            "expression": self.stand.wanted.expression,
            "workersDev": self.addresses.workers_dev,
            "past": self.ways.iter().map(|way| json!({ "what": way.what, "fix": way.fix })).collect::<Vec<_>>(),
            "unseen": self.unseen,
        });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        data
    }
}

impl Stand {
    async fn of(
        api: &Cloudflare,
        host: &str,
        manifest: Option<&Manifest>,
    ) -> Result<Self, Failure> {
        let zone = api.zone_of(host).await?.ok_or_else(|| {
            Failure::new(
                "NO_ZONE",
                format!("the token reaches no zone that {host} lies in"),
            )
            .hint(format!("the domain must be at Cloudflare; give the token 'Zone: Read' and 'Zone WAF: Edit' for the zone of {host}"))
        })?;
        let wanted = rule(host, manifest)?;
        let ruleset = api.rules(&zone.id).await;
        let ruleset = ruleset.map_err(|failure| of_zone(failure, &zone))?;
        Ok(Self {
            host: host.to_owned(),
            zone,
            ruleset,
            wanted,
        })
    }

    fn rules(&self) -> &[Rule] {
        self.ruleset.as_ref().map_or(&[], |ruleset| &ruleset.rules)
    }

    /// The rule by its name; else by its description, where somebody has made it anew without the name.
    fn present(&self) -> Option<&Rule> {
        let named = |rule: &&Rule| rule.reference == self.wanted.reference;
        let described = |rule: &&Rule| rule.description == self.wanted.description;
        let mut rules = self.rules().iter();
        rules.clone().find(named).or_else(|| rules.find(described))
    }

    /// Whether this is the rule.
    fn is_it(&self, rule: &Rule) -> bool {
        self.present().is_some_and(|present| present.id == rule.id)
    }

    /// Whether the rule says what it should.
    fn is_current(&self) -> bool {
        self.present().is_some_and(|rule| {
            let mut rule = rule.clone();
            rule.id.clone_from(&self.wanted.id);
            rule == self.wanted
        })
    }

    /// Whether an earlier rule may let requests past it.
    fn is_passed(&self) -> bool {
        let mut earlier = self.rules().iter().take_while(|rule| !self.is_it(rule));
        self.present().is_some() && earlier.any(|rule| rule.enabled && rule.action == "skip")
    }

    fn is_in_place(&self) -> bool {
        self.is_current() && !self.is_passed()
    }

    fn state(&self) -> &'static str {
        match self.present() {
            _ if self.is_in_place() => "in place and up to date",
            None => "not there",
            Some(_) if self.is_current() => "below a rule that lets requests past it",
            Some(rule) if !rule.enabled => "switched off",
            Some(rule) if rule.reference != self.wanted.reference => {
                "there without its name, made anew by other means"
            }
            Some(_) => "not what the manifest asks for",
        }
    }

    /// Refuses to add a rule that the zone's plan has no room for.
    fn has_room(&self) -> Result<(), Failure> {
        let (count, most) = (self.rules().len(), self.zone.most_rules());
        match most {
            Some(most) if self.present().is_none() && count >= most => {
                let message = format!(
                    "{} has {count} custom rules, and its plan allows {most}",
                    self.zone.name
                );
                Err(Failure::new("NO_ROOM", message)
                    .hint("join or remove one of them (Security, WAF, Custom rules), then repeat the command; nothing was changed"))
            }
            _ => Ok(()),
        }
    }

    /// What would change, as a diff of the zone's rules.
    fn diff(&self) -> String {
        let mut text = format!("zone {}, custom rules:\n", self.zone.name);
        let line = |text: &mut String, sign: char, rule: &Rule| {
            let off = if rule.enabled { "" } else { " (disabled)" };
            let words = plain(&rule.description);
            writeln!(text, "{sign} {} {}{off}", plain(&rule.action), words).unwrap_or_default();
            writeln!(text, "{sign}     {}", plain(&rule.expression)).unwrap_or_default();
        };
        if self.present().is_none() {
            line(&mut text, '+', &self.wanted);
        }
        for rule in self.rules() {
            let (action, words) = (plain(&rule.action), plain(&rule.description));
            if !self.is_it(rule) {
                writeln!(text, "  {action} {words}").unwrap_or_default();
                continue;
            }
            if self.is_current() {
                writeln!(text, "^ {action} {words}: before all others").unwrap_or_default();
                continue;
            }
            line(&mut text, '-', rule);
            line(&mut text, '+', &self.wanted);
        }
        text
    }
}

/// A token that has the permission may have it for other zones only.
fn of_zone(failure: Failure, zone: &Zone) -> Failure {
    if failure.code == "CLOUDFLARE_TOKEN" {
        let zone = plain(&zone.name);
        failure.hint(format!(
            "give the token 'Zone WAF: Edit' for the zone {zone}"
        ))
    } else {
        failure
    }
}

/// The host, if rules can stand in front of it.
fn in_a_zone(gateway: &Url) -> Result<String, Failure> {
    let host = gateway.host_str().unwrap_or_default().to_ascii_lowercase();
    if host.ends_with(".workers.dev") {
        // That no rule holds there is a verdict.
        return Err(Failure::verdict(
            "NO_FIREWALL",
            format!("{host} is an address of workers.dev: no zone of yours, so no rule of yours can stand in front of it"),
        )
        .hint("give the gateway a domain of your own (Workers, Settings, Domains & Routes), close workers.dev, and repeat this with --host"));
    }
    if gateway.domain().is_none() || !host.contains('.') {
        return Err(Failure::usage(format!(
            "{host} is no host in a zone at Cloudflare"
        )));
    }
    Ok(host)
}

/// The rule for a host: block what would reach the webhook from another address.
fn rule(host: &str, manifest: Option<&Manifest>) -> Result<Rule, Failure> {
    let expression = expression(host, manifest);
    if expression.len() > LONGEST {
        return Err(Failure::new(
            "TOO_LARGE",
            format!(
                "the rule would have {} characters; Cloudflare takes {LONGEST}",
                expression.len()
            ),
        )
        .hint(
            "join neighbouring ranges in the manifest; the gateway checks addresses in any case",
        ));
    }
    let slug: String = host
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    Ok(Rule {
        id: String::new(),
        reference: format!("hoox_webhook_{slug}"),
        description: format!("Hoox: only known addresses reach the webhook of {host}"),
        expression,
        action: "block".to_owned(),
        enabled: true,
    })
}

fn expression(host: &str, manifest: Option<&Manifest>) -> String {
    let senders = || manifest.into_iter().flat_map(|manifest| &manifest.senders);
    // Who signs has a path of its own, so its ranges need not be open for everybody.
    let own =
        |sender: &&hoox_auth::Sender| sender.scheme != Scheme::Passkey && !sender.ranges.is_empty();
    let excepted: BTreeSet<String> = senders()
        .filter(own)
        .map(|sender| format!("\"/webhook/{}\"", sender.id))
        .collect();
    let shared: Vec<String> = match manifest.and_then(|manifest| manifest.ranges.as_ref()) {
        Some(ranges) => ranges.iter().map(written).collect(),
        None => TRADINGVIEW_RANGES
            .iter()
            .map(|range| short(range))
            .collect(),
    };
    let passkeys = senders().filter(|sender| sender.scheme == Scheme::Passkey);
    let further: BTreeSet<String> = passkeys
        .flat_map(|sender| &sender.ranges)
        .map(written)
        .filter(|range| !shared.contains(range))
        .collect();
    let addresses: Vec<String> = shared.into_iter().chain(further).collect();
    let path = "http.request.uri.path";
    let mut text = format!(
        "(http.host eq \"{host}\" and ({path} in {{\"/\" \"/webhook\"}} or starts_with({path}, \"/webhook/\"))"
    );
    if !excepted.is_empty() {
        let paths: Vec<String> = excepted.into_iter().collect();
        write!(text, " and not {path} in {{{}}}", paths.join(" ")).unwrap_or_default();
    }
    if !addresses.is_empty() {
        write!(text, " and not ip.src in {{{}}}", addresses.join(" ")).unwrap_or_default();
    }
    text.push(')');
    text
}

fn written(range: &Range) -> String {
    short(&range.to_string())
}

/// A range of one address is that address.
fn short(range: &str) -> String {
    let whole = if range.contains(':') { "/128" } else { "/32" };
    range.strip_suffix(whole).unwrap_or(range).to_owned()
}

async fn configure(context: &Context, plan: &Plan, dry_run: bool) -> Result<Done, Failure> {
    let warnings = plan.warnings();
    if plan.is_in_place() {
        let text = format!(
            "The rule is in place on {}; nothing was changed.\n{warnings}",
            plan.stand.zone.name
        );
        return Ok(Done::new(text, plan.data(json!({ "changed": false }))));
    }
    plan.stand.has_room()?;
    let diff = plan.stand.diff();
    if dry_run {
        let text = format!("{diff}Nothing was changed: --dry-run.\n{warnings}");
        return Ok(Done::new(
            text,
            plan.data(json!({ "changed": false, "dryRun": true, "diff": diff })),
        ));
    }
    if !context.global.yes {
        eprint!("{diff}");
    }
    confirm(context.global.yes, "The rule will be changed as shown.")?;
    put(plan).await?;
    let text = format!(
        "The rule is in place on {}: other addresses do not reach the webhook of {}.\n{warnings}",
        plan.stand.zone.name,
        plan.host()
    );
    Ok(Done::new(text, plan.data(json!({ "changed": true }))))
}

async fn put(plan: &Plan) -> Result<(), Failure> {
    let (api, stand) = (&plan.api, &plan.stand);
    let zone = stand.zone.id.as_str();
    // Others may have made the first rule while this one was asked for: theirs stay.
    let now = match &stand.ruleset {
        Some(_) => None,
        None => api.rules(zone).await?,
    };
    let done = match (stand.ruleset.as_ref().or(now.as_ref()), stand.present()) {
        (None, _) => api.first_rule(zone, &stand.wanted).await,
        (Some(ruleset), None) => api.add_rule(zone, &ruleset.id, &stand.wanted).await,
        (Some(ruleset), Some(present)) => {
            let (set, id) = (ruleset.id.as_str(), present.id.as_str());
            api.change_rule(zone, set, id, &stand.wanted).await
        }
    };
    done.map(drop)
        .map_err(|failure| of_zone(failure, &stand.zone))
}

fn status(plan: &Plan) -> Done {
    let in_place = plan.is_in_place();
    let state = plan.state();
    let mut text = format!(
        "{} (zone {}): the rule is {state}.\n",
        plan.host(),
        plan.stand.zone.name
    );
    if !in_place {
        text.push_str(&plan.stand.diff());
        text.push_str("Put it in place: hoox waf configure --tradingview-only\n");
    }
    text.push_str(&plan.warnings());
    let done = Done::new(
        text,
        plan.data(json!({ "inPlace": in_place, "state": state })),
    );
    if in_place && plan.ways.is_empty() {
        done
    } else {
        done.ended(status::Status::Bad)
    }
}

async fn remove(context: &Context, plan: &Plan) -> Result<Done, Failure> {
    let stand = &plan.stand;
    let (Some(ruleset), Some(rule)) = (&stand.ruleset, stand.present()) else {
        let text = format!(
            "There is no such rule on {}; nothing was changed.",
            stand.zone.name
        );
        return Ok(Done::new(text, plan.data(json!({ "changed": false }))));
    };
    let question = format!(
        "Any address will reach the webhook of {}, where the gateway alone checks it.",
        stand.host
    );
    confirm(context.global.yes, &question)?;
    plan.api
        .remove_rule(&stand.zone.id, &ruleset.id, &rule.id)
        .await
        .map_err(|failure| of_zone(failure, &stand.zone))?;
    let text = format!("The rule is removed from {}.", stand.zone.name);
    Ok(Done::new(text, plan.data(json!({ "changed": true }))))
}
