/**
 * An IKE SA: who it is, its two windows of messages, its children and its state. The exchanges are in files of their own.
 *
 *   initiator   init-sent ──────> auth-sent ──> established ──> replaced ──> closing ──> closed
 *                  └─ COOKIE, INVALID_KE_PAYLOAD: init-sent again
 *   responder   init-answered ────────────────> established ...
 *
 * Established may go straight to closing (our Delete is on its way); every state may go to closed. One that was made by
 * rekeying begins established. Secrets of a state are wiped when the next does not have them.
 */
import { toHex } from "../bytes.ts";
import { formatEndpoint } from "../ip-address.ts";
import { RateLimit } from "../rate-limit.ts";
import type { ChildOffer } from "./agreed-child.ts";
import { Postponed } from "./backoff.ts";
import type { ChildSa } from "./child-sa.ts";
import type { Path } from "./child-sa-params.ts";
import type { ConnectionConfig } from "./connection.ts";
import type { Identity } from "./identity.ts";
import type { InitAttempt } from "./init-attempt.ts";
import type { DirectionKeys, IkeKeys } from "./keymat.ts";
import { LogAllowance } from "./log-allowance.ts";
import type { HeaderFields } from "./message.ts";
import type { Outgoing } from "./outgoing.ts";
import { PeerResources } from "./peer-resources.ts";
import type { Peering } from "./peering.ts";
import type { Candidates } from "./peerings.ts";
import type { IkeSuite } from "./proposal.ts";
import { Reassembly } from "./reassembly.ts";
import { Requests } from "./requests.ts";

export type Role = "initiator" | "responder";

/** The two messages of IKE_SA_INIT as they were sent, which AUTH covers, and the nonces in them. */
export interface Opening {
  readonly request: Uint8Array;
  readonly answer: Uint8Array;
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
}

interface Keyed {
  readonly keys: IkeKeys;
  readonly suite: IkeSuite;
}

export interface Established extends Keyed {
  readonly name: "established";
  readonly since: number;
  readonly rekeyAt: number;
  readonly expiresAt: number;
  /** The lower nonce of the exchange that made it: decides between twins (RFC 7296 §2.8.1). */
  readonly lowestNonce: Uint8Array;
}

export type IkeSaState =
  | { readonly name: "init-sent"; readonly attempt: InitAttempt }
  | (Keyed & {
      readonly name: "init-answered";
      readonly opening: Opening;
      /** Of the request: its sender, and the SPI that it chose. */
      readonly asker: string;
      readonly candidates: Candidates;
      readonly expiresAt: number;
    })
  | (Keyed & { readonly name: "auth-sent"; readonly opening: Opening; readonly offer: ChildOffer | undefined })
  | Established
  | (Keyed & { readonly name: "replaced"; readonly by: IkeSa; readonly guardAt: number })
  | (Keyed & { readonly name: "closing" })
  | { readonly name: "closed" };

const MAY_BECOME: Readonly<Record<IkeSaState["name"], readonly IkeSaState["name"][]>> = {
  "init-sent": ["init-sent", "auth-sent", "closed"],
  "init-answered": ["established", "closed"],
  "auth-sent": ["established", "closing", "closed"],
  established: ["established", "replaced", "closing", "closed"],
  replaced: ["closing", "closed"],
  closing: ["closed"],
  closed: [],
};

/** Whether the peer's end lies behind a NAT, and ours (RFC 7296 §2.23). */
export interface NatFound {
  readonly local: boolean;
  readonly remote: boolean;
  /** `encap: force`: we act as if there were one. */
  readonly forced: boolean;
}

export const NO_NAT: NatFound = { local: false, remote: false, forced: false };

/** How the peers met: the same for an IKE SA and all that it is rekeyed to, and known to both ends. */
export interface Origin {
  /** Of the IKE_SA_INIT. */
  readonly role: Role;
  /** The lower nonce of it. */
  readonly lowestNonce: Uint8Array;
}

/** A request of the peer that was answered: the same octets come back when it is repeated. */
export interface Answered {
  /** As it came; of one that came in pieces the first (RFC 7383 §2.6.1). */
  readonly request: Uint8Array;
  readonly answer: Outgoing;
}

interface Beginning {
  readonly role: Role;
  readonly spiI: Uint8Array;
  readonly spiR: Uint8Array;
  readonly path: Path;
  readonly peering: Peering | undefined;
  readonly state: IkeSaState;
  readonly now: number;
  /** Of the IKE SA that it rekeys. */
  readonly resources?: PeerResources;
}

export class IkeSa {
  readonly role: Role;
  readonly spiI: Uint8Array;
  /** All zero until the responder has answered. */
  spiR: Uint8Array;
  path: Path;
  nat: NatFound = NO_NAT;
  /** How messages are cut; undefined: not at all, since one of the two does not want it (RFC 7383 §2.3). */
  fragments: Pick<ConnectionConfig, "fragmentation" | "fragmentSize"> | undefined;
  /** Pieces of the peer's requests and of its answers that have come so far. */
  readonly arriving = { requests: new Reassembly(), answers: new Reassembly() };
  /** Undefined until a responder knows whom it talks to. */
  peering: Peering | undefined;
  peerId: Identity | undefined;
  /** All IKE SAs whose peer has proven the same identity, of whatever connection; undefined until this one has. */
  kin: ReadonlySet<IkeSa> | undefined;
  /** Undefined until it is up. */
  origin: Origin | undefined;
  readonly createdAt: number;
  readonly children = new Map<number, ChildSa>();
  /** What the peer has said about several pairs for one child. */
  readonly resources: PeerResources;
  /** Our requests. */
  readonly requests: Requests;
  /** How many requests the peer takes at a time. */
  peerWindow = 1;
  /** Its rekey, as the peer puts it off. */
  readonly postponed = new Postponed();
  /** Message ID that the peer's next request must have. */
  expectedId = 0;
  lastAnswered: Answered | undefined;
  /** How often the peer is told that its message IDs are out of order. */
  readonly complaints = new RateLimit(0.1, 1);
  /** How often the peer is told of ESP packets that it should not have sent. */
  readonly strayReports = new RateLimit(0.1, 1);
  /** Key exchanges that are being computed, by number in `KeyWorks`: for the peer's request, and for its answer to ours. */
  readonly awaited: { request: number | undefined; answer: number | undefined } = {
    request: undefined,
    answer: undefined,
  };
  /** Messages with a wrong ICV since the last authentic one. */
  decryptFailures = 0;
  /** Lines in the log about Child SAs that the peer asked for and did not get. */
  refusedChildLogs = new LogAllowance();
  /** Rekeys that the peer asks for. */
  rekeys: RateLimit | undefined;
  /** When to ask whether the peer lives, and when to keep a NAT's mapping alive. */
  livenessAt = Number.POSITIVE_INFINITY;
  keepaliveAt = Number.POSITIVE_INFINITY;
  /** Packets that its children had sent when that was due last. */
  sentAtKeepalive = 0;
  /** When the volume of its children is looked at next. */
  usageAt = Number.POSITIVE_INFINITY;
  #state: IkeSaState;

  constructor({ role, spiI, spiR, path, peering, state, now, resources }: Beginning) {
    this.role = role;
    this.spiI = spiI;
    this.spiR = spiR;
    this.path = path;
    this.peering = peering;
    this.createdAt = now;
    this.resources = resources ?? new PeerResources();
    this.#state = state;
    this.requests = new Requests();
  }

  get state(): IkeSaState {
    return this.#state;
  }

  /** Our SPI, by which the peer's messages find this SA. */
  get spiText(): string {
    return toHex(this.role === "initiator" ? this.spiI : this.spiR);
  }

  get connection(): string | undefined {
    return this.peering?.config.name;
  }

  get remoteText(): string {
    return formatEndpoint(this.path.remote);
  }

  /** ESP goes in UDP. */
  get encap(): boolean {
    return this.nat.local || this.nat.remote || this.nat.forced;
  }

  get keys(): IkeKeys | undefined {
    return "keys" in this.#state ? this.#state.keys : undefined;
  }

  /** Keys of what the peer sends. */
  get inbound(): DirectionKeys | undefined {
    return this.role === "initiator" ? this.keys?.responder : this.keys?.initiator;
  }

  /** Keys of what we send. A RangeError in a state without. */
  get outbound(): DirectionKeys {
    const keys = this.role === "initiator" ? this.keys?.initiator : this.keys?.responder;
    if (keys === undefined) throw new RangeError(`an IKE SA has no keys when ${this.#state.name}`);
    return keys;
  }

  /** The only way to change state. An impossible step is a bug and throws a RangeError. */
  become(next: IkeSaState): void {
    const last = this.#state;
    if (!MAY_BECOME[last.name].includes(next.name))
      throw new RangeError(`an IKE SA cannot go from ${last.name} to ${next.name}`);
    this.#state = next;
    if ("keys" in last && last.keys !== this.keys) last.keys.wipe();
    if (last.name === "init-sent" && !(next.name === "init-sent" && next.attempt.keyPair === last.attempt.keyPair))
      last.attempt.keyPair.destroy();
  }

  header(exchange: number, isResponse: boolean, messageId: number): HeaderFields {
    const { spiI, spiR, role } = this;
    return { spiI, spiR, exchange, fromInitiator: role === "initiator", isResponse, messageId };
  }
}
