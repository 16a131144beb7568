/** A Child SA before it is one: what is offered, and what both sides agreed on. */
import type { TrafficSelector } from "../ipsec/selector.ts";
import type { ChildConfig } from "./connection.ts";
import type { EspSuite, Proposal } from "./proposal.ts";

/** What we offer. */
export interface ChildOffer {
  readonly config: ChildConfig;
  readonly resource: number;
  /** Reserved: install it or release it. */
  readonly spiIn: number;
  readonly proposals: readonly Proposal[];
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

/** What both sides agreed on, seen from ours. */
export interface AgreedChild {
  readonly config: ChildConfig;
  readonly resource: number;
  readonly spiIn: number;
  readonly spiOut: number;
  readonly suite: EspSuite;
  readonly mode: "tunnel" | "transport";
  /** The peer said ESP_TFC_PADDING_NOT_SUPPORTED. */
  readonly tfcRefused: boolean;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}
