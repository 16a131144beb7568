/**
 * A Child SA as its initiator negotiates it: what SAi2, TSi and TSr offer (RFC 7296 §1.2, §1.3.1), and the check of what
 * the responder made of them (§2.7, §2.9).
 */
import { covers, formatSelector, MAX_SELECTORS, type TrafficSelector } from "../ipsec/selector.ts";
import type { AgreedChild, ChildOffer } from "./agreed-child.ts";
import type { ChildSaFacts } from "./child-sa.ts";
import type { Path } from "./child-sa-params.ts";
import type { ChildConfig } from "./connection.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import { find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";
import { acceptEsp, describeProposals, espLike, offerEsp, TransformType } from "./proposal.ts";
import { modeOf, modePayloads, selectorsFor } from "./transport-mode.ts";
import type { Turn } from "./turn.ts";

interface Offering {
  readonly resource: number;
  readonly withKe: boolean;
  /** Of the IKE SA. */
  readonly path: Path;
  /** A pair of the same child: the new one is to have its suite and selectors (RFC 9611 §4). */
  readonly like?: ChildSaFacts | undefined;
}

/** Undefined when the data plane has no room for another pair. */
export const offerChild = (
  turn: Turn,
  connection: string,
  config: ChildConfig,
  { resource, withKe, path, like }: Offering,
): ChildOffer | undefined => {
  const spiIn = turn.core.env.reserveSpi(connection, config.name, resource);
  if (spiIn === 0) return undefined;
  const { local, remote } = like ?? selectorsFor(config, path);
  const wanted = like === undefined ? config.proposals : espLike(config.proposals, like);
  return { config, resource, spiIn, proposals: offerEsp(wanted, spiIn, { withKe }), local, remote };
};

/** USE_TRANSPORT_MODE where it is wanted, SA, TSi and TSr of the request, and what it says of padding. */
export const offeredPayloads = ({
  config,
  proposals,
  local,
  remote,
}: ChildOffer): { mode: readonly Payload[]; sa: Payload; selectors: readonly Payload[] } => ({
  mode: modePayloads(config.mode),
  sa: { kind: "SA", value: proposals },
  selectors: [
    { kind: "TSi", value: { selectors: local } },
    { kind: "TSr", value: { selectors: remote } },
    ...tfcNotify(config),
  ],
});

/** Behind the selectors: the peer is to pad no packets beyond what ESP needs (RFC 7296 §1.3.1). */
export const tfcNotify = ({ refuseTfc = false }: ChildConfig): readonly Payload[] =>
  refuseTfc ? [notifyPayload(Notify.ESP_TFC_PADDING_NOT_SUPPORTED)] : [];

/** Throws IkeError when the answer is none to this offer. */
export const readChildAnswer = (offer: ChildOffer, payloads: readonly Payload[]): AgreedChild => {
  const [sa, tsi, tsr] = [find(payloads, "SA"), find(payloads, "TSi"), find(payloads, "TSr")];
  if (sa === undefined || tsi === undefined || tsr === undefined)
    throw invalidSyntax("a Child SA answer needs SA, TSi and TSr");
  const accepted = acceptEsp(sa, offer.proposals);
  if (accepted === undefined)
    throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, "the peer's choice is none of what we offered", {
      context: `offered ${describeProposals(offer.proposals)}; peer chose ${describeProposals(sa)}`,
    });
  const { config, resource, spiIn } = offer;
  const mode = modeOf(payloads);
  if (mode !== (config.mode ?? "tunnel"))
    throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, `the peer made it a ${mode} mode SA`, {
      context: `expected ${config.mode ?? "tunnel"} mode (RFC 7296 §1.3.1)`,
    });
  within(offer.local, tsi.selectors, "TSi");
  within(offer.remote, tsr.selectors, "TSr");
  return {
    config,
    resource,
    spiIn,
    spiOut: accepted.spi,
    suite: accepted.suite,
    mode,
    tfcRefused: hasNotify(payloads, Notify.ESP_TFC_PADDING_NOT_SUPPORTED),
    local: tsi.selectors,
    remote: tsr.selectors,
  };
};

/** A responder may narrow and never widen (RFC 7296 §2.9). */
const within = (offered: readonly TrafficSelector[], answered: readonly TrafficSelector[], which: string): void => {
  if (answered.length > MAX_SELECTORS)
    throw new IkeError(Notify.TS_UNACCEPTABLE, `${which} of the answer has ${answered.length} selectors`, {
      context: `at most ${MAX_SELECTORS} can be kept`,
    });
  if (answered.length > 0 && answered.every((one) => offered.some((own) => covers(own, one)))) return;
  throw new IkeError(Notify.TS_UNACCEPTABLE, `${which} of the answer is not within what we offered`, {
    context: `offered ${selectorsText(offered)}; peer answered ${selectorsText(answered)}`,
  });
};

export const selectorsText = (selectors: readonly TrafficSelector[]): string =>
  selectors.length === 0 ? "nothing" : selectors.map(formatSelector).join(", ");

/** The key exchange method to begin with, or undefined when none is configured: no perfect forward secrecy. */
export const firstGroup = (proposals: readonly { readonly transforms: readonly { type: number; id: number }[] }[]) =>
  groupsOf(proposals)[0];

/** Key exchange methods that proposals offer, in order. */
export const groupsOf = (
  proposals: readonly { readonly transforms: readonly { type: number; id: number }[] }[],
): number[] =>
  proposals.flatMap(({ transforms }) =>
    transforms.flatMap(({ type, id }) => (type === TransformType.KE && id !== 0 ? [id] : [])),
  );
