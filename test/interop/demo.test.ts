/** The first command of a newcomer: scripts/demo, as it is. */
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "./support/requirements.ts";
import { Background, type Outcome, run, runAsync, sleep, until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";

const DEMO = join(ROOT, "scripts/demo");
const TIMEOUT = 120_000;

const lab = testBed(["build", "namespaces", "tun", "iperf"], () => ({}));

const demoSpaces = (): string[] =>
  run(["ip", "netns", "list"])
    .stdout.split("\n")
    .filter((name) => name.startsWith("esd"));

const demoFolders = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("espalier-demo"));

const resultOf = ({ stdout }: Outcome): unknown => JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");

const GOOD = {
  ok: true,
  ping: { sent: 20, received: 20 },
  tcpGbps: expect.any(Number),
  suite: "aes256gcm16",
  engine: expect.stringMatching(/./),
  workers: 1,
};

test("two demos at once work, say so in JSON, and leave nothing", async () => {
  const before = { spaces: demoSpaces(), folders: demoFolders() };
  const demo = (): Promise<Outcome> =>
    runAsync([DEMO, "--json", "--seconds", "1"], { mayFail: true, timeout: TIMEOUT });
  const outcomes = await Promise.all([demo(), demo()]);
  for (const outcome of outcomes) {
    expect(outcome.status, outcome.stderr).toBe(0);
    expect(resultOf(outcome)).toMatchObject(GOOD);
  }
  expect({ spaces: demoSpaces(), folders: demoFolders() }).toEqual(before);
});

test("a table is shown to a person", async () => {
  const { status, stdout, stderr } = await runAsync([DEMO, "--seconds", "1"], { mayFail: true, timeout: TIMEOUT });
  expect(status, stderr).toBe(0);
  for (const word of ["tunnel", "suite", "engine", "workers", "ping", "20 of 20", "Gbit/s", "drops", "Try next"])
    expect(stdout).toContain(word);
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s in the middle leaves nothing either", async (signal) => {
  const before = { spaces: demoSpaces(), folders: demoFolders() };
  const { bed } = lab();
  const demo = new Background([DEMO, "--seconds", "30"], join(bed.directory, `demo-${signal}`));
  await until("TCP is being moved", () => (demo.log.includes("TCP from host A") ? true : undefined), TIMEOUT);
  await sleep(1000);
  const status = await demo.end(signal, 30_000);
  expect(status, "ended by its own trap").toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
  expect({ spaces: demoSpaces(), folders: demoFolders() }).toEqual(before);
});

test("without root it works inside a user namespace, or says why it cannot", async () => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  const mayUnshare = run([...nobody, "unshare", "-Urnm", "true"], { mayFail: true }).status === 0;
  const mayOpen = run([...nobody, "sh", "-c", ": <>/dev/net/tun"], { mayFail: true }).status === 0;
  const mayRead = run([...nobody, "test", "-r", DEMO], { mayFail: true }).status === 0;
  const outcome = await runAsync([...nobody, DEMO, "--json", "--seconds", "1"], { mayFail: true, timeout: TIMEOUT });
  if (mayUnshare && mayOpen && mayRead) {
    expect(outcome.status, outcome.stderr).toBe(0);
    expect(resultOf(outcome)).toMatchObject(GOOD);
  } else if (mayRead) {
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toMatch(/^demo: /m);
  }
});
