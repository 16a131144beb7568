/** What this process may do to the network, found out before anything is begun: one clear error each. */
import { accessSync, constants, readFileSync } from "node:fs";
import { EspalierError } from "../errors.ts";
import { libcUnavailable } from "./libc.ts";

const CAP_NET_ADMIN = 12;
const CAP_NET_RAW = 13;
const TUN_DEVICE = "/dev/net/tun";

/** Effective capabilities of this process, one bit each. 0 when the kernel does not say. */
const effective = (): number => {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return line === null ? 0 : Number.parseInt(line[1]!, 16); // 41 bits: exact in a number
};

/** Above bit 31 the bitwise operators do not reach. */
const has = (capability: number): boolean => Math.floor(effective() / 2 ** capability) % 2 === 1;

export const canAdminister = (): boolean => libcUnavailable() === undefined && has(CAP_NET_ADMIN);
export const canOpenRaw = (): boolean => libcUnavailable() === undefined && has(CAP_NET_RAW);

/** Why no TUN device can be opened here, or undefined when one can. */
export const tunUnavailable = (): EspalierError | undefined => {
  try {
    accessSync(TUN_DEVICE, constants.R_OK | constants.W_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EACCES" || code === "EPERM")
      return new EspalierError("ESPALIER_PRIVILEGE", `${TUN_DEVICE} may not be opened by this user`, {
        remedy: `Run as root, or let the user read and write ${TUN_DEVICE}.`,
        cause: error,
      });
    return new EspalierError("ESPALIER_PLATFORM", `${TUN_DEVICE} does not exist`, {
      remedy: `Load the driver (\`modprobe tun\`); in a container pass the device (\`--device ${TUN_DEVICE}\`).`,
      cause: error,
    });
  }
  return undefined;
};

export interface Wants {
  /** TUN devices, addresses, routes. */
  readonly interfaces?: boolean;
  /** Raw ESP sockets. */
  readonly rawEsp?: boolean;
}

/** The first thing that is missing for what is wanted, or undefined. */
export const missingCapability = ({ interfaces = true, rawEsp = true }: Wants = {}): EspalierError | undefined => {
  const reason = libcUnavailable();
  if (reason !== undefined)
    return new EspalierError("ESPALIER_PLATFORM", `espalier cannot reach the kernel: ${reason}`, {
      remedy: "Run it on x86_64 or arm64 Linux with glibc.",
    });
  if (interfaces && !canAdminister())
    return new EspalierError("ESPALIER_PRIVILEGE", "interfaces and routes need CAP_NET_ADMIN", {
      remedy: "Run as root, or with `setpriv`, systemd's AmbientCapabilities, or `docker run --cap-add NET_ADMIN`.",
    });
  if (rawEsp && !canOpenRaw())
    return new EspalierError("ESPALIER_PRIVILEGE", "raw ESP sockets need CAP_NET_RAW", {
      remedy: "Run as root, give the process CAP_NET_RAW, or set `encap: force` to need none.",
    });
  return interfaces ? tunUnavailable() : undefined;
};

/** Throws the first thing that is missing. */
export const requireCapabilities = (wants: Wants = {}): void => {
  const missing = missingCapability(wants);
  if (missing !== undefined) throw missing;
};
