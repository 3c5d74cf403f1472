//! Durable Object migrations of an upload.

use axum::http::StatusCode;
use serde::Deserialize;

use crate::envelope::Failure;
use crate::state::Script;

/// Steps from the migration that the Worker has to the one it shall have.
#[derive(Debug, Deserialize)]
pub(super) struct Migrations {
    old_tag: Option<String>,
    new_tag: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    #[serde(default, rename = "new_classes")]
    new: Vec<String>,
    #[serde(default, rename = "new_sqlite_classes")]
    new_on_sqlite: Vec<String>,
    #[serde(default, rename = "deleted_classes")]
    deleted: Vec<String>,
    #[serde(default, rename = "renamed_classes")]
    renamed: Vec<Renamed>,
}

#[derive(Debug, Deserialize)]
struct Renamed {
    from: String,
    to: String,
}

impl Migrations {
    /// Changes the Worker's classes, if it is where the steps begin.
    pub(super) fn apply(&self, script: &mut Script) -> Result<(), Failure> {
        if self.old_tag != script.migration_tag {
            let present = script.migration_tag.as_deref().unwrap_or_default();
            return Err(Failure::new(
                StatusCode::PRECONDITION_FAILED,
                10_079,
                format!("Migration tag precondition failed; current tag is '{present}'."),
            ));
        }
        for step in &self.steps {
            step.apply(&mut script.classes)?;
        }
        script.migration_tag.clone_from(&self.new_tag);
        Ok(())
    }
}

impl Step {
    fn apply(&self, classes: &mut Vec<String>) -> Result<(), Failure> {
        for new in self.new.iter().chain(&self.new_on_sqlite) {
            if classes.contains(new) {
                let message = format!(
                    "Cannot apply new-class migration to class '{new}' that is already depended on by existing \
                     Durable Objects."
                );
                return Err(Failure::bad_request(10_074, message));
            }
            classes.push(new.clone());
        }
        for renamed in &self.renamed {
            let class = find(classes, &renamed.from)?;
            class.clone_from(&renamed.to);
        }
        for deleted in &self.deleted {
            find(classes, deleted)?;
            classes.retain(|class| class != deleted);
        }
        Ok(())
    }
}

fn find<'a>(classes: &'a mut [String], wanted: &str) -> Result<&'a mut String, Failure> {
    classes
        .iter_mut()
        .find(|class| *class == wanted)
        .ok_or_else(|| {
            Failure::bad_request(
                10_070,
                format!("Cannot apply migration to class '{wanted}' that does not exist."),
            )
        })
}
