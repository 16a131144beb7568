/** Traffic between the sites: TCP by iperf3, UDP by our own program. */
import type { Carried } from "./carried.ts";
import { moveStreams } from "./iperf.ts";
import { moveDatagrams } from "./move-datagrams.ts";
import type { Processes } from "./processes.ts";
import type { Sites } from "./sites.ts";

export interface Traffic {
  readonly streams: number;
  /** Octets of UDP payload; undefined: TCP. */
  readonly udp: number | undefined;
  /** Datagrams a second, all streams; undefined: as many as the sender can. */
  readonly rate: number | undefined;
  readonly seconds: number;
}

export const moveTraffic = (processes: Processes, sites: Sites, traffic: Traffic): Promise<Carried> =>
  traffic.udp === undefined
    ? moveStreams(processes, sites, traffic)
    : moveDatagrams(processes, sites, { ...traffic, octets: traffic.udp });
