/**
 * Hashes of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP, RFC 7296 §2.23:
 *
 *   SHA-1(SPIi | SPIr | IP address | port), SPIs as in the header of the message
 */
import { hash } from "node:crypto";
import { concat } from "../bytes.ts";
import { addressBytes, type Endpoint } from "../ip-address.ts";

/** Twenty octets. */
export const natHash = (spiI: Uint8Array, spiR: Uint8Array, { address, port }: Endpoint): Uint8Array => {
  const hashed = concat(spiI, spiR, addressBytes(address), Uint8Array.of(port >> 8, port));
  return new Uint8Array(hash("sha1", hashed, "buffer"));
};
