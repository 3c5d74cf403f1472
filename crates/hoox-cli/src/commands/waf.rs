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
    host: String,
    zone: Zone,
    ruleset: Option<Ruleset>,
    wanted: Rule,
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
        Waf::Status => status(&plan).await,
        Waf::Remove => remove(context, &plan).await,
    }
}

impl Plan {
    pub(crate) async fn make(context: &Context) -> Result<Self, Failure> {
        let api = context.cloudflare()?;
        let gateway = target::host(&context.global, &profile::of(&context.global)?)?;
        let host = in_a_zone(&gateway)?;
        let zone = api.zone_of(&host).await?.ok_or_else(|| {
            Failure::new(
                "NO_ZONE",
                format!("the token reaches no zone that {host} lies in"),
            )
            .hint("the domain must be at Cloudflare, and the token needs 'Zone: Read' for it")
        })?;
        let store = Store::of(&api).await?.ok_or_else(|| {
            Failure::new(
                "NOT_DEPLOYED",
                "this account has no gateway, whose manifest says who may send",
            )
            .hint("check CLOUDFLARE_ACCOUNT_ID, or run `hoox deploy` first")
        })?;
        let manifest = store.manifest().await?;
        let wanted = rule(&host, manifest.as_ref())?;
        let ruleset = api.rules(&zone.id).await?;
        Ok(Self {
            api,
            host,
            zone,
            ruleset,
            wanted,
        })
    }

    fn rules(&self) -> &[Rule] {
        self.ruleset.as_ref().map_or(&[], |ruleset| &ruleset.rules)
    }

    pub(crate) fn present(&self) -> Option<&Rule> {
        let found = |rule: &&Rule| rule.reference == self.wanted.reference;
        self.rules().iter().find(found)
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
        let earlier = self.rules().iter();
        let mut earlier = earlier.take_while(|rule| rule.reference != self.wanted.reference);
        self.present().is_some() && earlier.any(|rule| rule.enabled && rule.action == "skip")
    }

    /// Whether the rule stands as it should.
    pub(crate) fn is_in_place(&self) -> bool {
        self.is_current() && !self.is_passed()
    }

    /// How the rule stands, in words.
    pub(crate) fn state(&self) -> &'static str {
        match self.present() {
            _ if self.is_in_place() => "in place and up to date",
            None => "not there",
            Some(_) if self.is_current() => "below a rule that lets requests past it",
            Some(rule) if !rule.enabled => "switched off",
            Some(_) => "not what the manifest asks for",
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the gateway can be reached past every zone.
    pub(crate) async fn on_workers_dev(&self) -> Result<bool, Failure> {
        self.api.on_workers_dev(Worker::Hoox.name()).await
    }

    fn data(&self, more: Value) -> Value {
        let mut data = json!({
            "host": self.host,
            "zone": self.zone.name,
            "rule": self.wanted.reference,
            "expression": self.wanted.expression,
        });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        data
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
            if rule.reference != self.wanted.reference {
                writeln!(
                    text,
                    "  {} {}",
                    plain(&rule.action),
                    plain(&rule.description)
                )
                .unwrap_or_default();
                continue;
            }
            if self.is_current() {
                writeln!(
                    text,
                    "^ {} {}: before all others",
                    plain(&rule.action),
                    plain(&rule.description)
                )
                .unwrap_or_default();
                continue;
            }
            line(&mut text, '-', rule);
            line(&mut text, '+', &self.wanted);
        }
        text
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
    let open = plan.on_workers_dev().await?;
    let warning = warning(open);
    if plan.is_in_place() {
        let text = format!(
            "The rule is in place on {}; nothing was changed.\n{warning}",
            plan.zone.name
        );
        return Ok(Done::new(
            text,
            plan.data(json!({ "changed": false, "workersDev": open })),
        ));
    }
    let diff = plan.diff();
    if dry_run {
        let text = format!("{diff}Nothing was changed: --dry-run.\n{warning}");
        return Ok(Done::new(
            text,
            plan.data(
                json!({ "changed": false, "dryRun": true, "diff": diff, "workersDev": open }),
            ),
        ));
    }
    if !context.global.yes {
        eprint!("{diff}");
    }
    confirm(context.global.yes, "The rule will be changed as shown.")?;
    put(plan).await?;
    let text = format!(
        "The rule is in place on {}: other addresses do not reach the webhook of {}.\n{warning}",
        plan.zone.name, plan.host
    );
    Ok(Done::new(
        text,
        plan.data(json!({ "changed": true, "workersDev": open })),
    ))
}

async fn put(plan: &Plan) -> Result<(), Failure> {
    let zone = plan.zone.id.as_str();
    // Others may have made the first rule while this one was asked for: theirs stay.
    let now = match &plan.ruleset {
        Some(_) => None,
        None => plan.api.rules(zone).await?,
    };
    let done = match (plan.ruleset.as_ref().or(now.as_ref()), plan.present()) {
        (None, _) => plan.api.first_rule(zone, &plan.wanted).await,
        (Some(ruleset), None) => plan.api.add_rule(zone, &ruleset.id, &plan.wanted).await,
        (Some(ruleset), Some(present)) => {
            let (set, id) = (ruleset.id.as_str(), present.id.as_str());
            plan.api.change_rule(zone, set, id, &plan.wanted).await
        }
    };
    done.map(drop)
}

fn warning(open: bool) -> &'static str {
    if open {
        "WARNING: the gateway also answers at its workers.dev address, where no rule applies. Set workers_dev = false in wrangler.toml and deploy.\n"
    } else {
        ""
    }
}

async fn status(plan: &Plan) -> Result<Done, Failure> {
    let open = plan.on_workers_dev().await?;
    let in_place = plan.is_in_place();
    let state = plan.state();
    let mut text = format!(
        "{} (zone {}): the rule is {state}.\n",
        plan.host, plan.zone.name
    );
    if !in_place {
        text.push_str(&plan.diff());
        text.push_str("Put it in place: hoox waf configure --tradingview-only\n");
    }
    text.push_str(warning(open));
    let done = Done::new(
        text,
        plan.data(json!({ "inPlace": in_place, "state": state, "workersDev": open })),
    );
    Ok(if in_place && !open {
        done
    } else {
        done.ended(status::Status::Bad)
    })
}

async fn remove(context: &Context, plan: &Plan) -> Result<Done, Failure> {
    let (Some(ruleset), Some(rule)) = (&plan.ruleset, plan.present()) else {
        let text = format!(
            "There is no such rule on {}; nothing was changed.",
            plan.zone.name
        );
        return Ok(Done::new(text, plan.data(json!({ "changed": false }))));
    };
    let question = format!(
        "Any address will reach the webhook of {}, where the gateway alone checks it.",
        plan.host
    );
    confirm(context.global.yes, &question)?;
    plan.api
        .remove_rule(&plan.zone.id, &ruleset.id, &rule.id)
        .await?;
    let text = format!("The rule is removed from {}.", plan.zone.name);
    Ok(Done::new(text, plan.data(json!({ "changed": true }))))
}
