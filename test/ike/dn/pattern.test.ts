import { expect, test } from "vitest";
import { fromHex } from "../../../src/bytes.ts";
import { Keyring } from "../../../src/ike/keyring.ts";
import { closenessOf, exactId, formatPeerId, isExpected, parsePeerId } from "../../../src/ike/peer-id.ts";
import { disagreements, identity, key, twoPeers } from "../../support/two-peers.ts";

const peerId = (text: string) => {
  const parsed = parsePeerId(text);
  if (parsed === undefined) throw new Error(`no pattern: ${text}`);
  return parsed;
};

test.each([
  [
    "CN=*, O=Example",
    ["CN=gw,O=Example", "cn=,o=EXAMPLE", "CN=#1e020061,O=Example"],
    ["CN=gw,O=Other", "O=Example", "CN=gw,OU=x,O=Example", "UID=gw,O=Example", "CN=gw+UID=x,O=Example", "gw.example"],
  ],
  ["CN=gw,O=*,C=CH", ["CN=gw,O=a,C=CH", "CN=GW,O=b,C=ch"], ["CN=gw,C=CH", "CN=gw,O=a,C=DE"]],
  ["CN=*+UID=7,O=a", ["CN=x+UID=7,O=a", "UID=7+CN=y,O=a"], ["CN=x,O=a", "CN=x+UID=8,O=a", "CN=x+L=7,O=a"]],
  [
    "*,O=Example,C=CH",
    ["CN=gw,O=Example,C=CH", "CN=gw,OU=x+L=y,O=Example,C=CH"],
    ["O=Example,C=CH", "CN=gw,O=Example"],
  ],
  ["*, OU=*, O=a", ["CN=x,OU=y,O=a", "CN=w,CN=x,OU=y,O=a"], ["OU=y,O=a", "CN=x,L=y,O=a"]],
  ["*,CN=\\2a", ["O=a,CN=\\2a"], ["O=a,CN=b"]],
  ["CN=gw,O=Example", ["CN=GW,O=Example"], ["CN=gw,O=Example,C=CH"]],
] as const)("%s", (text, fits, others) => {
  const expected = peerId(text);
  for (const one of fits) expect([one, isExpected(expected, identity(one))]).toEqual([one, true]);
  for (const one of others) expect([one, isExpected(expected, identity(one))]).toEqual([one, false]);
});

test("a name that cannot be read fits %any alone", () => {
  const unread = { type: 9, data: fromHex("3080310b30090603550406130244450000") };
  expect(isExpected(peerId("C=*"), unread)).toBe(false);
  expect(isExpected(peerId("*,C=DE"), unread)).toBe(false);
  expect(isExpected(peerId("%any"), unread)).toBe(true);
});

test.each(["CN=*,", "*,*,CN=a", "*", "*,", "CN=g*", "CN=**", "CN=a+CN=*", "XY=*", "O=a,*", "*=a"])(
  "%s is no pattern",
  (text) => expect(parsePeerId(text)).toBeUndefined(),
);

test("a pattern is shown as a name is, and is no one identity to ask for", () => {
  expect(formatPeerId(peerId(" * , commonName = * , o=Example"))).toBe("*,CN=*,O=Example");
  expect(exactId(peerId("CN=*"))).toBeUndefined();
  expect(exactId(peerId("CN=gw"))).toEqual(identity("CN=gw"));
});

test("of patterns that fit the one with more values is closer, then the one with more steps", () => {
  const order = [
    "CN=gw,O=a,C=CH",
    "CN=*,O=a,C=CH",
    "*,O=a,C=CH",
    "CN=*,O=*,C=CH",
    "*,O=*,C=CH",
    "*,C=CH",
    "CN=*,O=*,C=*",
  ];
  const closeness = [...order, "%any"].map((text) => closenessOf(peerId(text)));
  expect(closeness).toEqual([...new Set(closeness)].sort((a, b) => b - a));
  const most = Array.from({ length: 29 }, (_, n) => `OU=${n}`).join(",");
  expect(closenessOf(peerId(`*,CN=x,${most}`))).toBeLessThan(closenessOf(peerId("CN=gw")));
});

test("peers are known by their names in IKE_AUTH, and find their keys by them", () => {
  const [gwA, gwB] = [identity("CN=gw-a,O=Example,C=CH"), identity("CN=gw-b,O=Example,C=CH")];
  const psk = { local: key("of the group"), remote: key("of the group") };
  const keyring = new Keyring([
    { id: peerId("*,C=CH"), psk: { local: key("wrong"), remote: key("wrong") } },
    { id: peerId("CN=*,O=example,C=ch"), psk },
  ]);
  const peers = twoPeers({
    a: { local: { address: "192.0.2.1", id: gwA }, remote: { address: "192.0.2.2", port: 500, id: gwB }, psk },
    b: {
      local: { address: "192.0.2.2", id: identity("CN=GW-B,O=#0c074578616d706c65,C=CH") },
      remote: { address: undefined, port: 500, id: peerId("*,O=Example,C=CH") },
      psk: undefined,
      keyring,
    },
  });
  peers.connect();
  expect(disagreements(peers)).toEqual([]);
  expect(peers.b.log("ike-sa-established")?.fields).toMatchObject({ peer: "CN=gw-a,O=Example,C=CH" });
});
