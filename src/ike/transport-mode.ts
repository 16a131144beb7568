/**
 * Transport mode as IKE agrees on it (RFC 7296 §1.3.1): the request bears USE_TRANSPORT_MODE, and the answer does where the
 * responder takes it. Its selectors are the two hosts themselves, with what the configuration says of protocol and ports: GRE
 * between two gateways, for example.
 *
 * A NAT changes the addresses that the selectors, and the checksums inside, are about. We do not undo that (RFC 7296 §2.23.1
 * lets a host do it), so transport mode is neither asked for nor taken where ESP goes in UDP.
 */
import { addressBytes } from "../ip-address.ts";
import { narrow, type TrafficSelector } from "../ipsec/selector.ts";
import type { Path } from "./child-sa-params.ts";
import type { ChildConfig } from "./connection.ts";
import type { Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";

export type Mode = "tunnel" | "transport";

type Selectors = Pick<ChildConfig, "local" | "remote">;
type Wanted = Selectors & Pick<ChildConfig, "mode">;

/** The selectors of a child between the hosts of `path`: in transport mode their own addresses. */
export const selectorsFor = (child: Wanted, path: Path): Selectors =>
  child.mode !== "transport"
    ? child
    : {
        local: narrow([host(path.local.address)], child.local),
        remote: narrow([host(path.remote.address)], child.remote),
      };

const host = (address: string): TrafficSelector => {
  const octets = addressBytes(address);
  return { protocol: 0, startPort: 0, endPort: 0xffff, first: octets, last: octets };
};

/** Why a child cannot be had between the ends of this IKE SA; undefined: it can. */
export const transportProblem = (child: ChildConfig, path: Path, encap: boolean): string | undefined => {
  if (child.mode !== "transport") return undefined;
  if (encap) return "transport mode does not pass a NAT, and ESP goes in UDP here";
  const { local, remote } = selectorsFor(child, path);
  return local.length > 0 && remote.length > 0 ? undefined : "its selectors do not hold the addresses of both ends";
};

export const modePayloads = (mode: Mode | undefined): Payload[] =>
  mode === "transport" ? [notifyPayload(Notify.USE_TRANSPORT_MODE)] : [];

export const modeOf = (payloads: readonly Payload[]): Mode =>
  hasNotify(payloads, Notify.USE_TRANSPORT_MODE) ? "transport" : "tunnel";
