/** A connection as `status` shows it. */
import { toHex } from "../bytes.ts";
import { formatEndpoint } from "../ip-address.ts";
import { formatSelector } from "../ipsec/selector.ts";
import type { ChildSa } from "./child-sa.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Peering } from "./peering.ts";
import type { ChildSaStatus, ConnectionStatus, IkeSaStatus } from "./status.ts";

export const showPeering = (peering: Peering): ConnectionStatus => {
  const { config, lastError } = peering;
  const up = peering.established().at(-1);
  const { host } = peering;
  const remote = up?.remoteText ?? (host === undefined ? "any" : formatEndpoint({ ...config.remote, address: host }));
  const children = [...peering.sas].flatMap((sa) => [...sa.children.values()].map(showChild));
  return {
    name: config.name,
    state: stateOf(peering, up),
    remote,
    ...(lastError === undefined ? {} : { lastError }),
    ...(up === undefined ? {} : { ikeSa: showIkeSa(up) }),
    childSas: children,
  };
};

const stateOf = (peering: Peering, up: IkeSa | undefined): ConnectionStatus["state"] => {
  if (up !== undefined) return "up";
  if (peering.wish !== "no" && (peering.isAlive || peering.retryAt !== undefined)) return "connecting";
  return peering.sas.size > 0 ? "closing" : "down";
};

const showIkeSa = (sa: IkeSa): IkeSaStatus => {
  const { state } = sa;
  if (state.name !== "established") throw new RangeError(`an IKE SA that is ${state.name} is not shown`);
  return {
    spiI: toHex(sa.spiI),
    spiR: toHex(sa.spiR),
    proposal: state.suite.name,
    role: sa.role,
    establishedAt: state.since,
    rekeyAt: state.rekeyAt,
    natDetected: sa.nat.local || sa.nat.remote,
    peerWindow: sa.peerWindow,
    fragmentation: sa.fragments !== undefined,
  };
};

const showChild = (child: ChildSa): ChildSaStatus => {
  const { facts, state, config } = child;
  return {
    name: config.name,
    resource: facts.resource,
    state: state.name === "installed" || state.name === "rekeying" ? state.name : "closing",
    spiIn: facts.spiIn,
    spiOut: facts.spiOut,
    suite: facts.suite.name,
    esn: facts.esn,
    encap: facts.encap,
    mode: facts.mode,
    rekeyAt: state.name === "installed" ? state.rekeyAt : child.expiresAt,
    local: facts.local.map(formatSelector),
    remote: facts.remote.map(formatSelector),
  };
};
