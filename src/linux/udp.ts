/**
 * The UDP port of IKE and ESP together (RFC 3948): a SO_REUSEPORT group in which the kernel gives each ESP packet to the
 * worker that its SPI names, and IKE to the control thread. Sockets count in the order of binding: control is number 0.
 */
import { familyOf } from "../ip-address.ts";
import { attachReuseportFilter } from "./bpf.ts";
import { systemError } from "./errno.ts";
import { type Steering, udpSteering } from "./esp-steering.ts";
import * as libc from "./libc.ts";
import {
  bindTo,
  boundEndpoint,
  enlargeBuffers,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  openSocket,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOL_SOCKET,
  setOption,
} from "./socket.ts";

export interface UdpGroupOptions extends Steering {
  readonly address: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
}

export interface UdpGroup {
  /** Gets IKE, NAT-keepalives and whatever no worker is meant for. A dgram socket may take it over: `bind({ fd })`, and then closes it. */
  readonly control: number;
  /** One descriptor per worker. Close none before all: the kernel would renumber the group. */
  readonly workers: readonly number[];
  readonly port: number;
}

const WHAT = "UDP socket";

/**
 * Somebody else's SO_REUSEPORT group of the same user would let us in, and scramble both: a socket without the option
 * finds out first, since it can be bound only while nobody else is.
 */
const claim = (address: string, port: number): void => {
  const probe = openUdp(address);
  try {
    bindTo(probe, { address, port }, WHAT);
  } finally {
    libc.close(probe);
  }
};

const openUdp = (address: string): number => {
  const fd = openSocket(address, SOCK_DGRAM, 0, WHAT);
  if (familyOf(address) === 6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); // the IPv4 port is another group
  return fd;
};

const bindMember = (fd: number, address: string, port: number): void => {
  const result = setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (result < 0) throw systemError(result, `${WHAT}: SO_REUSEPORT`, { code: "ESPALIER_PLATFORM" });
  enlargeBuffers(fd);
  bindTo(fd, { address, port }, WHAT);
};

/** Open the group. Throws ESPALIER_IN_USE for a taken port, ESPALIER_CONFIG for an address that is not ours. */
export const openUdpGroup = (options: UdpGroupOptions): UdpGroup => {
  const program = udpSteering(options);
  const { address } = options;
  if (options.port !== 0) claim(address, options.port);
  const fds: number[] = [];
  try {
    const control = openUdp(address);
    fds.push(control);
    bindMember(control, address, options.port);
    attachReuseportFilter(control, program); // before a worker joins: from its first packet on the group is steered
    const { port } = boundEndpoint(control);
    const workers: number[] = [];
    for (let worker = 0; worker < options.workers; worker++) {
      const fd = openUdp(address);
      fds.push(fd);
      bindMember(fd, address, port);
      workers.push(fd);
    }
    return { control, workers, port };
  } catch (error) {
    for (const fd of fds) libc.close(fd);
    throw error;
  }
};

/** Close every socket of a group. `keepControl` when a dgram socket has taken that one over. */
export const closeUdpGroup = (group: UdpGroup, { keepControl = false } = {}): void => {
  for (const fd of group.workers) libc.close(fd);
  if (!keepControl) libc.close(group.control);
};
