/** What one `espalier bench tunnel` measures, one after the other. */
import { peerUnavailable } from "../bench/tunnel.ts";
import { TUNNEL_PEERS, type TunnelBenchOptions, type TunnelPeer } from "../bench/tunnel-options.ts";
import { EspalierError } from "../errors.ts";

export type TunnelTask = TunnelBenchOptions & { readonly peer: TunnelPeer };

const STANDARD_TRAFFIC: readonly TunnelBenchOptions[] = [
  { streams: 1 },
  { streams: 4 },
  { udp: 64, ndr: true },
  { udp: 512, ndr: true },
  { udp: 1372, ndr: true },
];

/** Options that say what traffic it is. */
const TRAFFIC = ["streams", "udp", "rate", "maxLoss"] as const;

/**
 * Traffic by traffic, the peers in turns. Of several peers those that cannot run here are left out, and that is said; throws
 * ESPALIER_PLATFORM when none is left, and ESPALIER_USAGE for one that nobody knows,
 * or options of traffic beside the standard one.
 */
export const tunnelTasks = (
  options: TunnelBenchOptions,
  peers: readonly string[],
  standard: boolean,
  say: (line: string) => void,
  unavailable = peerUnavailable,
): TunnelTask[] => {
  const { ndr: _, ...given } = options; // datagrams of the standard are searched for it anyway
  for (const name of standard ? TRAFFIC : [])
    if (given[name] !== undefined)
      throw new EspalierError("ESPALIER_USAGE", "--standard has traffic of its own", {
        remedy: "Leave out --streams, --udp, --rate and --max-loss.",
      });
  for (const peer of peers)
    if (!isPeer(peer))
      throw new EspalierError("ESPALIER_USAGE", `peer: expected ${TUNNEL_PEERS.join(", ")}, not ${peer}`);
  const missing = peers.flatMap((peer) => {
    const reason = unavailable(peer);
    return reason === undefined ? [] : [{ peer, reason }];
  });
  if (missing.length === peers.length) {
    const reasons = missing.map(({ peer, reason }) => `the peer ${peer} cannot run here: ${reason}`);
    throw new EspalierError("ESPALIER_PLATFORM", reasons.join("\n"));
  }
  for (const { peer, reason } of missing) say(`${peer} is left out: ${reason}`);
  const able = peers.filter(isPeer).filter((peer) => missing.every((each) => each.peer !== peer));
  return (standard ? STANDARD_TRAFFIC : [{}]).flatMap((traffic) =>
    able.map((peer) => ({ ...(standard ? given : options), ...traffic, peer })),
  );
};

const isPeer = (peer: string): peer is TunnelPeer => (TUNNEL_PEERS as readonly string[]).includes(peer);
