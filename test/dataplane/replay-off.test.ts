/** Sessions without a replay window, and with the smallest: sealed packets opened in any order, again, and by a forger. */
import { expect, test } from "vitest";
import { EspSession } from "../../src/dataplane/esp-session.ts";
import { ipPacket } from "../support/ip-packets.ts";

const COMMON = { suite: "aes128gcm16", spi: 0x1234, key: new Uint8Array(20).fill(3), engine: "node" } as const;
const PACKET = ipPacket({ version: 4, length: 100 });

const ends = (options: { readonly esn?: boolean; readonly replayWindow: number; readonly sequence?: number }) => {
  const sealer = EspSession.open({ ...COMMON, ...options, direction: "seal" });
  const opener = EspSession.open({ ...COMMON, ...options, direction: "open" });
  const seal = (count: number): Uint8Array[] => sealer.seal(Array.from({ length: count }, () => PACKET));
  const open = (packets: readonly Uint8Array[]): string[] => opener.open(packets).map(({ verdict }) => verdict);
  return { seal, open, opener };
};

const all = (count: number, verdict: string): string[] => new Array<string>(count).fill(verdict);

test.each([
  ["short numbers", {}],
  ["extended numbers", { esn: true }],
  ["extended numbers that cross 2^32", { esn: true, sequence: 2 ** 32 - 1500 }],
])("without a window, %s: late packets are opened, and a second time too", (_, options) => {
  const { seal, open, opener } = ends({ ...options, replayWindow: 0 });
  const packets = seal(3000);
  expect(open([...packets].reverse())).toEqual(all(3000, "pass"));
  expect(open(packets)).toEqual(all(3000, "pass"));
  expect(opener.sequence).toBe(((options as { sequence?: number }).sequence ?? 0) + 3000);
});

test("without a window a forged packet is still one", () => {
  const { seal, open } = ends({ replayWindow: 0 });
  const [packet] = seal(1);
  expect(open([packet!.with(30, packet![30]! ^ 1)])).toEqual(["integ-error"]);
});

test("in a window of 32 a packet may be 31 late", () => {
  const { seal, open } = ends({ replayWindow: 32 });
  const packets = seal(100);
  expect(open([packets[99]!])).toEqual(["pass"]);
  expect(open(packets)).toEqual([...all(68, "replay"), ...all(31, "pass"), "replay"]);
});
