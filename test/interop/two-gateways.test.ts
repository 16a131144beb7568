/** Two of our own gateways: every suite, raw ESP and UDP, IPv4 and IPv6 outside and inside, several workers, a NAT between. */
import { describe, expect, test } from "vitest";
import { SUITES } from "../../src/crypto/suites.ts";
import { configuration, identityOf, PEER, SECRET, type Side } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { hide, natRemembers } from "./support/obstacles.ts";
import { sleep, until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { makeFile, ping } from "./support/traffic.ts";
import {
  allOf,
  type Ends,
  FILE_SIZE,
  pingBothWays,
  rekeyWithoutLoss,
  transferBothWays,
} from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun", "transfer"] as const;

const tunnelAddress = (family: 4 | 6, tunnel: number, side: Side): string => {
  const host = side === "a" ? 1 : 2;
  return family === 4 ? `10.9.${tunnel}.${host}` : `2001:db8:9:${tunnel}::${host}`;
};

/** A tunnel for every suite between the same two gateways, told apart by the identities. */
const everySuite = (side: Side, outer: 4 | 6, encap: "auto" | "force", workers: number): Configuration => {
  const far = side === "a" ? "b" : "a";
  const connections = SUITES.map(({ name }, n) => [
    name,
    {
      local: { address: OUTER[outer][side], id: `${name}.${identityOf(side)}` },
      remote: { address: OUTER[outer][far], id: `${name}.${identityOf(far)}` },
      psk: `${SECRET} (${name})`,
      start: side === "a" ? "initiate" : "none",
      encap,
      proposals: ["aes256gcm16-prfsha256-x25519"],
      children: {
        net: {
          proposals: [name],
          esn: n % 2 === 0 ? "yes" : "no",
          interface: {
            name: `esp${n}`,
            addresses: [`${tunnelAddress(4, n, side)}/30`, `${tunnelAddress(6, n, side)}/64`],
          },
        },
      },
    },
  ]);
  return { workers, connections: Object.fromEntries(connections) };
};

const WAYS = [
  { outer: 4, encap: "auto", workers: 1 },
  { outer: 6, encap: "auto", workers: 2 },
  { outer: 4, encap: "force", workers: 3 },
  { outer: 6, encap: "force", workers: 2 },
] as const;

const title = ({ outer, encap, workers }: (typeof WAYS)[number]): string =>
  `IPv${outer} outside, ${encap === "auto" ? "raw ESP" : "UDP"}, ${workers === 1 ? "1 worker" : `${workers} workers`}`;

describe.each(WAYS.map((way) => [title(way), way] as const))("%s", (_, { outer, encap, workers }) => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const b = await Espalier.start(bed, sites.gatewayB, everySuite("b", outer, encap, workers));
    const a = await Espalier.start(bed, sites.gatewayA, everySuite("a", outer, encap, workers));
    return { sites, a, b };
  });

  test.each(SUITES.map(({ name }, n) => [name, n] as const))("%s carries IPv4 and IPv6", async (name, n) => {
    const { sites, a, b } = lab();
    const { childSas } = await a.up(name);
    expect(childSas[0]).toMatchObject({ suite: name, encap: encap === "force", esn: n % 2 === 0 });
    await b.up(name);
    const pings = ([4, 6] as const).flatMap((family) =>
      [56, 1300].map((size) => ping(sites.gatewayA, tunnelAddress(family, n, "b"), { count: 10, size })),
    );
    expect(await Promise.all(pings)).toEqual(pings.map(() => allOf(10)));
    // A packet is counted after it was delivered, which may be after its answer came.
    await until("all of them are counted", async () => {
      const pairs = (await a.connection(name))?.childSas ?? [];
      return (["packetsIn", "packetsOut"] as const).every(
        (way) => pairs.reduce((sum, pair) => sum + pair[way], 0) >= 40,
      );
    });
  });

  test("each tunnel has a pair of SAs for each worker", async () => {
    const { a } = lab();
    // The first pair of a tunnel is there when it is up; the others follow.
    const { connections, workers: reports } = await until("as many pairs as workers", async () => {
      const status = await a.status();
      return status.connections.every(({ childSas }) => childSas.length >= workers) && status;
    });
    expect(reports).toHaveLength(workers);
    for (const { childSas } of connections) {
      expect(childSas.map(({ worker }) => worker).sort()).toEqual(Array.from({ length: workers }, (_, i) => i));
      expect(childSas.map(({ resource }) => resource).sort()).toEqual(Array.from({ length: workers }, (_, i) => i));
    }
  });
});

describe("raw ESP between two gateways", () => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b", esn: "yes" }));
    const a = await Espalier.start(bed, sites.gatewayA, configuration({ side: "a", esn: "yes", start: "initiate" }));
    await a.up(PEER);
    const ends: Ends = { here: sites.hostA, there: sites.hostB, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB };
    return { sites, a, b, ends, file: makeFile(bed.directory, FILE_SIZE) };
  });

  test("pings are answered both ways, IPv4 and IPv6", async () => {
    const { ends } = lab();
    await pingBothWays(ends);
    await pingBothWays({ ...ends, hereAt: INNER[6].hostA, thereAt: INNER[6].hostB });
  });

  test("100 MB over TCP arrive unharmed each way", async () => {
    const { ends, file } = lab();
    await transferBothWays(ends, file);
    await transferBothWays({ ...ends, hereAt: INNER[6].hostA, thereAt: INNER[6].hostB }, file);
  });

  test("no ping of 100 a second is lost while both sides rekey Child SA and IKE SA", async () => {
    const { a, b, ends } = lab();
    const peer = {
      rekey: (options?: { ike?: boolean }) => b.rekey(PEER, options),
      sas: async () => {
        const connection = await b.connection(PEER);
        return connection?.ikeSa == null
          ? []
          : [
              {
                state: connection.state,
                initiatorSpi: connection.ikeSa.spiI,
                children: connection.childSas as never[],
              },
            ];
      },
    };
    await rekeyWithoutLoss(a, peer, ends);
  });

  test("a gateway that is ended takes the other's SAs with it", async () => {
    const { a, b } = lab();
    expect(await a.end()).toBe(0);
    await b.down(PEER);
  });
});

describe("Child SAs that live for a few seconds", () => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const wishes = { lifetime: "4s", connection: { lifetime: "7s" } } as const;
    const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b" }));
    const a = await Espalier.start(bed, sites.gatewayA, configuration({ side: "a", start: "initiate", ...wishes }));
    return { sites, a, b };
  });

  test("are rekeyed on their own, and no ping is lost", async () => {
    const { sites, a } = lab();
    const { ikeSa, childSas } = await a.up(PEER);
    expect(await ping(sites.hostA, INNER[4].hostB, { count: 1000 })).toEqual(allOf(1000));
    const later = await a.up(PEER);
    expect(later.childSas[0]?.spiIn).not.toBe(childSas[0]?.spiIn);
    expect(later.ikeSa?.spiI).not.toBe(ikeSa?.spiI);
  });
});

describe("a gateway behind a NAT", () => {
  const lab = testBed([...NEEDS, "nat"], async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    hide(sites, "a");
    natRemembers(sites, 1);
    const anyPeer = { remote: { address: "any", id: identityOf("a") } };
    const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b", connection: anyPeer }));
    const a = await Espalier.start(bed, sites.gatewayA, configuration({ side: "a", start: "initiate" }));
    return { sites, a, b };
  });

  test("floats to port 4500, carries ESP in UDP, and is found at the NAT's address", async () => {
    const { sites, a, b } = lab();
    const { ikeSa, childSas } = await a.up(PEER);
    expect(ikeSa?.natDetected).toBe(true);
    expect(childSas[0]?.encap).toBe(true);
    const seen = await b.up(PEER);
    expect(seen.remote).toContain(OUTER[4].routerB);
    await pingBothWays({ here: sites.hostA, there: sites.hostB, hereAt: INNER[4].hostA, thereAt: INNER[4].hostB });
  });

  test("is followed when the NAT gives it another port", async () => {
    const { sites, b } = lab();
    const before = (await b.connection(PEER))?.remote;
    await sleep(2_500); // longer than the NAT remembers: the next packet leaves it from another port
    natRemembers(sites, 120);
    expect((await ping(sites.hostA, INNER[4].hostB, { count: 50 })).received).toBeGreaterThan(0);
    await until("the other end has followed", async () =>
      (await b.connection(PEER))?.remote !== before ? true : undefined,
    );
    expect(await ping(sites.hostB, INNER[4].hostA)).toEqual(allOf(10));
  });

  test("is not followed to where somebody else sends in its name", async () => {
    const { sites, b } = lab();
    const { remote, ikeSa, childSas } = await b.up(PEER);
    const spi = childSas[0]!.spiIn;
    const ike = `${ikeSa!.spiI}${ikeSa!.spiR}2e202508000000630000006c00000050`; // INFORMATIONAL, 108 octets, all of them SK
    const forged = [`${spi}00001000${"5a".repeat(96)}`, `00000000${ike}${"5a".repeat(76)}`];
    sites.internet.run([process.execPath, "-e", SENDER, OUTER[4].b, ...forged]);
    await until("both were counted", async () => {
      const { connections, ikeDrops } = await b.status();
      const dropped = connections.flatMap((connection) =>
        connection.childSas.map(({ drops }) => drops["integ-error"] ?? 0),
      );
      return dropped.some((count) => count > 0) && (ikeDrops["message-id"] ?? 0) > 0 ? true : undefined;
    });
    expect((await b.connection(PEER))?.remote).toBe(remote);
    expect(await ping(sites.hostB, INNER[4].hostA)).toEqual(allOf(10));
  });
});

/** Sends datagrams, in hex, to port 4500 of an address, from a port of its own. */
const SENDER = `
const [address, ...datagrams] = process.argv.slice(1);
const socket = require("node:dgram").createSocket("udp4");
let left = datagrams.length;
for (const hex of datagrams) socket.send(Buffer.from(hex, "hex"), 4500, address, () => --left || socket.close());
`;
