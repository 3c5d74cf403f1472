//! The one source of the messages that the command line prints and the documentation shows.

use core::fmt::Write as _;
use core::str::FromStr;

/// What stands for the sender's passkey.
pub const PASSKEY: &str = "PASSKEY";

/// What an indicator's alert trades unless it is told: in the quote currency, so that it fits every symbol.
const DEFAULT_QUOTE: &str = "100";

/// What kind of script sends the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A strategy that turns from long to short and back.
    Reversing,
    /// A strategy whose exits are orders of their own: stops, take-profits, closes.
    Exits,
    /// An indicator, whose alerts know nothing of a position.
    Indicator,
    /// Any strategy whose position the account is to have.
    Target,
    /// A strategy that adds to its position in several orders and closes it at once.
    Dca,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Reversing,
        Self::Exits,
        Self::Indicator,
        Self::Target,
        Self::Dca,
    ];

    /// Its word in arguments.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reversing => "reversing",
            Self::Exits => "exits",
            Self::Indicator => "indicator",
            Self::Target => "target",
            Self::Dca => "dca",
        }
    }

    /// Whom it is for, and why its message is as it is.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Reversing => {
                "For a strategy that turns from long to short and back. The message says where the strategy stands after \
                 its order, because the size of a reversing order is the old position plus the new one."
            }
            Self::Exits => {
                "For a strategy whose exits are orders of their own (strategy.exit, strategy.close). Each order is sent as \
                 it is; one after which the strategy is flat, or still on the same side, only makes the position smaller. \
                 If the strategy also reverses, use target."
            }
            Self::Indicator => {
                "For an indicator, which has no position and no sizes. Each alert does one thing: enter long, enter \
                 short, or close all. A second LONG adds to the first."
            }
            Self::Target => {
                "For any strategy that sends one order at a time: the account is to have its position, after entries, adds, \
                 partial exits and reversals. An alert that is missed is made up for by the next one."
            }
            Self::Dca => {
                "For a strategy that adds in several orders, perhaps in one second, and closes at once. Adds are sent as \
                 they are, so it does not matter in which order they arrive; the order after which the strategy is flat \
                 closes what it added."
            }
        }
    }

    /// What its messages hold, all of a strategy's one text.
    const fn form(self) -> Form {
        match self {
            Self::Reversing | Self::Target => Form::Position,
            Self::Exits | Self::Dca => Form::Order,
            Self::Indicator => Form::Fixed,
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("'{text}' is no kind of template: use one of {names}")
        })
    }
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Where the strategy stands after its order.
    Position,
    /// The strategy's order, and where it stands after it.
    Order,
    /// Words that never change.
    Fixed,
}

/// What a template is to hold.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What sends the alerts.
    pub kind: Kind,
    /// Name of the account.
    pub account: String,
    /// What is traded.
    pub symbol: String,
    /// Name of the strategy; the kind's name unless given.
    pub strategy: Option<String>,
    /// Size in base currency, for an indicator.
    pub quantity: Option<String>,
}

/// One message of one TradingView alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `strategy`, or what an indicator's alert does: `long`, `short`, `close`.
    pub name: &'static str,
    /// The JSON text.
    pub text: String,
}

/// The messages of a template: one for a strategy, which sends the same text for all its orders, three for an indicator.
///
/// # Errors
/// A sentence, where a size is given to a strategy, which has its own.
pub fn messages(wish: &Wish) -> Result<Vec<Message>, String> {
    const ORDER_ID: &str = "{{strategy.order.id}}";
    const POSITION: [(&str, &str); 2] = [
        ("marketPosition", "{{strategy.market_position}}"),
        ("marketPositionSize", "{{strategy.market_position_size}}"),
    ];
    const BEFORE: [(&str, &str); 2] = [
        ("prevMarketPosition", "{{strategy.prev_market_position}}"),
        (
            "prevMarketPositionSize",
            "{{strategy.prev_market_position_size}}",
        ),
    ];
    const ORDER: [(&str, &str); 2] = [
        ("action", "{{strategy.order.action}}"),
        ("quantity", "{{strategy.order.contracts}}"),
    ];
    let form = wish.kind.form();
    if form != Form::Fixed && wish.quantity.is_some() {
        return Err(format!(
            "a {} template takes its sizes from the strategy: set the order size in the strategy's properties",
            wish.kind.name()
        ));
    }
    let size = wish.quantity.as_deref();
    let sized: &[(&str, &str)] = match &size {
        Some(quantity) => &[("quantity", quantity)],
        None => &[("quantity", DEFAULT_QUOTE), ("quantityType", "quote")],
    };
    let message = |name, id: &str, parts: &[&[(&str, &str)]]| Message {
        name,
        text: written(wish, parts, id),
    };
    Ok(match form {
        Form::Position => {
            let parts: [&[_]; 3] = [&[("action", "target")], &POSITION, &BEFORE];
            vec![message("strategy", ORDER_ID, &parts)]
        }
        Form::Order => vec![message("strategy", ORDER_ID, &[&ORDER, &POSITION])],
        Form::Fixed => vec![
            message("long", "long", &[&[("action", "LONG")], sized]),
            message("short", "short", &[&[("action", "SHORT")], sized]),
            message("close", "close", &[&[("action", "close")]]),
        ],
    })
}

/// The message with what all of them have.
fn written(wish: &Wish, parts: &[&[(&str, &str)]], order_id: &str) -> String {
    let strategy = wish.strategy.as_deref().unwrap_or(wish.kind.name());
    let head = [
        ("apiKey", PASSKEY),
        ("account", &wish.account),
        ("symbol", &wish.symbol),
    ];
    let foot = [
        ("strategy", strategy),
        ("orderId", order_id),
        ("timestamp", "{{timenow}}"),
    ];
    let mut text = String::from("{");
    let parts = parts.iter().flat_map(|part| part.iter());
    let mut separator = "\n";
    for (name, value) in head.iter().chain(parts).chain(&foot) {
        let value = serde_json::Value::from(*value);
        write!(text, "{separator}  \"{name}\": {value}").unwrap_or_default();
        separator = ",\n";
    }
    text.push_str("\n}");
    text
}

/// What to do with the messages in TradingView, a line each.
pub fn setup(wish: &Wish) -> Vec<String> {
    let mut lines = vec![
        wish.kind.about().to_owned(),
        format!(
            "Put the sender's passkey where {PASSKEY} stands; `hoox senders add` makes a sender and shows its key once."
        ),
    ];
    if wish.kind.form() == Form::Fixed {
        if wish.quantity.is_none() {
            lines.push(format!(
                "LONG and SHORT trade {DEFAULT_QUOTE} of the quote currency (USDT of BTCUSDT); --quantity says another size, in base currency."
            ));
        }
        lines.push(
            "In TradingView make one alert for each message, with its own condition and the trigger \"Once per bar close\"."
                .to_owned(),
        );
    } else {
        lines.push(
            "In TradingView make one alert on the strategy, for order fills only.".to_owned(),
        );
        lines.push(
            "The sizes are the strategy's: set its order size to what the account is to trade. No order id in the script may hold a double quote."
                .to_owned(),
        );
    }
    lines.push(
        "The JSON is the whole message; the webhook URL, under Notifications, is your gateway's address with /webhook."
            .to_owned(),
    );
    if wish.strategy.is_none() {
        lines.push("--strategy NAME gives the strategy its own name in the records, and keeps its alerts in order by themselves.".to_owned());
    }
    lines.push("Several strategies on one symbol need an account each. `hoox alert check FILE` says what a message would do.".to_owned());
    lines
}
