/** What every tunnel has to stand, whoever the peer is. */
import { expect } from "vitest";
import type { GatewayStatus } from "../../../src/control/status.ts";
import { PEER } from "./configurations.ts";
import type { Espalier } from "./espalier.ts";
import { sleep, until } from "./run.ts";
import { makeFile, type PingCount, type Place, ping, transfer } from "./traffic.ts";

/** Two places that talk through a tunnel, each with the addresses at which the other reaches it. */
export interface Ends {
  readonly here: Place;
  readonly there: Place;
  readonly hereAt: string;
  readonly thereAt: string;
}

export const allOf = (count: number): PingCount => ({ sent: count, received: count });

/** Small and large packets each way. */
export const pingBothWays = async ({ here, there, hereAt, thereAt }: Ends, largest = 1300): Promise<void> => {
  const answered = await Promise.all(
    [{}, { size: largest }].flatMap((size) => [ping(here, thereAt, size), ping(there, hereAt, size)]),
  );
  expect(answered).toEqual(answered.map(() => allOf(10)));
};

/** `INTEROP_WHOLE=1`: each transfer and each rekey in every combination, and no file that is small. */
export const isWhole = process.env["INTEROP_WHOLE"] !== undefined;

export const FILE_SIZE = 100_000_000;
/** Of a file that is sent where another test of the same peer sends a large one. */
export const SMALL_FILE = isWhole ? FILE_SIZE : 20_000_000;

/** A file over TCP each way; the same SHA-256 at both ends. */
export const transferBothWays = async (
  ends: Ends,
  { file, sha256 }: { file: string; sha256: string },
): Promise<void> => {
  const there = await transfer(file, ends.here, ends.there, ends.thereAt);
  expect(there.sha256).toBe(sha256);
  const back = await transfer(file, ends.there, ends.here, ends.hereAt);
  expect(back.sha256).toBe(sha256);
};

/** An IKE SA, as far as the rekeying check counts it. */
interface HeldSa {
  readonly children: readonly unknown[];
}

/** What a peer must do for the rekeying check. */
export interface RekeyingPeer {
  rekey(options?: { ike?: boolean }): Promise<unknown>;
  sas(): readonly HeldSa[] | Promise<readonly HeldSa[]>;
}

interface Spis {
  readonly ike: string;
  readonly child: string;
}

const spisOf = async (gateway: Espalier): Promise<Spis | undefined> => {
  const connection = await gateway.connection(PEER);
  const [child, ...more] = connection?.childSas ?? [];
  if (connection?.ikeSa == null || child === undefined || more.length > 0 || child.state !== "installed")
    return undefined;
  return { ike: `${connection.ikeSa.spiI}.${connection.ikeSa.spiR}`, child: `${child.spiIn}.${child.spiOut}` };
};

/** Of one run; there are as many runs as it takes, and each begins before the one before it ends. */
const PINGS = 200;
const PING_INTERVAL = 10; // ms

/**
 * Child SA and IKE SA rekeyed by either side while 100 pings a second run: new SPIs each time, one pair of SAs left at both
 * ends, no ping lost. A rekey begins when the one before is over at both: strongSwan takes an old Child SA away a second
 * after its Delete, and forgets to where the IKE SA is rekeyed at that very moment.
 */
export const rekeyWithoutLoss = async (gateway: Espalier, peer: RekeyingPeer, ends: Ends): Promise<void> => {
  expect(await lostInRekeys(gateway, peer, ends)).toBe(0);
};

/** The same; how many pings were lost. */
export const lostInRekeys = async (gateway: Espalier, peer: RekeyingPeer, ends: Ends): Promise<number> => {
  let isOver = false;
  const pinging = (async () => {
    const runs: Promise<PingCount>[] = [];
    while (!isOver) {
      runs.push(ping(ends.here, ends.thereAt, { count: PINGS, interval: PING_INTERVAL }));
      await sleep((PINGS - 10) * PING_INTERVAL);
    }
    return Promise.all(runs);
  })();
  try {
    await rekeyFromBothSides(gateway, peer);
  } finally {
    isOver = true;
    await pinging;
  }
  return (await pinging).reduce((lost, { sent, received }) => lost + sent - received, 0);
};

const rekeyFromBothSides = async (gateway: Espalier, peer: RekeyingPeer): Promise<void> => {
  const rekeys: readonly [string, keyof Spis, () => Promise<unknown>][] = [
    ["the Child SA, started here", "child", () => gateway.rekey(PEER)],
    ["the Child SA, started by the peer", "child", () => peer.rekey()],
    ["the IKE SA, started here", "ike", () => gateway.rekey(PEER, { ike: true })],
    ["the IKE SA, started by the peer", "ike", () => peer.rekey({ ike: true })],
  ];
  for (const [what, which, rekey] of rekeys) {
    const before = await onePair(gateway, peer);
    await rekey();
    const after = await until(`rekeyed: ${what}`, async () => {
      const now = await spisOf(gateway);
      return now !== undefined && now[which] !== before[which] ? now : undefined;
    });
    const other = which === "ike" ? "child" : "ike";
    expect(after[other], `${what} leaves the other as it was`).toBe(before[other]);
  }
  await onePair(gateway, peer);
};

/** Octets of each of them. */
const LOAD_FILE = 8_000_000;

/** What went through the tunnel while it was rekeyed. */
export interface Load {
  readonly files: number;
  readonly octets: number;
  readonly seconds: number;
  /** ESP packets that passed here, each way. */
  readonly packetsIn: number;
  readonly packetsOut: number;
}

/**
 * The same rekeys while files go through the tunnel both ways, one after another, as fast as the slower end can: each arrives
 * unharmed, and of all packets that came to us, and all that we were to send, none is dropped for any reason.
 */
export const rekeyUnderLoad = async (
  gateway: Espalier,
  peer: RekeyingPeer,
  { here, there, hereAt, thereAt }: Ends,
  directory: string,
): Promise<Load> => {
  const { file, sha256 } = makeFile(directory, LOAD_FILE);
  const before = await gateway.status();
  const started = performance.now();
  let isOver = false;
  let files = 0;
  const send = async (from: Place, to: Place, address: string): Promise<void> => {
    while (!isOver) {
      expect((await transfer(file, from, to, address)).sha256).toBe(sha256);
      files++;
    }
  };
  const flows = [send(here, there, thereAt), send(there, here, hereAt)];
  try {
    await rekeyFromBothSides(gateway, peer);
  } finally {
    isOver = true;
    await Promise.all(flows);
  }
  const after = await gateway.status();
  const seconds = (performance.now() - started) / 1000;
  expect(after.drops, "of what came, and of what was to be sent").toEqual(before.drops);
  expect(overrunsOf(after), "what sockets had no room for").toBe(overrunsOf(before));
  return {
    files,
    octets: files * LOAD_FILE,
    seconds,
    packetsIn: after.in.packets - before.in.packets,
    packetsOut: after.out.packets - before.out.packets,
  };
};

const overrunsOf = ({ workers }: GatewayStatus): number => workers.reduce((sum, worker) => sum + worker.overruns, 0);

/** Waits until both hold one IKE SA and one pair, the same; where they never do, says what each holds. */
const onePair = async (gateway: Espalier, peer: RekeyingPeer): Promise<Spis> => {
  let held: { ours: unknown; theirs: readonly HeldSa[] } | undefined;
  try {
    return await until("both hold one pair of SAs", async () => {
      const ours = await spisOf(gateway);
      const theirs = await peer.sas();
      held = { ours: await gateway.connection(PEER), theirs };
      return theirs.length === 1 && theirs[0]!.children.length === 1 ? ours : undefined;
    });
  } catch (error) {
    throw new Error(`${(error as Error).message}: ${JSON.stringify(held, null, 1)}`);
  }
};
