/** The house rules that no linter knows: the directions of imports, and what a file of the hot path may not contain. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");

/** Who may import whom, by the first folder or the file at the top of src; the map is drawn in src/README.md. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "bytes.ts": [],
  "errors.ts": [],
  "ip-address.ts": [],
  "rate-limit.ts": [],
  crypto: ["bytes.ts", "errors.ts"],
  ipsec: ["crypto/suites.ts", "bytes.ts", "errors.ts", "ip-address.ts", "rate-limit.ts"],
  ike: ["bytes.ts", "errors.ts", "ip-address.ts", "rate-limit.ts", "crypto", "ipsec/selector.ts"],
  linux: ["errors.ts", "ip-address.ts"],
  dataplane: ["crypto", "ipsec", "linux", "errors.ts", "ip-address.ts", "rate-limit.ts"],
  config: ["bytes.ts", "errors.ts", "ip-address.ts", "crypto", "ipsec", "ike"],
  control: ["bytes.ts", "errors.ts", "ip-address.ts"],
  bench: [
    "bytes.ts",
    "errors.ts",
    "ip-address.ts",
    "crypto",
    "ipsec",
    "linux",
    "dataplane",
    "control/client.ts",
    "control/version.ts",
    "ike",
    "gateway",
  ],
  "tuntap2.ts": ["linux", "errors.ts", "ip-address.ts"],
  gateway: [
    "bytes.ts",
    "errors.ts",
    "ip-address.ts",
    "crypto",
    "ipsec",
    "ike",
    "linux",
    "dataplane",
    "config",
    "control",
  ],
  "gateway.ts": [
    "bytes.ts",
    "errors.ts",
    "ip-address.ts",
    "crypto",
    "ipsec",
    "ike",
    "linux",
    "dataplane",
    "config",
    "control",
    "gateway",
  ],
  "index.ts": [
    "errors.ts",
    "bench",
    "crypto",
    "ipsec",
    "dataplane",
    "config",
    "control",
    "gateway.ts",
    "gateway",
    "ike",
    "linux",
  ],
  cli: [], // what index.ts exports: see below
};

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .sort();

const read = (name: string): string => readFileSync(join(SRC, name), "utf8");

const roomOf = (name: string): string => name.split("/")[0]!;

/** What the library exports: the command line may use it from where it is, and load no more than it needs. */
const exported = (): string[] => importsOf("index.ts");

const importsOf = (name: string, pattern = /(?:from|import)\s*\(?\s*"(\.[^"]+)"/g): string[] =>
  [...read(name).matchAll(pattern)].map(([, path]) => relative(SRC, resolve(SRC, dirname(name), path!)));

test("every folder and file at the top of src has its import rule", () => {
  const rooms = [...new Set(files.map(roomOf))];
  expect(rooms.filter((room) => !(room in MAY_IMPORT))).toEqual([]);
});

test.each(files)("%s imports only in the allowed direction", (name) => {
  const room = roomOf(name);
  const allowed = [room, ...(MAY_IMPORT[room] ?? []), ...(room === "cli" ? exported() : [])];
  const forbidden = importsOf(name).filter(
    (target) => !allowed.some((rule) => target === rule || target.startsWith(`${rule}/`)),
  );
  expect(forbidden).toEqual([]);
});

test("relative imports name existing TypeScript files", () => {
  const missing = files.flatMap((name) =>
    importsOf(name)
      .filter((target) => !files.includes(target) && !target.endsWith("package.json"))
      .map((target) => `${name} -> ${target}`),
  );
  expect(missing).toEqual([]);
});

test("asn1js, which is slow to load, is loaded in one place and when a name asks for it", () => {
  const named = files.filter((name) => read(name).includes('"asn1js"'));
  expect(named).toEqual(["ike/dn/der.ts"]);
  expect(read("ike/dn/der.ts")).not.toMatch(/^import (?!type)[^;]*"asn1js"/m);
});

/** Imports that leave something at run time: those of types alone do not. */
const valueImportsOf = (name: string): string[] =>
  importsOf(name, /^(?:import|export)\s+(?!type\b)(?!\{(?:\s*type \w+,?)+\s*\})[^;]*?from\s*"(\.[^"]+)"/gm);

/** Files from which a way along `imports` leads back to themselves. */
const inCircles = (imports: (name: string) => readonly string[]): string[] => {
  const graph = new Map(files.map((name) => [name, imports(name)]));
  return files.filter((start) => {
    const reached = new Set<string>();
    const next = [...(graph.get(start) ?? [])];
    for (let name = next.pop(); name !== undefined; name = next.pop())
      if (!reached.has(name)) {
        reached.add(name);
        next.push(...(graph.get(name) ?? []));
      }
    return reached.has(start);
  });
};

test("no file needs itself at run time", () => {
  expect(inCircles(valueImportsOf)).toEqual([]);
});

/** What an IKE SA is made of knows each other: its SAs, its requests, its connection, the turn that changes them. */
const IKE_STATE = (
  "backoff child-sa core exchange half-open ike-sa key-works last-answers outgoing peering peerings " +
  "requests task turn"
).split(" ");

test("the only circle of types in ike is its state", () => {
  const circle = inCircles((name) => importsOf(name)).filter((name) => roomOf(name) === "ike");
  expect(circle).toEqual(IKE_STATE.map((name) => `ike/${name}.ts`));
});

/** `HOT PATH` in the first line promises this; `// cold` at the end of a line says that it runs once, not per packet. */
const BANNED: readonly (readonly [string, RegExp])[] = [
  [
    "throw (a RangeError says that a bound was not proved: a bug, never a packet)",
    /\bthrow\b(?! (new RangeError|outOfSlab))/,
  ],
  ["try", /\btry\b/],
  ["BigInt", /\b\d+n\b|BigInt/],
  ["spread", /\.\.\.\w/],
  ["for…of", /\bfor \(const .* of /],
  ["Map or Set", /new (Map|Set)\b/],
  ["log", /console\.|process\.(stdout|stderr)/],
];

const hotFiles = files.filter((name) => /HOT PATH/.test(read(name).split("\n", 1)[0]!));

test.each(hotFiles)("%s keeps the promise of a hot file", (name) => {
  const broken = read(name)
    .split("\n")
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => !/^\s*(\/\/|\*|\/\*)/.test(line) && !/\/\/ cold\b/.test(line))
    .flatMap(({ line, number }) =>
      BANNED.filter(([, pattern]) => pattern.test(line.replace(/\/\/.*$/, ""))).map(([what]) => `${number}: ${what}`),
    );
  expect(broken).toEqual([]);
});

test("nothing is silenced: no ignored types, lints or skipped tests without a reason", () => {
  const code = (name: string): string => read(name).replace(/^\s*(\/?\*|\/\/ ).*$/gm, "");
  const silenced = files.filter(
    (name) => /@ts-(ignore|nocheck|expect-error)|biome-ignore/.test(read(name)) || /\bas any\b/.test(code(name)),
  );
  expect(silenced).toEqual([]);
});
