/**
 * How long an IKE message may be that a path carries in one IP packet, RFC 7383 §2.5.1. What is not known of the path is
 * assumed: the size that a connection is configured with, and where nothing comes back, the least that every path has.
 */
import { familyOf } from "../ip-address.ts";
import type { Path } from "./child-sa-params.ts";
import type { ConnectionConfig } from "./connection.ts";
import type { IkeOptions } from "./ike-options.ts";

/** Octets of an IP packet that are taken for granted at first, where `fragmentSize` says nothing. */
const USUAL = { 4: 1384, 6: 1280 } as const;
/** What every path carries whole, as good as: RFC 7383 §2.5.1 recommends them where nothing is known. */
const LEAST = { 4: 576, 6: 1280 } as const;
const IP_HEADER = { 4: 20, 6: 40 } as const;
const UDP_HEADER = 8;
const NON_ESP_MARKER = 4;

/** Octets of IKE in a packet of `packet` octets on this path. */
const messageLength = ({ local, remote }: Path, { ports }: IkeOptions, packet: number): number =>
  packet - IP_HEADER[familyOf(remote.address)] - UDP_HEADER - (local.port === ports.natt ? NON_ESP_MARKER : 0);

type Wanted = Pick<ConnectionConfig, "fragmentation" | "fragmentSize">;

/** Octets of the longest message that any path is trusted with. */
export const leastMessage = (path: Path, options: IkeOptions, { fragmentSize }: Wanted): number =>
  messageLength(
    path,
    options,
    Math.min(LEAST[familyOf(path.remote.address)], fragmentSize ?? Number.POSITIVE_INFINITY),
  );

/** Octets of the longest message to try first. `known` is the MTU of the path as the system has learned it. */
export const usualMessage = (path: Path, options: IkeOptions, wanted: Wanted, known: number | undefined): number => {
  if (wanted.fragmentation === "force") return leastMessage(path, options, wanted);
  const usual = wanted.fragmentSize ?? USUAL[familyOf(path.remote.address)];
  return messageLength(path, options, Math.min(usual, Math.max(known ?? usual, SMALLEST_PATH)));
};

/** A path that claims to carry less is not believed: pieces would be too small to hold anything. */
const SMALLEST_PATH = 296;
