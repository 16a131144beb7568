/** What all IKE SAs of a gateway share: the connections, the table of SAs by our SPI, and the counters. */
import { toHex } from "../bytes.ts";
import { RateLimit } from "../rate-limit.ts";
import type { ChildSa } from "./child-sa.ts";
import { expectedPeer } from "./connection.ts";
import { CookieJar } from "./cookie.ts";
import type { IkeEnvironment } from "./environment.ts";
import { HalfOpen } from "./half-open.ts";
import { type Identity, identityKey } from "./identity.ts";
import type { IkeOptions } from "./ike-options.ts";
import type { IkeSa } from "./ike-sa.ts";
import { KeyWorks } from "./key-works.ts";
import { LastAnswers } from "./last-answers.ts";
import type { LogAllowance } from "./log-allowance.ts";
import { exactId, isExpected } from "./peer-id.ts";
import type { Peering } from "./peering.ts";
import { Peerings } from "./peerings.ts";
import { Wakes } from "./wakes.ts";

const NOBODY: ReadonlySet<IkeSa> = new Set();

export class Core {
  readonly env: IkeEnvironment;
  readonly options: IkeOptions;
  readonly peerings: Peerings;
  /** By our own SPI, in hex: an address says nothing about whose message it is (RFC 7296 §2.6). */
  readonly sas = new Map<string, IkeSa>();
  /** SPIs, in hex, that we have offered for IKE SAs which the peer's answer is to make: it may have made them already. */
  readonly offeredSpis = new Set<string>();
  /** Those whose peer is known, by its identity. */
  readonly #kin = new Map<string, Set<IkeSa>>();
  /** The same by our identity too. */
  readonly #between = new Map<string, Set<IkeSa>>();
  /** Which of them has a pair, by the SPI that we receive on. */
  readonly #holders = new Map<number, IkeSa>();
  readonly counters: Record<string, number> = {};
  readonly cookies: CookieJar;
  /** Cookies are asked for until then, ms; see `admit`. */
  cookiesUntil = Number.NEGATIVE_INFINITY;
  /** Answers to IKE_SA_INIT requests whose IKE SAs are up, by sender and SPI; of those half-open the IKE SA has it. */
  readonly firstAnswers = new LastAnswers();
  /** Answers to the last requests of SAs that are gone, by our SPI. */
  readonly lastAnswers = new LastAnswers();
  readonly halfOpen = new HalfOpen();
  readonly keyWorks = new KeyWorks();
  /** Who has timers, by the next of them. */
  readonly wakes: Wakes<IkeSa | Peering>;
  /** By event: what one attack provokes does not hide another. */
  readonly unprovenLogs = new Map<string, LogAllowance>();
  /** Notifications to whom no IKE SA is known with, outside of IKE_SA_INIT (RFC 7296 §2.21.4). */
  readonly unprovenAnswers = new RateLimit(10, 10);

  /** How often the IKE SAs with an address are looked for because somebody sends ESP that is no SA's from there. */
  readonly strays = new RateLimit(4, 4);

  constructor(
    env: IkeEnvironment,
    options: IkeOptions,
    peerings: readonly Peering[],
    wakes = new Wakes<IkeSa | Peering>(),
  ) {
    this.wakes = wakes;
    this.env = env;
    this.options = options;
    this.peerings = new Peerings(peerings);
    this.cookies = new CookieJar((length) => env.random(length));
  }

  /** The peer of `sa` has proven that it is `peerId`. */
  recognize(sa: IkeSa, peerId: Identity): void {
    const key = identityKey(peerId);
    const kin = this.#kin.get(key) ?? new Set();
    this.#kin.set(key, kin.add(sa));
    sa.peerId = peerId;
    sa.kin = kin;
    const ends = endsOf(sa.peering, peerId);
    this.#between.set(ends, (this.#between.get(ends) ?? new Set()).add(sa));
  }

  /** IKE SAs whose peer has proven that it is `peerId`, of whatever connection; the newest last. */
  kinOf(peerId: Identity): ReadonlySet<IkeSa> {
    return this.#kin.get(identityKey(peerId)) ?? NOBODY;
  }

  /** Those of them with whom we are who we are in `peering`, of whatever connection; of a peer that may be one of many, all. */
  *kinWithUs(peering: Peering): Iterable<IkeSa> {
    const expected = expectedPeer(peering.config);
    const one = exactId(expected);
    if (one !== undefined) {
      yield* this.#between.get(endsOf(peering, one)) ?? NOBODY; // of thousands of peers we may be somebody else to each
      return;
    }
    for (const kin of this.#kin.values())
      for (const sa of kin)
        if (sa.peering?.localKey === peering.localKey && sa.peerId && isExpected(expected, sa.peerId)) yield sa;
  }

  /** Whether there are as many IKE SAs as there may be. */
  get isFull(): boolean {
    const { sasLimit } = this.options;
    return sasLimit > 0 && this.sas.size >= sasLimit;
  }

  remove(sa: IkeSa): void {
    this.sas.delete(sa.spiText);
    this.halfOpen.delete(sa);
    sa.peering?.sas.delete(sa);
    this.wakes.touch(sa); // it has nothing to do any more
    if (sa.peerId === undefined) return;
    forget(this.#kin, identityKey(sa.peerId), sa);
    forget(this.#between, endsOf(sa.peering, sa.peerId), sa);
  }

  /** Eight octets that no SA of ours has, never all zero. */
  newSpi(): Uint8Array {
    for (;;) {
      const spi = this.env.random(8);
      if (spi.some((octet) => octet !== 0) && !this.sas.has(toHex(spi))) return spi;
    }
  }

  add(sa: IkeSa): void {
    this.sas.set(sa.spiText, sa);
    sa.peering?.sas.add(sa);
    this.wakes.touch(sa);
  }

  /** This pair belongs to `sa` from now on. */
  hold(sa: IkeSa, child: ChildSa): void {
    this.#holders.get(child.spiIn)?.children.delete(child.spiIn);
    this.#holders.set(child.spiIn, sa);
    sa.children.set(child.spiIn, child);
  }

  /** It is gone. */
  dismiss({ spiIn }: ChildSa): void {
    this.#holders.get(spiIn)?.children.delete(spiIn);
    this.#holders.delete(spiIn);
  }

  /** The pair that we receive on by this SPI, and the IKE SA that it belongs to. */
  findChild(spiIn: number): { sa: IkeSa; child: ChildSa } | undefined {
    const sa = this.#holders.get(spiIn);
    const child = sa?.children.get(spiIn);
    return sa === undefined || child === undefined ? undefined : { sa, child };
  }
}

const endsOf = (peering: Peering | undefined, peerId: Identity): string => {
  const ours = peering?.localKey ?? "";
  return `${ours.length} ${ours} ${identityKey(peerId)}`;
};

const forget = (sets: Map<string, Set<IkeSa>>, key: string, sa: IkeSa): void => {
  const set = sets.get(key);
  set?.delete(sa);
  if (set?.size === 0) sets.delete(key);
};
