//! Accounts, senders, operators and manifests in messages between workers: read with the same checks as at write.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::tree::Node;
use crate::{Account, Manifest, Operators, Past, Published, Sender, SenderKey, read};

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::account(&tree).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::sender(&tree).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for Past {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::past(&tree).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for Operators {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::operators(&tree).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for SenderKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::key(&tree).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::tree(&tree, read::Unknown::Ignored).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Node::deserialize(deserializer)?;
        read::published(&tree).map_err(Error::custom)
    }
}
