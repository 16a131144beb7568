import { expect, test } from "vitest";
import { prfById } from "../../src/crypto/prf.ts";
import { IkeSa } from "../../src/ike/ike-sa.ts";
import { deriveIkeKeys } from "../../src/ike/keymat.ts";
import { chooseIke, offerIke, parseIkeProposal } from "../../src/ike/proposal.ts";
import { A, B } from "../support/two-peers.ts";

const established = () => {
  const proposals = [parseIkeProposal("aes256gcm16-prfsha256-x25519")];
  const suite = chooseIke(offerIke(proposals), proposals)?.suite;
  const prf = prfById(suite?.prf ?? 0);
  if (suite === undefined || prf === undefined) throw new Error("no suite");
  const octets = (length: number) => new Uint8Array(length).fill(7);
  const [spiI, spiR, ni, nr] = [octets(8), octets(8), octets(32), octets(32)];
  const keys = deriveIkeKeys({ prf, suite, shared: octets(32), ni, nr, spiI, spiR });
  const path = { local: { address: A, port: 500 }, remote: { address: B, port: 500 } };
  const state = { name: "established", keys, suite, since: 0, rekeyAt: 1, expiresAt: 2, lowestNonce: ni } as const;
  return { keys, suite, sa: new IkeSa({ role: "initiator", spiI, spiR, path, peering: undefined, state, now: 0 }) };
};

test("keys go with the last state that has them", () => {
  const { keys, suite, sa } = established();
  expect(keys.skD.some((octet) => octet !== 0)).toBe(true);
  sa.become({ name: "closing", keys, suite });
  expect(keys.skD.some((octet) => octet !== 0)).toBe(true);
  sa.become({ name: "closed" });
  expect([...keys.skD, ...keys.skPi, ...keys.skPr].every((octet) => octet === 0)).toBe(true);
  expect(sa.keys).toBeUndefined();
});

test("an impossible step is refused", () => {
  const { sa } = established();
  sa.become({ name: "closed" });
  expect(() => sa.become({ name: "closed" })).toThrow("cannot go from closed to closed");
});
