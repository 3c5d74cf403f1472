#!/usr/bin/env node
// `npx hoox …` in a checkout: the command line, built when it is not.
import path from "node:path";
import { spawnSync } from "node:child_process";
import { ROOT } from "./lib/base.mjs";

const cargo = ["run", "--quiet", "--locked", "--manifest-path", path.join(ROOT, "Cargo.toml"), "--package", "hoox-cli", "--"];
const { status, error } = spawnSync("cargo", [...cargo, ...process.argv.slice(2)], { stdio: "inherit" });
if (error !== undefined) console.error(`hoox needs Rust: cargo could not be started (${error.code}). Install it from https://rustup.rs.`);
process.exit(status ?? 1);
