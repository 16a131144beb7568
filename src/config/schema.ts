/**
 * The schema of a configuration file. Every key is optional here: what must be there, alone or with others, is said by
 * the rules, so that a file with many mistakes is told all of them at once.
 */
import { z } from "zod";
import { type Suite, suiteByName } from "../crypto/suites.ts";
import { parseIdentity } from "../ike/identity.ts";
import { MOST_ENTRIES } from "../ike/keyring.ts";
import { parsePeerId } from "../ike/peer-id.ts";
import { parseEspProposal, parseIkeProposal } from "../ike/proposal.ts";
import { MAX_SELECTORS, parseSelector } from "../ipsec/selector.ts";
import { DEFAULT_CONTROL, LOG_LEVELS } from "./config.ts";
import {
  address,
  autoOr,
  autoOrDuration,
  autoOrWhole,
  countOrOff,
  cpus,
  dscp,
  duration,
  durationOrOff,
  hexKey,
  host,
  hostOrAny,
  interfaceAddress,
  interfaceName,
  mss,
  mtu,
  number,
  offOrWhole,
  oneOf,
  parsed,
  psk,
  route,
  socketPath,
  text,
  tfc,
  whole,
  yesNo,
  yesNoEither,
  yesNoForce,
} from "./scalars.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

/** AEAD first (RFC 8247 §2.1); each line holds AEAD or not, never both (RFC 7296 §3.3). No SHA-1 unless asked for. */
export const DEFAULT_IKE_PROPOSALS: readonly string[] = [
  "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519-ecp256-modp3072",
  "aes256-aes128-sha384-sha256-ecp384-x25519-ecp256-modp3072-modp2048",
];

export const DEFAULT_ESP_PROPOSALS: readonly string[] = ["aes256gcm16-aes128gcm16", "aes256-aes128-sha256"];

const identity = parsed(
  "an identity: address, domain name, user@domain, CN=gw,O=Example, keyid:hex",
  "Who we say we are (RFC 7296 §3.5). Default: the address.",
  parseIdentity,
);

const PEER_ID = 'an identity, or a pattern such as "*.example", 10.0.0.0/8 or "%any"';

const peerIdentity = parsed(
  PEER_ID,
  "Who it says it is (RFC 7296 §3.5). Default: its address; of a remote `any`: anybody who proves the key.",
  parsePeerId,
);

const selector = parsed(
  'a selector such as 10.1.0.0/24, 10.0.0.1-10.0.0.9 or "10.1.0.0/24[tcp/443]"',
  "Traffic selectors (RFC 7296 §3.13), narrowed to what the peer agrees to.",
  parseSelector,
);

const ikeProposal = parsed(
  "an IKE proposal such as aes256gcm16-prfsha384-ecp384",
  "What protects IKE, most wanted first.",
  parseIkeProposal,
);

const espProposal = parsed(
  "an ESP proposal such as aes256gcm16 or aes256-sha256-ecp256",
  "What protects the packets, most wanted first; a key exchange in it means perfect forward secrecy when rekeying.",
  (value) => parseEspProposal(value, "either"),
);

/** A list; a single value is a list of one. */
const listOf = <T extends z.ZodType>(item: T, least = 0, most = Number.POSITIVE_INFINITY) =>
  z.preprocess(
    (value) => (typeof value === "string" ? [value] : value),
    z.array(item).min(least, "expected at least one").max(most, `expected at most ${most}`),
  );

const pskFile = text(
  "the path of a file that holds a key",
  "File that holds the key, relative to this file; its final newline is no part of it.",
);

/** What an interface has beside its name. */
const device = {
  addresses: listOf(interfaceAddress("Addresses of the interface.")).prefault([]),
  mtu: mtu("Octets of the largest inner packet; auto: from path, suite and encapsulation.").prefault("auto"),
  mss: mss("Octets of the largest TCP segment that SYNs may announce; auto: what fits the MTU; off: any.").prefault(
    "auto",
  ),
  routes: listOf(
    route("Prefixes that lead into the interface; unreachable, not in the clear, while the Child SA is down."),
  ).prefault([]),
};

const interfaceSettings = z.strictObject({
  name: interfaceName("Required. Name of the TUN interface that is made; every child has its own.").optional(),
  ...device,
});

/** Entries that a list of policies may have. */
const MOST_POLICIES = 10_000;

const policySettings = z.strictObject({
  action: oneOf("protect: by a child; bypass: send in the clear, see `mark`; discard: drop.", [
    "protect",
    "bypass",
    "discard",
  ]).optional(),
  child: text("the connection and the name of a child such as branch/net", "Which child protects.").optional(),
  local: listOf(selector, 1, MAX_SELECTORS).optional(),
  remote: listOf(selector, 1, MAX_SELECTORS).optional(),
});

export const sharedInterface = z.strictObject({
  ...device,
  policies: z.array(policySettings).max(MOST_POLICIES, `expected at most ${MOST_POLICIES} policies`).optional(),
});

const spi = (about: string) => whole(about, 256, 0xffff_ffff);

const manualSa = (which: string) =>
  z.strictObject({
    spi: spi(`Required. SPI of packets ${which}; of those to us, the lowest 12 bits are its own.`).optional(),
    key: hexKey("Required. Encryption key, then salt or integrity key.").optional(),
    sequence: whole(`Sequence number that packets ${which} have used up.`, 0, Number.MAX_SAFE_INTEGER).prefault(0),
  });

/** SAs that nobody negotiates (RFC 4301 §4.5.1). */
/** What is refused in a proposal is refused here for the same reason. */
const readSuite = (text: string): Suite | undefined => {
  const suite = suiteByName(text);
  if (suite === undefined) parseEspProposal(text, "no");
  return suite;
};

const manualSettings = z.strictObject({
  suite: parsed("an ESP suite such as aes256gcm16 or aes128-sha256", "Required. Of both SAs.", readSuite).optional(),
  in: manualSa("to us").prefault({}),
  out: manualSa("to the peer").prefault({}),
});

export const childSettings = z.strictObject({
  proposals: listOf(espProposal, 1).prefault([...DEFAULT_ESP_PROPOSALS]),
  esn: yesNoEither("Extended sequence numbers (RFC 4304); either: as the peer likes.").prefault("either"),
  local: listOf(selector, 1, MAX_SELECTORS).prefault(["0.0.0.0/0", "::/0"]),
  remote: listOf(selector, 1, MAX_SELECTORS).prefault(["0.0.0.0/0", "::/0"]),
  lifetime: duration("Time until the Child SA is rekeyed, less up to 10 %.", SECOND, 30 * DAY).prefault("1h"),
  lifebytes: countOrOff(
    "Octets, one way, until the Child SA is rekeyed, less up to 10 %; k, m, g, t: thousands, millions, ...",
    1_000_000,
  ).prefault("off"),
  lifepackets: countOrOff(
    "The same in packets. Without ESN it is rekeyed in any case before its sequence numbers end.",
    1000,
  ).prefault("off"),
  replay_window: offOrWhole(
    "Packets that may arrive late (RFC 4303 §3.4.3), rounded up to a multiple of 32; off: even twice, and then without ESN.",
    32,
    4096,
  ).prefault(1024),
  dscp: dscp(
    "Class of the ESP packets (RFC 4301 §5.1.2): the inner packet's, always this one, or by the inner one.",
  ).prefault("copy"),
  ecn: oneOf("Congestion bits of ESP packets (RFC 6040): normal copies the inner ones, compatibility clears them.", [
    "normal",
    "compatibility",
  ]).prefault("normal"),
  df: oneOf(
    "DF of outer IPv4 headers (RFC 4301 §8.1): the inner packet's, always, never; clear: who sends DF is not told of the MTU.",
    ["copy", "set", "clear"],
  ).prefault("copy"),
  fragment: oneOf(
    "A packet larger than its path is fragmented before it is sealed, or its sender told; after: its ESP packet is fragmented.",
    ["before", "after"],
  ).prefault("before"),
  tfc: tfc(
    "Packets are padded to a multiple of so many octets, or all to the MTU (RFC 4303 §2.7), if the peer takes it.",
  ).prefault("none"),
  dummies: durationOrOff("One dummy packet (RFC 4303 §2.6) is sent in each such time.", 40, HOUR).prefault("off"),
  refuse_tfc: yesNo("The peer is asked to pad no packets (ESP_TFC_PADDING_NOT_SUPPORTED).").prefault(false),
  icmp_errors: yesNo(
    "ICMP errors about packets of the child pass its SAs, from whatever router (RFC 4301 §6.2); no: only those that selectors hold.",
  ).prefault(true),
  sas: autoOr(
    "Pairs of SAs with these selectors, each carried by a worker of its own (RFC 9611), if the peer agrees; auto: one a worker.",
    1,
    64,
  ).prefault("auto"),
  mode: oneOf(
    "tunnel: whole packets; transport: what two hosts, the ends themselves, send each other (RFC 4301 §4.1).",
    ["tunnel", "transport"],
  ).prefault("tunnel"),
  start: oneOf("connection: made with its connection; trap: when the first packet for it comes.", [
    "connection",
    "trap",
  ]).prefault("connection"),
  manual: manualSettings.optional(),
  interface: interfaceSettings.optional(),
  shares: interfaceName("Name of an entry of `interfaces` whose device it uses instead of one of its own.").optional(),
});

export const connectionSettings = z.strictObject({
  local: z
    .strictObject({
      address: address("Address of this end. Default: the one that the route to the peer gives.").optional(),
      id: identity.optional(),
      psk: psk("Key that proves us, where it is not the peer's.").optional(),
      psk_file: pskFile.optional(),
    })
    .prefault({}),
  remote: z
    .strictObject({
      address: hostOrAny(
        "Required. Address of the peer; or a domain name, resolved anew for each attempt; or any: it must begin.",
      ).optional(),
      backups: listOf(host("Addresses or names that are tried in turn when the first one fails.")).prefault([]),
      port: whole("UDP port of the peer's IKE.", 1, 65535).prefault(500),
      id: peerIdentity.optional(),
      psk: psk("Key that the peer must prove, where it is not ours.").optional(),
      psk_file: pskFile.optional(),
    })
    .prefault({}),
  psk: psk(
    "Key of both ends: text, 0x and hex digits, or 0s and base64. Required: this, a file, or one of each end.",
  ).optional(),
  psk_file: pskFile.optional(),
  keyring: text("the name of a keyring", "Where the key is, when none stands here.").optional(),
  start: oneOf(
    "initiate: connect, and connect again when lost; trap: when the first packet comes; none: wait for the peer or a command.",
    ["initiate", "trap", "none"],
  ).prefault("none"),
  encap: oneOf("ESP in UDP (RFC 3948): behind a NAT, always, or not at all.", ["auto", "force", "never"]).prefault(
    "auto",
  ),
  fragmentation: yesNoForce(
    "IKE messages too long for their path are cut (RFC 7383): if the peer takes that, never, or to the smallest size at once.",
  ).prefault("yes"),
  fragment_size: autoOrWhole(
    "Octets of the longest IP packet that IKE is sent in, where the path takes it; auto: 1384 on IPv4, 1280 on IPv6.",
    460,
    1932,
  ).prefault("auto"),
  proposals: listOf(ikeProposal, 1).prefault([...DEFAULT_IKE_PROPOSALS]),
  lifetime: duration("Time until the IKE SA is rekeyed, less up to 10 %.", SECOND, 30 * DAY).prefault("24h"),
  liveness: durationOrOff(
    "Silence after which the peer is asked whether it lives (RFC 7296 §2.4), by the responder a tenth later.",
    10 * SECOND,
    HOUR,
  ).prefault("30s"),
  liveness_mode: oneOf(
    "silence: a silent peer is asked; on-demand: one that we have sent packets to meanwhile; periodic: whatever comes from it.",
    ["silence", "on-demand", "periodic"],
  ).prefault("silence"),
  liveness_retry: autoOrDuration(
    "How soon the question is asked again, five times in all; auto: like every request.",
    2 * SECOND,
    60 * SECOND,
  ).prefault("auto"),
  retransmit: z
    .strictObject({
      first: duration("Wait before a request is sent again (RFC 7296 §2.4).", 100, 30 * SECOND).prefault("500ms"),
      factor: number("Each wait is so many times the one before.", 1, 5).prefault(2),
      tries: whole("How often a request is sent; after the last wait the IKE SA is given up.", 1, 20).prefault(7),
      jitter: whole("Per cent by which each wait may be shorter.", 0, 50).prefault(10),
    })
    .prefault({}),
  childless: oneOf(
    "IKE SAs without a Child SA in IKE_AUTH (RFC 6023); allow: a peer's; prefer: ours as well; never: neither.",
    ["allow", "prefer", "never"],
  ).prefault("allow"),
  duplicates: oneOf(
    "A peer's new IKE SA ends its old: on INITIAL_CONTACT (contact), always (replace), never, but see ike.limit.per_peer; keep: it is refused.",
    ["contact", "replace", "keep", "never"],
  ).prefault("contact"),
  children: z.record(z.string(), childSettings).optional(),
});

const keyOfOneEnd = (about: string) =>
  z.strictObject({ psk: psk(about).optional(), psk_file: pskFile.optional() }).prefault({});

/** The key of a peer, or of many: the entry that says most closely who it is counts. */
export const keyringEntry = z.strictObject({
  id: parsed(PEER_ID, "Required. Whose key it is: by its identity, else by its address.", parsePeerId).optional(),
  psk: psk("Key of both ends.").optional(),
  psk_file: pskFile.optional(),
  local: keyOfOneEnd("Key that proves us, where it is not the peer's."),
  remote: keyOfOneEnd("Key that the peer must prove, where it is not ours."),
});

export const settings = z.strictObject({
  workers: whole("Threads that do ESP.", 1, 64).prefault(1),
  affinity: cpus(
    "CPUs of the workers: worker i runs on the i-th alone, counted round; none: where the kernel likes.",
  ).prefault("none"),
  poll: oneOf(
    "How a worker waits for packets: sleep until the kernel wakes it; spin: never sleep; adaptive: spin for a moment after work, then sleep.",
    ["sleep", "spin", "adaptive"],
  ).prefault("adaptive"),
  batch: whole("Packets that a worker takes at a time, at most: many cost less, few wait less.", 1, 256).prefault(128),
  engine: oneOf("Where the ciphers come from; auto: the fastest that works.", [
    "auto",
    "ipsec-mb",
    "openssl",
    "node",
    "noble",
  ]).prefault("auto"),
  control: socketPath("Control socket, relative to this file; made with mode 0600.").prefault(DEFAULT_CONTROL),
  log: z
    .strictObject({
      level: oneOf("What is less than this is not logged.", LOG_LEVELS).prefault("info"),
      format: oneOf("Lines for people, or JSON.", ["text", "json"]).prefault("text"),
    })
    .prefault({}),
  ports: z
    .strictObject({
      ike: whole("UDP port of IKE.", 1, 65535).prefault(500),
      natt: whole("UDP port of IKE and ESP behind a NAT (RFC 7296 §2.23).", 1, 65535).prefault(4500),
    })
    .prefault({}),
  ike: z
    .strictObject({
      dscp: whole("DSCP of what IKE sends (RFC 2474); 48 is CS6, network control.", 0, 63).prefault(48),
      cookie_threshold: whole(
        "With as many half-open IKE SAs a peer must first return a cookie (RFC 7296 §2.6); 0: always.",
        0,
        1000,
      ).prefault(10),
      half_open: z
        .strictObject({
          incoming: whole("IKE SAs that peers have begun and that are not up; more are not begun.", 1, 9999).prefault(
            40,
          ),
          per_source: whole("The same from one address.", 1, 9999).prefault(10),
          outgoing: whole("IKE SAs that we have begun and that are not up; more wait.", 1, 9999).prefault(400),
          timeout: duration(
            "How long an IKE SA that a peer has begun may stay half-open.",
            SECOND,
            30 * 60 * SECOND,
          ).prefault("60s"),
        })
        .prefault({}),
      limit: z
        .strictObject({
          all: offOrWhole(
            "IKE SAs of all peers, half-open ones too; more are neither begun nor taken, those that are up are rekeyed.",
            1,
            9999,
          ).prefault("off"),
          per_peer: offOrWhole(
            "IKE SAs of one connection with one identity; of a peer that makes more the oldest end.",
            1,
            9999,
          ).prefault(10),
        })
        .prefault({}),
      decrypt_failures: whole(
        "Messages with a wrong ICV after which an IKE SA that is not up is forgotten.",
        1,
        100,
      ).prefault(30),
      rekey_rate: whole(
        "Rekeys, and key exchanges for new Child SAs, a second that one peer may ask for; more are told TEMPORARY_FAILURE.",
        1,
        50,
      ).prefault(5),
      queue: whole(
        "Requests of ours that may wait for their turn on one IKE SA, where one is on its way; more are put off.",
        1,
        50,
      ).prefault(20),
    })
    .prefault({}),
  mark: offOrWhole(
    "Mark of all packets that the gateway itself sends, and number of the routing table for the others: see Bypass.",
    256,
    2_147_483_647,
  ).prefault("off"),
  interfaces: z.record(z.string(), sharedInterface).optional(),
  keyrings: z
    .record(z.string(), z.array(keyringEntry).max(MOST_ENTRIES, `expected at most ${MOST_ENTRIES} entries`))
    .optional(),
  connections: z.record(z.string(), connectionSettings).optional(),
});

export type Settings = z.output<typeof settings>;
export type ConnectionSettings = z.output<typeof connectionSettings>;
export type SharedInterfaceSettings = z.output<typeof sharedInterface>;
export type KeyringEntrySettings = z.output<typeof keyringEntry>;
export type ChildSettings = z.output<typeof childSettings>;
