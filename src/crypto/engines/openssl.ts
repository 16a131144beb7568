/**
 * The engine of Node's own libcrypto, called directly: one kept context a key and direction, re-initialised with the IV
 * alone, so that a packet costs four or five native calls and no allocation.
 */
import type { EngineDriver } from "../engine.ts";
import { SUITES, type Suite } from "../suites.ts";
import { AeadKey, CcmKey, GmacKey } from "./openssl-aead.ts";
import { Contexts } from "./openssl-contexts.ts";
import { evp } from "./openssl-evp.ts";
import { MacKey } from "./openssl-mac.ts";
import { type PacketCipher, type PacketKey, SerialEngine } from "./serial-engine.ts";

const keyOf = (contexts: Contexts, suite: Suite, key: Uint8Array, esn: boolean): PacketKey => {
  if (suite.mac !== undefined) return new MacKey(contexts, suite, suite.mac, key, esn);
  if (suite.cipher === "aes-ccm") return new CcmKey(contexts, suite, key, esn);
  if (suite.cipher === "aes-gmac") return new GmacKey(contexts, suite, key, esn);
  return new AeadKey(contexts, suite, key, esn);
};

const cipherOver = (slab: Uint8Array): PacketCipher => {
  const functions = evp();
  if (typeof functions === "string") throw new RangeError(`openssl: ${functions}`);
  const contexts = new Contexts(functions, slab);
  return {
    name: "openssl",
    supports: (suite) => SUITES.includes(suite) && contexts.supports(suite),
    expand: (suite, key, esn) => keyOf(contexts, suite, key, esn),
    close: () => contexts.close(),
  };
};

export const openssl: EngineDriver = {
  name: "openssl",
  unavailable: () => {
    const functions = evp();
    return typeof functions === "string" ? functions : undefined;
  },
  describe: () => `OpenSSL ${process.versions.openssl} of Node ${process.versions.node}`,
  open: (slab, capacity) => new SerialEngine(cipherOver(slab), slab, capacity),
};
