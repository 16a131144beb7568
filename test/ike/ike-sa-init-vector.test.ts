import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/bytes.ts";
import { checkContents, emitMessage, find, findAll, notifies, parseMessage } from "../../src/ike/message.ts";
import { natHash } from "../../src/ike/nat-detection.ts";
import { Notify } from "../../src/ike/notify.ts";
import { payloadSize } from "../../src/ike/payload/index.ts";
import { describeProposals } from "../../src/ike/proposal.ts";

/** An IKE_SA_INIT request of another implementation, sent from 10.10.50.5:500 to 10.10.10.1:500: 464 octets. */
const CAPTURED = fromHex(
  `f49dada260cb373f00000000000000002120220800000000000001d022000030
0000002c010100040300000c0100000c800e0080030000080200000503000008
0300000c000000080400000e28000108000e000045b75962469a5a617a93fc63
dc5e87ac50aadb2f113919f57fe46cc3573960e6c9ede4a14ea187871279d7dd
6883062b3225c2d601adf34f40232c02aa166a2545b5d261b9dd4c7295270813
e4fee13219f35aa30eef592accc4a297e404732182bb714b85cbbe33558961d8
284ab7cb3218aba0cb5dabc14d823a4b5141b4a45b56c273b3b026675705559d
c2be46bc9f1aea6ccad3076502d4ec32a9b394edf6d6ee54fb7430f4e3dee257
0b504e88e93c8a35446f3442dab68d49b70a8a6890a9c739c53598420fb491f3
31e742d97d2043aeb5c4b0342c16151e9a68f4f6c311be46acc725442335af6e
eb6b74cc14bff2407de648b79a3cc1c40ba326bd2b000018e47764dc98e73e85
7c41caa121502f0f6cacaea42b000017434953434f2d44454c4554452d524541
534f4e29000015464c455856504e2d535550504f525445442900001c01004004
0dbe1c550d3fa661eec8f31d8c6b469de70923750000001c0100400553cd9845
f3b91f398eeb2ccbc2aacfde64c28519`.replaceAll("\n", ""),
);

describe("a captured IKE_SA_INIT request of 464 octets", () => {
  const message = parseMessage(CAPTURED);

  it("has the header that was sent", () => {
    const { spiI, spiR, ...rest } = message.header;
    expect(toHex(spiI)).toBe("f49dada260cb373f");
    expect(toHex(spiR)).toBe("0000000000000000");
    expect(rest).toEqual({
      nextPayload: 33,
      majorVersion: 2,
      minorVersion: 0,
      exchange: 34,
      fromInitiator: true,
      isResponse: false,
      messageId: 0,
      length: 464,
    });
  });

  it("parses to its last octet, and its payloads have the lengths that were sent", () => {
    expect(message.payloads.map(({ kind }) => kind)).toEqual(["SA", "KE", "Nonce", "V", "V", "Notify", "Notify"]);
    expect(message.payloads.map(payloadSize)).toEqual([48, 264, 24, 23, 21, 28, 28]);
    expect(message).toMatchObject({ skipped: 0, protected: undefined });
  });

  it("contains what an IKE_SA_INIT request may contain", () => {
    expect(() => checkContents(34, false, message.payloads)).not.toThrow();
  });

  it("offers one proposal for an IKE SA, without SPI", () => {
    const proposals = find(message.payloads, "SA") ?? [];
    expect(proposals).toMatchObject([
      {
        number: 1,
        protocol: 1,
        transforms: [
          { type: 1, id: 12, keyBits: 128 },
          { type: 2, id: 5 },
          { type: 3, id: 12 },
          { type: 4, id: 14 },
        ],
      },
    ]);
    expect(proposals[0]?.spi).toHaveLength(0);
    expect(describeProposals(proposals)).toBe("aes128-prfsha256-sha256-modp2048");
  });

  it("has a public value of group 14 and a nonce of 20 octets", () => {
    expect(find(message.payloads, "KE")?.method).toBe(14);
    expect(find(message.payloads, "KE")?.data).toHaveLength(256);
    expect(find(message.payloads, "Nonce")?.data).toHaveLength(20);
  });

  it("keeps both vendor IDs", () => {
    const vendors = findAll(message.payloads, "V").map(({ data }) => Buffer.from(data).toString());
    expect(vendors).toEqual(["CISCO-DELETE-REASON", "FLEXVPN-SUPPORTED"]);
  });

  it("carries the NAT detection hashes of the addresses it was sent between", () => {
    const { spiI, spiR } = message.header;
    const [source] = notifies(message.payloads, Notify.NAT_DETECTION_SOURCE_IP);
    const [destination] = notifies(message.payloads, Notify.NAT_DETECTION_DESTINATION_IP);
    expect(source?.data).toEqual(natHash(spiI, spiR, { address: "10.10.50.5", port: 500 }));
    expect(destination?.data).toEqual(natHash(spiI, spiR, { address: "10.10.10.1", port: 500 }));
    expect(source?.data).not.toEqual(natHash(spiI, spiR, { address: "10.10.50.5", port: 4500 }));
  });

  it("is written again octet by octet", () => {
    expect(toHex(emitMessage(message.header, message.payloads))).toBe(toHex(CAPTURED));
  });
});
