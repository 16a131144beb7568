/**
 * TUN and TAP devices: interfaces whose packets are read and written here. Each descriptor is one queue; the kernel
 * spreads flows over queues. The interface goes away with its last descriptor.
 */
import { readSync } from "node:fs";
import { EspalierError } from "../errors.ts";
import { IFNAME_MAX, IFREQ } from "./abi.ts";
import { ERRNO, systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";

const DEVICE = "/dev/net/tun";
const O_RDWR = 0x2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETQUEUE = 0x400454d9;
const IFF_TUN = 0x0001;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_ATTACH_QUEUE = 0x0200;
const IFF_DETACH_QUEUE = 0x0400;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_TUN_EXCL = 0x8000; // a device of this name must not exist: ours is never somebody else's

const MAX_QUEUES = 256; // MAX_TAP_QUEUES of the kernel

/** What the kernel may leave to us on a device with vnetHdr: add them up for setTunOffload. */
export const TUN_F = { CSUM: 0x01, TSO4: 0x02, TSO6: 0x04, TSO_ECN: 0x08, USO4: 0x20, USO6: 0x40 } as const;

export interface TunOptions {
  /** At most 15 octets; `%d` stands for the first free number; undefined lets the kernel choose `tun0`, `tap0`... */
  readonly name?: string | undefined;
  readonly kind?: "tun" | "tap";
  /** 1..256, default 1. */
  readonly queues?: number;
  /** Each packet begins with a virtio_net_hdr of 10 octets, so that it may be larger than the MTU. */
  readonly vnetHdr?: boolean;
}

export interface TunDevice {
  readonly name: string;
  /** One non-blocking descriptor per queue. Each belongs to the process and is closed by closeTun. */
  readonly fds: readonly number[];
}

const checkName = (name: string): void => {
  const allowed = /^[^\s/%:]+$/.test(name.replace("%d", "0")) && name !== "." && name !== "..";
  if (!allowed || Buffer.byteLength(name) > IFNAME_MAX)
    throw new EspalierError("ESPALIER_USAGE", `not a name for an interface: ${JSON.stringify(name)}`, {
      remedy: `Use 1 to ${IFNAME_MAX} octets without spaces, "/", ":" and "%" (but "%d" for a free number).`,
    });
};

/**
 * Create an interface, down and without addresses. Throws ESPALIER_IN_USE when an interface of this name exists,
 * ESPALIER_PRIVILEGE without CAP_NET_ADMIN, ESPALIER_PLATFORM without /dev/net/tun, ESPALIER_USAGE for a bad name.
 */
export const openTun = ({ name = "", kind = "tun", queues = 1, vnetHdr = false }: TunOptions = {}): TunDevice => {
  if (name !== "") checkName(name);
  if (!Number.isInteger(queues) || queues < 1 || queues > MAX_QUEUES)
    throw new RangeError(`not 1..${MAX_QUEUES} queues: ${queues}`);
  const flags =
    (kind === "tun" ? IFF_TUN : IFF_TAP) |
    IFF_NO_PI |
    (queues > 1 ? IFF_MULTI_QUEUE : 0) |
    (vnetHdr ? IFF_VNET_HDR : 0);
  const fds: number[] = [];
  try {
    let actual = name;
    for (let queue = 0; queue < queues; queue++) {
      const fd = openDevice();
      fds.push(fd);
      actual = attachQueue(fd, actual, queue === 0 ? flags | IFF_TUN_EXCL : flags);
    }
    return { name: actual, fds };
  } catch (error) {
    for (const fd of fds) libc.close(fd);
    throw error;
  }
};

/** A super-packet and the header before it. */
const LONGEST_READ = 65_535 + 12;

/** Throw away what waits in a queue that nobody else reads now. */
export const emptyTun = (fd: number): void => {
  const packet = new Uint8Array(LONGEST_READ);
  try {
    while (readSync(fd, packet) > 0);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EAGAIN" && code !== "EBADFD") throw error; // empty, or detached
  }
};

/** Close every queue: the interface goes away, with its addresses and routes. */
export const closeTun = (device: TunDevice): void => {
  for (const fd of device.fds) libc.close(fd);
};

/** Say which offloads (sum of TUN_F) the reader of a device with vnetHdr understands. Returns 0 or -errno. */
export const setTunOffload = (fd: number, offloads: number): number => libc.ioctlNumber(fd, TUNSETOFFLOAD, offloads);

/**
 * Let the kernel put packets into a queue of a device with several, or no longer: what waits in it is lost then. It may
 * be written either way. Returns 0 or -errno.
 */
export const setTunQueue = (fd: number, attach: boolean): number => {
  const memory = Memory.allocate(IFREQ.size);
  memory.view.setUint16(IFREQ.value, attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE, true);
  return libc.ioctl(fd, TUNSETQUEUE, memory, 0, IFREQ.size);
};

/** From what we like best to what every kernel takes. */
const OFFERS = [
  TUN_F.CSUM | TUN_F.TSO4 | TUN_F.TSO6 | TUN_F.USO4 | TUN_F.USO6,
  TUN_F.CSUM | TUN_F.TSO4 | TUN_F.TSO6, // before Linux 6.2
] as const;

/**
 * Ask the kernel to leave checksums and segmentation to the reader of a device with vnetHdr, as far as it can: one read
 * then gives up to 64 KiB of a flow. Returns the sum of TUN_F that it agreed to; 0 for none.
 */
export const askForOffloads = (fd: number): number => OFFERS.find((offer) => setTunOffload(fd, offer) === 0) ?? 0;

const openDevice = (): number => {
  const fd = libc.open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) return fd;
  const missing = -fd === ERRNO.ENOENT || -fd === ERRNO.ENODEV || -fd === ERRNO.ENXIO;
  throw systemError(
    fd,
    DEVICE,
    missing
      ? {
          code: "ESPALIER_PLATFORM",
          remedy: "Load the driver (`modprobe tun`); in a container pass the device (`--device /dev/net/tun`).",
        }
      : {},
  );
};

const attachQueue = (fd: number, name: string, flags: number): string => {
  const memory = Memory.allocate(IFREQ.size);
  memory.bytes.set(Buffer.from(name), IFREQ.name);
  memory.view.setUint16(IFREQ.value, flags, true);
  const result = libc.ioctl(fd, TUNSETIFF, memory, 0, IFREQ.size);
  if (result === 0) {
    const end = memory.bytes.indexOf(0, IFREQ.name);
    return Buffer.from(memory.bytes.slice(IFREQ.name, end)).toString();
  }
  if (-result === ERRNO.EBUSY)
    throw systemError(result, `interface ${name} exists already`, {
      remedy: "Choose another name, or remove that interface (`ip link delete`).",
    });
  if (-result === ERRNO.EPERM)
    throw systemError(result, "a TUN interface cannot be created", {
      remedy: "Run as root, or give the process CAP_NET_ADMIN.",
    });
  throw systemError(result, `interface ${name === "" ? "of any name" : name} cannot be created`);
};
