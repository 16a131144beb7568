/**
 * Key exchange methods of IKE (transform type 4): MODP groups (RFC 3526), ECP groups (RFC 5903), Curve25519 (RFC 8031).
 * A peer's public value is checked as RFC 6989 §2 and RFC 8031 §2 say before its result is used.
 */
import {
  createDiffieHellman,
  createECDH,
  createPrivateKey,
  createPublicKey,
  type DiffieHellmanGroup,
  diffieHellman,
  generateKeyPairSync,
  getDiffieHellman,
  type KeyObject,
} from "node:crypto";
import { concat, fromHex, wipe } from "../bytes.ts";

type Family =
  | { readonly kind: "modp"; readonly group: "modp14" | "modp15" | "modp16" }
  | { readonly kind: "ecp"; readonly curve: "prime256v1" | "secp384r1" | "secp521r1" }
  | { readonly kind: "x25519" };

export interface KexMethod {
  /** Transform ID of type 4. */
  readonly id: number;
  /** As in a proposal: `x25519`, `ecp256`, `modp2048`. */
  readonly name: string;
  /** Octets of a public value, always exactly these. */
  readonly publicLength: number;
  readonly family: Family;
}

export const KEX_METHODS: readonly KexMethod[] = [
  { id: 31, name: "x25519", publicLength: 32, family: { kind: "x25519" } },
  { id: 19, name: "ecp256", publicLength: 64, family: { kind: "ecp", curve: "prime256v1" } },
  { id: 20, name: "ecp384", publicLength: 96, family: { kind: "ecp", curve: "secp384r1" } },
  { id: 21, name: "ecp521", publicLength: 132, family: { kind: "ecp", curve: "secp521r1" } },
  { id: 14, name: "modp2048", publicLength: 256, family: { kind: "modp", group: "modp14" } },
  { id: 15, name: "modp3072", publicLength: 384, family: { kind: "modp", group: "modp15" } },
  { id: 16, name: "modp4096", publicLength: 512, family: { kind: "modp", group: "modp16" } },
];

/** The method with this transform ID, or undefined. */
export const kexById = (id: number): KexMethod | undefined => KEX_METHODS.find((method) => method.id === id);

/** The method of this name, or undefined. `curve25519` is `x25519`. */
export const kexByName = (name: string): KexMethod | undefined =>
  KEX_METHODS.find((method) => method.name === (name === "curve25519" ? "x25519" : name));

export interface KeyPair {
  readonly method: KexMethod;
  /** As in the Key Exchange payload: `method.publicLength` octets. */
  readonly publicValue: Uint8Array;
  /**
   * The shared secret, leading zeros kept: the x coordinate for ECP (RFC 5903 §9), as long as the prime for MODP
   * (RFC 7296 §2.14). Undefined when the peer's value is invalid. Throws a RangeError after `destroy`.
   */
  agree(peer: Uint8Array): Uint8Array | undefined;
  /** A copy of the private value as `keyPairOf` takes it, for the caller to wipe. Throws a RangeError after `destroy`. */
  privateValue(): Uint8Array;
  /** Forget the private value. */
  destroy(): void;
}

/** A fresh key pair. */
export const generateKeyPair = (method: KexMethod): KeyPair => open(method, undefined);

/**
 * The key pair of a private value (big-endian for MODP and ECP, as in RFC 7748 for X25519). Who knows its public value says
 * it, which spares computing it again.
 */
export const keyPairOf = (method: KexMethod, privateValue: Uint8Array, publicValue?: Uint8Array): KeyPair =>
  open(method, { privateValue, publicValue });

interface Known {
  readonly privateValue: Uint8Array;
  readonly publicValue: Uint8Array | undefined;
}

const open = (method: KexMethod, known: Known | undefined): KeyPair => {
  switch (method.family.kind) {
    case "modp":
      return modp(method, method.family.group, known);
    case "ecp":
      return ecp(method, method.family.curve, known?.privateValue);
    case "x25519":
      return x25519(method, known);
  }
};

type Agree = (peer: Uint8Array) => Uint8Array | undefined;

interface Own {
  readonly agree: Agree;
  readonly privateValue: () => Uint8Array;
}

const pair = (method: KexMethod, publicValue: Uint8Array, held: Own): KeyPair => {
  let own: Own | undefined = held;
  const mine = (): Own => {
    if (own === undefined) throw new RangeError("this key pair was destroyed");
    return own;
  };
  return {
    method,
    publicValue,
    agree(peer) {
      const { agree } = mine();
      return peer.length === method.publicLength ? agree(peer) : undefined;
    },
    privateValue: () => mine().privateValue(),
    destroy() {
      own = undefined; // node:crypto holds the only copy and frees it with the object
    },
  };
};

/** Out of node's buffer, which is wiped. */
const taken = (secret: Buffer, from = 0): Uint8Array => {
  const copy = new Uint8Array(secret.subarray(from));
  wipe(secret);
  return copy;
};

const modp = (method: KexMethod, group: string, known: Known | undefined): KeyPair => {
  const own = createDiffieHellmanOf(group, known);
  const prime = own.getPrime();
  const top = prime.slice(); // p - 1: a safe prime is odd
  top[top.length - 1]! -= 1;
  const one = new Uint8Array(prime.length);
  one[one.length - 1] = 1;
  const agree = (peer: Uint8Array): Uint8Array | undefined => {
    // RFC 6989 §2.1: 1 < y < p - 1, which is all there is to test for a safe prime.
    if (Buffer.compare(peer, one) <= 0 || Buffer.compare(peer, top) >= 0) return undefined;
    try {
      return leftPad(own.computeSecret(peer), prime.length);
    } catch {
      return undefined; // an OpenSSL that demands more, such as membership of the subgroup that 2 generates
    }
  };
  const publicValue = known?.publicValue ?? leftPad(own.getPublicKey(), prime.length);
  return pair(method, publicValue, { agree, privateValue: () => taken(own.getPrivateKey()) });
};

const createDiffieHellmanOf = (group: string, known: Known | undefined): DiffieHellmanGroup => {
  const named = getDiffieHellman(group);
  if (known === undefined) {
    named.generateKeys();
    return named;
  }
  const own = createDiffieHellman(named.getPrime(), named.getGenerator());
  own.setPrivateKey(known.privateValue);
  if (known.publicValue === undefined) own.generateKeys(); // the public value of that private one
  return own;
};

const UNCOMPRESSED = Uint8Array.of(4); // SEC 1 §2.3.3: before x and y

const ecp = (method: KexMethod, curve: string, privateValue: Uint8Array | undefined): KeyPair => {
  const own = createECDH(curve);
  if (privateValue === undefined) own.generateKeys();
  else own.setPrivateKey(privateValue);
  const agree = (peer: Uint8Array): Uint8Array | undefined => {
    try {
      // Points off the curve are refused here (RFC 6989 §2.3); infinity has no such encoding.
      return leftPad(own.computeSecret(concat(UNCOMPRESSED, peer)), method.publicLength / 2);
    } catch {
      return undefined;
    }
  };
  const publicValue = new Uint8Array(own.getPublicKey().subarray(1));
  return pair(method, publicValue, { agree, privateValue: () => taken(own.getPrivateKey()) });
};

// RFC 8410 §7: all that stands before the 32 octets of an X25519 key in PKCS #8.
// Private keys as DER and not as JWK: Node 20 exports a JWK under the key's lock and allocates meanwhile. A garbage collection
// in that moment frees the job that made the key, which takes the same lock, and the thread waits for itself for ever.
const X25519_PRIVATE = fromHex("302e020100300506032b656e04220420");

const x25519 = (method: KexMethod, known: Known | undefined): KeyPair => {
  const privateKey = known === undefined ? generateKeyPairSync("x25519").privateKey : importX25519(known.privateValue);
  // RFC 7748 §6.1: the public value is what the private one and the base point come to. Half the time of an export.
  const publicValue = known?.publicValue ?? new Uint8Array(diffieHellman({ privateKey, publicKey: X25519_BASE }));
  const agree = (peer: Uint8Array): Uint8Array | undefined => {
    let secret: Uint8Array;
    try {
      secret = new Uint8Array(diffieHellman({ privateKey, publicKey: publicX25519(peer) }));
    } catch {
      return undefined; // OpenSSL refuses points of small order itself
    }
    return secret.some((octet) => octet !== 0) ? secret : undefined; // RFC 8031 §2: all zero is refused
  };
  const privateValue = (): Uint8Array =>
    taken(privateKey.export({ format: "der", type: "pkcs8" }), X25519_PRIVATE.length);
  return pair(method, publicValue, { agree, privateValue });
};

/** As JWK, which carries the octets as they are and is read in a seventh of the time that DER takes. */
const publicX25519 = (value: Uint8Array): KeyObject =>
  createPublicKey({
    key: { kty: "OKP", crv: "X25519", x: Buffer.from(value).toString("base64url") },
    format: "jwk",
  });

/** RFC 7748 §4.1: 9. */
const X25519_BASE = publicX25519(Uint8Array.of(9, ...new Uint8Array(31)));

const importX25519 = (privateValue: Uint8Array): KeyObject => {
  const key = Buffer.from(concat(X25519_PRIVATE, privateValue));
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8" });
  } finally {
    wipe(key);
  }
};

const leftPad = (bytes: Uint8Array, length: number): Uint8Array => {
  const padded = new Uint8Array(length);
  padded.set(bytes, length - bytes.length);
  return padded;
};
