//! What a deployment opens and closes: the wrangler files beside what Cloudflare has.
//!
//! In scope: addresses before and after, and which of the changes have to be asked for. Out of scope: making them, which
//! wrangler does with the upload.

use core::fmt::Write as _;

use hoox_mesh::Worker;
use serde_json::{Value, json};

use crate::addresses::{Addresses, host_of};
use crate::checkout::Said;

/// The addresses of all workers, before and after a deployment.
#[derive(Debug, Default)]
pub(crate) struct Exposure {
    opens: Vec<String>,
    closes: Vec<String>,
    stays: Vec<String>,
    /// Openings that nobody expects, in a sentence each.
    surprises: Vec<String>,
    /// The gateway's hosts afterwards, those of its own first.
    pub(crate) hosts: Vec<String>,
    /// Whether there may be more of them, which the token does not show.
    pub(crate) unseen: bool,
}

impl Exposure {
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
            has.workers_dev,
            said.workers_dev,
            deployed,
        );
        // Where the file says nothing the switch stays as it is.
        let previews = said.previews.unwrap_or(has.previews);
        self.place(
            worker,
            &format!("previews of {name}"),
            has.previews,
            previews,
            deployed,
        );
        if worker.is_public() {
            self.hosts = own;
            if said.workers_dev {
                self.hosts.push(at_workers_dev);
            }
            if self.hosts.is_empty() && !self.closes.is_empty() && !self.unseen {
                self.surprises.push(
                    "The gateway will have no address: nothing reaches it until it gets one."
                        .to_owned(),
                );
            }
        }
    }

    /// Domains and routes; those that stay or come, by their hosts. What the file lists of a kind is all of that kind.
    fn own(&mut self, worker: Worker, said: &Said, has: &Addresses, deployed: bool) -> Vec<String> {
        let mut hosts = Vec::new();
        for (has, said) in [(&has.domains, &said.domains), (&has.routes, &said.routes)] {
            let new = said.iter().filter(|place| !has.contains(place));
            for place in has.iter().chain(new) {
                let after = said.is_empty() || said.contains(place);
                self.place(worker, place, has.contains(place), after, deployed);
                let host = host_of(place).to_owned();
                if after && !host.contains('*') && !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        hosts
    }

    fn place(&mut self, worker: Worker, place: &str, before: bool, after: bool, deployed: bool) {
        match (before, after) {
            (false, false) => return,
            (false, true) => self.opens.push(place.to_owned()),
            (true, false) => self.closes.push(place.to_owned()),
            (true, true) => self.stays.push(place.to_owned()),
        }
        let name = worker.name();
        if !after || before {
            return;
        }
        if !worker.is_public() {
            self.surprises.push(format!(
                "{place} leads to {name}, which is private: only the gateway is meant to have an address."
            ));
        } else if deployed {
            self.surprises.push(format!(
                "{place} is closed at Cloudflare and will be opened, because {} says so.",
                worker.wrangler_file()
            ));
        }
    }

    /// What has to be asked for, if anything.
    pub(crate) fn question(&self) -> Option<String> {
        (!self.surprises.is_empty()).then(|| self.surprises.join(" "))
    }

    /// What is closed of a host that was in use.
    pub(crate) fn is_closed(&self, host: &str) -> bool {
        self.closes.iter().any(|place| host_of(place) == host)
    }

    /// In one line.
    pub(crate) fn words(&self) -> String {
        let mut text = String::new();
        for (what, places) in [
            ("opens", &self.opens),
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
        if self.unseen {
            text.push_str("; the token does not show every route");
        }
        text
    }

    pub(crate) fn data(&self) -> Value {
        json!({ "opens": self.opens, "closes": self.closes, "open": self.stays })
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
            previews: Some(false),
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
}
