import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Ecn, ecnInward, isOddEcn, setTos, takeCongestion, tosOf } from "../../src/ipsec/ecn.ts";
import { internetChecksum } from "../support/internet-checksum.ts";
import { ipv4HeaderOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";

const { NOT_ECT, ECT_0, ECT_1, CE } = Ecn;
const DROP = -1;

// RFC 6040 Figure 4, row by row: inner field, outer field, what is forwarded, whether the combination is an alarm there
test.each([
  ["Not-ECT", "Not-ECT", NOT_ECT, NOT_ECT, NOT_ECT, false],
  ["Not-ECT", "ECT(0)", NOT_ECT, ECT_0, NOT_ECT, true],
  ["Not-ECT", "ECT(1)", NOT_ECT, ECT_1, NOT_ECT, true],
  ["Not-ECT", "CE", NOT_ECT, CE, DROP, true],
  ["ECT(0)", "Not-ECT", ECT_0, NOT_ECT, ECT_0, false],
  ["ECT(0)", "ECT(0)", ECT_0, ECT_0, ECT_0, false],
  ["ECT(0)", "ECT(1)", ECT_0, ECT_1, ECT_1, false],
  ["ECT(0)", "CE", ECT_0, CE, CE, false],
  ["ECT(1)", "Not-ECT", ECT_1, NOT_ECT, ECT_1, false],
  ["ECT(1)", "ECT(0)", ECT_1, ECT_0, ECT_1, false],
  ["ECT(1)", "ECT(1)", ECT_1, ECT_1, ECT_1, false],
  ["ECT(1)", "CE", ECT_1, CE, CE, false],
  ["CE", "Not-ECT", CE, NOT_ECT, CE, false],
  ["CE", "ECT(0)", CE, ECT_0, CE, false],
  ["CE", "ECT(1)", CE, ECT_1, CE, true],
  ["CE", "CE", CE, CE, CE, false],
] as const)("inner %s within outer %s", (_inner, _outer, inner, outer, forwarded, odd) => {
  expect(ecnInward(inner, outer)).toBe(forwarded);
  expect(isOddEcn(inner, outer)).toBe(odd);
  for (const version of [4, 6] as const)
    for (const dscp of [0, 0x14, 0xb8, 0xfc]) {
      const packet = ipPacket({ version });
      setTos(packet, 0, dscp | inner);
      const before = packet.slice();
      expect(takeCongestion(packet, 0, 0x48 | outer)).toBe(forwarded !== DROP);
      expect(tosOf(packet, 0)).toBe(forwarded === DROP ? dscp | inner : dscp | forwarded); // DSCP stays the sender's
      if (forwarded === DROP || forwarded === inner) expect(packet).toEqual(before);
    }
});

test("a changed field changes nothing else, and leaves a right IPv4 checksum", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      fc.nat(255),
      fc.nat(255),
      fc.nat(7),
      (version, was, is, at) => {
        const slab = new Uint8Array(at + 80).fill(0xa5);
        const packet = ipPacket({ version });
        packet.set([0x60 | (was >> 4), ((was & 15) << 4) | 9, 0x12, 0x34], 0); // a flow label of IPv6
        if (version === 4) packet.set(ipv4HeaderOf({ tos: was }), 0);
        slab.set(packet, at);
        setTos(slab, at, is);
        expect(tosOf(slab, at)).toBe(is);
        const now = slab.slice(at, at + packet.length);
        if (version === 4) expect(internetChecksum(now.subarray(0, 20))).toBe(0);
        else expect(now.subarray(1, 4)).toEqual(Uint8Array.of(((is & 15) << 4) | 9, 0x12, 0x34));
        setTos(slab, at, was);
        expect(slab.slice(at, at + packet.length)).toEqual(packet);
        expect(slab.subarray(0, at).every((octet) => octet === 0xa5)).toBe(true);
      },
    ),
  );
});
