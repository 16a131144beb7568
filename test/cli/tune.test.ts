import { expect, test } from "vitest";
import { runCommand } from "../../src/cli/program.ts";
import { tuneText } from "../../src/cli/tune.ts";
import type { TuneResult } from "../../src/index.ts";

const sample = (gbps: number) => ({ gbps, lostShare: 0.001, lateShare: 0, cores: 1.5 });

const best = {
  candidate: { workers: 2, sas: "auto", batch: 64, poll: "adaptive", engine: "ipsec-mb" },
  samples: [sample(5), sample(5.2), sample(4.9)],
  scores: [4.95, 5.15, 4.85],
  score: 4.95,
  isFinalist: true,
};

const RESULT: TuneResult = {
  best,
  measured: [
    best,
    { ...best, candidate: { ...best.candidate, workers: 4 }, samples: [sample(4)], score: 3.9, isFinalist: false },
  ],
  noise: 0.03,
  ended: "budget",
  by: "tunnel",
  whyMemory: null,
  processors: 2,
  suite: "aes256gcm16",
  settings: { workers: 2, batch: 64, poll: "adaptive", engine: "ipsec-mb", sas: "auto" },
  reasons: ["workers 2; the best with 4, more than the 2 processors: -21 %"],
};

test("the table, the reasons and what is to be pasted", () => {
  const lines = tuneText(RESULT, { colour: false }).split("\n");
  expect(lines[0]).toMatch(
    /^workers +sas +batch +poll +engine +times +Gbit\/s +from - to +sent again +late +processors +score/,
  );
  expect(lines[1]).toMatch(
    /^ +2 +auto +64 +adaptive +ipsec-mb +3 +5\.00 +4\.90 - 5\.20 +0\.10 % +0 +1\.50 +4\.95 +chosen/,
  );
  expect(lines[2]).toMatch(/^ +4 +auto +64 +adaptive +ipsec-mb +1 +4\.00 /);
  expect(lines).toContain("- workers 2; the best with 4, more than the 2 processors: -21 %");
  expect(lines).toContain(
    "the time was over before all was measured; a longer --budget knows more; what differs by less than 3 % is noise.",
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
});

test("in memory alone, it says why", () => {
  const text = tuneText({ ...RESULT, by: "memory", whyMemory: "network namespaces take root" }, { colour: false });
  expect(text).toContain("in memory alone: network namespaces take root");
});

test.each([
  [["--budget", "soon"], /Expected a time such as 60s or 5m/],
  [["-c", "/nonexistent.yaml"], /nonexistent/],
  [["--batch", "257"], /batch: expected whole numbers from 1 to 256, not 257/],
  [["--poll", "sleep,run"], /poll: expected sleep, spin, adaptive, not run/],
  [["--engine", "rot13"], /engine: expected .*, not rot13/],
  [["--batch", ""], /Expected words/],
  [["--sas", "auto,x"], /Expected whole numbers/],
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
  expect(await runCommand(["tune", ...words], terminal)).not.toBe(0);
  expect(err).toMatch(said);
});
