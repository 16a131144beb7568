/** `espalier tune` with real gateways: how good it is, test/bench/tune-search.test.ts has; here it begins, ends and writes. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { BenchResult } from "../../src/bench/result.ts";
import type { TuneResult } from "../../src/index.ts";
import { complaintAbout } from "../support/result-schema.ts";
import { MAIN } from "./support/requirements.ts";
import { Background, run, until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";

const lab = testBed(["build", "namespaces", "tun", "iperf"], () => ({}));

const FILE = `# ours
workers: 1 # for now
connections:
  branch:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    psk: "0x${"a5".repeat(32)}"
    encap: force
    children:
      net:
        proposals: [aes128gcm16]
        interface: { name: esp0, routes: [10.2.0.0/24] }
`;

/** Empty of a process that has ended meanwhile. */
const commandLine = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
};

/** Command lines of gateways that it has started. */
const gatewaysOf = (pid: number): string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(commandLine)
    .filter((words) => words.includes(`espalier-bench-${pid}-`));

const leftBy = (pid: number): string[] => [
  ...run(["ip", "netns", "list"])
    .stdout.split("\n")
    .filter((name) => name.startsWith(`esb${pid}-`)),
  ...readdirSync(tmpdir()).filter((name) => name.startsWith(`espalier-bench-${pid}-`)),
  ...gatewaysOf(pid),
];

test("it tunes within its budget, says why, and writes what it found into the file", async () => {
  const file = join(lab().bed.directory, "gateway.yaml");
  const out = join(lab().bed.directory, "tune.json");
  writeFileSync(file, FILE);
  const words = ["tune", "-c", file, "--budget", "9s", "--json", "--apply", "--out", out];
  const command = new Background([process.execPath, MAIN, ...words], join(lab().bed.directory, "tune"));
  expect(await command.ended(), command.log).toBe(0);
  const result = JSON.parse(command.log.slice(0, command.log.lastIndexOf("}") + 1)) as TuneResult;
  expect(result).toMatchObject({ by: "tunnel", suite: "aes128gcm16", ended: "budget" });
  expect(result.measured.length).toBeGreaterThan(0);
  expect(result.best.score).toBeGreaterThan(0);
  const text = readFileSync(file, "utf8");
  expect(text).toContain(`workers: ${result.settings.workers} # for now`);
  expect(text).toContain(`poll: ${result.settings.poll}\n`);
  expect(text).toContain(`batch: ${result.settings.batch}\n`);
  expect(text).toContain(`        sas: ${result.settings.sas}\n        proposals`);
  expect(text.split("\n").filter((line) => FILE.includes(line)).length).toBeGreaterThan(10);
  expect(command.log).toContain(`sas ${result.settings.sas} in its child; a running gateway takes them`);
  const kept = JSON.parse(readFileSync(out, "utf8")) as BenchResult;
  expect(complaintAbout(kept)).toBeUndefined();
  expect(kept).toMatchObject({ kind: "tune", load: { before: result.load[0] } });
  expect(kept.notes).toContain(`For one tunnel, of branch/net in ${file}, encap force`);
  expect(kept.rows).toHaveLength(result.measured.length);
  expect(leftBy(command.pid)).toEqual([]);
});

test("SIGINT ends it cleanly, with what it has", async () => {
  const words = ["tune", "--budget", "300s"];
  const command = new Background([process.execPath, MAIN, ...words], join(lab().bed.directory, "stopped"));
  const configured = (): string | undefined => {
    const folder = leftBy(command.pid).find((name) => name.startsWith("espalier-bench-"));
    const file = join(tmpdir(), folder ?? "", "a.yaml");
    return folder !== undefined && existsSync(file) ? readFileSync(file, "utf8") || undefined : undefined;
  };
  const first = await until("the first gateways have begun", configured, 20_000, 50);
  const second = () => ((configured() ?? first) === first ? undefined : true);
  await until("one is measured, and another has begun", second, 40_000, 50);
  expect(await command.end("SIGINT"), command.log).toBe(0);
  expect(command.log).toContain("It was stopped before all was measured");
  expect(command.log).toMatch(/Settings:\n {2}workers: \d+\n/);
  expect(leftBy(command.pid)).toEqual([]);
});

test("SIGTERM removes what it has made, and ends it", async () => {
  const words = ["tune", "--budget", "300s"];
  const command = new Background([process.execPath, MAIN, ...words], join(lab().bed.directory, "ended"));
  await until("its gateways have begun", () => gatewaysOf(command.pid).length > 0, 20_000, 50);
  expect(await command.end("SIGTERM"), command.log).toBeNull();
  expect(leftBy(command.pid)).toEqual([]);
});

test("without root it measures in memory, and says so", async (context) => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  if (run([...nobody, "test", "-r", MAIN], { mayFail: true }).status !== 0) {
    context.task.meta.skipped = "others may not read dist";
    context.skip(context.task.meta.skipped);
  }
  const words = ["tune", "--budget", "6s"];
  const command = new Background([...nobody, process.execPath, MAIN, ...words], join(lab().bed.directory, "nobody"));
  expect(await command.ended(), command.log).toBe(0);
  expect(command.log).toContain("in memory alone: network namespaces take root");
  expect(command.log).toMatch(/Settings:\n {2}workers: \d+\n {2}batch: \d+\n {2}engine: /);
});
