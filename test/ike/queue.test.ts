/** How much may wait on one IKE SA, and how many pairs it may have: what one peer brings about costs the others nothing. */
import { describe, expect, test } from "vitest";
import { Exchange, find, notifies } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { noncePayload } from "../../src/ike/payloads.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Puppet } from "../support/puppet.ts";
import { child, connection, disagreements, gaps, identity, selectors, twoPeers } from "../support/two-peers.ts";

const children = Array.from({ length: 12 }, (_, n) => {
  const net = selectors(`10.${n}.0.0/16`);
  return child({ name: `net-${n}`, local: net, remote: net });
});

describe("of requests that wait no more than so many are kept", () => {
  const limited = { optionsA: { queueLimit: 4 }, optionsB: { queueLimit: 4 } };

  test("those put off have their turn later: all children come up, and all are rekeyed", () => {
    const peers = twoPeers({ a: { children, start: "initiate" }, b: { children }, ...limited });
    const { a, b, run } = peers;
    a.start();
    run(30_000);
    expect([a.data.pairs.size, a.count("queue-limit") > 0]).toEqual([12, true]);
    const before = [...a.data.pairs.keys()];
    const putOff = a.count("queue-limit");
    a.rekey("children");
    expect(a.count("queue-limit")).toBe(putOff + 7); // one on its way, four wait
    run(300_000, () => expect(gaps(peers)).toEqual([]));
    expect([...a.data.pairs.keys()].filter((spi) => before.includes(spi))).toEqual([]);
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([12, 12]);
    expect(disagreements(peers)).toEqual([]);
  });

  test("a Delete is never put off", () => {
    const peers = twoPeers({ a: { children, start: "initiate" }, b: { children }, ...limited });
    const { a, b, link, run } = peers;
    a.start();
    run(30_000);
    link.meddler = () => [];
    a.rekey("children");
    a.terminate();
    link.meddler = (datagram) => [datagram];
    run(10_000);
    expect([a.manager.held.all, b.manager.held.all, b.data.pairs.size]).toEqual([0, 0, 0]);
  });
});

//   CREATE_CHILD_SA {SA, Ni, TSi, TSr} -->   a hundred times
//                                      <-- ... N(NO_ADDITIONAL_SAS)
test("a peer that makes one pair after another gets no more of them, and another peer has room", () => {
  const puppets = connection("b", {
    name: "puppet",
    remote: { address: undefined, port: 500, id: identity("puppet.example") },
  });
  const peers = twoPeers({ connectionsB: [connection("b"), puppets] });
  const { a, b, link, random, run } = peers;
  b.data.capacity = 100;
  const puppet = new Puppet(link, random);
  puppet.connect();
  const answers = Array.from({ length: 100 }, () => {
    const value = { selectors: anySelectors };
    const [said] = puppet.ask(Exchange.CREATE_CHILD_SA, [
      { kind: "SA", value: puppet.espOffer() },
      noncePayload(random.bytes(32)),
      { kind: "TSi", value },
      { kind: "TSr", value },
    ]);
    return said?.payloads ?? [];
  });
  expect(answers.filter((payloads) => find(payloads, "SA") !== undefined)).toHaveLength(65); // and one from IKE_AUTH
  expect(notifies(answers.at(-1) ?? [], Notify.NO_ADDITIONAL_SAS)).toHaveLength(1);
  a.initiate();
  run(1_000);
  expect(a.status().state).toBe("up");
});
