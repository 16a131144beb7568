/** What only the engine `ipsec-mb` has: a library of one known version, and keys in native memory. */
import { describe, expect, test } from "vitest";
import { koffi } from "../../../src/crypto/engines/ffi.ts";
import { IpsecMbKey } from "../../../src/crypto/engines/ipsec-mb-key.ts";
import { JOB, KEY_MEMORY, KNOWN_VERSION, MGR } from "../../../src/crypto/engines/ipsec-mb-layout.ts";
import { ipsecMbLibrary, Manager, unknownLayout } from "../../../src/crypto/engines/ipsec-mb-library.ts";
import { SUITES } from "../../../src/crypto/suites.ts";
import { octets } from "./esp-batch.ts";

test("a library of another version is refused, and the reason names it", () => {
  expect(unknownLayout(KNOWN_VERSION, "1.3.0", MGR.SIZE)).toBeUndefined();
  expect(unknownLayout(0x010400, "1.4.0", MGR.SIZE)).toMatch(/1\.4\.0.*1\.3\.0/);
  expect(unknownLayout(0x020000, "2.0.0", MGR.SIZE)).toContain("2.0.0");
  expect(unknownLayout(KNOWN_VERSION, "1.3.0", MGR.SIZE - 1)).toContain(`${MGR.SIZE - 1} octets`);
});

describe("with the library", () => {
  const library = ipsecMbLibrary();
  const manager = (skip: (reason: string) => never): Manager =>
    typeof library === "string" ? skip(library) : new Manager(library);

  test("a key leaves nothing in native memory when it is wiped", (context) => {
    const mine = manager(context.skip);
    for (const suite of SUITES) {
      const key = new IpsecMbKey(mine, suite, octets(suite.keyLength, suite.id), true);
      const address = BigInt.asUintN(32, BigInt(key.encryptLow)) + (BigInt(key.encryptHigh) << 32n);
      const memory = new Uint8Array(koffi().view(address, KEY_MEMORY.SIZE));
      expect(memory.some((octet) => octet !== 0)).toBe(true);
      key.wipe();
      expect(memory.every((octet) => octet === 0)).toBe(true);
    }
  });

  test("a manager leaves nothing in its memory when it is wiped", (context) => {
    const mine = manager(context.skip);
    expect(mine.words.some((word) => word !== 0)).toBe(true);
    mine.wipe();
    expect(mine.words.every((word) => word === 0)).toBe(true);
  });

  test("a job outside the queue is never written to", (context) => {
    const mine = manager(context.skip);
    expect(mine.getNextBurst(mine.address, 2, mine.jobsAddress)).toBe(2);
    const word = mine.jobWord(0);
    expect(mine.jobWord(1)).toBe(word + JOB.SIZE / 4);
    const [low, high] = [mine.jobs[0]!, mine.jobs[1]!];
    for (const [otherLow, otherHigh] of [
      [low + 1, high],
      [low + 4, high],
      [low, high + 1],
      [low + MGR.MAX_JOBS * JOB.SIZE, high],
      [low - MGR.MAX_JOBS * JOB.SIZE, high],
      [0, 0],
    ] as const) {
      mine.jobs[0] = otherLow;
      mine.jobs[1] = otherHigh;
      expect(() => mine.jobWord(0)).toThrow("not in its queue");
    }
  });
});
