import { expect, test } from "vitest";
import { parseComparable, readBareRows } from "../../src/bench/bare-rows.ts";
import { beginResult } from "../../src/bench/result.ts";

const ESP = { suite: "aes256gcm16", direction: "seal", size: 64, pps: 5, samples: [4, 5, 6] };

test.each([
  ["esp", [ESP]],
  ["tunnel", { peer: "self", streams: 1, udp: null, gbps: 5, load: [0, 0] }],
  [
    "tunnel",
    [
      { peer: "self", gbps: 5 },
      { peer: "plain", gbps: 20 },
    ],
  ],
  ["ike", [{ what: "handshake", keyExchange: "x25519", perSecond: 500 }]],
  ["sad", [{ work: "find", sas: 1, perSecond: 1e7 }]],
  ["spd", [{ list: "hosts", family: "IPv4", policies: 10, lookupsPerSecond: 1e7 }]],
] as const)("rows of bench %s are known by their names", (kind, printed) => {
  expect(readBareRows(printed)).toEqual({ kind, rows: Array.isArray(printed) ? printed : [printed] });
});

test("idle tunnels have a row for each side", () => {
  const printed = { tunnels: 9, kex: "x25519", initiator: { cpuPercent: 1 }, responder: { cpuPercent: 2 } };
  expect(readBareRows(printed)).toEqual({
    kind: "idle",
    rows: [
      { tunnels: 9, kex: "x25519", side: "initiator", cpuPercent: 1 },
      { tunnels: 9, kex: "x25519", side: "responder", cpuPercent: 2 },
    ],
  });
});

test("rows alone can be compared, a result is itself, and what is neither is refused", () => {
  expect(parseComparable(JSON.stringify([ESP]), "a.json")).toMatchObject({
    kind: "esp",
    rows: [{ what: { suite: "aes256gcm16", size: 64 }, samples: { runs: [[4, 5, 6]] } }],
  });
  const result = beginResult("esp", {}).end([[ESP]]);
  expect(parseComparable(JSON.stringify(result), "a.json")).toEqual(result);
  for (const text of ["[]", "7", '[{"suite":"x"}]', '{"measured":[]}'])
    expect(() => parseComparable(text, "a.json")).toThrow(/^a\.json is no result of espalier bench/);
});
