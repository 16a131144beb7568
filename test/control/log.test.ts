import { expect, test } from "vitest";
import { createLog, type LogEntry, type LogOptions } from "../../src/control/log.ts";

const ENTRY: LogEntry = {
  level: "info",
  event: "child-sa-installed",
  connection: "branch",
  message: "Child SA net is up",
  fields: { suite: "aes256gcm16", esn: true, remote: "192.0.2.2:500", note: "two words" },
};

const written = (entry: LogEntry, options: Partial<LogOptions> = {}): string => {
  let text = "";
  const stream = { write: (line: string) => (text += line) };
  createLog({ level: "info", format: "text", colour: false, stream, ...options }).write(entry);
  return text;
};

test("a line for people", () => {
  expect(written(ENTRY)).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} info {2}branch: Child SA net is up {2}event=child-sa-installed suite=aes256gcm16 esn=true remote=192\.0\.2\.2:500 note="two words"\n$/,
  );
});

test("a line for machines", () => {
  const { time, ...line } = JSON.parse(written(ENTRY, { format: "json" })) as Record<string, unknown>;
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  expect(line).toEqual({
    level: "info",
    event: "child-sa-installed",
    connection: "branch",
    message: "Child SA net is up",
    suite: "aes256gcm16",
    esn: true,
    remote: "192.0.2.2:500",
    note: "two words",
  });
});

test("what is less than the level is not written", () => {
  expect(written(ENTRY, { level: "warn" })).toBe("");
  expect(written({ ...ENTRY, level: "error" }, { level: "warn" })).not.toBe("");
});

test("a peer's text neither begins a line nor steers the terminal", () => {
  const text = written({
    ...ENTRY,
    message: "peer\n12:00 error\u001b[2J",
    fields: { id: "a\r\nb\u202e", event: "fake" },
  });
  expect(text.split("\n")).toHaveLength(2);
  expect(text).toContain("peer\\u{a}12:00 error\\u{1b}[2J");
  expect(text).toContain("event=child-sa-installed");
  expect(text).toContain("event_=fake");
  for (const bad of ["\r", "\u001b", "\u202e"]) expect(text).not.toContain(bad);
});
