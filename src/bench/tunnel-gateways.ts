/** The pair of gateways that a tunnel is measured through, whoever they are by. */
import type { Processes, Running } from "./processes.ts";
import type { Sites } from "./sites.ts";

/** Two gateways that are up, with what they agreed on. */
export interface TunnelGateways {
  /** Their processes: of these the processor time is counted. */
  readonly processes: readonly Running[];
  /** Throws when one has ended. Null is what has no meaning or is not known. */
  describe(): Promise<TunnelDescription>;
}

export interface TunnelDescription {
  readonly suite: string | null;
  readonly engine: string | null;
  readonly workers: number | null;
}

/** Where they are to run. */
export interface TunnelPlace {
  readonly processes: Processes;
  readonly sites: Sites;
  /** For their files; removed afterwards. */
  readonly directory: string;
}

export const SIDES = ["a", "b"] as const;
export type Side = (typeof SIDES)[number];
export const gatewayOf = (side: Side): "gw-a" | "gw-b" => (side === "a" ? "gw-a" : "gw-b");
export const farOf = (side: Side): Side => (side === "a" ? "b" : "a");
