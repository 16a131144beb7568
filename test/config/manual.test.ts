import { inspect } from "node:util";
import { expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { parseConfig } from "../../src/config/load.ts";

const KEY = `0x${"0123456789abcdef".repeat(4)}01020304`;
const OTHER = `0x${"fedcba9876543210".repeat(4)}05060708`;

const manual = (sas: string, rest = ""): string => `
connections:
  bench:
    local: { address: 192.0.2.1 }
    remote: { address: 192.0.2.2 }
    ${rest}
    children:
      net:
        esn: yes
        manual: ${sas}
        interface: { name: esp0 }
`;

const RIGHT = `{ suite: aes256gcm16, in: { spi: 0x1001, key: "${KEY}" }, out: { spi: 4098, key: "${OTHER}", sequence: 7 } }`;

const complaints = (text: string): string[] => {
  try {
    parseConfig(text);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.complaints.map(({ path, message }) => `${path}: ${message}`);
  }
};

test("SAs with manual keys need no other key, and are warned of", () => {
  const config = parseConfig(manual(RIGHT));
  const sas = config.connections[0]?.children[0]?.manual;
  expect(sas).toMatchObject({
    suite: "aes256gcm16",
    in: { spi: 0x1001, sequence: 0 },
    out: { spi: 4098, sequence: 7 },
  });
  expect(sas?.in.key.reveal()).toHaveLength(36);
  expect(config.warnings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
    expect.stringMatching(/^connections\.bench\.children\.net\.manual: for tests and benchmarks alone/),
  ]);
});

test("their keys are shown nowhere", () => {
  const config = parseConfig(manual(RIGHT));
  const shown = [describeConfig(config), JSON.stringify(config), inspect(config, { depth: 9 })].join("\n");
  expect(shown).toContain("manual keys for aes256gcm16, SPIs 00001001 to us and 00001002 to the peer");
  expect(shown).not.toMatch(/0123456789abcdef|fedcba98/i);
  const [wrong] = complaints(manual(RIGHT.replace(KEY, "secretsecret")));
  expect(wrong).toMatch(/in\.key: expected a key: 0x and hex digits, found text$/);
});

test.each([
  [
    "an SPI that is reserved",
    RIGHT.replace("0x1001", "255"),
    /in\.spi: expected a whole number from 256 to 4294967295/,
  ],
  [
    "a suite that there is not",
    RIGHT.replace("aes256gcm16", "aes256gcm16-ecp256"),
    /suite: expected an ESP suite such as/,
  ],
  ["a weak suite", RIGHT.replace("aes256gcm16", "3des-sha256"), /suite: .*"3des" is refused, it is weak/],
  ["a suite that protects nothing", RIGHT.replace("aes256gcm16", "null-null"), /suite: .*it does not protect/],
  ["a key of another length", RIGHT.replace(KEY, "0x0102"), /in\.key: expected 36 octets for aes256gcm16, found 2/],
  ["no key", RIGHT.replace(/, key: "0xfe[0-9a-f]*"/, ""), /out\.key: expected a key/],
  ["no SPI", RIGHT.replace("spi: 4098, ", ""), /out\.spi: expected an SPI/],
  ["nothing", "{}", /suite: expected an ESP suite/],
])("refused: %s", (_, sas, message) => {
  const found = complaints(manual(sas)).join("\n");
  expect(found).toMatch(message);
});

test("a sequence number beyond 2^32 needs ESN", () => {
  const text = manual(RIGHT.replace("sequence: 7", "sequence: 5000000000"));
  expect(complaints(text)).toEqual([]);
  expect(complaints(text.replace("esn: yes", "esn: no"))).toEqual([
    expect.stringMatching(/out\.sequence: expected at most 4294967295, as esn is not yes, found 5000000000/),
  ]);
});

test.each([
  ["start: initiate", /start: expected none: SAs with manual keys are there from the beginning/],
  ["remote: { address: any }", /remote\.address: expected an address/],
])("what needs IKE is refused beside them: %s", (setting, message) => {
  const text = setting.startsWith("remote")
    ? manual(RIGHT).replace("remote: { address: 192.0.2.2 }", setting)
    : manual(RIGHT, setting);
  expect(complaints(text).join("\n")).toMatch(message);
});

test("all children of a connection have such SAs, or none", () => {
  const text = `${manual(RIGHT)}      voice:
        interface: { name: esp1 }
`;
  expect(complaints(text)).toEqual([
    "connections.bench.children.voice.manual: expected SAs with manual keys, as other children of the connection have them",
  ]);
});
