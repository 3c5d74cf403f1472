//! The program: what it prints, how it ends, what it keeps.
#![cfg(unix)]

#[cfg(test)]
mod program {
    use std::path::{Path, PathBuf};
    use std::process::Stdio;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use tokio::process::{Child, Command};

    /// A client that goes by no proxy, whatever the environment says.
    fn direct() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    fn program() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hoox-sim"));
        command
            .env_remove("HOOX_SIM_API_KEY")
            .env_remove("HOOX_SIM_API_SECRET")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts the program and waits for its line.
    async fn start(state: Option<&Path>) -> (Child, String) {
        let mut command = program();
        command
            .args(["--port", "0", "--api-key", "k"])
            .env("HOOX_SIM_API_SECRET", "s");
        if let Some(state) = state {
            command.arg("--state").arg(state);
        }
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        child.stdout = Some(stdout.into_inner());
        let url = line
            .trim_end()
            .strip_prefix("hoox-sim listening on ")
            .unwrap()
            .to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        (child, url)
    }

    /// Sends a signal, waits for the end, returns the exit code and what was still printed.
    async fn end(mut child: Child, signal: &str) -> (Option<i32>, String) {
        let id = child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .await
                .unwrap()
                .success()
        );
        let code = child.wait().await.unwrap().code();
        let mut rest = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut rest)
            .await
            .unwrap();
        (code, rest)
    }

    fn scratch_file() -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("state-{}-{number}.json", std::process::id()))
    }

    async fn get(url: &str) -> Value {
        direct()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn it_prints_one_line_and_ends_cleanly_on_either_signal() {
        for signal in ["-TERM", "-INT"] {
            let (child, url) = start(None).await;
            assert_eq!(get(&format!("{url}/health")).await["status"], "ok");
            assert_eq!(
                end(child, signal).await,
                (Some(0), String::new()),
                "{signal}"
            );
        }
    }

    #[tokio::test]
    async fn a_held_answer_does_not_hold_up_the_end() {
        let (child, url) = start(None).await;
        let fault = json!([{ "kind": "latency", "millis": 600_000 }]);
        let client = direct();
        let set = client
            .post(format!("{url}/sim/faults"))
            .json(&fault)
            .send()
            .await
            .unwrap();
        assert_eq!(set.status(), 200);
        let held = tokio::spawn(client.get(format!("{url}/v5/market/time")).send());
        while get(&format!("{url}/sim/faults")).await != json!([]) {
            tokio::task::yield_now().await;
        }
        assert_eq!(end(child, "-TERM").await.0, Some(0));
        assert!(held.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_state_survives_a_restart() {
        let file = scratch_file();
        let (child, url) = start(Some(&file)).await;
        let price = json!({ "venue": "bybit", "symbol": "BTCUSDT", "price": "61234.5" });
        let set = direct()
            .post(format!("{url}/sim/price"))
            .json(&price)
            .send()
            .await
            .unwrap();
        assert_eq!(set.status(), 200);
        assert_eq!(end(child, "-TERM").await.0, Some(0));

        let (child, url) = start(Some(&file)).await;
        let ticker = get(&format!(
            "{url}/v5/market/tickers?category=linear&symbol=BTCUSDT"
        ))
        .await;
        assert_eq!(ticker["result"]["list"][0]["lastPrice"], "61234.50");
        assert_eq!(end(child, "-TERM").await.0, Some(0));
        std::fs::remove_file(file).unwrap();
    }

    #[tokio::test]
    async fn the_state_survives_a_kill_once_it_is_written() {
        let file = scratch_file();
        let (child, url) = start(Some(&file)).await;
        let price = json!({ "venue": "bybit", "symbol": "ETHUSDT", "price": "3000.01" });
        let set = direct()
            .post(format!("{url}/sim/price"))
            .json(&price)
            .send()
            .await
            .unwrap();
        assert_eq!(set.status(), 200);
        while !std::fs::read_to_string(&file).unwrap().contains("3000.01") {
            tokio::task::yield_now().await;
        }
        assert_eq!(end(child, "-KILL").await.0, None);
        let (child, url) = start(Some(&file)).await;
        let ticker = get(&format!(
            "{url}/v5/market/tickers?category=linear&symbol=ETHUSDT"
        ))
        .await;
        assert_eq!(ticker["result"]["list"][0]["lastPrice"], "3000.01");
        assert_eq!(end(child, "-TERM").await.0, Some(0));
        std::fs::remove_file(file).unwrap();
    }

    /// Exit code, stdout and stderr of a call that cannot work.
    async fn fails(command: &mut Command) -> (Option<i32>, String, String) {
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    #[tokio::test]
    async fn a_missing_key_or_secret_is_one_sentence_and_exit_code_2() {
        let no_key = fails(&mut program()).await;
        let sentence = "hoox-sim: no API key: pass --api-key or set HOOX_SIM_API_KEY\n";
        assert_eq!(no_key, (Some(2), String::new(), sentence.to_owned()));
        let no_secret = fails(program().args(["--api-key", "k"])).await;
        let sentence = "hoox-sim: no API secret: pass --api-secret or set HOOX_SIM_API_SECRET\n";
        assert_eq!(no_secret, (Some(2), String::new(), sentence.to_owned()));
    }

    #[tokio::test]
    async fn a_taken_port_is_one_sentence_and_exit_code_2() {
        let (child, url) = start(None).await;
        let port = url.rsplit(':').next().unwrap();
        let mut command = program();
        command.args(["--api-key", "k", "--api-secret", "s", "--port", port]);
        let (code, stdout, stderr) = fails(&mut command).await;
        assert_eq!(
            (code, stdout.as_str(), stderr.lines().count()),
            (Some(2), "", 1)
        );
        assert!(stderr.contains(&format!("127.0.0.1:{port}")), "{stderr}");
        assert_eq!(end(child, "-TERM").await.0, Some(0));
    }

    #[tokio::test]
    async fn a_broken_state_file_is_one_sentence_and_exit_code_2() {
        let file = scratch_file();
        std::fs::write(&file, "{").unwrap();
        let mut command = program();
        command
            .args(["--api-key", "k", "--api-secret", "s", "--state"])
            .arg(&file);
        let (code, stdout, stderr) = fails(&mut command).await;
        assert_eq!(
            (code, stdout.as_str(), stderr.lines().count()),
            (Some(2), "", 1)
        );
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "{",
            "a file that cannot be read is left alone"
        );
        std::fs::remove_file(file).unwrap();
    }
}
