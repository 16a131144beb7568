/** Which worker a packet goes to, by the programs that the kernel runs, on a model of its machine. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { assemble, bpf } from "../../src/linux/bpf.ts";
import { rawEspFilter, udpSteering, workerOf } from "../../src/linux/esp-steering.ts";
import { runBpf } from "./bpf-machine.ts";

const steering = fc.record({ workers: fc.integer({ min: 1, max: 64 }), slotBits: fc.integer({ min: 1, max: 24 }) });
const validSpi = fc.integer({ min: 256, max: 0xffff_ffff });

const esp = (spi: number, length = 40): Uint8Array => {
  const packet = new Uint8Array(length);
  new DataView(packet.buffer).setUint32(0, spi);
  return packet;
};

test("an ESP packet in UDP goes to the worker of its slot", () => {
  fc.assert(
    fc.property(steering, validSpi, (s, spi) => {
      const slot = spi % 2 ** s.slotBits;
      expect(workerOf(spi, s)).toBe(slot % s.workers);
      expect(runBpf(udpSteering(s), esp(spi))).toBe(1 + workerOf(spi, s));
    }),
  );
});

test("IKE, NAT-keepalives, short packets and reserved SPIs go to the control socket", () => {
  const program = udpSteering({ workers: 3, slotBits: 12 });
  expect(runBpf(program, esp(0, 400))).toBe(0);
  expect(runBpf(program, new Uint8Array([0xff]))).toBe(0);
  expect(runBpf(program, new Uint8Array(0))).toBe(0);
  for (let length = 0; length < 8; length++) expect(runBpf(program, new Uint8Array(length).fill(0xff))).toBe(0);
  for (let spi = 1; spi < 256; spi++) expect(runBpf(program, esp(spi))).toBe(0);
  expect(runBpf(program, esp(256))).toBe(1 + workerOf(256, { workers: 3, slotBits: 12 }));
});

test("exactly one raw socket keeps an ESP packet, whatever the length of its IPv4 header", () => {
  fc.assert(
    fc.property(steering, validSpi, fc.integer({ min: 5, max: 15 }), (s, spi, headerWords) => {
      const v4 = new Uint8Array(headerWords * 4 + 40);
      v4[0] = 0x40 | headerWords;
      v4.set(esp(spi), headerWords * 4);
      const keeps = (family: 4 | 6, packet: Uint8Array): number[] =>
        [...Array(s.workers).keys()].filter((worker) => runBpf(rawEspFilter(family, worker, s), packet) > 0);
      expect(keeps(4, v4)).toEqual([workerOf(spi, s)]);
      expect(keeps(6, esp(spi))).toEqual([workerOf(spi, s)]);
    }),
    { numRuns: 30 },
  );
});

test("raw sockets drop reserved SPIs and packets without one", () => {
  const filter = rawEspFilter(6, 0, { workers: 1, slotBits: 4 });
  expect(runBpf(filter, esp(255))).toBe(0);
  expect(runBpf(filter, esp(0))).toBe(0);
  expect(runBpf(filter, new Uint8Array(3))).toBe(0);
  expect(runBpf(filter, esp(256))).toBe(0xffff_ffff);
});

test("programs that could not run are refused where they are written", () => {
  expect(() => assemble([])).toThrow(RangeError);
  expect(() => assemble(["back", bpf.ifEqual(0, { yes: "back" }), bpf.returnA()])).toThrow(RangeError);
  expect(() => assemble([bpf.ifEqual(0, { yes: "nowhere" }), bpf.returnA()])).toThrow(RangeError);
  expect(() => assemble([bpf.ifEqual(0, { yes: "end" }), bpf.returnA(), "end"])).toThrow(RangeError);
  expect(() => assemble([bpf.modulo(0), bpf.returnA()])).toThrow(RangeError);
  expect(() => udpSteering({ workers: 0, slotBits: 12 })).toThrow(RangeError);
  expect(() => udpSteering({ workers: 65, slotBits: 12 })).toThrow(RangeError);
  expect(() => rawEspFilter(4, 3, { workers: 3, slotBits: 12 })).toThrow(RangeError);
});
