/**
 * The functions of libcrypto that the engine `openssl` calls, found in the Node process itself: there is nothing to
 * install. Pointers are numbers, 0 is NULL; every function that can fail returns 1 when it did not.
 */
import type { Address } from "./addresses.ts";
import { koffi, reasonOf } from "./ffi.ts";

/** The major version whose providers, fetches and re-initialisation rules this engine was written to. */
const MAJOR = 3;

const open = () => {
  const libcrypto = koffi().load(null);
  return {
    opensslVersion: libcrypto.func("const char *OpenSSL_version(int)") as (what: number) => string,
    majorVersion: libcrypto.func("uint32_t OPENSSL_version_major()") as () => number,

    cipherFetch: libcrypto.func("int64_t EVP_CIPHER_fetch(int64_t, const char *, int64_t)") as (
      libraryContext: number,
      name: string,
      properties: number,
    ) => number,
    cipherFree: libcrypto.func("void EVP_CIPHER_free(int64_t)") as (cipher: number) => void,
    contextNew: libcrypto.func("int64_t EVP_CIPHER_CTX_new()") as () => number,
    contextFree: libcrypto.func("void EVP_CIPHER_CTX_free(int64_t)") as (context: Address) => void,
    setPadding: libcrypto.func("int EVP_CIPHER_CTX_set_padding(int64_t, int)") as (
      context: Address,
      pad: number,
    ) => number,
    /** Key, IV and parameters, each left as it is when NULL. */
    encryptInit: libcrypto.func("int EVP_EncryptInit_ex2(int64_t, int64_t, int64_t, int64_t, int64_t)") as Init,
    decryptInit: libcrypto.func("int EVP_DecryptInit_ex2(int64_t, int64_t, int64_t, int64_t, int64_t)") as Init,
    /**
     * The provider's own function for octets that are whole at once, without EVP_CipherUpdate's blocks kept back for a final:
     * AAD when `out` is NULL. Octets done, below 1 when it failed.
     */
    cipher: libcrypto.func("int EVP_Cipher(int64_t, int64_t, int64_t, uint32_t)") as (
      context: Address,
      out: Address,
      input: Address,
      inputLength: number,
    ) => number,
    /** Here for the length of the text alone, with `out` and `input` NULL: EVP_Cipher takes that for a final (3.5.8). */
    update: libcrypto.func("int EVP_CipherUpdate(int64_t, int64_t, int64_t, int64_t, int)") as (
      context: Address,
      out: Address,
      outLength: Address,
      input: Address,
      inputLength: number,
    ) => number,
    encryptFinal: libcrypto.func("int EVP_EncryptFinal_ex(int64_t, int64_t, int64_t)") as Final,
    decryptFinal: libcrypto.func("int EVP_DecryptFinal_ex(int64_t, int64_t, int64_t)") as Final,
    getParameters: libcrypto.func("int EVP_CIPHER_CTX_get_params(int64_t, int64_t)") as (
      context: Address,
      parameters: Address,
    ) => number,

    macFetch: libcrypto.func("int64_t EVP_MAC_fetch(int64_t, const char *, int64_t)") as (
      libraryContext: number,
      name: string,
      properties: number,
    ) => number,
    macFree: libcrypto.func("void EVP_MAC_free(int64_t)") as (mac: number) => void,
    macContextNew: libcrypto.func("int64_t EVP_MAC_CTX_new(int64_t)") as (mac: number) => number,
    macContextFree: libcrypto.func("void EVP_MAC_CTX_free(int64_t)") as (context: Address) => void,
    macInit: libcrypto.func("int EVP_MAC_init(int64_t, int64_t, size_t, int64_t)") as (
      context: Address,
      key: Address,
      keyLength: number,
      parameters: Address,
    ) => number,
    macUpdate: libcrypto.func("int EVP_MAC_update(int64_t, int64_t, size_t)") as (
      context: Address,
      input: Address,
      length: number,
    ) => number,
    macFinal: libcrypto.func("int EVP_MAC_final(int64_t, int64_t, int64_t, size_t)") as (
      context: Address,
      out: Address,
      outLength: Address,
      outSize: number,
    ) => number,

    clearErrors: libcrypto.func("void ERR_clear_error()") as () => void,
  };
};

type Init = (context: Address, cipher: number, key: Address, iv: Address, parameters: Address) => number;
type Final = (context: Address, out: Address, outLength: Address) => number;

export type Evp = ReturnType<typeof open>;

let found: Evp | string | undefined;

/** The functions, or why they cannot be had. Asked once a thread. */
export const evp = (): Evp | string => {
  found ??= find();
  return found;
};

const find = (): Evp | string => {
  if (process.arch !== "x64" && process.arch !== "arm64")
    return `not tried on ${process.arch}: pointers must be 64 bits`;
  try {
    const functions = open();
    const major = functions.majorVersion();
    return major === MAJOR ? functions : `OpenSSL ${MAJOR} expected, this Node has ${functions.opensslVersion(0)}`;
  } catch (error) {
    return `no libcrypto in this process: ${reasonOf(error)}`;
  }
};
