//! What a deployment opens and closes: the wrangler files beside what Cloudflare has.
//!
//! In scope: addresses before and after, and which of the changes have to be asked for. Out of scope: making them, which
//! wrangler does with the upload.

use core::fmt::Write as _;

use hoox_mesh::Worker;
use serde_json::{Value, json};

use crate::addresses::{Addresses, DOMAINS, ROUTES, fits, host_of};
use crate::checkout::Said;
use crate::target;

/// The addresses of all workers, before and after a deployment.
#[derive(Debug, Default)]
pub(crate) struct Exposure {
    opens: Vec<String>,
    closes: Vec<String>,
    stays: Vec<String>,
    /// Places that are open afterwards, and before it as well for all that is known.
    unknown: Vec<String>,
    /// Openings that nobody expects, in a sentence each.
    surprises: Vec<String>,
    /// The gateway's hosts afterwards, those of its own first.
    pub(crate) hosts: Vec<String>,
    /// The gateway's places as far as they are seen, before and after.
    gateway: [Vec<String>; 2],
    /// What the token does not show.
    unseen: Vec<&'static str>,
}

/// Whether a place leads to a worker now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Open,
    Closed,
    /// The token does not show it.
    Unknown,
}

impl Now {
    const fn of(open: bool) -> Self {
        if open { Self::Open } else { Self::Closed }
    }
}

impl Exposure {
    /// Nothing yet, where the token does not show all that there is.
    pub(crate) fn new(unseen: Vec<&'static str>) -> Self {
        Self {
            unseen,
            ..Self::default()
        }
    }

    /// Takes a worker in: what its file says, what it has, whether it is deployed, and its address at workers.dev.
    pub(crate) fn add(
        &mut self,
        worker: Worker,
        said: &Said,
        has: &Addresses,
        deployed: bool,
        at_workers_dev: Option<&str>,
    ) {
        let name = worker.name();
        let at_workers_dev =
            at_workers_dev.map_or_else(|| format!("{name} at workers.dev"), str::to_owned);
        let own = self.own(worker, said, has, deployed);
        self.place(
            worker,
            &at_workers_dev,
            Now::of(has.workers_dev),
            said.workers_dev,
            deployed,
        );
        self.place(
            worker,
            &format!("previews of {name}"),
            Now::of(has.previews),
            said.previews,
            deployed,
        );
        if worker.is_public() {
            self.hosts = own;
            if said.workers_dev {
                self.hosts.push(at_workers_dev);
            }
            if self.hosts.is_empty() && !self.closes.is_empty() {
                self.surprises.push(self.no_address());
            }
        }
    }

    fn no_address(&self) -> String {
        if self.unseen.is_empty() {
            return "The gateway will have no address: nothing reaches it until it gets one."
                .to_owned();
        }
        let unseen = self.unseen.join(" and ");
        format!(
            "The gateway may have no address any more: the token does not show {unseen}, and everything else is closed."
        )
    }

    /// Domains and routes; those that stay or come, by their hosts. What the file lists of a kind is all of that kind.
    fn own(&mut self, worker: Worker, said: &Said, has: &Addresses, deployed: bool) -> Vec<String> {
        let mut hosts = Vec::new();
        for (has, said, kind) in [
            (&has.domains, &said.domains, DOMAINS),
            (&has.routes, &said.routes, ROUTES),
        ] {
            let otherwise = if self.unseen.contains(&kind) {
                Now::Unknown
            } else {
                Now::Closed
            };
            let new = said.iter().filter(|place| !has.contains(place));
            for place in has.iter().chain(new) {
                let now = if has.contains(place) {
                    Now::Open
                } else {
                    otherwise
                };
                let after = said.is_empty() || said.contains(place);
                self.place(worker, place, now, after, deployed);
                let host = host_of(place).to_owned();
                if after && !host.contains('*') && !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        hosts
    }

    fn place(&mut self, worker: Worker, place: &str, now: Now, after: bool, deployed: bool) {
        let list = match (now, after) {
            (Now::Open, true) => &mut self.stays,
            (Now::Open, false) => &mut self.closes,
            (Now::Closed, true) => &mut self.opens,
            (Now::Unknown, true) => &mut self.unknown,
            (_, false) => return,
        };
        list.push(place.to_owned());
        if worker.is_public() {
            let [before, afterwards] = &mut self.gateway;
            let leads = [(before, now == Now::Open), (afterwards, after)];
            for (places, _) in leads.into_iter().filter(|(_, leads)| *leads) {
                places.push(place.to_owned());
            }
        }
        if now != Now::Open && after {
            self.surprises
                .extend(surprise(worker, place, now, deployed));
        }
    }

    /// What has to be asked for, if anything.
    pub(crate) fn question(&self) -> Option<String> {
        (!self.surprises.is_empty()).then(|| self.surprises.join(" "))
    }

    /// Whether a host led to the gateway, and does not afterwards. What is not seen of it is not closed.
    pub(crate) fn is_closed(&self, host: &str) -> bool {
        let Ok(host) = target::name(host) else {
            return false;
        };
        let [before, after] = &self.gateway;
        let leads = |places: &[String]| places.iter().any(|place| fits(host_of(place), &host));
        leads(before) && !leads(after)
    }

    /// In one line.
    pub(crate) fn words(&self) -> String {
        let mut text = String::new();
        for (what, places) in [
            ("opens", &self.opens),
            ("opens, or leaves open,", &self.unknown),
            ("closes", &self.closes),
            ("leaves open", &self.stays),
        ] {
            if !places.is_empty() {
                let gap = if text.is_empty() { "" } else { "; " };
                write!(text, "{gap}{what} {}", places.join(", ")).unwrap_or_default();
            }
        }
        if text.is_empty() {
            text.push_str("none");
        }
        if !self.unseen.is_empty() {
            let unseen = self.unseen.join(" and ");
            write!(text, "; the token does not show {unseen}").unwrap_or_default();
        }
        text
    }

    pub(crate) fn data(&self) -> Value {
        json!({
            "opens": self.opens,
            "closes": self.closes,
            "open": self.stays,
            "unknown": self.unknown,
            "unseen": self.unseen,
        })
    }
}

/// What nobody expects of a place that may be opened.
fn surprise(worker: Worker, place: &str, now: Now, deployed: bool) -> Option<String> {
    if !worker.is_public() {
        let name = worker.name();
        return Some(format!(
            "{place} leads to {name}, which is private: only the gateway is meant to have an address."
        ));
    }
    let file = worker.wrangler_file();
    match now {
        _ if !deployed => None,
        Now::Unknown => Some(format!(
            "Whether {place} is open at Cloudflare the token does not show; it will be open, because {file} says so."
        )),
        _ => Some(format!(
            "{place} is closed at Cloudflare and will be opened, because {file} says so."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// What is planned for a worker.
    fn of(worker: Worker, said: &Said, has: &Addresses, deployed: bool) -> Exposure {
        let mut exposure = Exposure::default();
        exposure.add(worker, said, has, deployed, Some("hoox.desk.workers.dev"));
        exposure
    }

    #[test]
    fn an_opening_is_asked_for_once_the_worker_is_there() {
        let said = Said {
            workers_dev: true,
            previews: false,
            ..Said::default()
        };
        let closed = Addresses::default();
        let first = of(Worker::Hoox, &said, &closed, false);
        assert_eq!(
            (first.words().as_str(), first.question()),
            ("opens hoox.desk.workers.dev", None)
        );
        let later = of(Worker::Hoox, &said, &closed, true);
        let question = later.question().unwrap();
        assert!(
            question.contains("hoox.desk.workers.dev is closed at Cloudflare"),
            "{question}"
        );
        let open = Addresses {
            workers_dev: true,
            previews: true,
            ..Addresses::default()
        };
        let again = of(Worker::Hoox, &said, &open, true);
        assert_eq!(
            again.words(),
            "closes previews of hoox; leaves open hoox.desk.workers.dev"
        );
        assert_eq!(again.question(), None);
        let private = of(Worker::D1, &said, &closed, false).question().unwrap();
        assert!(private.contains("d1-worker, which is private"), "{private}");
    }

    #[test]
    fn what_the_file_lists_of_a_kind_is_all_of_it() {
        let has = Addresses {
            workers_dev: true,
            domains: texts(&["a.example.com", "b.example.com"]),
            routes: texts(&["c.example.com/*", "*.example.org/*"]),
            ..Addresses::default()
        };
        let none = of(Worker::Hoox, &Said::default(), &has, true);
        assert_eq!(
            none.hosts,
            ["a.example.com", "b.example.com", "c.example.com"]
        );
        assert!(none.is_closed("hoox.desk.workers.dev") && !none.is_closed("a.example.com"));
        let said = Said {
            domains: texts(&["b.example.com"]),
            routes: texts(&["d.example.com/*"]),
            ..Said::default()
        };
        let changed = of(Worker::Hoox, &said, &has, true);
        assert_eq!(changed.hosts, ["b.example.com", "d.example.com"]);
        assert_eq!(
            changed.words(),
            "opens d.example.com/*; closes a.example.com, c.example.com/*, *.example.org/*, hoox.desk.workers.dev; leaves open b.example.com"
        );
        let bare = Addresses {
            workers_dev: true,
            ..Addresses::default()
        };
        let nowhere = of(Worker::Hoox, &Said::default(), &bare, true);
        assert!(nowhere.question().unwrap().contains("no address"));
        assert_eq!(nowhere.hosts, texts(&[]));
    }

    #[test]
    fn what_the_token_does_not_show_is_asked_for_as_an_opening() {
        let said = Said {
            domains: texts(&["a.example.com"]),
            routes: texts(&["b.example.com/*", "c.example.com/*"]),
            ..Said::default()
        };
        let has = Addresses {
            routes: texts(&["b.example.com/*"]),
            ..Addresses::default()
        };
        let of = |worker: Worker, said: &Said, has: &Addresses, deployed: bool| {
            let mut exposure = Exposure::new(vec![DOMAINS, ROUTES]);
            exposure.add(worker, said, has, deployed, Some("hoox.desk.workers.dev"));
            exposure
        };
        let words = "opens, or leaves open, a.example.com, c.example.com/*; leaves open b.example.com/*; \
                     the token does not show domains and every route";
        let later = of(Worker::Hoox, &said, &has, true);
        assert_eq!(later.words(), words);
        assert_eq!(
            later.question().unwrap(),
            "Whether a.example.com is open at Cloudflare the token does not show; it will be open, because wrangler.toml says so. \
             Whether c.example.com/* is open at Cloudflare the token does not show; it will be open, because wrangler.toml says so."
        );
        assert_eq!(
            later.data(),
            json!({
                "opens": [], "closes": [], "open": ["b.example.com/*"],
                "unknown": ["a.example.com", "c.example.com/*"], "unseen": ["domains", "every route"],
            })
        );
        // As of what is closed: nobody is asked at the first deployment, and always of a private worker.
        let first = of(Worker::Hoox, &said, &has, false);
        assert_eq!((first.words().as_str(), first.question()), (words, None));
        let domain = Said {
            domains: texts(&["db.example.com"]),
            ..Said::default()
        };
        assert_eq!(
            of(Worker::D1, &domain, &Addresses::default(), false)
                .question()
                .unwrap(),
            "db.example.com leads to d1-worker, which is private: only the gateway is meant to have an address."
        );
        // Where the file lists nothing, what there may be stays, and is not counted on.
        let bare = Addresses {
            workers_dev: true,
            ..Addresses::default()
        };
        assert_eq!(
            of(Worker::Hoox, &Said::default(), &bare, true)
                .question()
                .unwrap(),
            "The gateway may have no address any more: the token does not show domains and every route, and everything else is closed."
        );
    }

    #[test]
    fn a_host_is_closed_when_nothing_leads_to_it_any_more() {
        let has = Addresses {
            workers_dev: true,
            domains: texts(&["a.example.com", "z.example.com"]),
            routes: texts(&["a.example.com/hook*", "*.example.org/*"]),
            ..Addresses::default()
        };
        let said = Said {
            domains: texts(&["b.example.com"]),
            routes: texts(&["a.example.com/hook*"]),
            ..Said::default()
        };
        let exposure = of(Worker::Hoox, &said, &has, true);
        for (host, closed) in [
            // Its domain goes, and its route stays.
            ("a.example.com", false),
            ("z.example.com", true),
            ("https://Z.Example.com:443/", true),
            ("z.example.com:8443", true),
            ("z.example.com.", true),
            ("any.example.org", true),
            ("example.org", false),
            ("hoox.desk.workers.dev", true),
            ("b.example.com", false),
            ("elsewhere.example.net", false),
            ("no host", false),
        ] {
            assert_eq!(exposure.is_closed(host), closed, "{host}");
        }
        // An address of another worker is not the gateway's.
        let mut exposure = of(Worker::Hoox, &Said::default(), &Addresses::default(), true);
        exposure.add(Worker::D1, &Said::default(), &has, true, None);
        assert!(!exposure.is_closed("hoox.desk.workers.dev"));
    }
}
