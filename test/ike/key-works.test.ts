/** Key exchanges that are computed elsewhere: what waits for them, and what becomes of results that nobody wants any more. */
import { expect, test } from "vitest";
import { kexById } from "../../src/crypto/kex.ts";
import { doKeyWork, MadeKeyPair } from "../../src/crypto/key-work.ts";
import { Exchange, emitMessage, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { child, disagreements, drawn, esp, ike, twoPeers } from "../support/two-peers.ts";

const X25519 = 31;
const slow = { slowKeyExchanges: new Set([X25519]) };

const bothSlow = () =>
  twoPeers({
    optionsA: slow,
    optionsB: slow,
    a: { children: [child({ proposals: esp("aes256gcm16-x25519") })] },
    b: { children: [child({ proposals: esp("aes256gcm16-x25519") })] },
  });

test("a handshake and every kind of rekey wait for their keys, and both sides have the same", () => {
  const peers = bothSlow();
  const { a, b, run, connect } = peers;
  connect();
  expect(a.works.map(({ work }) => work.what)).toEqual(["generate", "agree"]);
  expect(b.works.map(({ work }) => work.what)).toEqual(["answer"]);
  a.rekey("children");
  run(1_000);
  a.rekey("ike");
  run(1_000);
  b.rekey("ike");
  b.rekey("children");
  run(5_000);
  expect(disagreements(peers)).toEqual([]);
  expect(a.works.length + b.works.length).toBe(15);
  expect([a.manager.held, b.manager.held]).toEqual([1, 1].map((all) => ({ halfOpen: 0, all, keyWorks: 0 })));
  expect(a.status().state).toBe("up");
});

test("what is secret in the results is wiped once it is used", () => {
  const { a, b, connect, run } = bothSlow();
  connect();
  a.rekey("children");
  run(1_000);
  const secrets = [...a.works, ...b.works].flatMap(({ result }) => [result.privateValue, result.shared]);
  for (const secret of secrets) expect(secret?.some((octet) => octet !== 0) ?? false).toBe(false);
});

test("a request that comes again while its answer is being computed is not computed twice", () => {
  const { a, b, link, run } = twoPeers({ optionsB: slow });
  b.keyWorkTime = () => 2_000; // the initiator asks again after 0.5 and 1.5 s
  a.initiate();
  run(5_000);
  expect(b.works).toHaveLength(1);
  expect(b.count("being-answered")).toBe(2);
  expect(a.status().state).toBe("up");
  expect(drawn(link.sent).slice(0, 4)).toEqual([
    "a> IKE_SA_INIT request 0",
    "a> IKE_SA_INIT request 0",
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
  ]);
});

test("a rekey whose answer is being computed counts once against the peer's rate", () => {
  const { a, b, run, connect } = twoPeers({ optionsB: slow });
  connect();
  b.keyWorkTime = () => 1_800;
  for (let n = 0; n < 3; n++) {
    a.rekey("ike");
    run(3_000);
  }
  expect(b.count("rekeys-too-often")).toBe(0);
  expect(a.logs.filter(({ event }) => event === "ike-sa-rekeyed")).toHaveLength(3);
});

test("no answer is asked for again while what it says is being computed", () => {
  const { a, link, run } = twoPeers({ optionsA: slow });
  a.keyWorkTime = () => 10_000;
  a.initiate();
  run(25_000);
  expect(a.status().state).toBe("up");
  expect(drawn(link.sent).filter((line) => line === "a> IKE_SA_INIT request 0")).toHaveLength(1);
});

test.each([
  ["the initiator's key pair", 1, "generate"],
  ["what the answer comes to", 40, "agree"],
] as const)("terminated while %s is computed: the result is dropped and wiped", (_name, after, what) => {
  const { a, b, run } = twoPeers({ optionsA: slow });
  a.keyWorkTime = () => 15;
  a.initiate();
  run(after);
  expect(a.works.at(-1)?.work.what).toBe(what);
  a.terminate();
  expect(a.manager.held.keyWorks).toBe(0);
  run(200);
  expect(a.forgottenWorks).toBe(1);
  expect(a.count("late-key-works")).toBe(1);
  const { privateValue, shared } = a.works.at(-1)!.result;
  expect([...(privateValue ?? []), ...(shared ?? [])].some((octet) => octet !== 0)).toBe(false);
  expect([a.status().state, b.status().state]).toEqual(["down", "down"]);
});

test("the gateway stops while keys are computed for others: nobody is begun after", () => {
  const { a, b, run } = twoPeers({ optionsB: slow });
  b.keyWorkTime = () => 100;
  a.initiate();
  run(50);
  expect(b.manager.held).toEqual({ halfOpen: 1, all: 0, keyWorks: 1 });
  b.stop();
  run(100);
  expect(b.manager.held.all).toBe(0);
  expect(b.count("late-key-works")).toBe(1);
});

test("a flood of beginnings that cost much leaves no more under way than may be half-open", () => {
  const { a, b, link, run } = twoPeers({
    optionsB: { ...slow, halfOpenLimit: 20, cookieThreshold: 1_000 },
    b: { remote: { address: undefined, port: 500, id: undefined } },
  });
  b.keyWorkTime = () => 60_000;
  a.initiate();
  run(20);
  const begun = link.sent.find(({ bytes }) => parseHeader(bytes).exchange === Exchange.IKE_SA_INIT)!;
  for (let n = 0; n < 500; n++) {
    const bytes = begun.bytes.slice();
    bytes.set([n >> 8, n], 0);
    link.inject({ from: { address: `198.51.${n >> 8}.${n & 255}`, port: 500 }, to: begun.to, bytes });
  }
  expect(b.manager.held).toEqual({ halfOpen: 20, all: 0, keyWorks: 20 });
  expect(b.count("half-open-limit")).toBe(481);
});

test("beyond the limit of key exchanges for others a request is lost, and served when it comes again", () => {
  const { a, b, run, connect } = twoPeers({ optionsB: { ...slow, keyWorkLimit: 1 } });
  connect();
  a.rekey("ike");
  b.keyWorkTime = () => 700;
  a.rekey("children"); // waits its turn behind the other
  run(10_000);
  expect(a.logs.filter(({ event }) => event === "ike-sa-rekeyed")).toHaveLength(1);
  const full = twoPeers({ optionsB: { ...slow, keyWorkLimit: 0 } });
  full.a.initiate();
  full.run(1_000);
  expect(full.b.count("key-work-limit")).toBe(2);
  expect(full.b.works).toHaveLength(0);
});

test("a value of the wrong length is refused and nothing computed", () => {
  const { a, b, link, run } = twoPeers({ optionsB: slow });
  a.initiate();
  run(5);
  const { from, to, bytes } = link.sent[0]!;
  const { payloads, header } = parseMessage(bytes);
  const shorter = payloads.map((payload) =>
    payload.kind === "KE" ? { ...payload, value: { ...payload.value, data: payload.value.data.subarray(1) } } : payload,
  );
  link.inject({ from, to, bytes: emitMessage({ ...header, spiI: new Uint8Array(8).fill(7) }, shorter) });
  expect(b.works).toHaveLength(0);
  expect(b.count("refused-inits")).toBe(1);
});

test("the peer wants another group, which takes long", () => {
  const slowGroup = { slowKeyExchanges: new Set([20]) };
  const { a, b, run } = twoPeers({
    optionsA: slowGroup,
    optionsB: slowGroup,
    a: { proposals: ike("aes256gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-ecp384") },
    b: { proposals: ike("aes256gcm16-prfsha256-ecp384") },
  });
  a.initiate();
  run(2_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(a.works.map(({ work }) => work.what)).toEqual(["generate", "agree"]);
});

test.each(["x25519", "ecp256", "ecp521", "modp2048"])("%s: the parts of the work come to the same secret", (name) => {
  const id = { x25519: 31, ecp256: 19, ecp521: 21, modp2048: 14 }[name]!;
  const method = kexById(id)!;
  const ours = new MadeKeyPair(method, doKeyWork({ what: "generate", method: id }));
  const answer = doKeyWork({ what: "answer", method: id, peer: ours.publicValue });
  const work = ours.workFor(answer.publicValue)!;
  expect(ours.agree(answer.publicValue)).toEqual(answer.shared); // nobody has told it yet
  const { shared } = doKeyWork(work);
  expect(shared).toEqual(answer.shared);
  ours.learn(answer.publicValue, shared);
  expect(ours.workFor(answer.publicValue)).toBeUndefined();
  expect(ours.agree(answer.publicValue)).toEqual(answer.shared);
  ours.destroy();
  expect(shared!.every((octet) => octet === 0)).toBe(true);
  expect(() => ours.agree(answer.publicValue)).toThrow("destroyed");
});
