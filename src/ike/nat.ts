/** NAT detection and what follows from it, RFC 7296 §2.23: two notifications in IKE_SA_INIT, and the move to port 4500. */
import { equalBytes } from "../bytes.ts";
import type { Endpoint } from "../ip-address.ts";
import type { Path } from "./child-sa-params.ts";
import type { ConnectionConfig } from "./connection.ts";
import type { IkeOptions } from "./ike-options.ts";
import { type NatFound, NO_NAT } from "./ike-sa.ts";
import { notifies, type Payload } from "./message.ts";
import { natHash } from "./nat-detection.ts";
import { Notify } from "./notify.ts";
import { notifyPayload } from "./payloads.ts";

const IKE_PORT = 500;
const NATT_PORT = 4500;

interface Spis {
  readonly spiI: Uint8Array;
  /** As in the header of the message: all zero in a request. */
  readonly spiR: Uint8Array;
}

/** What to send: nothing for `never`, a source that is no address of ours for `force`. */
export const natPayloads = (
  { spiI, spiR }: Spis,
  path: Path,
  encap: ConnectionConfig["encap"],
  random: (length: number) => Uint8Array,
): Payload[] => {
  if (encap === "never") return [];
  const source = natHash(spiI, spiR, path.local);
  return [
    notifyPayload(Notify.NAT_DETECTION_SOURCE_IP, encap === "force" ? random(source.length) : source),
    notifyPayload(Notify.NAT_DETECTION_DESTINATION_IP, natHash(spiI, spiR, path.remote)),
  ];
};

/** What the peer's notifications tell; no NAT when it sent none. */
export const findNat = (
  payloads: readonly Payload[],
  { spiI, spiR }: Spis,
  path: Path,
  encap: ConnectionConfig["encap"],
): NatFound => {
  const sources = notifies(payloads, Notify.NAT_DETECTION_SOURCE_IP);
  const destinations = notifies(payloads, Notify.NAT_DETECTION_DESTINATION_IP);
  if (encap === "never" || sources.length === 0 || destinations.length === 0) return NO_NAT;
  const names = (hashes: typeof sources, end: Endpoint): boolean =>
    hashes.some(({ data }) => equalBytes(data, natHash(spiI, spiR, end)));
  return {
    local: !names(destinations, path.local),
    remote: !names(sources, path.remote),
    forced: encap === "force",
  };
};

/** Where an initiator begins: a remote port that is not for IKE alone expects the non-ESP marker. */
export const firstPath = ({ local, remote }: ConnectionConfig, address: string, { ports }: IkeOptions): Path => ({
  local: {
    address: local.address,
    port: remote.port === IKE_PORT || remote.port === ports.ike ? ports.ike : ports.natt,
  },
  remote: { address, port: remote.port },
});

/** Where it goes on, beginning with IKE_AUTH, when there is a NAT. */
export const floated = (path: Path, { ports }: IkeOptions): Path => {
  if (path.local.port === ports.natt) return path;
  const port =
    path.remote.port === IKE_PORT ? NATT_PORT : path.remote.port === ports.ike ? ports.natt : path.remote.port;
  return { local: { ...path.local, port: ports.natt }, remote: { ...path.remote, port } };
};
