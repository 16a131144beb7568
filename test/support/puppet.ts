/**
 * An initiator whose strings are in a test's hands: it speaks IKEv2 with one gateway, proves who it is, and then says
 * whatever it is told to, under the right keys.
 */
import { equalBytes } from "../../src/bytes.ts";
import { generateKeyPair, kexById } from "../../src/crypto/kex.ts";
import { prfById } from "../../src/crypto/prf.ts";
import { pskAuth } from "../../src/ike/auth.ts";
import type { Identity } from "../../src/ike/identity.ts";
import { type DirectionKeys, deriveIkeKeys, type IkeKeys } from "../../src/ike/keymat.ts";
import { Exchange, emitMessage, find, notifies, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { type Payload, SK } from "../../src/ike/payload/index.ts";
import { kePayload, noncePayload, notifyPayload } from "../../src/ike/payloads.ts";
import { chooseIke, offerEsp, offerIke } from "../../src/ike/proposal.ts";
import { openProtected, sealProtected, sealText } from "../../src/ike/sk.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import type { Link } from "./link.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { B, esp, identity, ike, key } from "./two-peers.ts";

const NONE = new Uint8Array(0);
const PROPOSAL = ike("aes256gcm16-prfsha256-x25519");

/** What the gateway said, its own requests too. */
export interface Said {
  readonly exchange: number;
  readonly isResponse: boolean;
  readonly messageId: number;
  readonly payloads: readonly Payload[];
}

export class Puppet {
  readonly #link: Link;
  readonly #random: SeededRandom;
  readonly from = { address: "203.0.113.9", port: 500 };
  readonly #to = { address: B, port: 500 };
  readonly spiI: Uint8Array;
  spiR: Uint8Array = new Uint8Array(8);
  /** Undefined until IKE_SA_INIT is over. */
  keys: IkeKeys | undefined;
  /** Message ID of its next request. */
  nextId = 0;
  #opening: { request: Uint8Array; ni: Uint8Array; nr: Uint8Array } | undefined;

  constructor(link: Link, random: SeededRandom) {
    this.#link = link;
    this.#random = random;
    this.spiI = random.bytes(8);
  }

  /** IKE_SA_INIT; after it the keys are there. `wait`: for a gateway that has to compute for a while. */
  begin(wait: () => void = () => {}): void {
    const method = kexById(31)!;
    const keyPair = generateKeyPair(method);
    const ni = this.#random.bytes(32);
    const header = { ...this.#header(Exchange.IKE_SA_INIT), messageId: 0 };
    const asked: readonly Payload[] = [
      { kind: "SA", value: offerIke(PROPOSAL) },
      kePayload(method.id, keyPair.publicValue),
      noncePayload(ni),
    ];
    const ask = (bytes: Uint8Array): Uint8Array => {
      const before = this.#link.sent.length;
      this.deliver(bytes);
      wait();
      return this.heard(before)[0]!;
    };
    let request = emitMessage(header, asked);
    let answer = ask(request);
    const [cookie] = notifies(parseMessage(answer).payloads, Notify.COOKIE);
    if (cookie !== undefined) {
      request = emitMessage(header, [notifyPayload(Notify.COOKIE, cookie.data), ...asked]);
      answer = ask(request);
    }
    const { header: answered, payloads } = parseMessage(answer);
    const [sa, ke, nonce] = [find(payloads, "SA")!, find(payloads, "KE")!, find(payloads, "Nonce")!];
    const { suite } = chooseIke(sa, PROPOSAL)!;
    const shared = keyPair.agree(ke.data)!;
    this.spiR = answered.spiR.slice();
    const prf = prfById(suite.prf)!;
    const nonces = { ni, nr: nonce.data };
    this.keys = deriveIkeKeys({ prf, suite, shared, ...nonces, spiI: this.spiI, spiR: this.spiR });
    this.#opening = { request, ...nonces };
    this.nextId = 1;
  }

  /** The payloads of an IKE_AUTH request that any gateway takes that knows this identity. */
  proof(id: Identity = identity("puppet.example")): Payload[] {
    const { request, nr } = this.#opening!;
    const { prf, skPi } = this.keys!;
    const data = pskAuth(key("secret"), { message: request, nonce: nr, prf, skP: skPi, identity: id });
    return [
      { kind: "IDi", value: id },
      { kind: "AUTH", value: { method: 2, data } },
      { kind: "SA", value: this.espOffer() },
      { kind: "TSi", value: { selectors: anySelectors } },
      { kind: "TSr", value: { selectors: anySelectors } },
    ];
  }

  espOffer(spi = 0x7000_0000 + this.#random.integer(0xffff)) {
    return offerEsp(esp("aes256gcm16"), spi, { withKe: false });
  }

  /** Both exchanges: an IKE SA and a Child SA are up. */
  connect(): readonly Said[] {
    this.begin();
    return this.ask(Exchange.IKE_AUTH, this.proof());
  }

  /** A request with these payloads inside SK; what the gateway says to it. */
  ask(exchange: number, payloads: readonly Payload[], messageId = this.nextId++): readonly Said[] {
    const header = { ...this.#header(exchange), messageId };
    return this.hear(sealProtected(header, payloads, this.#ours, (length) => this.#random.bytes(length)));
  }

  /** The same with any octets inside SK. */
  askRaw(exchange: number, firstPayload: number, text: Uint8Array, messageId = this.nextId++): readonly Said[] {
    const header = { ...this.#header(exchange), messageId };
    const head = { type: SK, firstPayload, fields: NONE } as const;
    return this.hear(sealText(header, head, text, this.#ours, (length) => this.#random.bytes(length)));
  }

  /** An answer to a request of the gateway. */
  answer({ exchange, messageId }: Said, payloads: readonly Payload[]): readonly Said[] {
    const header = { ...this.#header(exchange), isResponse: true, messageId };
    return this.hear(sealProtected(header, payloads, this.#ours, (length) => this.#random.bytes(length)));
  }

  /** Delivered as it is; what comes back, opened. What it cannot open, such as a refusal in the clear, is as it came. */
  hear(bytes: Uint8Array): readonly Said[] {
    return this.open(this.deliver(bytes));
  }

  open(datagrams: readonly Uint8Array[]): readonly Said[] {
    return datagrams.map((datagram) => {
      const message = parseMessage(datagram);
      const { exchange, isResponse, messageId } = message.header;
      const inside = message.protected === undefined ? undefined : openProtected(datagram, message, this.#theirs);
      return { exchange, isResponse, messageId, payloads: inside ?? message.payloads };
    });
  }

  deliver(bytes: Uint8Array): readonly Uint8Array[] {
    const before = this.#link.sent.length;
    this.#link.inject({ from: this.from, to: this.#to, bytes });
    return this.heard(before);
  }

  /** What was sent to it since, about its IKE SA. */
  heard(since: number): readonly Uint8Array[] {
    return this.#link.sent
      .slice(since)
      .filter(({ to, bytes }) => to.address === this.from.address && equalBytes(parseHeader(bytes).spiI, this.spiI))
      .map((sent) => sent.bytes);
  }

  get #ours(): DirectionKeys {
    return this.keys!.initiator;
  }

  get #theirs(): DirectionKeys {
    return this.keys!.responder;
  }

  #header(exchange: number) {
    const { spiI, spiR } = this;
    return { spiI, spiR, exchange, fromInitiator: true, isResponse: false, messageId: this.nextId };
  }
}
