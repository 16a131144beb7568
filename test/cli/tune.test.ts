import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { beginResult, parseResult } from "../../src/bench/result.ts";
import { runCommand } from "../../src/cli/program.ts";
import { tuneNotes, tuneRows, tuneText } from "../../src/cli/tune-text.ts";
import type { TuneResult } from "../../src/index.ts";

const sample = (gbps: number) => ({ gbps, lostShare: 0.001, lateShare: 0, cores: 1.5 });

const best = {
  candidate: { workers: 2, sas: "auto", batch: 64, poll: "adaptive", engine: "ipsec-mb" },
  samples: [sample(5), sample(5.2), sample(4.9)],
  scores: [4.95, 5.15, 4.85],
  counted: [5.15, 4.85],
  score: 5,
  typical: sample(5.05),
  isFinalist: true,
  failed: null,
};

const RESULT: TuneResult = {
  best,
  measured: [
    best,
    {
      ...best,
      candidate: { ...best.candidate, workers: 4 },
      samples: [sample(4)],
      scores: [3.9],
      counted: [3.9],
      score: 3.9,
      typical: sample(4),
      isFinalist: false,
    },
    {
      ...best,
      candidate: { ...best.candidate, workers: 4, poll: "spin" },
      samples: [],
      scores: [],
      counted: [],
      score: 0,
      typical: null,
      isFinalist: false,
      failed: "a gateway ended: espalier run\n  no memory",
    },
  ],
  noise: 0.03,
  ended: "budget",
  by: "tunnel",
  whyMemory: null,
  processors: 2,
  suite: "aes256gcm16",
  settings: { workers: 2, batch: 64, poll: "adaptive", engine: "ipsec-mb", sas: "auto" },
  reasons: ["workers 2; the best with 4, more than the 2 processors: -21 %"],
  load: [0.2, 1.9],
  otherCores: 0.42,
  machine: "a processor, 2 processors",
};

test("the table, the reasons and what is to be pasted", () => {
  const lines = tuneText(RESULT, { colour: false }).split("\n");
  expect(lines[0]).toMatch(
    /^workers +sas +batch +poll +engine +times +Gbit\/s +from - to +sent again +late +processors +score/,
  );
  expect(lines[1]).toMatch(
    /^ +2 +auto +64 +adaptive +ipsec-mb +3 +5\.05 +4\.90 - 5\.20 +0\.10 % +0 +1\.50 +5\.00 +chosen/,
  );
  expect(lines[2]).toMatch(/^ +4 +auto +64 +adaptive +ipsec-mb +1 +4\.00 /);
  expect(lines).toContain("- workers 2; the best with 4, more than the 2 processors: -21 %");
  expect(lines[3]).toMatch(/^ +4 +auto +64 +spin +ipsec-mb +0 +- +- +- +- +- +- +failed$/);
  expect(lines).toContain("The time was over before all was measured: a longer --budget knows more.");
  expect(lines).toContain("Finalists that differ by less than 3.0 % are not told apart.");
  expect(lines).toContain(
    "- failed: workers 4, sas auto, batch 64, poll spin, engine ipsec-mb: a gateway ended: espalier run; no memory",
  );
  const at = lines.indexOf("Settings:");
  expect(lines.slice(at + 1, at + 10)).toEqual([
    "  workers: 2",
    "  batch: 64",
    "  poll: adaptive",
    "  engine: ipsec-mb",
    "  connections:",
    "    NAME:",
    "      children:",
    "        NAME:",
    "          sas: auto",
  ]);
  expect(lines.slice(-2)).toEqual([
    "others had 0.42 of 2 processors meanwhile",
    "load 0.20, then 1.90; a processor, 2 processors",
  ]);
});

test("what it was measured for, and that the machine was busy, are said", () => {
  const text = tuneText({ ...RESULT, load: [3, 3] }, { colour: false }, "For one tunnel, of branch/net in a.yaml");
  expect(text).toContain("\nFor one tunnel, of branch/net in a.yaml.\n");
  expect(text).toMatch(/beware: the machine was busy/);
  expect(text).not.toContain("undefined");
});

test("noise and processors that are not known are no figures", () => {
  const one = { ...sample(5), cores: null };
  const unknown = { ...best, samples: [one], scores: [4.95], counted: [4.95], typical: one, isFinalist: false };
  const result = { ...RESULT, best: unknown, measured: [unknown], noise: null };
  const text = tuneText(result, { colour: false });
  expect(text.split("\n")[1]).toMatch(/ +1 +5\.00 +5\.00 - 5\.00 +0\.10 % +0 +- +5\.00 +chosen$/);
  expect(text).toContain("is not known: there were no two rounds of finals");
  expect(tuneNotes(result).join("\n")).not.toMatch(/differ by .* %/);
  expect(tuneRows(result)[0]).toMatchObject({ cores: null, gbps: 5, samples: [4.95] });
});

test("rows have the finals of a finalist, beside its first score; notes have what failed and why", () => {
  const rows = tuneRows(RESULT);
  expect(rows[0]).toMatchObject({ finalist: 1, failed: 0, score: 5, firstScore: 4.95, samples: [5.15, 4.85] });
  expect(rows[2]).toMatchObject({ finalist: 0, failed: 1, score: 0, firstScore: null, gbps: null, samples: [] });
  const kept = JSON.stringify(beginResult("tune", { budget: 60 }).end([rows], tuneNotes(RESULT)));
  expect(parseResult(kept, "tune.json").rows.map(({ samples }) => samples.runs)).toEqual([
    [[5.15, 4.85]],
    [[3.9]],
    [[0]],
  ]);
  expect(tuneNotes(RESULT, "for a child")).toEqual([
    "aes256gcm16, through a tunnel",
    "The time was over before all was measured: a longer --budget knows more",
    "for a child",
    "Finalists that differ by less than 3.0 % are not told apart",
    "others had 0.42 of 2 processors meanwhile",
    "failed: workers 4, sas auto, batch 64, poll spin, engine ipsec-mb: a gateway ended: espalier run; no memory",
  ]);
});

test("in memory alone, it says why", () => {
  const text = tuneText({ ...RESULT, by: "memory", whyMemory: "network namespaces take root" }, { colour: false });
  expect(text).toContain("in memory alone: network namespaces take root");
});

const UNWRITABLE = join(mkdtempSync(join(tmpdir(), "espalier-tune-")), "gateway.yaml");
writeFileSync(
  UNWRITABLE,
  `
workers: &many 2
batch: *many
connections:
  branch:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    psk: "0x${"a5".repeat(32)}"
    children: { net: { interface: { name: esp0 } } }
`,
);
afterAll(() => rmSync(dirname(UNWRITABLE), { recursive: true }));

test.each([
  [["--budget", "soon"], /Expected a time such as 60s or 5m/],
  [["-c", "/nonexistent.yaml"], /nonexistent/],
  [["--batch", "257"], /batch: expected whole numbers from 1 to 256, not 257/],
  [["--poll", "sleep,run"], /poll: expected sleep, spin, adaptive, not run/],
  [["--engine", "rot13"], /engine: expected .*, not rot13/],
  [["--batch", ""], /Expected words/],
  [["--sas", "auto,x"], /Expected whole numbers/],
  [["--streams", "x"], /Expected a number/],
  [["--streams", "0"], /streams: expected a whole number from 1 to 128, not 0/],
  [["--streams", "1.5"], /streams: expected a whole number from 1 to 128, not 1.5/],
  [["--apply"], /--apply needs a file to write into/],
  [["--apply", "-c", UNWRITABLE], /batch has no plain value/],
])("%j is a mistake", async (words, said) => {
  let err = "";
  const terminal = {
    out: () => {},
    err: (text: string) => {
      err += text;
    },
    columns: undefined,
    colour: false,
    environment: {},
  };
  expect(await runCommand(["tune", ...words], terminal)).toBe(2);
  expect(err).toMatch(said);
});
