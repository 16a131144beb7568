/**
 * Hashes of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP, RFC 7296 §2.23:
 *
 *   SHA-1(SPIi | SPIr | IP address | port), SPIs as in the header of the message
 */
import { createHash } from "node:crypto";
import { addressBytes, type Endpoint } from "../ip-address.ts";

/** Twenty octets. */
export const natHash = (spiI: Uint8Array, spiR: Uint8Array, { address, port }: Endpoint): Uint8Array => {
  const hash = createHash("sha1").update(spiI).update(spiR).update(addressBytes(address));
  return new Uint8Array(hash.update(Uint8Array.of(port >> 8, port)).digest());
};
