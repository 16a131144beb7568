/**
 * Handshakes without sockets: both control planes in this thread, and a message is handed over as it is. What the cores can
 * do at most, and what each side's share of it is.
 */
import { randomBytes } from "node:crypto";
import type { Path } from "../ike/effect.ts";
import { IkeLoad } from "./ike-load.ts";
import { checkProofs } from "./ike-proofs.ts";
import { figuresOf, type IkeBenchRow, type IkeTask, keyExchangeTime } from "./ike-rows.ts";
import { IkeSite, type Role } from "./ike-site.ts";

interface Message {
  readonly to: Role;
  readonly path: Path;
  readonly bytes: Uint8Array;
}

const ADDRESSES = { initiator: "192.0.2.1", responder: "192.0.2.2" };
const BEAT = 20;
/** Before the clock runs, ms, but no longer than it runs: the compiler is to have finished. */
const WARM_UP = 500;

/** Both sides have agreed on keys, and on the same, before anything is timed. */
export const measureInMemory = async (task: IkeTask): Promise<IkeBenchRow> => {
  const { kex, work, concurrency, seconds } = task;
  const keyExchangeMs = keyExchangeTime(kex);
  const messages: Message[] = [];
  const spent = { initiator: 0, responder: 0 };
  const both = {
    addresses: ADDRESSES,
    ports: { ike: 500, natt: 4500 },
    connections: concurrency,
    kex,
    keyThreads: undefined,
  };
  const open = (role: Role, to: Role): Promise<IkeSite> =>
    IkeSite.open({ ...both, role, pfs: work === "rekey-child-pfs", liveness: undefined }, ({ local, remote }, bytes) =>
      messages.push({ to, path: { local: remote, remote: local }, bytes }),
    );
  const sites = {
    initiator: await open("initiator", "responder"),
    responder: await open("responder", "initiator"),
  };
  const load = new IkeLoad(sites.initiator);

  const timed = (role: Role, act: () => void): void => {
    const began = performance.now();
    act();
    spent[role] += performance.now() - began;
  };
  const drain = (): void => {
    for (let at = 0; at < messages.length; at++) {
      const { to, path, bytes } = messages[at]!;
      timed(to, () => sites[to].act((ike, now) => ike.receive(bytes, path, now)));
    }
    messages.length = 0;
  };
  const run = async (ms: number): Promise<void> => {
    let beat = 0;
    for (const end = performance.now() + ms; performance.now() < end; ) {
      timed("initiator", () => load.step());
      drain();
      if (performance.now() < beat + BEAT) continue;
      beat = performance.now();
      for (const site of Object.values(sites)) site.beat();
      await new Promise(setImmediate);
    }
  };

  try {
    const key = randomBytes(32).toString("hex");
    for (const site of Object.values(sites)) site.prove(key);
    load.connect(Array.from({ length: concurrency }, (_, n) => n));
    drain();
    checkProofs(concurrency, sites.initiator.proofs, sites.responder.proofs);
    for (const site of Object.values(sites)) site.prove(undefined);

    load.repeat(work, concurrency);
    await run(Math.min(WARM_UP, seconds * 1000));
    load.take();
    Object.assign(spent, { initiator: 0, responder: 0 });
    const began = performance.now();
    await run(seconds * 1000);
    const ended = performance.now();
    load.end();
    const figures = figuresOf(load.take(), { began, ended });
    return {
      ...{ what: work, keyExchange: kex, authentication: "psk", transport: "memory", clients: concurrency },
      ...{ rate: null, keyThreads: null, ...figures },
      initiatorCpuMs: spent.initiator / figures.count,
      responderCpuMs: spent.responder / figures.count,
      keyExchangeMs,
      ...{ initiatorStallP99Ms: null, initiatorStallMs: null, responderStallP99Ms: null, responderStallMs: null },
      retransmissions: countOf(sites.initiator, "retransmissions"),
      cookies: countOf(sites.responder, "cookies-sent"),
    };
  } finally {
    for (const site of Object.values(sites)) await site.close();
  }
};

const countOf = ({ manager }: IkeSite, reason: string): number => manager.counters[reason] ?? 0;
