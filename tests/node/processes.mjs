// Starts and ends the programs under test: simulated backends and the gateway.
//
// Every port is the system's choice, read from what the program says of itself. A process is ended by its own id and by nothing
// else.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// A debug build on a busy machine; what takes longer has failed.
const PATIENCE_MS = 20_000;
// A key of the right form; the simulator refuses none that does not begin with "bad".
export const KEY = "sk-end-to-end-0123456789";
export const HOSTS = ["openai", "azure", "bedrock", "anthropic", "gemini"];

/** The first true value of `condition()`; throws after `PATIENCE_MS`. */
export async function until(condition) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`did not come within ${PATIENCE_MS} ms: ${condition}`);
    await sleep(5);
  }
}

function start(args, stdout) {
  const binary = process.env.TIDEGATE_BIN;
  if (!binary) throw new Error("TIDEGATE_BIN is not set: run these tests with `cargo xtask test`");
  // No key and no proxy of this machine gets in.
  return spawn(binary, args, { env: { PATH: process.env.PATH }, stdio: ["ignore", stdout, "inherit"] });
}

/** Simulated backends. */
export class Simulator {
  static async start() {
    const simulator = new Simulator();
    simulator.process = start(["sim", "--listen", "127.0.0.1:0"], "pipe");
    const [line] = await once(simulator.process.stdout, "data");
    // "simulated backends on http://127.0.0.1:PORT"
    simulator.url = line.toString().split("\n")[0].trim().split(" ").pop();
    return simulator;
  }

  /** What became of the one call with this tag, once its peer has closed. */
  async closed(tag) {
    const calls = await until(async () => {
      const seen = await (await fetch(`${this.url}/_sim/calls?tag=${tag}`)).json();
      return seen.some((call) => call.closed_ns) && seen;
    });
    if (calls.length !== 1) throw new Error(`${calls.length} backend calls for one`);
    return calls[0];
  }

  end() {
    this.process.kill("SIGKILL");
  }
}

/** `tidegate serve`, with a call log in JSON lines. Every host is the simulator. `settings` is YAML that follows. */
export class Gateway {
  static async start(backends, settings = "") {
    const gateway = new Gateway();
    const folder = mkdtempSync(join(tmpdir(), "tidegate-"));
    const config = join(folder, "tidegate.yaml");
    gateway.log = join(folder, "tidegate.log");
    writeFileSync(
      config,
      `listen: 127.0.0.1:0
log: { format: json, file: tidegate.log }
hosts:
  openai: { base_url: "${backends}/v1", api_key: ${KEY} }
  azure: { base_url: "${backends}", api_version: 2024-10-21, api_key: ${KEY} }
  bedrock: { base_url: "${backends}", region: us-east-1, access_key_id: AKIAENDTOEND, secret_access_key: ${KEY} }
  anthropic: { base_url: "${backends}", api_key: ${KEY} }
  gemini: { base_url: "${backends}/v1beta", api_key: ${KEY} }
${settings}`,
    );
    gateway.process = start(["serve", "--config", config], "ignore");
    const said = await until(() => gateway.lines().find((line) => line.message?.startsWith("listening on ")));
    gateway.url = said.message.replace("listening on ", "").split(",")[0];
    return gateway;
  }

  lines() {
    try {
      return readFileSync(this.log, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
    } catch {
      // Not there, or a line half written: asked for again.
      return [];
    }
  }

  /** The one line of a call, once it is written. */
  async settled(id) {
    return until(() => this.lines().find((line) => line.target === "tidegate::call" && line.id === id));
  }

  end() {
    this.process.kill("SIGKILL");
  }
}
