/**
 * An interface that says nothing of itself: IPv6 without a link-local address asks for no routers and announces nothing
 * (addr_gen_mode 1 of the kernel's ip-sysctl), so that every packet that leaves it is somebody's.
 */
import { existsSync, writeFileSync } from "node:fs";
import { EspalierError } from "../errors.ts";

/** Call before it comes up. Throws ESPALIER_PRIVILEGE where the system does not allow it. */
export const makeQuiet = (name: string): void => {
  const file = `/proc/sys/net/ipv6/conf/${name}/addr_gen_mode`;
  if (!existsSync(file)) return; // no IPv6 in this kernel
  try {
    writeFileSync(file, "1");
  } catch (cause) {
    throw new EspalierError("ESPALIER_PRIVILEGE", `${file} cannot be written`, {
      remedy: "A connection with `start: trap` needs /proc/sys to be writable, or no IPv6.",
      cause,
    });
  }
};
