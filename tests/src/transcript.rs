//! What the documentation shows of the command line, taken from the command line.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use regex::Regex;

use crate::process::root;

/// Variable that has pages written instead of compared: `HOOX_BLESS=1`.
const BLESS: &str = "HOOX_BLESS";

/// A user's terminal: a folder and what is set in it.
pub struct Shell {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
    /// What nobody may see.
    secrets: Vec<String>,
}

impl Shell {
    /// A terminal in a folder, with no more than a program search path.
    pub fn new(folder: PathBuf) -> Self {
        let mut variables = BTreeMap::from([("HOOX_KEYRING".to_owned(), "off".to_owned())]);
        // Tools are found, and by the tools what they need.
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
            if let Ok(value) = std::env::var(name) {
                variables.insert(name.to_owned(), value);
            }
        }
        Self {
            folder,
            variables,
            secrets: Vec::new(),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable whose value no output may show.
    #[must_use]
    pub fn set_secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self.set(name, value)
    }
}

/// One page of `docs/cli`.
pub struct Transcript {
    name: &'static str,
    text: String,
    /// What is another value each time, by what stands for it.
    names: Vec<(String, String)>,
}

impl Transcript {
    /// An empty page with a heading and a sentence.
    pub fn new(name: &'static str, title: &str, about: &str) -> Self {
        Self {
            name,
            text: format!("# {title}\n\n{about}\n"),
            names: Vec::new(),
        }
    }

    /// Has a text stand for one that is another each time.
    pub fn call(&mut self, value: &str, name: &str) {
        self.names.push((value.to_owned(), name.to_owned()));
    }

    /// A heading.
    pub fn about(&mut self, text: &str) {
        self.text.push_str(&format!("\n{text}\n"));
    }

    /// Runs commands with what their user types, and shows them. Answers what the last one printed on stdout.
    pub fn show(&mut self, shell: &Shell, commands: &[(&str, &str)]) -> String {
        self.text.push_str("\n```text\n");
        let mut last = String::new();
        for (index, (command, input)) in commands.iter().enumerate() {
            if index > 0 {
                self.text.push('\n');
            }
            let (status, out, err) = ran(shell, command, input);
            for secret in shell.secrets.iter().chain([&(*input).to_owned()]) {
                let shown = secret.len() > 8 && (out.contains(secret) || err.contains(secret));
                assert!(!shown, "{command} shows a secret");
            }
            let status = if status == 0 {
                String::new()
            } else {
                format!("[status {status}]\n")
            };
            let said = self.named(&format!("{err}{out}{status}"));
            let typed = self.named(command);
            self.text.push_str(&format!("$ {typed}\n{said}"));
            last = out;
        }
        self.text.push_str("```\n");
        last
    }

    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.names {
            text = text.replace(value, name);
        }
        for (pattern, name) in VOLATILE {
            let pattern = Regex::new(pattern).expect("a pattern");
            text = pattern.replace_all(&text, name).into_owned();
        }
        text
    }

    /// Holds the page against the one that is there, or writes it with `HOOX_BLESS=1`.
    pub fn check(self) {
        let file = root().join("docs/cli").join(format!("{}.md", self.name));
        if std::env::var(BLESS).is_ok() {
            fs::create_dir_all(root().join("docs/cli")).unwrap();
            fs::write(&file, &self.text).unwrap();
            return;
        }
        let there = fs::read_to_string(&file).unwrap_or_default();
        // A table is as wide as its cells are this time.
        let words = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect()
        };
        assert_eq!(
            words(&there),
            words(&self.text),
            "docs/cli/{}.md is not what the commands say: `HOOX_BLESS=1 npm test` writes it anew",
            self.name
        );
    }
}

/// What no two runs have in common, and what stands for it.
const VOLATILE: [(&str, &str); 20] = [
    (
        r"(?-u)\b01[0-9A-HJKMNP-TV-Z]{24}\b",
        "01M832V2N9H62T92WHFH4Q1J0H",
    ),
    (r"hoox_op_[A-Za-z0-9_-]{43}", "hoox_op_…"),
    (r"hoox_[A-Za-z0-9_-]{32}", "hoox_…"),
    (r"age1[a-z0-9]{58}", "age1…"),
    (r"(?-u)\b[0-9a-f]{64}\b", "…"),
    (
        r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?Z",
        "2026-11-23T09:30:00.000Z",
    ),
    ("20[0-9]{2}-[0-9]{2}-[0-9]{2}( |\n)", "2027-02-21$1"),
    (r"127\.0\.0\.1:[0-9]+", "127.0.0.1:8787"),
    (r"(?-u)\b17[0-9]{11}\b", "1795408718174"),
    (r"(?-u)\b[0-9a-f]{30}[0-9a-f]{2}\b", "…"),
    (r"SIM +[0-9]+ +-?[0-9]+", "SIM   3   0"),
    (r"[0-9]+ KB", "440 KB"),
    (r"rows written today: [0-9]+", "rows written today: 120"),
    (r"rustc 1[0-9.]+ \([^)]*\)", "rustc 1.95.0"),
    (r"Node +v[0-9.]+", "Node                    v24.11.1"),
    (r"git version [0-9.]+", "git version 2.51.0"),
    (r"offset -?[0-9]+ ms", "offset 9 ms"),
    (r"in [0-9]+ ms", "in 24 ms"),
    (r"\([0-9]+\.[0-9] s\)", "(2.0 s)"),
    (r"--cursor [!-~]+", "--cursor …"),
];

/// Runs a command line: words, those with blanks in quotes.
fn ran(shell: &Shell, command: &str, input: &str) -> (i32, String, String) {
    let words = Regex::new(r#""([^"]*)"|([!-~]+)"#).expect("a pattern");
    let mut words = words.captures_iter(command).map(|found| {
        let word = found.get(1).or_else(|| found.get(2)).expect("a word");
        word.as_str().to_owned()
    });
    assert_eq!(words.next().as_deref(), Some("hoox"));
    let program = std::env::var("HOOX_CLI_BIN").expect("HOOX_CLI_BIN names the program");
    let mut child = Command::new(program)
        .args(words)
        .current_dir(&shell.folder)
        .env_clear()
        .envs(&shell.variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let ran = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        ran.status.code().unwrap(),
        text(ran.stdout),
        text(ran.stderr),
    )
}
