/**
 * rtnetlink (RFC 3549): one request and its answers, synchronously, over a socket that lives as long as the request. The
 * kernel handles a request within write(2), so nothing here waits for another process.
 */
import { NLMSGERR, NLMSGHDR, SOCKADDR_NL, TIMEVAL } from "./abi.ts";
import { ERRNO, systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { type NetlinkMessage, netlinkMessage, parseAttributes, parseMessages, textOf } from "./netlink-message.ts";
import { SO_RCVTIMEO, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET, setOption } from "./socket.ts";

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;

const NLM_F_REQUEST = 0x01;
const NLM_F_ACK = 0x04;
const NLM_F_DUMP_INTR = 0x10;

/** Added to a request. */
export const NLM_F = { REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400, DUMP: 0x300 } as const;

/** The kernel's dumps come in pieces of at most 32 KiB; a link with many virtual functions may take more. */
const ROOM = 256 * 1024;
const PATIENCE_SECONDS = 5;
const DUMP_TRIES = 3;

export interface Answer {
  /** 0, or -errno as the kernel said. */
  readonly result: number;
  /** The kernel's own words about a failure, where it had some. */
  readonly detail: string | undefined;
  readonly messages: readonly NetlinkMessage[];
}

/**
 * Send one request and collect its answers. Throws only when the socket itself fails: what the kernel thinks of the
 * request is in `result`.
 */
export const request = (type: number, flags: number, body: Uint8Array): Answer => {
  const isDump = (flags & NLM_F.DUMP) === NLM_F.DUMP;
  for (let tries = 1; ; tries++) {
    const answer = exchange(type, flags, body);
    const interrupted = isDump && answer.messages.some((message) => (message.flags & NLM_F_DUMP_INTR) !== 0);
    if (!interrupted || tries === DUMP_TRIES) return answer;
  }
};

/** As `request`, but a refusal throws an EspalierError that says what was being done. */
export const demand = (
  type: number,
  flags: number,
  body: Uint8Array,
  doing: string,
  advice: Parameters<typeof systemError>[2] = {},
): readonly NetlinkMessage[] => {
  const { result, detail, messages } = request(type, flags, body);
  if (result < 0) throw systemError(result, doing, { detail, ...advice });
  return messages;
};

const exchange = (type: number, flags: number, body: Uint8Array): Answer => {
  const fd = openNetlink();
  try {
    return converse(fd, netlinkMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, SEQUENCE, body));
  } finally {
    libc.close(fd);
  }
};

/** Each request has a socket of its own. */
const SEQUENCE = 1;

const openNetlink = (): number => {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) throw systemError(fd, "netlink socket");
  // Older kernels lack some of these; answers are understood without them.
  setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  setOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  const patience = Memory.allocate(TIMEVAL.size);
  patience.setWord64(TIMEVAL.seconds, PATIENCE_SECONDS);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, patience, 0, TIMEVAL.size);
  const address = Memory.allocate(SOCKADDR_NL.size);
  address.view.setUint16(SOCKADDR_NL.family, AF_NETLINK, true);
  const bound = libc.bindSocket(fd, address, 0, SOCKADDR_NL.size);
  if (bound >= 0) return fd;
  libc.close(fd);
  throw systemError(bound, "netlink socket");
};

const converse = (fd: number, message: Uint8Array): Answer => {
  const memory = Memory.allocate(Math.max(ROOM, message.length));
  memory.bytes.set(message);
  const sent = libc.write(fd, memory, 0, message.length);
  if (sent < 0) throw systemError(sent, "netlink request");
  const messages: NetlinkMessage[] = [];
  for (;;) {
    const got = libc.read(fd, memory, 0, ROOM);
    if (got === -ERRNO.EINTR) continue;
    if (got < 0) throw systemError(got, "netlink answer", { code: "ESPALIER_PLATFORM" });
    for (const part of parseMessages(memory.bytes.slice(0, got))) {
      if (part.sequence !== SEQUENCE) continue;
      if (part.type === NLMSG_ERROR || part.type === NLMSG_DONE) return verdict(part, messages);
      messages.push(part);
    }
  }
};

/** NLMSG_ERROR with 0 is an acknowledgement; NLMSG_DONE ends a dump and may carry an error too. */
const verdict = ({ type, body }: NetlinkMessage, messages: readonly NetlinkMessage[]): Answer => {
  const result = body.length < 4 ? 0 : new DataView(body.buffer, body.byteOffset).getInt32(NLMSGERR.error, true);
  // With CAP_ACK an error holds the header of the request, not all of it, and then attributes.
  const attributesAt = type === NLMSG_ERROR ? NLMSGERR.message + NLMSGHDR.size : NLMSGERR.message;
  const words = result < 0 ? parseAttributes(body, attributesAt).get(NLMSGERR_ATTR_MSG) : undefined;
  return { result, detail: words === undefined ? undefined : textOf(words), messages };
};
