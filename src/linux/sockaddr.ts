/** Socket addresses as the kernel lays them out, to and from text; and where a worker finds their parts. */
import { addressBytes, addressText, type Endpoint, familyOf } from "../ip-address.ts";
import { SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6 } from "./abi.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;

/** Room for either family, and a multiple of 8. */
export const SOCKADDR_ROOM = 32;

/** Write `endpoint` at `at` and return its length: 16 or 28. */
export const writeSockaddr = (bytes: Uint8Array, at: number, { address, port }: Endpoint): number => {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw new RangeError(`not a port: ${port}`);
  const v4 = familyOf(address) === 4;
  const layout = v4 ? SOCKADDR_IN : SOCKADDR_IN6;
  if (at < 0 || at + layout.size > bytes.length) throw new RangeError(`no room for an address at ${at}`);
  bytes.fill(0, at, at + layout.size);
  bytes[at + layout.family] = v4 ? AF_INET : AF_INET6;
  bytes[at + layout.port] = port >>> 8; // network order
  bytes[at + layout.port + 1] = port;
  bytes.set(addressBytes(address), at + layout.address);
  return layout.size;
};

/** The endpoint at `at`, or undefined when it is of another family. */
export const readSockaddr = (bytes: Uint8Array, at: number): Endpoint | undefined => {
  const family = bytes[at + SOCKADDR.family]! | (bytes[at + SOCKADDR.family + 1]! << 8);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const v4 = family === AF_INET;
  const layout = v4 ? SOCKADDR_IN : SOCKADDR_IN6;
  const from = at + layout.address;
  return {
    address: addressText(bytes.subarray(from, from + (v4 ? 4 : 16))),
    port: (bytes[at + layout.port]! << 8) | bytes[at + layout.port + 1]!,
  };
};
