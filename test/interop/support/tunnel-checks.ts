/** What every tunnel has to stand, whoever the peer is. */
import { expect } from "vitest";
import { PEER } from "./configurations.ts";
import type { Espalier } from "./espalier.ts";
import { sleep, until } from "./run.ts";
import type { SwanSa } from "./swanctl.ts";
import { type PingCount, type Place, ping, transfer } from "./traffic.ts";

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
  expect(await ping(here, thereAt)).toEqual(allOf(10));
  expect(await ping(there, hereAt)).toEqual(allOf(10));
  expect(await ping(here, thereAt, { size: largest })).toEqual(allOf(10));
  expect(await ping(there, hereAt, { size: largest })).toEqual(allOf(10));
};

export const FILE_SIZE = 100_000_000;

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

/** What a peer must do for the rekeying check. */
export interface RekeyingPeer {
  rekey(options?: { ike?: boolean }): Promise<unknown>;
  sas(): SwanSa[] | Promise<SwanSa[]>;
}

interface Spis {
  readonly ike: string;
  readonly child: string;
}

const SETTLING = 400; // ms; for the Delete of the old SA

const spisOf = async (gateway: Espalier): Promise<Spis | undefined> => {
  const connection = await gateway.connection(PEER);
  const [child, ...more] = connection?.childSas ?? [];
  if (connection?.ikeSa == null || child === undefined || more.length > 0 || child.state !== "installed")
    return undefined;
  return { ike: `${connection.ikeSa.spiI}.${connection.ikeSa.spiR}`, child: `${child.spiIn}.${child.spiOut}` };
};

const PINGS = 1000;
const PING_INTERVAL = 10;

/**
 * Child SA and IKE SA rekeyed by either side while 100 pings a second run: new SPIs each time, one pair of SAs left at both
 * ends, no ping lost.
 */
export const rekeyWithoutLoss = async (gateway: Espalier, peer: RekeyingPeer, ends: Ends): Promise<void> => {
  let isPinging = true;
  const pinging = ping(ends.here, ends.thereAt, { count: PINGS, interval: PING_INTERVAL }).finally(() => {
    isPinging = false;
  });
  const rekeys: readonly [string, keyof Spis, () => Promise<unknown>][] = [
    ["the Child SA, started here", "child", () => gateway.rekey(PEER)],
    ["the Child SA, started by the peer", "child", () => peer.rekey()],
    ["the IKE SA, started here", "ike", () => gateway.rekey(PEER, { ike: true })],
    ["the IKE SA, started by the peer", "ike", () => peer.rekey({ ike: true })],
  ];
  try {
    for (const [what, which, rekey] of rekeys) {
      const before = await until("one pair of SAs", () => spisOf(gateway));
      await rekey();
      const after = await until(`rekeyed: ${what}`, async () => {
        const now = await spisOf(gateway);
        return now !== undefined && now[which] !== before[which] ? now : undefined;
      });
      expect(after[which === "ike" ? "child" : "ike"], `${what} leaves the other as it was`).toBe(
        before[which === "ike" ? "child" : "ike"],
      );
      await sleep(SETTLING);
    }
    expect(isPinging, "all of it happened while the pings ran").toBe(true);
  } finally {
    await pinging;
  }
  expect(await pinging).toEqual(allOf(PINGS));
  await until("the peer holds one pair of SAs", async () => {
    const sas = await peer.sas();
    return sas.length === 1 && sas[0]!.children.length === 1 ? true : undefined;
  });
};
