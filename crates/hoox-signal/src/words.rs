//! The names that alerts give to what the contract knows: its own fields in any spelling, and the words of other services
//! that change an order.
//!
//! Every word of the tables has one meaning. It is read as a field of the contract, or refused with the name to write
//! instead, unless its value asks for what is done anyway. Everything else is unknown, and changes nothing.

use hoox_model::{Decimal, OrderKind, PositionSide, parse_decimal};
use serde_json::value::RawValue;

use crate::alert::{Fields, entries, string};
use crate::hint::shorten;
use crate::{Action, OnOpposite, Signal, SignalError, Sizing, Target};

/// A field of the contract, with other services' words that mean the same.
struct Field {
    name: &'static str,
    /// Whether it changes what is traded, so that a name which is nearly its own is refused.
    trades: bool,
    /// As [`letters`] has them; several are separated by a space.
    words: &'static str,
    /// Read as the field only where that is absent: beside it the word says something else.
    instead: &'static str,
}

const fn field(name: &'static str, trades: bool, words: &'static str) -> Field {
    Field {
        name,
        trades,
        words,
        instead: "",
    }
}

/// Every field the contract names, but `apiKey`.
const FIELDS: [Field; 40] = [
    field(
        "account",
        true,
        "accountname accountid subaccount tradingaccount",
    ),
    field("exchange", true, "exchangename venue broker"),
    Field {
        name: "symbol",
        trades: false,
        words: "",
        instead: "ticker pair tradingpair instrument",
    },
    field(
        "market",
        false,
        "category product producttype markettype instrumenttype insttype",
    ),
    Field {
        name: "action",
        trades: false,
        words: "",
        instead: "side direction orderaction orderside tradeaction",
    },
    field(
        "quantity",
        true,
        "qty orderqty orderquantity baseqty basequantity",
    ),
    field("quantityType", true, "qtytype orderqtytype"),
    field(
        "marketPosition",
        true,
        "marketpos mktposition strategymarketposition strategymarketpos",
    ),
    field("marketPositionSize", true, "strategymarketpositionsize"),
    field("prevMarketPosition", true, "previousmarketposition"),
    field(
        "prevMarketPositionSize",
        false,
        "previousmarketpositionsize",
    ),
    field("onOpposite", true, ""),
    field(
        "reduceOnly",
        true,
        "isreduceonly reduceonlyorder closeonly exitonly onlyreduce",
    ),
    field("orderType", true, "type ordtype orderkind"),
    field("price", false, "orderprice entryprice signalprice"),
    field("timeInForce", true, "tif"),
    field("postOnly", true, "makeronly ispostonly"),
    field("stopLoss", true, ""),
    field("stopLossPrice", true, "slprice"),
    field(
        "stopLossPercent",
        true,
        "slpercent slpct slpercentage stoplosspct stoplosspercentage",
    ),
    field("stopLossDistance", true, "sldistance"),
    field("takeProfit", true, ""),
    field("takeProfitPrice", true, "tpprice"),
    field(
        "takeProfitPercent",
        true,
        "tppercent tppct tppercentage takeprofitpct takeprofitpercentage",
    ),
    field("takeProfitDistance", true, "tpdistance"),
    field("trailingStop", true, ""),
    field("trailingStopPrice", true, ""),
    field(
        "trailingStopPercent",
        true,
        "trailingstoppct trailingpercent trailpercent trailingpct trailpct",
    ),
    field(
        "trailingStopDistance",
        true,
        "trailingdistance traildistance",
    ),
    field("leverage", true, "lev lever orderleverage"),
    field("marginMode", true, "margintype tdmode mgnmode"),
    field("test", true, "istest testmode testorder"),
    field("dryRun", true, "isdryrun dry"),
    field("idempotencyKey", true, "idempotencytoken idempotencyid"),
    field("timestamp", false, "timenow firedat"),
    field("maxLag", false, ""),
    field("strategy", false, "strategyname"),
    field("orderId", false, "strategyorderid"),
    field("comment", false, ""),
    field("notify", false, ""),
];

/// What a refused word is about. It decides which of its values ask for what is done anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// How much, in a unit that differs from service to service.
    Size,
    /// How much, unless it stands beside a quantity: the volume of a bar has the same name.
    Volume,
    /// The unit of a size.
    SizeUnit,
    /// A stop, a target or a trailing stop.
    Stop,
    /// The price of an order.
    LimitPrice,
    /// How an order is carried out otherwise.
    Order,
    /// Paper, test or live, as a word or as yes and no.
    Mode,
    /// That it is for live trading, as yes and no.
    Live,
    /// Which side's position it is about.
    Side,
    /// Where the strategy stands.
    State,
    /// That all of the position is closed.
    Close,
    /// What becomes of an opposite position.
    Opposite,
    /// That orders are taken back.
    Cancel,
    /// A name for the order at the venue, or for the signal.
    Id,
}

/// Words that are refused.
struct Refused {
    about: About,
    words: &'static str,
    /// What to write instead.
    write: &'static str,
    /// Which values are accepted, for the documentation.
    accepted: &'static str,
}

const REFUSED: [Refused; 17] = [
    Refused {
        about: About::Size,
        words: "size amount contracts ordercontracts positionsize ordersize tradesize tradeamount orderamount \
            tradeqty positionqty baseamount basesize",
        write: "quantity, in the base currency; marketPositionSize says what the strategy holds",
        accepted: "the same number as `quantity`",
    },
    Refused {
        about: About::Size,
        words: "usd usdt usdc usdamount usdtamount usdsize sizeusd amountusd amountusdt qtyusd qtyusdt quoteqty \
            quotequantity quoteamount quoteorderqty quotesize notional cost ordervalue value",
        write: "quantity with quantityType quote",
        accepted: "the same number as `quantity` with `quantityType: quote`",
    },
    Refused {
        about: About::Size,
        words: "percent percentage pct qtypercent qtypct quantitypercent sizepercent sizepct amountpercent \
            equitypercent percentequity percentofequity equitypct balancepercent percentbalance \
            walletpercent accountpercent positionpercent percentposition closepercent closepct \
            reducepercent risk riskpercent riskpct riskpercentage riskamount riskusd multiplier \
            sizemultiplier qtymultiplier reduce reduceby lot lots lotsize units amountpertrade stake \
            stakeamount investment capital allocation exposure margin initialmargin shares coins sz",
        write: "quantity, with quantityType where it is no amount of the base currency; marginMode says how margin is kept",
        accepted: "",
    },
    Refused {
        about: About::Volume,
        words: "volume vol",
        write: "quantity",
        accepted: "anything beside `quantity` or with `target`: it is a bar's volume then",
    },
    Refused {
        about: About::SizeUnit,
        words: "sizetype amounttype sizeunit amountunit qtyunit quantityunit amountpertradetype volumetype unit \
            sizingtype sizing currencytype tgtccy marketunit qtycurrency sizecurrency quantitycurrency amountcurrency \
            inquote isquote usequote",
        write: "quantityType",
        accepted: "the word of `quantityType` that holds",
    },
    Refused {
        about: About::Stop,
        words: "sl stop slamount slticks slpips slpoints slvalue stoplossticks stoplosspips stoplosspoints \
            stoplossamount stoplossvalue stoplossoffset initialstop hardstop",
        write: "stopLossPrice, stopLossPercent or stopLossDistance",
        accepted: "",
    },
    Refused {
        about: About::Stop,
        words: "tp target targets targetprice profittarget takeprofits tps tpamount tpticks tppips tppoints \
            tpvalue takeprofitticks takeprofitpips takeprofitpoints takeprofitamount takeprofitvalue \
            riskreward rr",
        write: "takeProfitPrice, takeProfitPercent or takeProfitDistance; there is one take-profit",
        accepted: "",
    },
    Refused {
        about: About::Stop,
        words: "trail trailing trailingstoploss trailamount trailoffset trailpoints trailprice trailingoffset \
            trailingdelta callback callbackrate activation activationprice trailingactivation breakeven \
            movetobreakeven",
        write: "trailingStopPrice, trailingStopPercent or trailingStopDistance",
        accepted: "",
    },
    Refused {
        about: About::LimitPrice,
        words: "limitprice limit entrylimit limitentry entry px",
        write: "orderType limit with price",
        accepted: "the `price` of a limit order",
    },
    Refused {
        about: About::Order,
        words: "stopprice trigger triggerprice stoplimit stoplimitprice slippage maxslippage deviation iceberg \
            icebergqty displayqty twap oco bracket execinst gtd goodtilldate expiry expiration expiretime \
            cancelafter ttl delay delayseconds closeontrigger hedge hedgemode ioc fok pricematch orderfilter \
            execution executiontype entrytype isolated cross",
        write: "orderType market or limit, with price, timeInForce and postOnly: there is nothing else",
        accepted: "0, `false`, the `orderType` that holds",
    },
    Refused {
        about: About::Mode,
        words: "mode env environment tradingmode trademode accountmode paper ispaper papertrade papertrading \
            papermode testnet istestnet usetestnet demo isdemo demomode sandbox simulate simulated \
            simulation backtest virtual validateonly accounttype network server",
        write: "\"test\": true for an account that is not live, or \"dryRun\": true",
        accepted: "`live`, `real`, `production`, `prod`, `mainnet`",
    },
    Refused {
        about: About::Live,
        words: "live islive livemode livetrading islivetrading production mainnet real isreal",
        write: "\"test\": true for an account that is not live, or \"dryRun\": true",
        accepted: "`true`",
    },
    Refused {
        about: About::Side,
        words: "positionside posside positiondirection hedgeside positionidx sentiment side direction \
            orderaction orderside tradeaction",
        write: "action: LONG, SHORT, CLOSE_LONG or CLOSE_SHORT say the side",
        accepted: "the side that `action` means anyway; `both`. `long` or `short` beside `close` says which position it closes",
    },
    Refused {
        about: About::State,
        words: "position newposition currentposition strategyposition positionstate",
        write: "marketPosition, where the strategy stands after its order",
        accepted: "the side that `action` brings about, and what is no side",
    },
    Refused {
        about: About::Close,
        words: "closeposition closeall closeallpositions closeentireposition closetrade exitall flatten \
            closefull isclose isexit exit close tradeside offset positioneffect openclose isclosing isexitorder \
            reduceposition intent",
        write: "action close without quantity",
        accepted: "`true` beside a close of everything; `false`, `open` beside an entry; `close` beside an exit; of `close` also a number, a bar's price",
    },
    Refused {
        about: About::Opposite,
        words: "closeopposite closeoppositeposition reverse reversal flip reverseposition",
        write: "onOpposite, or action reverse",
        accepted: "`true` where an opposite position is closed anyway, `false` where it is not",
    },
    Refused {
        about: About::Id,
        words: "clientorderid clientid clientoid clordid orderlinkid newclientorderid customid dedupekey \
            dedupid dedupeid deduplicationid deduplicationkey dedupkey dedupe dedup uniqueid clientrequestid signaluuid idempotency",
        write: "idempotencyKey to trade once by it, orderId to label the signal",
        accepted: "",
    },
];

/// Words about cancelling, refused like those above: kept apart because the contract has an action for it.
const CANCELS: Refused = Refused {
    about: About::Cancel,
    words: "cancel cancelorders cancelall cancelallorders cancelopenorders",
    write: "action cancel in a message of its own",
    accepted: "`true` beside `cancel` and a close of everything, `false`",
};

fn refused() -> impl Iterator<Item = &'static Refused> {
    REFUSED.iter().chain([&CANCELS])
}

type Result<T> = core::result::Result<T, SignalError>;

/// A name as spellings of it agree: letters and digits of ASCII in lower case, and a percent sign by its word.
fn letters(name: &str) -> String {
    let mut letters = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '%' => letters.push_str("percent"),
            letter if letter.is_ascii_alphanumeric() => letters.push(letter.to_ascii_lowercase()),
            _ => {}
        }
    }
    // `%` beside the word says it once more.
    letters.replace("percentpercent", "percent")
}

/// Whether a word is one of several.
fn holds(words: &str, word: &str) -> bool {
    !word.is_empty() && words.split(' ').any(|known| known == word)
}

/// What a name means.
enum Meaning {
    Field(&'static Field),
    /// The field where that is absent, else what is refused.
    Instead(&'static Field),
    Refused(&'static Refused),
    /// The name of a field but for a letter.
    Nearly(&'static Field),
    Unknown,
}

fn meaning(name: &str) -> Meaning {
    match meaning_of(&letters(name)) {
        // A percent sign that makes no sense is a sign like any other.
        Meaning::Unknown if name.contains('%') => meaning_of(&letters(&name.replace('%', ""))),
        meaning => meaning,
    }
}

/// What a word means, which is a name's [`letters`].
fn meaning_of(word: &str) -> Meaning {
    if let Some(field) = FIELDS
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(word) || holds(field.words, word))
    {
        return Meaning::Field(field);
    }
    if let Some(field) = FIELDS.iter().find(|field| holds(field.instead, word)) {
        return Meaning::Instead(field);
    }
    if let Some(refused) = refused_as(word) {
        return Meaning::Refused(refused);
    }
    // tp1, takeProfit2, sl_1_price: one of several.
    let bare: String = word.chars().filter(|c| !c.is_ascii_digit()).collect();
    let bare = bare.as_str();
    let several = |word: &str| {
        let field = FIELDS.iter().find(|field| {
            field.trades && (field.name.eq_ignore_ascii_case(word) || holds(field.words, word))
        });
        field.map(Meaning::Nearly)
    };
    if bare != word && !bare.is_empty() {
        if let Some(refused) = refused_as(bare) {
            return Meaning::Refused(refused);
        }
        if let Some(field) = several(bare) {
            return field;
        }
    }
    let nearly = FIELDS
        .iter()
        .find(|field| field.trades && is_nearly(word, &field.name.to_ascii_lowercase()));
    match (nearly, by_stem(word)) {
        (Some(field), _) => Meaning::Nearly(field),
        (None, Some(refused)) => Meaning::Refused(refused),
        (None, None) => Meaning::Unknown,
    }
}

/// What a name is about that no table holds, by a part of it that can hardly mean anything else.
fn by_stem(word: &str) -> Option<&'static Refused> {
    const STEMS: &str = "stoploss:sl takeprofit:tp trailing:trail presetstop:sl idempot:clientid dedup:clientid \
        reduceonly:closeposition leverage:oco ordertype:oco papertrad:paper paperaccount:paper testnet:testnet \
        sandbox:sandbox";
    const PRICES: &str = "price px percent percentage pct level levels distance trigger triggerpx triggerprice ordpx order \
        targets limitprice points pips ticks";
    let stem = STEMS.split(' ').find_map(|pair| {
        let (stem, like) = pair.split_once(':')?;
        word.contains(stem).then_some(like)
    });
    let price = ["sl", "tp", "stop", "target", "profit"]
        .into_iter()
        .find(|start| {
            word.strip_prefix(start)
                .is_some_and(|rest| holds(PRICES, rest))
        });
    let like = price.map(|start| {
        if matches!(start, "sl" | "stop") {
            "sl"
        } else {
            "tp"
        }
    });
    refused_as(stem.or(like)?)
}

/// Whether an unknown word beside a close says how much of it: then it is not one of everything. Its name is put together
/// of words for sizes and for closing, and of nothing else: `close_percentage` is, `atr_percent` is not.
fn says_size(name: &str, value: &RawValue) -> bool {
    const SIZES: &str =
        "quantity qty size amount percentage percent pct fraction portion ratio contracts partial";
    const OTHERS: &str = "close exit sell buy cover reduce take position pos order trade long short by of to the in base coin";
    let word = letters(name);
    let (mut rest, mut sized) = (word.as_str(), false);
    while !rest.is_empty() {
        let part = |words: &str| words.split(' ').find_map(|part| rest.strip_prefix(part));
        if let Some(after) = part(SIZES) {
            (rest, sized) = (after, true);
        } else if let Some(after) = part(OTHERS) {
            rest = after;
        } else {
            return false;
        }
    }
    let is_object = value.get().starts_with(['{', '[']);
    sized && !is_object && !asks_nothing(value) && number(value) != Some(Decimal::ZERO)
}

fn refused_as(word: &str) -> Option<&'static Refused> {
    refused().find(|refused| holds(refused.words, word))
}

/// Whether two names differ by one letter: another, one more, one less, or two that changed places. Short names are
/// too near to too many.
fn is_nearly(word: &str, name: &str) -> bool {
    const SHORTEST: usize = 6;
    let (a, b) = (word.as_bytes(), name.as_bytes());
    if b.len() < SHORTEST || a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(same..).unwrap_or(&[]), b.get(same..).unwrap_or(&[]));
    let swapped = match (a, b) {
        ([one, two, rest @ ..], [first, second, end @ ..]) => {
            (one, two) == (second, first) && rest == end
        }
        _ => false,
    };
    let (short_a, short_b) = (a.get(1..).unwrap_or(&[]), b.get(1..).unwrap_or(&[]));
    swapped || short_a == short_b || short_a == b || a == short_b
}

/// An alert's fields under the names of the contract, and what else it says.
pub(crate) struct Named<'a> {
    /// What the contract names, under its names.
    pub fields: Fields,
    /// Names of the contract, and how the alert writes them, where that differs.
    written: Vec<(&'static str, &'a str)>,
    refused: Vec<(&'static Refused, &'a str, &'a RawValue)>,
    unknown: Vec<(&'a str, &'a RawValue)>,
    /// Fields that are given twice and differ, and names that are nearly a field's, with the field.
    faults: Vec<(&'static str, SignalError)>,
}

impl<'a> Named<'a> {
    /// Names an alert's fields.
    pub(crate) fn of(alert: &'a Fields) -> Self {
        let mut named = Self {
            fields: Fields::default(),
            written: Vec::new(),
            refused: Vec::new(),
            unknown: Vec::new(),
            faults: Vec::new(),
        };
        let mut instead = Vec::new();
        // The contract's own spelling comes first, whatever the order in the alert.
        let own = |name: &str| FIELDS.iter().find(|field| field.name == name);
        for (name, value) in alert.iter().filter(|(name, _)| own(name).is_some()) {
            named.fields.push(name, value);
        }
        for (name, value) in alert.iter().filter(|(name, _)| own(name).is_none()) {
            match meaning(name) {
                _ if value.get() == "null" => {}
                Meaning::Field(field) => named.alias(field, name, value),
                Meaning::Instead(field) => instead.push((field, name, value)),
                Meaning::Refused(refused) => named.refused.push((refused, name, value)),
                Meaning::Nearly(field) => {
                    let text = format!("{} is not a field; write {}", shorten(name), field.name);
                    named
                        .faults
                        .push((field.name, SignalError::bad(name, text)));
                }
                Meaning::Unknown => named.unknown.push((name, value)),
            }
        }
        for (field, name, value) in instead {
            let stands_in = named.written.iter().any(|(known, _)| *known == field.name);
            if stands_in || named.fields.get(field.name).is_none() {
                // Two of them that differ are a fault.
                named.alias(field, name, value);
            } else if let Some(refused) = refused_as(&letters(name)) {
                named.refused.push((refused, name, value));
            } else {
                named.unknown.push((name, value));
            }
        }
        named.spare_bars();
        named
    }

    /// Among the prices of a bar `volume` is the bar's.
    fn spare_bars(&mut self) {
        let is_bar =
            |(name, _): &(&str, &RawValue)| matches!(letters(name).as_str(), "high" | "low");
        if self.unknown.iter().any(is_bar) {
            self.refused
                .retain(|(refused, ..)| refused.about != About::Volume);
        }
    }

    fn alias(&mut self, field: &'static Field, name: &'a str, value: &'a RawValue) {
        match self.fields.get(field.name) {
            None => {
                self.fields.remove(field.name);
                self.fields.push(field.name, value);
                self.written.push((field.name, name));
            }
            Some(known) if is_same(known, value) => {}
            Some(_) => {
                let (name, own) = (shorten(name), self.as_written(field.name));
                let text = format!("{name} and {own} mean the same and differ; send one of them");
                self.faults
                    .push((field.name, SignalError::bad(&name, text)));
            }
        }
    }

    fn as_written(&self, field: &'static str) -> &str {
        let written = self.written.iter().find(|(name, _)| *name == field);
        written.map_or(field, |(_, written)| written)
    }

    /// A refusal with the name that the alert writes.
    pub(crate) fn in_its_words(&self, mut error: SignalError) -> SignalError {
        let field = error.field.as_deref().unwrap_or_default();
        let (base, rest) = field.split_at(field.find('.').unwrap_or(field.len()));
        let written = self.written.iter().find(|(name, _)| *name == base);
        if let Some((name, written)) = written {
            let written = shorten(written);
            error.message = format!("{written} is read as {name}: {}", error.message);
            error.field = Some(format!("{written}{rest}"));
        }
        error
    }

    /// Which names are read as others, and which are not read.
    pub(crate) fn notes(&self, notes: &mut Vec<String>) {
        for (name, written) in &self.written {
            if letters(written) != letters(name) {
                notes.push(format!("{} is read as {name}", shorten(written)));
            }
        }
        notes.extend(unread(self.unknown.iter().map(|(name, _)| *name)));
    }

    /// Whether a size stands in another word than the contract's, wherever it is, so that a close is not one of everything.
    pub(crate) fn is_sized(&self) -> bool {
        let some = |value: &RawValue| !asks_nothing(value) && number(value) != Some(Decimal::ZERO);
        let quantity = self.faults.iter().any(|(field, _)| *field == "quantity");
        let refused = self.refused.iter().any(|(refused, name, value)| {
            let size = matches!(refused.about, About::Size | About::Volume);
            // Half of the position, by a word that says yes or no elsewhere.
            let part = refused.about == About::Close
                && letters(name) != "close"
                && (number(value).is_some_and(|number| number != Decimal::ONE)
                    || word(value).contains('%'));
            (size || part) && some(value)
        });
        let unknown = self
            .unknown
            .iter()
            .any(|(name, value)| says_size(name, value) || holds_size(value));
        let labelled = ["strategy", "orderId", "comment"].iter();
        let labelled = labelled.filter_map(|name| self.fields.get(name));
        quantity || refused || unknown || labelled.into_iter().any(holds_size)
    }

    /// The side of the position that words beside `close` name, one after the other.
    pub(crate) fn close_sides(&self) -> impl Iterator<Item = PositionSide> {
        let sides = self
            .refused
            .iter()
            .filter(|(refused, ..)| refused.about == About::Side);
        sides.filter_map(|(_, name, value)| position_side(&letters(name), value))
    }

    /// Refuses what is given twice or misspelt; of a full exit only what decides where it goes.
    ///
    /// # Errors
    /// The first such name.
    pub(crate) fn agree(
        &self,
        passes: impl Fn(&str) -> bool,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let mut faults = self.faults.iter();
        faults.try_for_each(|(field, error)| pass(Err(error.clone()), passes(field), notes))
    }

    /// Refuses words that ask for what is not done. For a full exit most of them are a note.
    ///
    /// # Errors
    /// The first such word.
    pub(crate) fn judge(
        &self,
        signal: &Signal,
        full_exit: bool,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        for (refused, name, value) in &self.refused {
            if is_done_anyway(refused.about, name, value, signal) {
                continue;
            }
            let error = {
                let text = format!("{} is not read; write {}", shorten(name), refused.write);
                SignalError::bad(name, text)
            };
            let decides = decides(refused.about, signal);
            pass::<()>(Err(error), full_exit && !decides, notes)?;
        }
        for (name, value) in &self.unknown {
            let said = word(value);
            // Whatever its name: such a value says that it is no live trade, or no entry.
            let paper = matches!(
                said.as_str(),
                "paper"
                    | "demo"
                    | "testnet"
                    | "sandbox"
                    | "simulated"
                    | "simulation"
                    | "papertrading"
            );
            // A script's source is the close of a bar.
            let spelt = letters(name);
            let source = ["source", "src", "price", "bar"]
                .iter()
                .any(|part| spelt.contains(part));
            let closes = (said == "close" && !source)
                || matches!(
                    said.replace(['_', '-', ' '], "").as_str(),
                    "exit"
                        | "closelong"
                        | "closeshort"
                        | "exitlong"
                        | "exitshort"
                        | "closeposition"
                );
            if closes_all(signal) && says_size(name, value) {
                let text = format!("{} is not read; write quantity", shorten(name));
                return Err(SignalError::bad(name, text));
            }
            if paper || (closes && signal.is_entry()) {
                let text = format!(
                    "{} is not read, and what it says is not done: write it as action, test or dryRun",
                    shorten(name)
                );
                return Err(SignalError::bad(name, text));
            }
        }
        let objects = self.refused.iter().map(|(_, name, value)| (name, value));
        let objects = objects.chain(self.unknown.iter().map(|(name, value)| (name, value)));
        for (name, value) in objects {
            let Some(inner) = inner_word(value, signal) else {
                continue;
            };
            let text = format!(
                "{} holds {}, which is not read there; write it at the top of the message",
                shorten(name),
                shorten(&inner.name)
            );
            let passes = full_exit && !inner.decides;
            pass::<()>(Err(SignalError::bad(name, text)), passes, notes)?;
        }
        Ok(())
    }
}

/// Whether it is a close without a quantity.
const fn closes_all(signal: &Signal) -> bool {
    let close = matches!(
        signal.action,
        Action::Close | Action::CloseLong | Action::CloseShort
    );
    close && signal.quantity.is_none()
}

/// Whether a full exit is refused for a word as well. Of `target` the position alone says what it does.
const fn decides(about: About, signal: &Signal) -> bool {
    match about {
        About::Mode | About::Live => true,
        About::Size | About::Volume | About::Side | About::Close => {
            !matches!(signal.action, Action::Target(_))
        }
        _ => false,
    }
}

/// A result, or for a full exit its fault as a note: whatever else it says, it has to get out.
pub(crate) fn pass<T: Default>(
    result: Result<T>,
    full_exit: bool,
    notes: &mut Vec<String>,
) -> Result<T> {
    match result {
        Err(error) if full_exit => {
            note(&error, notes);
            Ok(T::default())
        }
        result => result,
    }
}

/// Kept out of [`pass`], of which there is one for each type.
#[inline(never)]
fn note(error: &SignalError, notes: &mut Vec<String>) {
    notes.push(format!("{}; the exit goes on without it", error.message));
}

/// The note on names that mean nothing.
fn unread<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    /// So many are named; the rest is counted.
    const NAMED: usize = 12;
    let names: Vec<String> = names.map(shorten).collect();
    let (first, rest) = names.split_at(names.len().min(NAMED));
    let first = first.join(", ");
    match (first.is_empty(), rest.len()) {
        (true, _) => None,
        (_, 0) => Some(format!("not read: {first}")),
        (_, more) => Some(format!("not read: {first} and {more} more")),
    }
}

/// The word or number of a value, as its text.
fn word(value: &RawValue) -> String {
    let text = string(value).unwrap_or_else(|| value.get().to_owned());
    text.trim().to_ascii_lowercase()
}

/// Whether a value says that nothing is asked for.
fn asks_nothing(value: &RawValue) -> bool {
    matches!(
        word(value).as_str(),
        "" | "null" | "false" | "none" | "no" | "off" | "n/a" | "[]" | "{}"
    )
}

fn says_yes(value: &RawValue) -> bool {
    matches!(word(value).as_str(), "true" | "yes" | "on" | "1" | "all")
}

fn number(value: &RawValue) -> Option<Decimal> {
    parse_decimal(&word(value)).ok()
}

/// Whether two values say the same: a number may be a text as well.
fn is_same(one: &RawValue, other: &RawValue) -> bool {
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => word(one) == word(other),
    }
}

fn position_side(name: &str, value: &RawValue) -> Option<PositionSide> {
    let order = matches!(name, "orderaction" | "orderside" | "tradeaction");
    // Bybit calls a long position one of the side buy, and numbers the legs of hedge mode.
    let leg = matches!(name, "positionside" | "posside" | "positionidx");
    match word(value).as_str() {
        "long" => Some(PositionSide::Long),
        "short" => Some(PositionSide::Short),
        "sell" if order => Some(PositionSide::Long),
        "buy" if order => Some(PositionSide::Short),
        "buy" | "1" if leg => Some(PositionSide::Long),
        "sell" | "2" if leg => Some(PositionSide::Short),
        _ => None,
    }
}

/// Whether a signal closes a position of this side and no other.
fn closes_side(side: PositionSide, signal: &Signal) -> bool {
    let closing = signal.closing().filter(|_| !signal.is_entry());
    closing.is_some_and(|closing| closing.side == Some(side))
}

/// Whether a value is a plain no, and not just empty.
fn no_part(value: &RawValue) -> bool {
    matches!(word(value).as_str(), "false" | "no" | "off" | "0")
}

/// Whether what a refused word asks for is done anyway.
fn is_done_anyway(about: About, name: &str, value: &RawValue, signal: &Signal) -> bool {
    let word = word(value);
    // `live: false` asks for something; of the others an empty value asks for nothing.
    let no = matches!(
        about,
        About::Mode | About::Close | About::Opposite | About::Cancel
    ) && number(value) == Some(Decimal::ZERO)
        && letters(name) != "close";
    let whole = signal.closing().is_some_and(|closing| closing.whole) && !signal.is_entry();
    if about != About::Live && (no || asks_nothing(value)) {
        return match about {
            About::Opposite => !closes_opposite(signal),
            // That everything is not closed says that a part is.
            About::Close => !(whole && no_part(value) && letters(name).contains("all")),
            _ => true,
        };
    }
    let quantity = signal.quantity;
    match about {
        About::Size if whole && number(value) == Some(Decimal::ZERO) => true,
        About::Size => is_quantity(name, number(value), signal),
        About::Volume => quantity.is_some() || matches!(signal.action, Action::Target(_)),
        About::SizeUnit => {
            let unit = quantity.map_or("base", Sizing::type_name);
            let base = matches!(
                word.as_str(),
                "base_ccy" | "basecoin" | "coin" | "base_currency"
            );
            whole || unit.eq_ignore_ascii_case(&word) || (unit == "base" && base)
        }
        About::LimitPrice => match signal.order {
            OrderKind::Limit { price, .. } => number(value) == Some(price.get()),
            OrderKind::Market => false,
        },
        About::Order => {
            let kind = match signal.order {
                OrderKind::Market => "market",
                OrderKind::Limit { .. } => "limit",
            };
            number(value) == Some(Decimal::ZERO) || word == kind
        }
        About::Mode => matches!(
            word.as_str(),
            "live" | "real" | "production" | "prod" | "mainnet"
        ),
        About::Live => says_yes(value),
        About::Side => {
            is_side(&word, signal)
                || position_side(&letters(name), value)
                    .is_some_and(|side| closes_side(side, signal))
        }
        About::State => {
            let side = matches!(
                word.as_str(),
                "long" | "short" | "flat" | "none" | "bullish" | "bearish"
            );
            !side || is_side(&word, signal)
        }
        About::Close => {
            let price = letters(name) == "close" && number(value).is_some();
            let exits = matches!(word.as_str(), "close" | "exit" | "reduce") && !signal.is_entry();
            let enters = matches!(word.as_str(), "open" | "entry" | "enter") && signal.is_entry();
            price || exits || enters || (says_yes(value) && whole)
        }
        About::Opposite => says_yes(value) && closes_opposite(signal),
        About::Cancel => says_yes(value) && (signal.action == Action::Cancel || whole),
        About::Stop | About::Id => false,
    }
}

const fn closes_opposite(signal: &Signal) -> bool {
    match signal.action {
        Action::Long | Action::Short => matches!(signal.on_opposite, OnOpposite::Reverse),
        Action::Reverse | Action::Target(_) => true,
        _ => false,
    }
}

/// Whether a size word says the signal's own quantity once more.
fn is_quantity(name: &str, value: Option<Decimal>, signal: &Signal) -> bool {
    let refused = refused_as(&letters(name));
    // A percentage or a number of lots is another thing, also where it is the same number.
    if refused.is_some_and(|refused| refused.accepted.is_empty()) {
        return false;
    }
    let quote = refused.is_some_and(|refused| refused.write.ends_with("quote"));
    match signal.quantity {
        Some(Sizing::Base(size)) => !quote && value == Some(size.get()),
        Some(Sizing::Quote(amount)) => quote && value == Some(amount.get()),
        _ => false,
    }
}

/// Whether a word for a side says what the action means anyway.
fn is_side(word: &str, signal: &Signal) -> bool {
    let (order, position) = match signal.action {
        Action::Long | Action::Buy if !signal.reduce_only => ("buy", Some(("long", "bullish"))),
        Action::Short | Action::Sell if !signal.reduce_only => ("sell", Some(("short", "bearish"))),
        Action::CloseLong | Action::Short | Action::Sell => ("sell", Some(("long", "flat"))),
        Action::CloseShort | Action::Long | Action::Buy => ("buy", Some(("short", "flat"))),
        Action::Target(Target::Long(_)) => ("", Some(("long", "bullish"))),
        Action::Target(Target::Short(_)) => ("", Some(("short", "bearish"))),
        Action::Close | Action::Target(Target::Flat) => ("", Some(("flat", "close"))),
        Action::Reverse | Action::Cancel => ("", None),
    };
    let own = word == signal.action.as_str().to_ascii_lowercase();
    own || matches!(word, "both" | "oneway" | "one_way" | "net" | "0")
        || (!order.is_empty() && word == order)
        || position.is_some_and(|(side, mood)| word == side || word == mood)
}

/// A word inside of an unknown object or list that would change the order, were it read.
struct Inner {
    name: String,
    decides: bool,
}

/// The names and values of an object, and those of the objects of a list. [`Alert::parse`](crate::Alert::parse) bounds how
/// deep they are nested.
fn members(value: &RawValue) -> Vec<(String, Box<RawValue>)> {
    let own = |value: &RawValue| {
        let fields = Fields::of(value).unwrap_or_default();
        let owned = |(name, value): (&str, &RawValue)| (name.to_owned(), value.to_owned());
        fields.iter().map(owned).collect::<Vec<_>>()
    };
    match entries(value) {
        Some(list) => list.iter().flat_map(|value| members(value)).collect(),
        None => own(value),
    }
}

/// Whether a size stands somewhere inside of a value.
fn holds_size(value: &RawValue) -> bool {
    members(value).iter().any(|(name, value)| {
        let size = match meaning(name) {
            Meaning::Field(field) => field.name == "quantity",
            Meaning::Refused(refused) => refused.about == About::Size,
            _ => false,
        };
        let some = !asks_nothing(value) && number(value) != Some(Decimal::ZERO);
        let size = (size && some) || says_size(name, value);
        size || holds_size(value)
    })
}

fn inner_word(value: &RawValue, signal: &Signal) -> Option<Inner> {
    members(value).into_iter().find_map(|(name, value)| {
        let changes = match meaning(&name) {
            _ if asks_nothing(&value) => None,
            Meaning::Field(field) | Meaning::Nearly(field) => (field.trades
                && !is_read_anyway(field.name, &value, signal))
            .then_some(matches!(field.name, "test" | "dryRun" | "quantity")),
            Meaning::Refused(refused) => (!is_done_anyway(refused.about, &name, &value, signal))
                .then_some(decides(refused.about, signal)),
            Meaning::Instead(field) => {
                let side = field.name == "action" && !is_side(&word(&value), signal);
                side.then_some(true)
            }
            Meaning::Unknown => (closes_all(signal) && says_size(&name, &value)).then_some(true),
        };
        match changes {
            Some(decides) => Some(Inner { name, decides }),
            None => inner_word(&value, signal),
        }
    })
}

/// Whether a field inside of an unknown object says what holds anyway.
fn is_read_anyway(field: &str, value: &RawValue, signal: &Signal) -> bool {
    let target = matches!(signal.action, Action::Target(_));
    match field {
        "quantity" => target || is_quantity(field, number(value), signal),
        "quantityType" => {
            let unit = signal.quantity.map_or("base", Sizing::type_name);
            target || unit.eq_ignore_ascii_case(&word(value))
        }
        // What a strategy held before, how much it holds, and where the alert came from.
        "marketPositionSize" | "prevMarketPosition" | "account" | "exchange" => true,
        "marketPosition" => is_side(&word(value), signal) || !signal.is_entry(),
        "orderType" => match signal.order {
            OrderKind::Market => word(value) == "market",
            OrderKind::Limit { .. } => word(value) == "limit",
        },
        "reduceOnly" => says_yes(value) && !signal.is_entry(),
        _ => false,
    }
}

/// The field that a name is read as: itself, where it is none or changes with what stands beside it.
pub fn field_of(name: &str) -> &str {
    match meaning(name) {
        Meaning::Field(field) | Meaning::Instead(field) => field.name,
        _ => name,
    }
}

/// The tables, for the documentation.
pub fn word_tables() -> String {
    let code = |words: &str| format!("`{}`", words.replace(' ', "`, `"));
    let mut lines = vec![
        "| field | also written |".to_owned(),
        "|---|---|".to_owned(),
    ];
    for field in &FIELDS {
        let name = field.name;
        if !field.words.is_empty() {
            lines.push(format!("| `{name}` | {} |", code(field.words)));
        }
        if !field.instead.is_empty() {
            lines.push(format!(
                "| `{name}`, where it is absent | {} |",
                code(field.instead)
            ));
        }
    }
    for line in ["", "| refused | write | accepted |", "|---|---|---|"] {
        lines.push(line.to_owned());
    }
    for refused in refused() {
        let (words, write, accepted) = (code(refused.words), refused.write, refused.accepted);
        lines.push(format!("| {words} | {write} | {accepted} |"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Every word that is read as a field, with the field.
#[cfg(test)]
pub(crate) fn words_of_fields() -> Vec<(&'static str, &'static str)> {
    let words = |field: &Field| field.words.split(' ').chain(field.instead.split(' '));
    let all = FIELDS.iter().flat_map(|field| {
        let given = words(field).filter(|word| !word.is_empty());
        given
            .chain([field.name])
            .map(|word| (word, field.name))
            .collect::<Vec<_>>()
    });
    all.collect()
}

/// Every word that is refused.
#[cfg(test)]
pub(crate) fn refused_words() -> Vec<&'static str> {
    refused()
        .flat_map(|refused| refused.words.split(' '))
        .collect()
}
