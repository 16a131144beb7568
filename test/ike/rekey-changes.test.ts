/**
 * A rekey that asks for something else than the pair has: "SHOULD NOT" says RFC 7296 §2.8. What is configured decides, as at
 * the beginning: nothing beyond it is given, and the pair that is there goes on.
 */
import { describe, expect, test } from "vitest";
import { Exchange, find, type Payload } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { errorNotify, noncePayload, notifyAboutSpi } from "../../src/ike/payloads.ts";
import { offerEsp, Protocol } from "../../src/ike/proposal.ts";
import { formatSelector } from "../../src/ipsec/selector.ts";
import { Puppet } from "../support/puppet.ts";
import { child, connection, disagreements, esp, identity, selectors, twoPeers } from "../support/two-peers.ts";

const NEW_SPI = 0x7100_0000;

/** A gateway whose child is 10.1.0.0/16 here, 10.2.0.0/16 there, in aes256gcm16 or aes128gcm16; the pair has the first. */
const gateway = () => {
  const children = [
    child({
      proposals: esp("aes256gcm16-aes128gcm16"),
      local: selectors("10.1.0.0/16"),
      remote: selectors("10.2.0.0/16"),
    }),
  ];
  const remote = { address: undefined, port: 500, id: identity("puppet.example") };
  const { b, link, random } = twoPeers({ connectionsB: [connection("b", { name: "puppet", remote, children })] });
  const puppet = new Puppet(link, random);
  puppet.connect();
  const [old] = b.data.pairs.values();
  const rekey = (suite: string, here: string, there: string) => {
    const spiOut = Buffer.alloc(4);
    spiOut.writeUInt32BE(old!.spiOut);
    const asked: Payload[] = [
      notifyAboutSpi(Notify.REKEY_SA, Protocol.ESP, spiOut),
      { kind: "SA", value: offerEsp(esp(suite), NEW_SPI, { withKe: true }) },
      noncePayload(new Uint8Array(32).fill(7)),
      { kind: "TSi", value: { selectors: selectors(there) } },
      { kind: "TSr", value: { selectors: selectors(here) } },
    ];
    return puppet.ask(Exchange.CREATE_CHILD_SA, asked)[0]!.payloads;
  };
  return { b, old: old!, rekey };
};

describe("the peer asks in a rekey", () => {
  test.each([
    ["what the pair has", "aes256gcm16", "10.1.0.0/16", "10.2.0.0/16", "aes256gcm16"],
    ["another suite that is configured", "aes128gcm16", "10.1.0.0/16", "10.2.0.0/16", "aes128gcm16"],
    ["more networks: it gets those that are configured", "aes256gcm16", "10.0.0.0/8", "0.0.0.0/0", "aes256gcm16"],
  ])("%s", (_, suite, here, there, agreed) => {
    const { b, old, rekey } = gateway();
    const answer = rekey(suite, here, there);
    expect(errorNotify(answer)).toBeUndefined();
    expect(find(answer, "TSr")?.selectors.map(formatSelector)).toEqual(["10.1.0.0/16"]);
    expect(find(answer, "TSi")?.selectors.map(formatSelector)).toEqual(["10.2.0.0/16"]);
    const fresh = [...b.data.pairs.values()].find(({ spiOut }) => spiOut === NEW_SPI);
    expect(fresh).toMatchObject({ proposal: agreed, replaces: old.spiIn });
  });

  test.each([
    ["a suite that is not", "chacha20poly1305", "10.1.0.0/16", "10.2.0.0/16", Notify.NO_PROPOSAL_CHOSEN],
    ["a weaker key", "aes192gcm16", "10.1.0.0/16", "10.2.0.0/16", Notify.NO_PROPOSAL_CHOSEN],
    ["a key exchange that is not", "aes256gcm16-x25519", "10.1.0.0/16", "10.2.0.0/16", Notify.NO_PROPOSAL_CHOSEN],
    ["other networks", "aes256gcm16", "10.3.0.0/16", "10.2.0.0/16", Notify.TS_UNACCEPTABLE],
    ["other networks of its own", "aes256gcm16", "10.1.0.0/16", "172.16.0.0/12", Notify.TS_UNACCEPTABLE],
  ])("%s: it is refused, aloud, and the pair lives on", (_, suite, here, there, notify) => {
    const { b, old, rekey } = gateway();
    expect(errorNotify(rekey(suite, here, there))?.type).toBe(notify);
    expect([...b.data.pairs.keys()]).toEqual([old.spiIn]);
    expect(b.data.sendingOn.get("net")).toBe(old.spiIn);
    expect(b.log("child-sa-refused")?.message).toMatch(/offered .*; expected net: /);
  });
});

test("our own rekey asks for what is configured, and gives no less than the pair had", () => {
  const nets = { local: selectors("10.1.0.0/16", "10.9.0.0/16"), remote: selectors("10.2.0.0/16") };
  const peers = twoPeers({
    a: { children: [child(nets)] },
    b: { children: [child({ local: selectors("10.2.0.0/16"), remote: selectors("10.1.0.0/16") })] },
  });
  const { a, connect, run } = peers;
  connect();
  const shown = () => a.status().childSas.map(({ suite, local, remote }) => ({ suite, local, remote }));
  const before = shown();
  a.rekey("children");
  run(1_000);
  expect(shown()).toEqual(before);
  expect(disagreements(peers)).toEqual([]);
});
