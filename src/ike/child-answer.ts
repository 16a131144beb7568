/**
 * A Child SA as its responder negotiates it: which of the connection's children an offer is for, its suite and its narrowed
 * selectors (RFC 7296 §2.7, §2.9).
 */
import { equalSelectors, narrow, type TrafficSelector } from "../ipsec/selector.ts";
import type { AgreedChild } from "./agreed-child.ts";
import { selectorsText, tfcNotify } from "./child-offer.ts";
import type { ChildSa } from "./child-sa.ts";
import type { Path } from "./child-sa-params.ts";
import type { ChildConfig } from "./connection.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import { find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { hasNotify } from "./payloads.ts";
import { chooseEsp, describeProposals, type EspSuite, type Proposal, spiBytes } from "./proposal.ts";
import { type Mode, modeOf, modePayloads, selectorsFor, transportProblem } from "./transport-mode.ts";

export interface ChosenChild extends Omit<AgreedChild, "spiIn" | "resource"> {
  readonly chosen: Proposal;
}

interface Offered {
  readonly proposals: readonly Proposal[];
  readonly tsi: readonly TrafficSelector[];
  readonly tsr: readonly TrafficSelector[];
}

interface Choosing {
  readonly withKe: boolean;
  /** Of the IKE SA, and whether ESP goes in UDP there. */
  readonly path: Path;
  readonly encap: boolean;
  /** Pairs of a child that are live. */
  readonly pairsOf: (child: ChildConfig) => readonly ChildSa[];
  /** The peer may want another pair beside one that has the same selectors (RFC 9611). */
  readonly mayBeSeveral: boolean;
}

/**
 * The best of `children` for the offer in `payloads`: where there may be several pairs, one that has a pair with these very
 * selectors; then those of the mode that is asked for; then one whose selectors are offered and no others, for that is the
 * peer's name of it; then those that have no pair yet, then those whose selectors are among those offered. A peer that asks
 * for transport mode may get tunnel mode, never the other way (RFC 7296 §1.3.1). Throws IkeError TS_UNACCEPTABLE or
 * NO_PROPOSAL_CHOSEN.
 */
export const chooseChild = (
  payloads: readonly Payload[],
  children: readonly ChildConfig[],
  { withKe, path, encap, pairsOf, mayBeSeveral }: Choosing,
): ChosenChild => {
  const offered = readOffer(payloads);
  const wanted = modeOf(payloads);
  const fitting = children
    .filter((config) => config.mode !== "transport" || wanted === "transport")
    .filter((config) => transportProblem(config, path, encap) === undefined)
    .map((config) => {
      const own = selectorsFor(config, path);
      const mode: Mode = config.mode ?? "tunnel";
      return { config, mode, own, remote: narrow(offered.tsi, own.remote), local: narrow(offered.tsr, own.local) };
    })
    .filter(({ local, remote }) => local.length > 0 && remote.length > 0);
  if (fitting.length === 0) throw noSelectors(offered, children);

  const best = fitting
    .flatMap((fit) => {
      const choice = chooseEsp(offered.proposals, fit.config.proposals, { withKe });
      return choice === undefined ? [] : [{ ...fit, ...choice }];
    })
    .map((fit) => {
      const pairs = pairsOf(fit.config);
      const isSibling = mayBeSeveral && pairs.some(({ facts }) => hasSelectors(offered, facts));
      const isSame = hasSelectors(offered, fit.own);
      const rank =
        (isSibling ? 0 : 16) +
        (fit.mode === wanted ? 0 : 8) +
        (isSame ? 0 : 4) +
        (pairs.length === 0 ? 0 : 2) +
        (includesAll(offered, fit.own) ? 0 : 1);
      return { fit, rank };
    })
    .reduce<Ranked | undefined>(
      (least, next) => (least === undefined || next.rank < least.rank ? next : least),
      undefined,
    );
  if (best === undefined) throw noProposal(offered, fitting);
  const { config, mode, local, remote, chosen, spi, suite } = best.fit;
  const tfcRefused = hasNotify(payloads, Notify.ESP_TFC_PADDING_NOT_SUPPORTED);
  return { config, mode, local, remote, chosen, spiOut: spi, suite, tfcRefused };
};

interface Ranked {
  readonly rank: number;
  readonly fit: {
    readonly config: ChildConfig;
    readonly mode: Mode;
    readonly local: readonly TrafficSelector[];
    readonly remote: readonly TrafficSelector[];
    readonly chosen: Proposal;
    readonly spi: number;
    readonly suite: EspSuite;
  };
}

/**
 * USE_TRANSPORT_MODE where it is agreed, SA of the answer, which bears the SPI that we receive on, the narrowed TSi and TSr,
 * and what is said of padding.
 */
export const answeredPayloads = (
  { config, chosen, mode, local, remote }: ChosenChild,
  spiIn: number,
): { mode: readonly Payload[]; sa: Payload; selectors: readonly Payload[] } => ({
  mode: modePayloads(mode),
  sa: { kind: "SA", value: [{ ...chosen, spi: spiBytes(spiIn) }] },
  selectors: [
    { kind: "TSi", value: { selectors: remote } },
    { kind: "TSr", value: { selectors: local } },
    ...tfcNotify(config),
  ],
});

const readOffer = (payloads: readonly Payload[]): Offered => {
  const [proposals, tsi, tsr] = [find(payloads, "SA"), find(payloads, "TSi"), find(payloads, "TSr")];
  if (proposals === undefined || tsi === undefined || tsr === undefined)
    throw invalidSyntax("a Child SA needs SA, TSi and TSr");
  return { proposals, tsi: tsi.selectors, tsr: tsr.selectors };
};

type Selectors = Pick<ChildConfig, "local" | "remote">;

const includesAll = ({ tsi, tsr }: Offered, { local, remote }: Selectors): boolean =>
  includes(tsr, local) && includes(tsi, remote);

/** Whether what is offered are these selectors, no more and no less. */
const hasSelectors = (offered: Offered, selectors: Selectors): boolean =>
  includesAll(offered, selectors) && includes(selectors.local, offered.tsr) && includes(selectors.remote, offered.tsi);

const includes = (some: readonly TrafficSelector[], wanted: readonly TrafficSelector[]): boolean =>
  wanted.every((own) => some.some((one) => equalSelectors(own, one)));

const noSelectors = ({ tsi, tsr }: Offered, children: readonly ChildConfig[]): IkeError => {
  const expected = children.map(
    ({ name, local, remote }) => `${name}: ${selectorsText(remote)} === ${selectorsText(local)}`,
  );
  return new IkeError(Notify.TS_UNACCEPTABLE, "no child has these traffic selectors", {
    context: `offered ${selectorsText(tsi)} === ${selectorsText(tsr)}; expected ${expected.join("; ") || "none"}`,
  });
};

const noProposal = ({ proposals }: Offered, fitting: readonly { config: ChildConfig }[]): IkeError => {
  const expected = fitting.map(({ config }) => `${config.name}: ${describeProposals(config.proposals)}`);
  return new IkeError(Notify.NO_PROPOSAL_CHOSEN, "no ESP proposal in common", {
    context: `offered ${describeProposals(proposals)}; expected ${expected.join("; ")}`,
  });
};
