/** Two gateways of ours, as their users run them. */
import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { callControl } from "../control/client.ts";
import { EspalierError } from "../errors.ts";
import type { Running } from "./processes.ts";
import { INNER, OUTER } from "./sites.ts";
import { farOf, gatewayOf, SIDES, type Side, type TunnelGateways, type TunnelPlace } from "./tunnel-gateways.ts";

export interface SelfSettings {
  readonly suite: string;
  readonly workers: number;
  readonly engine: string;
  readonly encap: "auto" | "force" | "never";
  readonly poll: "sleep" | "spin" | "adaptive";
  /** Packets that a worker takes at a time, at most. */
  readonly batch: number;
  /** Pairs of SAs for the tunnel; `auto`: one a worker. */
  readonly sas: number | "auto";
}

/** ms for IKE. */
export const PATIENCE = 15_000;

/** The compiled command line. Throws ESPALIER_PLATFORM where there is none. */
export const mainProgram = (): string => {
  const main = fileURLToPath(new URL("../cli/main.js", import.meta.url));
  if (existsSync(main)) return main;
  throw new EspalierError("ESPALIER_PLATFORM", "the gateways run compiled JavaScript, and there is none", {
    remedy: "Run `npm run build` and use dist/.",
  });
};

interface OwnGateway {
  readonly process: Running;
  readonly control: string;
}

/** Rejects with ESPALIER_PLATFORM, and leaves none running, when the tunnel is not up after `patience` ms. */
export const startSelf = async (
  { processes, sites, directory }: TunnelPlace,
  settings: SelfSettings,
  patience = PATIENCE,
): Promise<TunnelGateways> => {
  const main = mainProgram();
  const psk = `0x${randomBytes(32).toString("hex")}`;
  const gateways = [...SIDES].reverse().map((side) => {
    const control = join(directory, `${side}.sock`);
    const file = join(directory, `${side}.yaml`); // JSON is YAML
    writeFileSync(file, JSON.stringify({ control, ...configuration(side, psk, settings) }), { mode: 0o600 });
    const command = [process.execPath, main, "run", "-c", file];
    return { process: processes.start(sites.inside(gatewayOf(side), command)), control };
  });
  try {
    for (const gateway of gateways) await processes.until("the tunnel is up", () => upReport(gateway), patience);
  } catch (error) {
    await Promise.all(gateways.map((gateway) => gateway.process.end()));
    throw error;
  }
  return {
    processes: gateways.map(({ process }) => process),
    describe: async () => {
      const status = await upReport(gateways[0]!);
      return {
        suite: status?.connections[0]?.childSas[0]?.suite ?? null,
        engine: status?.engine.name ?? null,
        workers: status?.workers.length ?? null,
      };
    },
  };
};

const configuration = (
  side: Side,
  psk: string,
  { suite, workers, engine, encap, poll, batch, sas }: SelfSettings,
): object => ({
  workers,
  engine,
  poll,
  batch,
  log: { level: "warn" },
  connections: {
    bench: {
      local: { address: OUTER[side], id: `gw-${side}.example` },
      remote: { address: OUTER[farOf(side)], id: `gw-${farOf(side)}.example` },
      psk,
      start: side === "a" ? "initiate" : "none",
      encap,
      liveness: "off",
      children: {
        net: { proposals: [suite], sas, interface: { name: "esp0", routes: [side === "a" ? INNER.netB : INNER.netA] } },
      },
    },
  },
});

/** The gateway's status once its tunnel is up; throws when it has ended. */
const upReport = async ({ process, control }: OwnGateway) => {
  if (!process.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `a gateway ended: ${process.account}`);
  const status = await callControl(control, "status", {}).catch(notYet);
  const connection = status?.connections[0];
  return connection?.state === "up" && connection.childSas.length > 0 ? status : undefined;
};

/** Its socket is not there, or does not listen. */
const notYet = (error: unknown): undefined => {
  if (!(error instanceof EspalierError && error.code === "ESPALIER_CONTROL")) throw error;
};
